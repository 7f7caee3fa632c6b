//! Compares what models compute with what Python computed: `compare FOLDER`, which `.ci/python_models.py` made.
#![allow(clippy::print_stdout, reason = "its report is what it is for")]

use burn::tensor::{Device, Tensor, TensorData};
use dreamfuse_diffusion::{Additions, LoraSource, Pipeline};
use dreamfuse_prior::{Prior, Views};
use safetensors::SafeTensors;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Relative L2 distance that is allowed.
const MOST: f32 = 1e-4;

fn main() -> Result<(), Box<dyn Error>> {
    let root: PathBuf = std::env::args_os().nth(1).ok_or("compare FOLDER")?.into();
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(root.join("texts.json"))?)?;
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.join("expected.safetensors").exists())
        .collect();
    folders.sort();
    let mut failures = 0;
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        match distance(&root, folder, &texts) {
            Ok(error) if error <= MOST => println!("{name}: relative error {error:.1e}"),
            Ok(error) => {
                failures += 1;
                println!("{name}: relative error {error:.1e}, expected at most {MOST:.0e}");
            }
            Err(error) => {
                failures += 1;
                println!("{name}: {error}");
            }
        }
    }
    if folders.is_empty() || failures > 0 {
        return Err(format!("{failures} of {} models are wrong", folders.len()).into());
    }
    Ok(())
}

fn distance(root: &Path, folder: &Path, texts: &[String]) -> Result<f32, Box<dyn Error>> {
    let bytes = std::fs::read(folder.join("expected.safetensors"))?;
    let expected = SafeTensors::deserialize(&bytes)?;
    let lora = folder.join("lora.safetensors");
    let (model, loras) = if lora.exists() {
        let of: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("of.json"))?)?;
        let model = of["model"].as_str().ok_or("of.json names no model")?;
        let source = LoraSource {
            path: lora,
            scale: 1.0,
        };
        (root.join(model), vec![source])
    } else {
        (folder.to_owned(), Vec::new())
    };
    let additions = Additions {
        loras: &loras,
        ..Additions::default()
    };
    let pipeline = Pipeline::load_with(&model, &additions, &Device::flex())?;
    let timesteps = expected.tensor("timesteps")?;
    let (chunks, _) = timesteps.data().as_chunks::<8>();
    let timesteps: Vec<usize> = chunks
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes) as usize)
        .collect();
    let text = pipeline.condition(texts)?;
    let sample = floats(&expected, "sample")?;
    let ours = pipeline
        .network
        .forward(sample, &timesteps, &text, Views::Unknown.into());
    let theirs = floats(&expected, "output")?;
    let norm = |x: Tensor<4>| x.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
    Ok(norm(ours - theirs.clone()) / norm(theirs))
}

fn floats(file: &SafeTensors, name: &str) -> Result<Tensor<4>, Box<dyn Error>> {
    let view = file.tensor(name)?;
    let (chunks, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let shape: [usize; 4] = view.shape().try_into()?;
    Ok(Tensor::from_data(
        TensorData::new(values, shape),
        &Device::flex(),
    ))
}
