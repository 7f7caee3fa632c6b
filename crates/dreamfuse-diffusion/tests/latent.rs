//! Latent diffusion in the shapes of Stable Diffusion 1.5 and 2.1, beside Python: `make_latent_reference.py` made the
//! checkpoints and tensors.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use burn::tensor::{Device, Tensor};
use common::{
    Reference, assert_halves_are_as_near_as_pytorchs, copy_folder, folder, relative_error,
    unet_output,
};
use dreamfuse_diffusion::checkpoint::read_json;
use dreamfuse_diffusion::text::TextEncoder;
use dreamfuse_diffusion::vae::{Vae, VaeConfig};
use dreamfuse_diffusion::{Additions, LoraSource, Pipeline, Weights};
use dreamfuse_prior::Prior;
use safetensors::tensor::TensorView;
use safetensors::{SafeTensors, serialize_to_file};
use std::path::{Path, PathBuf};

const TEXTS: [&str; 2] = ["a squirrel at an easel!", ""];

/// In folders of several files, and in single files with folders beside them.
fn models() -> Vec<(PathBuf, Pipeline, Reference)> {
    let model = |name: &str| {
        let path = folder().join(name);
        let pipeline = Pipeline::load(&path, &Device::flex()).unwrap();
        let reference = Reference::load(&path.with_extension(""));
        (path, pipeline, reference)
    };
    ["sd15", "sd21", "sd15.safetensors", "sd21.safetensors"]
        .map(model)
        .into()
}

fn load_vae(folder: &Path) -> Vae {
    let config: VaeConfig = read_json(&folder.join("vae/config.json")).unwrap();
    let path = folder.join("vae/diffusion_pytorch_model.safetensors");
    Vae::load(&config, Weights::open(&path).unwrap(), &Device::flex()).unwrap()
}

#[track_caller]
fn assert_close<const D: usize>(ours: Tensor<D>, right: Tensor<D>, what: &str, folder: &Path) {
    let error = relative_error(ours, right);
    assert!(
        error <= 1e-4,
        "{what} of {}: relative error {error:.2e}",
        folder.display()
    );
}

#[test]
fn tokens_and_texts_are_those_of_transformers() {
    for (folder, pipeline, reference) in models() {
        let TextEncoder::Clip { tokenizer, .. } = &pipeline.text else {
            panic!("a CLIP text encoder")
        };
        let ids: Vec<i64> = TEXTS
            .iter()
            .flat_map(|text| tokenizer.encode(text).unwrap())
            .collect();
        assert_eq!(ids, reference.integers("input_ids"), "{}", folder.display());
        let ours = pipeline
            .text
            .encode(&TEXTS.map(String::from), &Device::flex())
            .unwrap()
            .tokens;
        assert_close(
            ours,
            reference.floats::<3>("text_embeddings"),
            "texts",
            &folder,
        );
    }
}

#[test]
fn the_unets_compute_what_diffusers_computes() {
    for (folder, pipeline, reference) in models() {
        let ours = unet_output(&pipeline, &reference);
        assert_close(ours, reference.floats("output"), "output", &folder);
    }
}

#[test]
fn halves_are_as_near_as_pytorchs() {
    ["sd15", "sd21"]
        .iter()
        .for_each(|name| assert_halves_are_as_near_as_pytorchs(name));
}

#[test]
fn images_become_latents_and_images_again() {
    for (folder, pipeline, reference) in models() {
        assert_eq!(
            (pipeline.spec().resolution, pipeline.spec().sample_shape),
            (16, [4, 8, 8])
        );
        let latents = pipeline.encode(reference.floats("picture")).samples;
        assert_close(latents, reference.floats("latents"), "latents", &folder);
        let decoded = pipeline.decode(reference.floats("latents"));
        assert_close(
            decoded,
            reference.floats("decoded"),
            "decoded images",
            &folder,
        );
    }
}

