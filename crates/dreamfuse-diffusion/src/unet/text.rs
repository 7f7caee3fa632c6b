//! What a U-Net makes of texts alone, whatever the picture and the noise level.

use burn::tensor::Tensor;
use std::ops::Range;

/// Texts as a U-Net reads them: made once, used in every evaluation.
#[derive(Clone, Debug)]
pub struct ReadText {
    /// Keys and values `[batch, tokens, channels]` of each cross-attention, in the order of the network.
    pub(super) keys_values: Vec<[Tensor<3>; 2]>,
    /// What the pooled text adds to the time embedding, `[batch, time_embed_dim]`, if the network has that.
    pub(super) pooled: Option<Tensor<2>>,
}

impl ReadText {
    /// Of a prior that does not read.
    pub fn none() -> Self {
        Self {
            keys_values: Vec::new(),
            pooled: None,
        }
    }

    /// One batch of several.
    ///
    /// # Panics
    /// When there are none.
    pub fn cat(parts: &[Self]) -> Self {
        let keys_values = (0..parts[0].keys_values.len()).map(|layer| {
            [0, 1].map(|i| {
                Tensor::cat(
                    parts
                        .iter()
                        .map(|part| part.keys_values[layer][i].clone())
                        .collect(),
                    0,
                )
            })
        });
        let pooled: Option<Vec<_>> = parts.iter().map(|part| part.pooled.clone()).collect();
        Self {
            keys_values: keys_values.collect(),
            pooled: pooled.map(|pooled| Tensor::cat(pooled, 0)),
        }
    }

    /// Something between two texts: as if the parts, which sum to one, had been mixed before the network read them, but for
    /// what it pools or normalises.
    pub fn mix([(first, a), (second, b)]: [(&Self, f32); 2]) -> Self {
        let layers = first.keys_values.iter().zip(&second.keys_values);
        let mixed = |x: &Tensor<3>, y: &Tensor<3>| x.clone() * a + y.clone() * b;
        Self {
            keys_values: layers
                .map(|(x, y)| [mixed(&x[0], &y[0]), mixed(&x[1], &y[1])])
                .collect(),
            pooled: first
                .pooled
                .as_ref()
                .zip(second.pooled.as_ref())
                .map(|(x, y)| x.clone() * a + y.clone() * b),
        }
    }

    /// Some texts of the batch.
    pub fn part(&self, range: Range<usize>) -> Self {
        let keys_values = self.keys_values.iter();
        Self {
            keys_values: keys_values
                .map(|layer| {
                    layer
                        .each_ref()
                        .map(|x| x.clone().slice_dim(0, range.clone()))
                })
                .collect(),
            pooled: self.pooled.clone().map(|pooled| pooled.slice_dim(0, range)),
        }
    }
}
