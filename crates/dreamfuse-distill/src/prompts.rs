//! View-dependent prompts (DreamFusion, section 3.2).

use dreamfuse_core::{Camera, ViewWord};
use dreamfuse_diffusion::{FrozenPrior, ReadText};

/// A prompt with each view word, and what stands against it in guidance, read once a run.
pub struct ViewPrompts {
    /// In the order of [`ViewWord::ALL`], batches of one.
    views: Vec<ReadText>,
    negative: ReadText,
}

impl ViewPrompts {
    /// Encodes the prompt for all views, with their words or without, and the negative prompt, which is mostly empty.
    ///
    /// # Errors
    /// When a prompt is too long for the prior.
    pub fn encode(prior: &dyn FrozenPrior, [prompt, negative]: [&str; 2], with_words: bool) -> Result<Self, String> {
        let one = |text: String| prior.encode(&[text]);
        let suffix = |view: &ViewWord| if with_words { view.suffix() } else { "" };
        let views =
            ViewWord::ALL.iter().map(|view| one(format!("{prompt}{}", suffix(view)))).collect::<Result<_, _>>()?;
        Ok(Self { views, negative: one(negative.to_owned())? })
    }

    fn view(&self, word: ViewWord) -> &ReadText {
        let index = ViewWord::ALL.iter().position(|view| *view == word).expect("ALL has every view word");
        &self.views[index]
    }

    /// The prompt for views from the cameras, and the negative one as many times.
    pub fn for_cameras(&self, cameras: &[Camera]) -> (ReadText, ReadText) {
        let of = |camera: &Camera| self.view(ViewWord::of(camera.azimuth, camera.elevation)).clone();
        let text: Vec<ReadText> = cameras.iter().map(of).collect();
        (ReadText::cat(&text), ReadText::cat(&vec![self.negative.clone(); cameras.len()]))
    }
}
