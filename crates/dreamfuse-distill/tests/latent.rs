//! Steps of score distillation through latent diffusion models, beside PyTorch's:
//! `make_latent_reference.py` and `make_xl_reference.py` in `dreamfuse-diffusion/tests` made the numbers.

#[path = "../../dreamfuse-diffusion/tests/common/mod.rs"]
mod common;

use burn::tensor::Device;
use common::{Reference, folder, relative_error};
use dreamfuse_diffusion::Pipeline;
use dreamfuse_distill::{
    GuidanceConfig, GuidanceRequest, Method, NegativeTerm, ViewConditioning, image_gradient,
};
use dreamfuse_prior::{Conditioning, Prior, Views};

#[test]
fn the_gradients_of_small_images_are_pytorchs() {
    let plain = GuidanceConfig {
        clip: f64::INFINITY.into(),
        ..GuidanceConfig::default()
    };
    let cases = [
        ("sds_gradient", plain.clone()),
        (
            "perp_neg_gradient",
            GuidanceConfig {
                perp_neg: true,
                ..plain.clone()
            },
        ),
        (
            "csd_gradient",
            GuidanceConfig {
                method: Method::Csd,
                ..plain.clone()
            },
        ),
        (
            "ism_gradient",
            GuidanceConfig {
                method: Method::Ism,
                ..plain.clone()
            },
        ),
        (
            "rescaled_gradient",
            GuidanceConfig {
                rescale: 0.7,
                ..plain.clone()
            },
        ),
        (
            "clipped_gradient",
            GuidanceConfig {
                clip: 0.5.into(),
                ..plain
            },
        ),
    ];
    let models = [
        ("sd15", ["a robot", "a tower"]),
        ("sd21", ["a robot", "a tower"]),
        ("sdxl", ["two robots"; 2]),
    ];
    for (name, others) in models {
        let folder = folder().join(name);
        let (prior, reference) = (
            Pipeline::load(&folder, &Device::flex()).unwrap(),
            Reference::load(&folder),
        );
        let twice =
            |text: &str| -> Conditioning { prior.condition(&[text.into(), text.into()]).unwrap() };
        let weights = reference.floats::<2>("perp_neg_weights");
        let against = others
            .into_iter()
            .enumerate()
            .map(|(column, text)| NegativeTerm {
                text: twice(text),
                weights: weights
                    .clone()
                    .narrow(1, column, 1)
                    .into_data()
                    .try_to_vec()
                    .unwrap(),
            });
        let texts = ViewConditioning::of(twice("a squirrel at an easel!"), twice(""));
        let held = ViewConditioning {
            negative: twice(others[0]),
            ..texts.clone()
        };
        let away = ViewConditioning {
            negative_terms: against.collect(),
            ..texts.clone()
        };
        for (gradient, guidance) in &cases {
            let request = GuidanceRequest {
                timesteps: &[37, 801],
                noise: reference.floats("noise"),
                texts: match guidance {
                    GuidanceConfig { perp_neg: true, .. } => away.clone(),
                    GuidanceConfig {
                        method: Method::Ism,
                        ..
                    } => held.clone(),
                    _ => texts.clone(),
                },
                known: Views::Unknown.into(),
                guidance_scale: 7.5,
                clip: guidance.clip.start,
            };
            let images = reference.floats("picture");
            let ours = image_gradient(&mut *guidance.build(), &prior, images, &request);
            let error = relative_error(ours, reference.floats(gradient));
            assert!(
                error <= 1e-4,
                "{gradient} of {name}: relative error {error:.2e}"
            );
        }
    }
}
