//! Priors from the disk, which only `measure` times.

use burn::tensor::{Device, Distribution, Tensor};
use dreamfuse_diffusion::Pipeline;
use dreamfuse_prior::{Batch, Conditioning, Prior, Views};
use std::path::Path;

/// One guided evaluation of a prior, whatever its size.
pub struct EvaluationOf {
    prior: Pipeline,
    sample: Tensor<4>,
    text: Conditioning,
}

impl EvaluationOf {
    pub fn new(path: &Path) -> Self {
        let prior = Pipeline::load(path, &Device::flex()).unwrap_or_else(|error| panic!("{error}"));
        let [channels, height, width] = prior.spec().sample_shape;
        let text = prior
            .condition(&["a squirrel".to_owned(), String::new()])
            .expect("the prompt fits");
        let sample = Tensor::random(
            [2, channels, height, width],
            Distribution::Default,
            &Device::flex(),
        );
        Self {
            prior,
            sample,
            text,
        }
    }

    pub fn run(&self) -> Tensor<4> {
        self.prior.predict(&Batch::new(
            self.sample.clone(),
            &[500, 500],
            &self.text,
            Views::Unknown,
        ))
    }
}
