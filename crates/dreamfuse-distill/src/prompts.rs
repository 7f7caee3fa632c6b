//! View-dependent prompts (DreamFusion, section 3.2).

use burn::tensor::Tensor;
use dreamfuse_core::{Camera, ViewWord};
use dreamfuse_diffusion::FrozenPrior;

/// Embeddings of a prompt with each view word, and of the empty text, made once a run.
pub struct ViewPrompts {
    /// In the order of [`ViewWord::ALL`], each `[1, tokens, width]`.
    views: Vec<Tensor<3>>,
    empty: Tensor<3>,
}

impl ViewPrompts {
    /// Encodes the prompt for all views.
    ///
    /// # Errors
    /// When the prompt is too long for the prior.
    pub fn encode(prior: &dyn FrozenPrior, prompt: &str) -> Result<Self, String> {
        let one = |text: String| prior.encode(&[text]);
        let views =
            ViewWord::ALL.iter().map(|view| one(format!("{prompt}{}", view.suffix()))).collect::<Result<_, _>>()?;
        Ok(Self { views, empty: one(String::new())? })
    }

    /// Embeddings for views from the cameras, and as many of the empty text: `[views, tokens, width]`.
    pub fn for_cameras(&self, cameras: &[Camera]) -> (Tensor<3>, Tensor<3>) {
        let of = |camera: &Camera| {
            let word = ViewWord::of(camera.azimuth, camera.elevation);
            let index = ViewWord::ALL.iter().position(|view| *view == word).expect("ALL has every view word");
            self.views[index].clone()
        };
        let text = Tensor::cat(cameras.iter().map(of).collect(), 0);
        let empty = Tensor::cat(vec![self.empty.clone(); cameras.len()], 0);
        (text, empty)
    }
}
