//! The training loop.

use crate::config::TrainConfig;
use crate::data::{Batch, Source};
use crate::denoiser::Denoiser;
use crate::held_out::{self, HeldOut, HeldOutReferences};
use crate::optimizer::{self, Slot, Step, parameters, with_parameters};
use crate::{folder, state};
use burn::module::Module;
use burn::tensor::Device;
use dreamfuse_core::Told;
use dreamfuse_core::files::FileError;
use dreamfuse_diffusion::clip_text::ClipTextModel;
use dreamfuse_diffusion::pipeline::UNET_WEIGHTS;
use dreamfuse_diffusion::tokenizer::TokenizerFiles;
use dreamfuse_diffusion::unet::UNet;
use dreamfuse_diffusion::uvit::UVit;
use dreamfuse_diffusion::{
    CheckpointError, Network, NetworkConfig, Pipeline, Precision, Tokenizer, Weights,
};
use dreamfuse_kernels::adam::Adam;
use dreamfuse_kernels::cpu::{Workers, autocast};
use dreamfuse_prior::NoiseSchedule;
use dreamfuse_toybox::CaptionSampler;
use rayon::prelude::*;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

/// Training cannot go on; the message says why.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("the training state does not fit: {0}")]
    State(String),
    #[error(
        "the gradient is no longer finite at step {0}; resume from the last checkpoint with a lower rate"
    )]
    NotFinite(u64),
    #[error("the configuration is wrong: {0}")]
    Config(String),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// What an observer hears after each step.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Mean squared error of the prediction.
    pub loss: f32,
    pub gradient_norm: f64,
    pub rate: f32,
}

/// Images of a shard on a CPU.
const SHARD: usize = 8;

/// Images of a shard: a small batch is halved, so that two threads have work.
fn shard_of(config: &TrainConfig) -> usize {
    SHARD.min(config.batch.div_ceil(2))
}

/// What a loss in f16 is multiplied by on its way back (Micikevicius et al. 2018, section 3.2): one pixel's part of a mean is
/// less than f16 has. A power of two, so that dividing by it again changes nothing.
const LOSS_SCALE: f32 = 1024.0;

/// How strongly each value of [`Told::conditioning`], which begins with the camera's, enters at first. The directions have to be heard from the
/// start: with the usual weights the distance, always near 3, drowns them, and training learns to do without.
const TOLD_GAINS: [f32; Told::CONDITIONING] = [
    0.3, 1.5, 1.5, 1.5, 0.2, 0.2, 1.0, 1.0, 0.3, // camera
    0.7, 0.7, 0.7, // shading
    0.7, 0.7, 0.7, 1.0, // light
    2.0, 2.0, 2.0, // background
    2.0, 2.0, 2.0, // aim and roll
    0.3, // canonical
];

/// The configuration's network, with random weights.
fn network(config: &TrainConfig, device: &Device) -> Network {
    match Network::new(&config.network(), device) {
        Network::UNet(network) => {
            let gains = &TOLD_GAINS[..config.conditioning_width()];
            Network::UNet(network.with_class_gains(gains, device))
        }
        Network::UVit(network) => Network::UVit(network.with_told_gains(&TOLD_GAINS, device)),
    }
}

/// Whether a parameter is of the layers for references.
fn is_for_references(name: &str) -> bool {
    name.contains("norm_x") || name.contains("attn_x")
}

static INITIALIZING: Mutex<()> = Mutex::new(());

/// A training run.
pub struct Trainer {
    pub(crate) config: TrainConfig,
    model: Option<Denoiser>,
    slots: Vec<Slot>,
    step: u64,
    tokenizer: Tokenizer,
    tokenizer_files: TokenizerFiles,
    captions: CaptionSampler,
    pub(crate) schedule: NoiseSchedule,
    pub(crate) device: Device,
    precision: Precision,
    workers: Workers,
    /// Images of a piece of work.
    shard: usize,
}

impl Trainer {
    /// A run from random weights.
    ///
    /// # Errors
    /// When the configuration describes no network.
    pub fn new(config: TrainConfig) -> Result<Self, TrainError> {
        config.check().map_err(TrainError::Config)?;
        let device = Device::flex().autodiff();
        let files = folder::tokenizer_files(&config);
        let tokenizer = files.tokenizer().map_err(TrainError::Config)?;
        // Burn draws initial weights from one generator of the process: another trainer must not draw meanwhile.
        let alone = INITIALIZING
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        device.seed(config.seed);
        let model = Denoiser {
            network: network(&config, &device),
            text_encoder: ClipTextModel::new(&config.text_encoder(files.vocab_size), &device),
            auxiliary: Denoiser::auxiliary(&config, &device),
        };
        let slots = optimizer::slots(&model);
        drop(alone);
        Ok(Self {
            schedule: NoiseSchedule::new(config.schedule()),
            slots,
            model: Some(model),
            step: 0,
            tokenizer,
            tokenizer_files: files,
            captions: CaptionSampler::new(config.captions),
            shard: shard_of(&config),
            config,
            device,
            precision: Precision::F32,
            workers: Workers::single(),
        })
    }

