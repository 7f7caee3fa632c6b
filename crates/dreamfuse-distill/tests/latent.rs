//! A step of score distillation through a latent diffusion model, beside PyTorch's:
//! `dreamfuse-diffusion/tests/make_latent_reference.py` made the numbers.

#[path = "../../dreamfuse-diffusion/tests/common/mod.rs"]
mod common;

use burn::tensor::Device;
use common::{Reference, folder, relative_error};
use dreamfuse_diffusion::{FrozenPrior, Pipeline, ReadText};
use dreamfuse_distill::{Ask, score_distillation};

#[test]
fn the_gradient_of_small_pictures_is_pytorchs() {
    for name in ["sd15", "sd21"] {
        let folder = folder().join(name);
        let (prior, reference) = (Pipeline::load(&folder, &Device::flex()).unwrap(), Reference::load(&folder));
        let twice = |text: &str| -> ReadText { prior.encode(&[text.into(), text.into()]).unwrap() };
        let ask = Ask {
            timesteps: &[37, 801],
            noise: reference.floats("noise"),
            text: (twice("a squirrel at an easel!"), twice("")),
            cameras: None,
            guidance_scale: 7.5,
        };
        let gradient = score_distillation(&prior, reference.floats("picture"), ask);
        let error = relative_error(gradient, reference.floats("sds_gradient"));
        assert!(error <= 1e-4, "{name}: relative error {error:.2e}");
    }
}
