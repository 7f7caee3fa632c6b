//! From a sentence to a GLB file with the crates as a library:
//! `cargo run --release --example text_to_mesh -- "a red mushroom" mushroom.glb`.
#![allow(clippy::print_stdout, reason = "an example says what it did")]

use dreamfuse_engine::{ExportOptions, Run, RunConfig, about, export_mesh, load_prior};
use dreamfuse_mesh::Format;
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let config = RunConfig {
        prompt: arguments.next().unwrap_or("a red mushroom".into()),
        steps: 200,
        ..RunConfig::default()
    };
    let path = arguments.next().unwrap_or("mesh.glb".into());
    let prior = load_prior(&config)?;
    let mut run = Run::new(config, &prior)?;
    while run.step_count() < run.config.steps {
        run.step(&prior)?;
    }
    let options = ExportOptions::of(&run.config);
    let model = export_mesh(&run.snapshot(), options)?.model;
    model.save(Path::new(&path), Format::Glb, &about(&run.config, &options))?;
    println!("{path}: {} triangles", model.mesh.triangles.len());
    Ok(())
}