    /// Computes on a device and with numbers of a precision. The weights stay f32, and so does the optimizer's step, which
    /// is the host's.
    pub fn on(mut self, device: &Device, precision: Precision) -> Self {
        self.device = device.clone().autodiff();
        self.precision = precision;
        let is_cpu = *device == Device::flex();
        (self.workers, self.shard) = if is_cpu {
            (Workers::single(), shard_of(&self.config))
        } else {
            (Workers::new(1), self.config.batch)
        };
        self.model = self.model.map(|model| {
            let lists = parameters(&model);
            with_parameters(model, lists, &self.device)
        });
        self
    }

    /// Starts from the weights of a folder instead of random ones. Its U-Net may have attention at fewer levels, and its
    /// tokenizer other words: what both know is kept.
    ///
    /// # Errors
    /// When the folder's networks have other shapes than the configuration's.
    pub fn init_from(mut self, folder: &Path) -> Result<Self, TrainError> {
        let pipeline = Pipeline::load(folder, &self.device)?;
        if pipeline.network.config().text_width().0 != self.config.text_width {
            return Err(TrainError::State(
                "its texts have another width than this configuration's".into(),
            ));
        }
        let path = folder.join(UNET_WEIGHTS);
        let weights = Weights::open(&path)?;
        let network = match self.config.network() {
            NetworkConfig::UNet(config) => {
                Network::UNet(UNet::grow(&config, weights, &self.device)?)
            }
            NetworkConfig::UVit(config) => {
                Network::UVit(UVit::grow(&config, weights, &self.device)?)
            }
        };
        let foreign = || TrainError::State("its text encoder is not CLIP's".into());
        let (tokenizer, text_encoder) = pipeline.text.into_clip().ok_or_else(foreign)?;
        let ids = self.tokenizer.ids_in(&tokenizer);
        let text_encoder = text_encoder.with_tokens(&ids, &self.model().text_encoder);
        let model = Denoiser {
            network,
            text_encoder,
            auxiliary: self.model().auxiliary.clone(),
        };
        self.restore(0, parameters(&model), None)?;
        Ok(self)
    }

    /// Goes on from a state that [`Trainer::save`] wrote.
    ///
    /// # Errors
    /// When the file is damaged or was written with another configuration.
    pub fn resume_from(mut self, path: &Path) -> Result<Self, TrainError> {
        let saved = state::load(path)?;
        let config = TrainConfig::of_state(&saved.config)
            .map_err(|reason| TrainError::State(format!("{}: {reason}", path.display())))?;
        if config != self.config {
            return Err(TrainError::State(format!(
                "{} was written with another configuration; start from its weights with --init-from instead",
                path.display()
            )));
        }
        self.restore(saved.step, saved.parameters, Some(saved.slots))?;
        Ok(self)
    }