#[test]
fn gradients_go_back_through_the_encoder() {
    for (folder, pipeline, reference) in models() {
        let encoded = pipeline.encode(reference.floats("picture"));
        let latents = encoded.samples.clone();
        assert_close(
            latents,
            reference.floats("latents"),
            "latents on the way",
            &folder,
        );
        let ours = encoded.vjp(reference.floats("latents_gradient"));
        assert_close(
            ours,
            reference.floats("picture_gradient"),
            "gradient",
            &folder,
        );
    }
}

#[test]
fn the_gradient_of_the_encoder_is_the_slope() {
    let (folder, _, reference) = models().into_iter().next().unwrap();
    let vae = load_vae(&folder);
    let image = reference.floats::<4>("decoded");
    let direction = dreamfuse_prior::sampler::normal([2, 3, 16, 16], 5, 0, &Device::flex());
    let of_latents = reference.floats::<4>("latents_gradient");
    let value = |step: f64| {
        let latents = vae.encode(image.clone() + direction.clone() * step);
        f64::from((latents * of_latents.clone()).sum().into_scalar::<f32>())
    };
    let slope = (value(1e-3) - value(-1e-3)) / 2e-3;
    let gradient = vae.encode_with_vjp(image.clone()).vjp(of_latents.clone());
    let ours = f64::from((gradient * direction.clone()).sum().into_scalar::<f32>());
    assert!((ours / slope - 1.0).abs() < 5e-3, "{ours} for {slope}");
}

/// In the layouts of kohya's scripts and of PEFT, into a folder and into a single file.
#[test]
fn adaptations_are_merged() {
    let reference = Reference::load(&folder().join("sd15"));
    for (model, file) in [
        ("sd15", "kohya"),
        ("sd15", "peft"),
        ("sd15.safetensors", "kohya"),
    ] {
        let path = folder().join(format!("sd15/lora-{file}.safetensors"));
        let lora: LoraSource = format!("{}:0.7", path.display()).parse().unwrap();
        let pipeline = Pipeline::load_with(
            &folder().join(model),
            &Additions {
                loras: &[lora],
                ..Additions::default()
            },
            &Device::flex(),
        )
        .unwrap();
        let ours = unet_output(&pipeline, &reference);
        assert_close(
            ours,
            reference.floats("output_lora"),
            "adapted output",
            &path,
        );
        let ours = pipeline
            .text
            .encode(&TEXTS.map(String::from), &Device::flex())
            .unwrap()
            .tokens;
        assert_close(
            ours,
            reference.floats::<3>("text_embeddings_lora"),
            "adapted texts",
            &path,
        );
    }
    let difference = relative_error(
        reference.floats::<4>("output_lora"),
        reference.floats("output"),
    );
    assert!(
        difference > 0.01,
        "the adaptation changes next to nothing: {difference}"
    );
}

/// Files of before diffusers 0.17, and those of latent diffusion itself, name the parts of attention otherwise; the latter
/// have them as 1 × 1 convolutions.
#[test]
fn older_names_of_attention_are_read() {
    let folder = folder().join("sd15");
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&folder.join("vae"), &copy.path().join("vae"));
    let path = copy.path().join("vae/diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let renamed = |key: &str| {
        let pairs = [
            (".to_q.", ".query."),
            (".to_k.", ".key."),
            (".to_v.", ".value."),
            (".to_out.0.", ".proj_attn."),
        ];
        pairs
            .iter()
            .fold(key.to_owned(), |key, (new, old)| key.replace(new, old))
    };
    let old: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(key, view)| {
            let mut shape = view.shape().to_vec();
            if renamed(&key) != key && shape.len() == 2 {
                shape.extend([1, 1]);
            }
            (
                renamed(&key),
                TensorView::new(view.dtype(), shape, view.data()).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        old.iter()
            .filter(|(key, _)| key.contains(".query."))
            .count(),
        4
    );
    serialize_to_file(old, None, &path).unwrap();
    let image = Reference::load(&folder).floats("decoded");
    let (old, new) = (
        load_vae(copy.path()).encode(image),
        load_vae(&folder).encode(Reference::load(&folder).floats("decoded")),
    );
    assert!(relative_error(old, new) == 0.0);
}
