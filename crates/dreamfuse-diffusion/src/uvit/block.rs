//! A transformer block whose norms the embedding scales and shifts.

use super::config::UVitConfig;
use super::frames::Frames;
use super::reference::KeysValues;
use crate::layers::{Attention, FeedForward, linear, normalize_tokens, zeroed};
use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

/// Adaptive layer norms after DiT (Peebles & Xie 2023, section 3.2), with cross-attention to the context.
#[derive(Module, Debug)]
pub(super) struct Block {
    norm1: LayerNorm,
    attn1: Attention,
    /// To reference images, between the other two.
    norm_x: Option<LayerNorm>,
    attn_x: Option<Attention>,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
    modulation: Linear,
}

/// What the embedding does to a branch: `[batch, 1, width]` each.
struct Modulation {
    scale: Tensor<3>,
    shift: Tensor<3>,
    gate: Tensor<3>,
}

impl Block {
    pub(super) fn new(config: &UVitConfig, device: &Device) -> Self {
        let (width, heads) = (config.hidden_size, config.heads);
        let norm = || LayerNormConfig::new(width).init(device);
        let references = config.references;
        Self {
            norm1: norm(),
            attn1: Attention::new([width, width], heads, device),
            norm_x: references.then(norm),
            attn_x: references.then(|| Attention::new([width, width], heads, device).zeroed()),
            norm2: norm(),
            attn2: Attention::new([width, config.text_size], heads, device).zeroed(),
            norm3: norm(),
            ff: FeedForward::new(width, config.feed_forward_size, device),
            modulation: zeroed(LinearConfig::new(config.conditioning_size, 6 * width).init(device)),
        }
    }

    /// - `x`: `[batch, tokens, width]`, as is the output
    /// - `context`: `[batch, context tokens, text_size]`
    /// - `embedding`: `[batch, conditioning_size]`, after the nonlinearity
    /// - `references`: of reference images, as [`Block::read`] makes them
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &Tensor<3>,
        embedding: &Tensor<2>,
        references: Option<&KeysValues>,
    ) -> Tensor<3> {
        let [own, feed] = self.modulations(embedding, x.dims()[2]);
        let mut x = self.within(x, own);
        if let (Some(references), Some((norm, attention))) = (references, self.to_references()) {
            let h = normalize_tokens(norm, x.clone());
            let queries = references.frames.queries(attention.queries(h));
            let attended = attention.attend(queries, references.tokens());
            let attended = attention.out(references.frames.attended(attended));
            x = x + attended * references.gate();
        }
        self.beyond(x, context, feed)
    }

    /// The same for the tokens of a reference image, with what others attend to of them.
    pub(super) fn read(
        &self,
        x: Tensor<3>,
        context: &Tensor<3>,
        embedding: &Tensor<2>,
        frames: &Frames,
    ) -> (Tensor<3>, [Tensor<3>; 2]) {
        let (norm, attention) = self.to_references().expect("the network takes references");
        let [own, feed] = self.modulations(embedding, x.dims()[2]);
        let x = self.within(x, own);
        let read = attention.keys_values(normalize_tokens(norm, x.clone()));
        let read = read.map(|tokens| frames.keys(tokens));
        (self.beyond(x, context, feed), read)
    }

    fn to_references(&self) -> Option<(&LayerNorm, &Attention)> {
        self.norm_x.as_ref().zip(self.attn_x.as_ref())
    }

    /// Of the attention to the own image, and of the feed-forward layers.
    fn modulations(&self, embedding: &Tensor<2>, width: usize) -> [Modulation; 2] {
        let parts = linear(&self.modulation, embedding.clone());
        let parts = parts.reshape([embedding.dims()[0], 6, width]);
        let part = |index: usize| parts.clone().narrow(1, index, 1);
        [0, 3].map(|first| Modulation {
            scale: part(first) + 1.0,
            shift: part(first + 1),
            gate: part(first + 2) + 1.0,
        })
    }

    fn within(&self, x: Tensor<3>, own: Modulation) -> Tensor<3> {
        let h = normalize_tokens(&self.norm1, x.clone()) * own.scale + own.shift;
        let of_own = self.attn1.keys_values(h.clone());
        x + self.attn1.forward(h, of_own) * own.gate
    }

    fn beyond(&self, x: Tensor<3>, context: &Tensor<3>, feed: Modulation) -> Tensor<3> {
        let of_context = self.attn2.keys_values(context.clone());
        let h = normalize_tokens(&self.norm2, x.clone());
        let x = x + self.attn2.forward(h, of_context);
        let h = normalize_tokens(&self.norm3, x.clone()) * feed.scale + feed.shift;
        x + self.ff.forward(h) * feed.gate
    }
}
