//! What the tests of parity share, those of other crates too.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests fail as tests do, and not every test needs all"
)]

use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_diffusion::{Additions, Pipeline, Precision};
use dreamfuse_prior::Views;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// Where the scripts beside the tests write.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dreamfuse-diffusion/tests/reference")
}

/// Copies a folder with its folders.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            std::fs::copy(&path, &to).map(|_| ()).unwrap();
        }
    }
}

/// Tensors that Python made.
pub struct Reference(Vec<u8>);

impl Reference {
    pub fn load(folder: &Path) -> Self {
        Self(std::fs::read(folder.join("reference.safetensors")).unwrap())
    }

    pub fn floats<const D: usize>(&self, name: &str) -> Tensor<D> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let view = tensors.tensor(name).unwrap();
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|c| f32::from_le_bytes(c.try_into().unwrap()))
            .collect();
        let shape: [usize; D] = view.shape().to_vec().try_into().unwrap();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        tensors
            .tensor(name)
            .unwrap()
            .data()
            .chunks_exact(8)
            .map(|c| i64::from_le_bytes(c.try_into().unwrap()))
            .collect()
    }
}

/// What a model's U-Net makes of the reference's samples and texts, at the timesteps that the scripts take.
pub fn unet_output(pipeline: &Pipeline, reference: &Reference) -> Tensor<4> {
    let network = &pipeline.network;
    let text = network.read(&reference.floats("text_embeddings"), None, 0);
    let samples = reference.floats("sample");
    network
        .unet()
        .unwrap()
        .forward(samples, &[37, 801], &text, None)
}

#[track_caller]
pub fn assert_close<const D: usize>(ours: Tensor<D>, right: Tensor<D>) {
    let error = relative_error(ours, right);
    assert!(error <= 1e-4, "relative error {error:.2e}");
}

/// The U-Net of a folder strays in f16 and in bf16 from PyTorch's f32 1.5 times as far as PyTorch itself at most. It has to stray: otherwise it
/// would compute with other numbers than it was told to.
#[track_caller]
#[allow(
    clippy::print_stdout,
    reason = "the docs give these figures, and --nocapture shows them"
)]
pub fn assert_halves_are_as_near_as_pytorchs(name: &str) {
    let path = folder().join(name);
    let reference = Reference::load(&path);
    for (precision, least) in [(Precision::F16, 1e-4), (Precision::Bf16, 1e-3)] {
        let additions = Additions {
            precision,
            ..Additions::default()
        };
        let loaded = Pipeline::load_with(&path, &additions, &Device::flex());
        let network = loaded.unwrap().network;
        let pooled = network
            .config()
            .pooled_width()
            .map(|_| reference.floats("pooled"));
        let text = network.read(&reference.floats("text_embeddings"), pooled.as_ref(), 16);
        let views = Views::Unknown.into();
        let ours = network.forward(reference.floats("sample"), &[37, 801], &text, views);
        // Without the variances that some networks predict besides.
        let [_, channels, ..] = ours.dims();
        let expected = |name: &str| reference.floats::<4>(name).narrow(1, 0, channels);
        let error = relative_error(ours, expected("output"));
        let of_pytorch =
            relative_error(expected(&format!("output_{precision}")), expected("output"));
        println!("{name} in {precision}: {error:.2e}, PyTorch {of_pytorch:.2e}");
        assert!(
            least < error && error <= 1.5 * of_pytorch,
            "{name} in {precision}: {error:.2e}, PyTorch {of_pytorch:.2e}"
        );
    }
}

/// Relative L2 distance.
pub fn relative_error<const D: usize>(ours: Tensor<D>, right: Tensor<D>) -> f32 {
    let norm = |x: Tensor<D>| x.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
    norm(ours - right.clone()) / norm(right)
}