    fn restore(
        &mut self,
        step: u64,
        lists: Vec<Vec<f32>>,
        slots: Option<Vec<Slot>>,
    ) -> Result<(), TrainError> {
        let model = self
            .model
            .take()
            .expect("a trainer has its model between steps");
        let lengths = |lists: &[Vec<f32>]| lists.iter().map(Vec::len).collect::<Vec<_>>();
        if lengths(&parameters(&model)) != lengths(&lists) {
            return Err(TrainError::State(
                "its networks have other shapes than this configuration's".into(),
            ));
        }
        let model = with_parameters(model, lists, &self.device);
        self.slots = slots.unwrap_or_else(|| optimizer::slots(&model));
        self.step = step;
        self.model = Some(model);
        Ok(())
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The number of trainable numbers.
    pub fn parameter_count(&self) -> usize {
        self.slots.iter().map(|slot| slot.average.len()).sum()
    }

    /// Trains until `total` steps are done or the observer breaks off. The images of the next step
    /// are drawn while this one trains.
    ///
    /// # Errors
    /// When the gradient is not finite.
    pub fn run(
        &mut self,
        total: u64,
        mut observe: impl FnMut(&Self, Progress) -> ControlFlow<()>,
    ) -> Result<(), TrainError> {
        let mut batch = self.draw(self.step);
        while self.step < total {
            let next = self.step + 1;
            let (drawn, (grads, loss)) = std::thread::scope(|scope| {
                let drawn = scope.spawn(|| self.draw(next));
                let gradients = self.gradients(&batch);
                (drawn.join().expect("drawing does not panic"), gradients)
            });
            batch = drawn;
            let (norm, rate) = self.update(grads, total);
            if !norm.is_finite() {
                return Err(TrainError::NotFinite(self.step));
            }
            self.step = next;
            if observe(
                self,
                Progress {
                    step: next,
                    loss,
                    gradient_norm: norm,
                    rate,
                },
            )
            .is_break()
            {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn draw(&self, step: u64) -> Batch {
        let source = Source {
            config: &self.config,
            captions: &self.captions,
            tokenizer: &self.tokenizer,
            timesteps: self.schedule.steps(),
        };
        source.draw(step)
    }

    pub(crate) fn model(&self) -> &Denoiser {
        self.model
            .as_ref()
            .expect("a trainer has its model between steps")
    }

    /// Gradients and loss of a batch, whose shards are separate pieces of work: one thread each, and
    /// small enough for the caches. Their order of addition does not depend on the threads.
    pub(crate) fn gradients(&self, batch: &Batch) -> (Vec<Vec<f32>>, f32) {
        let shards = batch.shards(self.shard);
        let parts = self.workers.map(shards.len(), |index| {
            self.shard_gradients(&shards[index], batch.len())
        });
        let add = |mut sum: (Vec<Vec<f32>>, f32), part: (Vec<Vec<f32>>, f32)| {
            sum.0.par_iter_mut().zip(part.0).for_each(|(sum, part)| {
                sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
            });
            (sum.0, sum.1 + part.1)
        };
        parts.into_iter().reduce(add).expect("a batch has a shard")
    }

    /// The loss is the shard's share of the batch's mean.
    fn shard_gradients(&self, shard: &Batch, batch: usize) -> (Vec<Vec<f32>>, f32) {
        let model = optimizer::with_own_graph(self.model().clone());
        let is_autocast = self.precision.is_autocast(&self.device);
        let networks = if is_autocast {
            model.clone()
        } else {
            self.precision.of(model.clone())
        };
        let share = shard.len() as f32 / batch as f32;
        let losses = autocast(is_autocast, || {
            networks.losses(&self.config, shard, &self.schedule, &self.device)
        });
        let [error, loss] = losses.map(|loss| loss * share);
        let value = error.into_scalar::<f32>();
        let scale = if self.precision == Precision::F16 {
            LOSS_SCALE
        } else {
            1.0
        };
        let mut gradients = optimizer::gradients(&model, (loss * scale).backward());
        if scale != 1.0 {
            let all = gradients.iter_mut().flatten();
            all.for_each(|gradient| *gradient /= scale);
        }
        (gradients, value)
    }

    /// The averaged weights, without a graph.
    fn averaged(&self) -> Denoiser {
        let averages = self.slots.iter().map(|slot| slot.average.clone());
        with_parameters(self.model().clone().valid(), averages, &Device::flex())
    }

    /// What the averaged weights have learned, told on images that training never draws.
    pub fn held_out(&self) -> Vec<HeldOut> {
        let model = self.averaged();
        let batch = held_out::batch(&self.config, &self.tokenizer);
        self.workers.map(held_out::LEVELS.len(), |index| {
            held_out::measure(
                &model,
                &self.config,
                &batch,
                held_out::LEVELS[index],
                &self.schedule,
            )
        })
    }

    /// The same of held-out toys with references; nothing where the configuration has none.
    pub fn held_out_references(&self) -> Vec<HeldOutReferences> {
        let Some(rows) = &self.config.rows else {
            return Vec::new();
        };
        let model = self.averaged();
        let batch = held_out::reference_batch(&self.config, rows, &self.tokenizer);
        self.workers.map(held_out::LEVELS.len(), |index| {
            held_out::measure_references(
                &model,
                &self.config,
                &batch,
                held_out::LEVELS[index],
                &self.schedule,
            )
        })
    }

    fn update(&mut self, grads: Vec<Vec<f32>>, total: u64) -> (f64, f32) {
        let model = self
            .model
            .take()
            .expect("a trainer has its model between steps");
        let number = self.step + 1;
        let rate = self.config.rate_at(number, total);
        let adam = Adam {
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: self.config.weight_decay,
        };
        let step = Step {
            number,
            rate,
            clip_norm: self.config.clip_norm,
            ema_decay: self.config.ema_decay,
            is_trained: match &self.config.rows {
                Some(rows) if rows.alone => is_for_references,
                _ => |_| true,
            },
        };
        let (model, norm) =
            optimizer::step(model, &grads, &adam, &step, &mut self.slots, &self.device);
        self.model = Some(model);
        (norm, rate)
    }

    /// Writes the state that [`Trainer::resume_from`] goes on from exactly.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let slots = self
            .slots
            .iter()
            .map(|s| Slot {
                moments: s.moments.clone(),
                average: s.average.clone(),
            })
            .collect();
        let (config, parameters) = (self.config.to_toml(), parameters(self.model()));
        state::save(
            path,
            &state::State {
                config,
                step: self.step,
                parameters,
                slots,
            },
        )
    }

    /// Writes the averaged weights as a folder in the diffusers layout.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn export(&self, folder: &Path) -> Result<(), TrainError> {
        let model = self.averaged();
        folder::write(folder, &self.config, &self.tokenizer_files, &model)
    }
}
