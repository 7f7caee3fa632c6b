//! What a run will take, before anything heavy is loaded.

use crate::EngineError;
use crate::config::RunConfig;
use crate::reference::ReferenceConfig;
use crate::run::Run;
use crate::usage::peak_mib;
use burn::tensor::{DType, Device, Tensor};
use dreamfuse_diffusion::Precision;
use dreamfuse_diffusion::pipeline::{Cost, Work};
use dreamfuse_kernels::conv2d::Settings;
use dreamfuse_kernels::{conv2d, linear_bf16};
use dreamfuse_prior::{
    Batch, Conditioning, Encoded, NoiseSchedule, Prior, PriorSpec, ScheduleConfig,
};
use std::time::Instant;

/// Steps of the scene alone that are timed, after as many that are not.
const STEPS: usize = 6;
/// Multiplications and additions by which this machine is measured.
const TRIAL: f64 = 2e10;
const MIB: f64 = 1024.0 * 1024.0;
/// MiB that a default run needs at its end, for the mesh and the images.
const EXPORT: f64 = 200.0;
/// GiB that a GPU's allocator takes beside what is counted, for the scene, its rendering and pages that are not full
/// (docs/experiments/2026-11-30-compiled-kernels.md).
const ON_DEVICE: f64 = 1.5;
/// Numbers for each parameter of the scene in a checkpoint: itself and two moments.
const IN_CHECKPOINT: usize = 3;
/// Checkpoints on the disk at once: two, and one that is being written.
const CHECKPOINTS: usize = 3;

/// In the prior's place: it knows nothing, and answers at once.
struct StandIn {
    cost: Cost,
    schedule: NoiseSchedule,
}

impl Prior for StandIn {
    fn spec(&self) -> PriorSpec {
        PriorSpec {
            resolution: self.cost.resolution,
            sample_shape: self.cost.sample_shape,
            views_per_group: self.cost.views_together,
            takes_camera: false,
            takes_references: false,
            needs_references: false,
        }
    }
    fn device(&self) -> Device {
        Device::flex()
    }
    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }
    fn condition(&self, _: &[String]) -> Result<Conditioning, String> {
        Ok(Conditioning::none())
    }
    fn encode(&self, images: Tensor<4>) -> Encoded<'_> {
        let [count, ..] = images.dims();
        let [channels, height, width] = self.cost.sample_shape;
        let samples = Tensor::zeros([count, channels, height, width], &self.device());
        Encoded::new(samples, move |_| images * 1e-6)
    }
    fn predict(&self, batch: &Batch) -> Tensor<4> {
        batch.samples().clone()
    }
}

/// Seconds that work takes on this machine, by a convolution and a product as the prior has many.
fn seconds(work: Work, cost: &Cost, images: usize, precision: Precision) -> f64 {
    let (device, channels, [_, height, width]) = (Device::flex(), cost.channels, cost.sample_shape);
    let numbers = held(precision).dtype();
    let full = |shape: [usize; 4]| Tensor::<4>::full(shape, 0.5, &device).cast(numbers);
    let input = full([images, channels, height, width]);
    let kernel = full([channels, channels, 3, 3]);
    let bias = Tensor::<1>::zeros([channels], &device).cast(numbers);
    let settings = Settings {
        stride: 1,
        padding: 1,
        is_bf16: precision.is_autocast(&device),
        prepared: None,
    };
    let square = channels * channels * height * width * images;
    let convolution = || {
        drop(
            conv2d(
                input.clone(),
                kernel.clone(),
                bias.clone(),
                settings.clone(),
            )
            .into_data(),
        );
    };
    let tokens = Tensor::<2>::full([images * height * width, channels], 0.5, &device);
    let linear = Tensor::<2>::full([channels, 4 * channels], 0.5, &device);
    let product = || {
        let (tokens, linear) = (tokens.clone(), linear.clone());
        let out = if precision.is_autocast(&device) {
            linear_bf16(tokens, linear, Tensor::zeros([4 * channels], &device))
        } else {
            tokens.matmul(linear)
        };
        drop(out.into_data());
    };
    work.convolutions * pace(18.0 * square as f64, &convolution)
        + work.products * pace(8.0 * square as f64, &product)
}

/// What a CPU keeps the U-Net's values in.
fn held(precision: Precision) -> Precision {
    if precision.is_autocast(&Device::flex()) {
        Precision::F32
    } else {
        precision
    }
}

/// Seconds of one multiplication or addition, when `once` does `work` of them.
fn pace(work: f64, once: &dyn Fn()) -> f64 {
    once();
    let times = (TRIAL / work).ceil().max(2.0);
    let start = Instant::now();
    (0..times as usize).for_each(|_| once());
    start.elapsed().as_secs_f64() / (work * times)
}

/// Bytes of the prior, and of what it holds for a batch of `together`. All is f32 but the U-Net, which is read as f32 before it
/// takes its dtype.
fn bytes(cost: &Cost, together: usize, precision: Precision) -> f64 {
    let held = held(precision);
    // A CPU transforms kernels of f32 beforehand.
    let prepared = if held == Precision::F32 {
        4.0 * cost.prepared
    } else {
        0.0
    };
    (bytes_on_device(cost, together, held) + prepared).max(4.0 * cost.parameters)
}

/// The same on a device that the U-Net reaches in its dtype.
fn bytes_on_device(cost: &Cost, together: usize, precision: Precision) -> f64 {
    let own = DType::from(precision.dtype()).size() as f64;
    let weights = own * cost.network + 4.0 * (cost.parameters - cost.network);
    // The encoder takes one image after the other, the U-Net the whole batch.
    let held = (own * together as f64 * cost.activations).max(4.0 * cost.encoding);
    weights + held
}

