//! What a U-Net makes of texts alone, whatever the image and the noise level.

use burn::tensor::Tensor;
use dreamfuse_prior::{Conditioning, Leaf};

/// Texts as a U-Net reads them: its own view of a [`Conditioning`].
#[derive(Clone, Debug)]
pub(super) struct TextConditioning {
    /// Keys and values `[batch, tokens, channels]` of each cross-attention, in the order of the network.
    pub keys_values: Vec<[Tensor<3>; 2]>,
    /// What the pooled text adds to the time embedding, `[batch, time_embed_dim]`, if the network has that.
    pub pooled: Option<Tensor<2>>,
}

impl From<TextConditioning> for Conditioning {
    fn from(text: TextConditioning) -> Self {
        let pooled = text.pooled.into_iter().map(Leaf::Flat);
        let keys_values = text.keys_values.into_iter().flatten().map(Leaf::Tokens);
        Self::new(pooled.chain(keys_values).collect())
    }
}

impl From<&Conditioning> for TextConditioning {
    fn from(conditioning: &Conditioning) -> Self {
        let (mut pooled, mut tokens) = (None, Vec::new());
        for leaf in conditioning.leaves() {
            match leaf {
                Leaf::Flat(leaf) => pooled = Some(leaf.clone()),
                Leaf::Tokens(leaf) => tokens.push(leaf.clone()),
            }
        }
        let keys_values = tokens.chunks_exact(2);
        Self {
            keys_values: keys_values
                .map(|pair| [pair[0].clone(), pair[1].clone()])
                .collect(),
            pooled,
        }
    }
}
