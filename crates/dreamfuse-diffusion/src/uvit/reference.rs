//! Reference images as the blocks attend to them.

use super::frames::Frames;
use burn::tensor::Tensor;
use dreamfuse_prior::{Conditioning, Leaf, Shown};

/// What one block attends to of the reference images of a batch.
pub(super) struct KeysValues<'a> {
    read: [&'a Leaf; 2],
    gate: &'a Tensor<3>,
    /// Of the images that attend.
    pub(super) frames: &'a Frames,
}

/// The references of a batch of images.
pub(super) struct ShownTokens {
    /// Keys and values of each block in turn, a row an image.
    read: Conditioning,
    /// `[batch, 1, 1]`: zero where nothing is shown.
    gate: Tensor<3>,
    frames: Frames,
}

impl KeysValues<'_> {
    /// `[batch, images of a set · tokens, width]` each.
    pub(super) fn tokens(&self) -> [Tensor<3>; 2] {
        self.read.map(Leaf::tokens)
    }

    /// What the attention is multiplied by.
    pub(super) fn gate(&self) -> Tensor<3> {
        self.gate.clone()
    }
}

impl ShownTokens {
    pub(super) fn of(shown: Shown, frames: Frames) -> Self {
        let rows: Vec<usize> = shown.sets.iter().map(|set| set.unwrap_or(0)).collect();
        let read = shown.references.read().select(&rows);
        let is_shown: Vec<f32> = shown
            .sets
            .iter()
            .map(|set| f32::from(u8::from(set.is_some())))
            .collect();
        let keys = read.leaves()[0].tokens();
        let gate = Tensor::<1>::from_floats(is_shown.as_slice(), &keys.device())
            .reshape([rows.len(), 1, 1])
            .cast(keys.dtype());
        Self { read, gate, frames }
    }

    /// For the blocks, in their order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = KeysValues<'_>> {
        self.read.leaves().chunks_exact(2).map(|pair| KeysValues {
            read: [&pair[0], &pair[1]],
            gate: &self.gate,
            frames: &self.frames,
        })
    }
}

/// What blocks have read of images `[rows · per_set, tokens, width]`, with the images of a set side by side.
pub(super) fn joined(read: Vec<[Tensor<3>; 2]>, per_set: usize) -> Conditioning {
    let side_by_side = |tokens: Tensor<3>| {
        let [count, length, width] = tokens.dims();
        Leaf::Tokens(tokens.reshape([count / per_set, per_set * length, width]))
    };
    Conditioning::new(read.into_iter().flatten().map(side_by_side).collect())
}
