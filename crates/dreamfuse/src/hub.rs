//! Priors by their names on the Hugging Face hub.

use crate::progress;
use anyhow::{Context, bail};
use burn::tensor::Device;
use dreamfuse_diffusion::pipeline::what_a_name_is;
use dreamfuse_diffusion::{Additions, LoraSource, Pipeline};
use dreamfuse_engine::PriorSource;
use dreamfuse_hub::{Hub, ModelId, Notice};

/// A prior on the CPU, downloaded if need be, with adaptations merged into it.
pub fn load(source: &PriorSource, loras: &[LoraSource]) -> anyhow::Result<Pipeline> {
    let additions = Additions {
        loras,
        ..Additions::default()
    };
    Ok(locate(source)?.load(&additions, &Device::flex())?)
}

/// Where a prior lies: a model of the hub is downloaded unless it is in the cache; whatever exists here
/// under that name comes first.
pub fn locate(source: &PriorSource) -> anyhow::Result<PriorSource> {
    let PriorSource::Path(path) = source else {
        return Ok(source.clone());
    };
    let name = path.to_string_lossy();
    if let Some(reason) = what_a_name_is(&name) {
        bail!("{name}: {reason}");
    }
    let id = match ModelId::parse(&name) {
        Some(id) if !path.exists() => id,
        _ => return Ok(source.clone()),
    };
    let mut bar = None;
    let hub = Hub::from_environment();
    let folder = hub.snapshot(&id, &mut |notice| {
        let now = match notice {
            Notice::Warning(message) => return say!("warning: {message}"),
            Notice::Progress(_) if hub.is_silent => return,
            Notice::Progress(now) => now,
        };
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
    Ok(PriorSource::Path(folder))
}
