//! Guidance of one's own: the mean of two methods' directions.
//! `cargo run --release --example custom_guidance` writes mixed.png, four views of what a run makes of it.
#![allow(clippy::print_stdout, reason = "an example says what it did")]

use burn::tensor::Tensor;
use dreamfuse_distill::{Guidance, GuidanceConfig, GuidanceRequest, Method};
use dreamfuse_engine::{Run, RunConfig, load_prior, preview_sheet};
use dreamfuse_prior::Prior;
use std::path::Path;

struct Mean([Box<dyn Guidance>; 2]);

impl Guidance for Mean {
    fn direction(
        &mut self,
        prior: &dyn Prior,
        clean: Tensor<4>,
        request: &GuidanceRequest,
    ) -> Tensor<4> {
        let of = |method: &mut Box<dyn Guidance>| method.direction(prior, clean.clone(), request);
        let [first, second] = self.0.each_mut().map(of);
        (first + second) * 0.5
    }
}

fn main() -> anyhow::Result<()> {
    let config = RunConfig {
        prompt: "a red mushroom".into(),
        steps: 200,
        ..RunConfig::default()
    };
    let of = |method| GuidanceConfig {
        method,
        ..config.guidance.clone()
    };
    let mean = Mean([Method::Sds, Method::Csd].map(|method| of(method).build()));
    let prior = load_prior(&config)?;
    let mut run = Run::new(config, &prior)?.with_guidance(Box::new(mean));
    while run.step_count() < run.config.steps {
        run.step(&prior)?;
    }
    preview_sheet(&run.snapshot()).save_png(Path::new("mixed.png"))?;
    println!("mixed.png");
    Ok(())
}
