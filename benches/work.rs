//! The pieces of work that are timed, by Criterion as by `measure`.

use burn::tensor::{Device, Distribution, Tensor};
use dreamfuse_core::{Camera, Purpose, Told, stream};
use dreamfuse_diffusion::{FrozenNetwork, Network, NetworkConfig, Pipeline, Precision, embedded};
use dreamfuse_engine::{Run, RunConfig};
use dreamfuse_kernels::march::Occupancy;
use dreamfuse_prior::{Conditioning, Views};
use dreamfuse_scene::{OccupancyGrid, Renderer, SceneConfig, SceneField, ViewSettings};
use dreamfuse_train::{TrainConfig, Trainer};
use rand::RngExt;
use std::ops::ControlFlow;

/// One view of 4,096 rays, about 64 samples each, through a field of 16 levels of 2^17 entries and 64 hidden units:
/// instant-ngp's usual sizes.
pub struct Render {
    field: SceneField,
    occupancy: OccupancyGrid,
    config: SceneConfig,
    gradient: Tensor<4>,
    view: ViewSettings,
}

impl Render {
    const SIZE: usize = 64;

    /// A share `keep` of the cells, at random, is occupied.
    pub fn new(keep: f32, lit: bool) -> Self {
        let config = SceneConfig {
            levels: 16,
            base: 16,
            finest: 1024,
            log2_table: 17,
            hidden: 64,
            step: 2.0 / 64.0,
            ..SceneConfig::default()
        };
        let mut occupancy = OccupancyGrid::full(&config);
        let mut rng = stream(1, Purpose::Occupancy, 0, 0);
        occupancy.occupancy =
            Occupancy::new(config.occupancy_cells, |_| rng.random::<f32>() < keep);
        let camera = Camera::orbit(0.4, 0.3);
        let view = if lit {
            ViewSettings::preview(camera)
        } else {
            ViewSettings::albedo(camera)
        };
        let gradient = Tensor::random(
            [1, 3, Self::SIZE, Self::SIZE],
            Distribution::Default,
            &Device::flex(),
        );
        Self {
            field: SceneField::random(&config, 1, &Device::flex().autodiff()),
            occupancy,
            config,
            gradient,
            view,
        }
    }

    /// Image and gradients of all parameters; returns the number of samples.
    pub fn step(&self) -> usize {
        let renderer = Renderer {
            field: &self.field,
            occupancy: &self.occupancy,
            config: &self.config,
        };
        let rendered = renderer.render(&[self.view], Self::SIZE, None);
        let grads = (rendered.color * self.gradient.clone()).sum().backward();
        assert!(self.field.table.grad(&grads).is_some() && self.field.mlp.grad(&grads).is_some());
        rendered.samples
    }
}

/// A U-Net of 64 × 64 pixels, channels 32/64/128/128, one block a level, attention at 16 and 8 pixels.
pub fn large() -> TrainConfig {
    TrainConfig {
        size: 64,
        channels: vec![32, 64, 128, 128],
        text_from_level: 2,
        ..small()
    }
}

/// What the embedded prior was trained with.
pub fn small() -> TrainConfig {
    toml::from_str(include_str!(
        "../crates/dreamfuse-train/configs/prior-32.toml"
    ))
    .expect("our own configuration")
}

/// The network of patches that the built-in prior is to become.
pub fn uvit() -> TrainConfig {
    toml::from_str(include_str!(
        "../crates/dreamfuse-train/configs/uvit-32.toml"
    ))
    .expect("our own configuration")
}

/// One guided evaluation: with and without the prompt, in one pass.
pub struct Evaluation {
    network: FrozenNetwork,
    sample: Tensor<4>,
    text: Conditioning,
    told: [Told; 2],
}

impl Evaluation {
    pub fn new(config: &NetworkConfig, tokens: usize, precision: Precision) -> Self {
        let device = Device::flex();
        let size = config.sample_size();
        let network = FrozenNetwork::new(Network::new(config, &device)).moved(precision, &device);
        let text = Tensor::random(
            [2, tokens, config.text_width().0],
            Distribution::Default,
            &device,
        );
        Self {
            text: network.read(&text, None, size),
            network,
            sample: Tensor::random([2, 3, size, size], Distribution::Default, &device),
            told: [Told::camera(Camera::orbit(0.3, 0.2)); 2],
        }
    }

    pub fn run(&self) -> Tensor<4> {
        self.network.forward(
            self.sample.clone(),
            &[500, 500],
            &self.text,
            Views::Each(&self.told).into(),
        )
    }
}

/// Steps of training, images drawn and weights averaged.
pub struct Training(Trainer);

impl Training {
    pub fn new(config: TrainConfig, precision: Precision) -> Self {
        let trainer = Trainer::new(config).expect("our own configuration");
        Self(trainer.on(&Device::flex(), precision))
    }

    pub fn steps(&mut self, count: u64) {
        let total = self.0.step() + count;
        self.0
            .run(total, |_, _| ControlFlow::Continue(()))
            .expect("training goes on");
    }
}

/// The default run, after `warm` steps.
pub struct DefaultRun {
    run: Run,
    prior: Pipeline,
}

impl DefaultRun {
    /// Without skipping, every cell of the ball is marched, however empty.
    pub fn new(warm: usize, is_skipping: bool) -> Self {
        let prior = embedded::load(&Device::flex()).expect("it is built in");
        let mut config = RunConfig {
            prompt: "a squirrel at an easel".into(),
            seed: 1,
            ..RunConfig::default()
        };
        if !is_skipping {
            config.scene.exploration = 1.0;
        }
        let mut this = Self {
            run: Run::new(config, &prior).expect("the prompt fits"),
            prior,
        };
        (0..warm).for_each(|_| {
            this.step();
        });
        this
    }

    /// Returns the number of samples.
    pub fn step(&mut self) -> usize {
        self.run
            .step(&self.prior)
            .expect("the gradient is finite")
            .samples
    }
}
