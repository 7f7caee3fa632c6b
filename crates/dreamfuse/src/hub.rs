//! Priors by their names on the Hugging Face hub.

use crate::cli::PriorArgs;
use crate::progress;
use anyhow::{Context, bail, ensure};
use dreamfuse_diffusion::pipeline::what_a_name_is;
use dreamfuse_diffusion::{Additions, Pipeline};
use dreamfuse_engine::{PriorSource, device};
use dreamfuse_hub::{Hub, ModelId, Notice};

/// A prior on its device, downloaded if need be, with adaptations merged into it.
pub fn load(args: &PriorArgs) -> anyhow::Result<Pipeline> {
    ensure!(
        !args.device.contains(','),
        "expected one device, got {:?}",
        args.device
    );
    let device = device(&args.device, args.precision)?;
    let additions = Additions {
        loras: &args.loras,
        precision: args.precision,
        ..Additions::default()
    };
    Ok(locate(&args.prior)?.load(&additions, &device)?)
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
