//! Priors by their names on the Hugging Face hub.

use crate::progress;
use anyhow::Context;
use burn::tensor::Device;
use dreamfuse_diffusion::{Additions, LoraSource, Pipeline};
use dreamfuse_engine::named_prior;
use dreamfuse_hub::{Hub, ModelId};
use std::path::Path;

/// The prior of that name on the CPU, downloaded if need be, with adaptations merged into it.
pub fn load(name: &str, loras: &[LoraSource]) -> anyhow::Result<Pipeline> {
    Ok(named_prior(
        &locate(name)?,
        &Additions { loras, texts: None },
        &Device::flex(),
    )?)
}

/// Where the prior called `name` lies: a model of the hub is downloaded unless it is in the cache; whatever exists here
/// under that name comes first.
pub fn locate(name: &str) -> anyhow::Result<String> {
    let id = match ModelId::parse(name) {
        Some(id) if !Path::new(name).exists() => id,
        _ => return Ok(name.to_owned()),
    };
    let mut bar = None;
    let folder = Hub::from_environment().snapshot(&id, &mut |now| {
        let bar = bar.get_or_insert_with(|| progress::bytes(0));
        bar.set_length(now.size);
        bar.set_position(now.done);
        bar.set_message(now.file.to_owned());
    });
    let folder = folder
        .with_context(|| format!("no file or folder is called {name}, and no model can be had"))?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(folder.display().to_string())
}