/// Images that the network evaluates together.
fn together(config: &RunConfig) -> usize {
    let reference = &config.reference;
    let is_shown = reference.picture.is_some() || reference.draw > 0;
    let unshown = usize::from(is_shown && reference.guidance_scale != 1.0);
    config.views * (unshown + if config.guidance.perp_neg { 4 } else { 2 })
}

/// Says with which dtype and how many views a run fits a GPU of `vram` GiB, the most first. The encoder takes one image after the
/// other and keeps only its stages' inputs, whatever the memory.
fn fit(vram: f64, config: &RunConfig, cost: &Cost) -> Result<String, EngineError> {
    if !(1.0..=10_000.0).contains(&vram) {
        let reason = format!("--vram {vram} is not between 1 and 10000 GiB");
        return Err(EngineError::Config(reason));
    }
    let together_at_least = cost.views_together.max(1);
    let fewer = |views: &usize| {
        let half = (views / 2).next_multiple_of(together_at_least);
        (half < *views).then_some(half)
    };
    let mut tries = vec![(config.precision, config.views)];
    if config.precision == Precision::F32 {
        tries.push((Precision::F16, config.views));
    }
    // The second stage has views of its own, and asks as often of each, at most.
    let refined = if config.refine.steps > 0 {
        together(config) / config.views * config.refine.views
    } else {
        0
    };
    let dtype = tries[tries.len() - 1].0;
    tries.extend(
        std::iter::successors(Some(config.views), fewer)
            .skip(1)
            .map(|views| (dtype, views)),
    );
    let gib = |(precision, views): (Precision, usize), spared: f64| {
        let images = (together(config) / config.views * views).max(refined);
        let prior = bytes_on_device(cost, images, precision) - 4.0 * spared;
        prior / MIB / 1024.0 + ON_DEVICE
    };
    let said =
        |(precision, views): (Precision, usize)| format!("--precision {precision} --views {views}");
    if let Some(choice) = tries.iter().find(|choice| gib(**choice, 0.0) <= vram) {
        return Ok(format!(
            "{vram} GiB with {}: about {:.1} GiB",
            said(*choice),
            gib(*choice, 0.0)
        ));
    }
    let least = tries[tries.len() - 1];
    let packed = gib(least, cost.text);
    if packed <= vram {
        return Ok(format!(
            "{vram} GiB with {} and --texts of `dreamfuse prior embed`: about {packed:.1} GiB",
            said(least)
        ));
    }
    Err(EngineError::Config(format!(
        "a run does not fit {vram} GiB: {} takes about {:.1} GiB",
        said(least),
        gib(least, 0.0)
    )))
}

/// Says what a run would take, before anything heavy is loaded; how it fits `vram` GiB besides.
///
/// # Errors
/// When the configuration or the prior cannot be, or no setting fits.
pub fn forecast(config: RunConfig, vram: Option<f64>) -> Result<Forecast, EngineError> {
    config.check()?;
    config.prior.check_texts(&config)?;
    let cost = config.prior.cost(&config.additions())?;
    let fits = vram.map(|vram| fit(vram, &config, &cost)).transpose()?;
    let stand_in = StandIn {
        cost: cost.clone(),
        schedule: NoiseSchedule::new(ScheduleConfig::default()),
    };
    let together = together(&config);
    // The stand-in sees no picture.
    let config = RunConfig {
        prompt: config.title(),
        reference: ReferenceConfig::default(),
        ..config
    };
    let mut run = Run::new(config, &stand_in)?;
    let scene_step = scene_step(&mut run, &stand_in)?;
    let config = &run.config;
    let besides = config.views * config.guidance.build().evaluations_besides();
    let of_prior = [
        cost.evaluation.times((together + besides) as f64),
        cost.pull_back.times(config.views as f64),
    ]
    .map(|work| seconds(work, &cost, config.views, config.precision));
    let prior = bytes(&cost, together, config.precision);
    let scene = peak_mib().unwrap_or_default() + EXPORT;
    let parameters: usize = run
        .field
        .parameters()
        .iter()
        .map(|part| part.dims()[0])
        .sum();
    Ok(Forecast {
        memory_gib: (prior / MIB + scene) / 1024.0,
        checkpoints_mib: (CHECKPOINTS * IN_CHECKPOINT * 4 * parameters) as f64 / MIB,
        step_seconds: scene_step + of_prior.into_iter().sum::<f64>(),
        steps: config.steps,
        is_most: besides > 0,
        fits,
        cost,
    })
}

/// Median seconds of a step of the scene alone.
fn scene_step(run: &mut Run, stand_in: &StandIn) -> Result<f64, EngineError> {
    let mut timed = Vec::new();
    for step in 0..2 * STEPS {
        let start = Instant::now();
        run.step(stand_in)?;
        if step >= STEPS {
            timed.push(start.elapsed().as_secs_f64());
        }
    }
    timed.sort_by(f64::total_cmp);
    Ok(timed[timed.len() / 2])
}

/// What a run would take.
pub struct Forecast {
    /// What was counted of the prior.
    pub cost: Cost,
    /// Memory of the process.
    pub memory_gib: f64,
    /// How the run fits the memory of a device that was named.
    pub fits: Option<String>,
    /// On the disk.
    pub checkpoints_mib: f64,
    /// Of one step.
    pub step_seconds: f64,
    /// Steps of the run.
    pub steps: u64,
    /// Whether some steps take less.
    pub is_most: bool,
}
