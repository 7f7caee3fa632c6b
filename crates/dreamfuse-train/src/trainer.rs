//! The training loop.

use crate::config::TrainConfig;
use crate::data::{Batch, draw};
use crate::optimizer::{self, Slot, Step, parameters, with_parameters};
use crate::{folder, state};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use dreamfuse_core::Camera;
use dreamfuse_core::files::FileError;
use dreamfuse_diffusion::clip_text::ClipTextModel;
use dreamfuse_diffusion::tokenizer::TokenizerFiles;
use dreamfuse_diffusion::unet::UNet;
use dreamfuse_diffusion::{CheckpointError, NoiseSchedule, Pipeline, Tokenizer};
use dreamfuse_kernels::adam::Adam;
use dreamfuse_toybox::CaptionSampler;
use std::ops::ControlFlow;
use std::path::Path;

/// Training cannot go on; the message says why.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("the training state does not fit: {0}")]
    State(String),
    #[error("the gradient is no longer finite at step {0}; resume from the last checkpoint with a lower rate")]
    NotFinite(u64),
    #[error("the configuration is wrong: {0}")]
    Config(String),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// What is trained together.
#[derive(Module, Debug)]
pub(crate) struct Denoiser {
    pub unet: UNet,
    pub text_encoder: ClipTextModel,
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

/// A training run.
pub struct Trainer {
    config: TrainConfig,
    model: Option<Denoiser>,
    slots: Vec<Slot>,
    step: u64,
    tokenizer: Tokenizer,
    tokenizer_files: TokenizerFiles,
    captions: CaptionSampler,
    schedule: NoiseSchedule,
    device: Device,
}

impl Trainer {
    /// A run from random weights.
    ///
    /// # Errors
    /// When the configuration describes no network.
    pub fn new(config: TrainConfig) -> Result<Self, TrainError> {
        let device = Device::flex().autodiff();
        let files = folder::tokenizer_files(&config);
        let tokenizer = Tokenizer::from_texts(&files.vocab, &files.merges, &files.config).map_err(TrainError::Config)?;
        config.unet().check().map_err(TrainError::Config)?;
        device.seed(config.seed);
        let model = Denoiser {
            unet: UNet::new(&config.unet(), &device),
            text_encoder: ClipTextModel::new(&config.text_encoder(files.vocab_size), &device),
        };
        Ok(Self {
            schedule: NoiseSchedule::new(config.schedule()),
            slots: optimizer::slots(&model),
            model: Some(model),
            step: 0,
            tokenizer,
            tokenizer_files: files,
            captions: CaptionSampler::default(),
            config,
            device,
        })
    }

    /// Starts from the weights of a folder instead of random ones.
    ///
    /// # Errors
    /// When the folder's networks have other shapes than the configuration's.
    pub fn init_from(mut self, folder: &Path) -> Result<Self, TrainError> {
        let pipeline = Pipeline::load(folder, &self.device)?;
        let model = Denoiser { unet: pipeline.unet, text_encoder: pipeline.text_encoder };
        self.restore(0, parameters(&model), None)?;
        Ok(self)
    }

    /// Goes on from a state that [`Trainer::save`] wrote.
    ///
    /// # Errors
    /// When the file is damaged or was written for other networks.
    pub fn resume_from(mut self, path: &Path) -> Result<Self, TrainError> {
        let saved = state::load(path)?;
        self.restore(saved.step, saved.parameters, Some(saved.slots))?;
        Ok(self)
    }

    fn restore(&mut self, step: u64, lists: Vec<Vec<f32>>, slots: Option<Vec<Slot>>) -> Result<(), TrainError> {
        let model = self.model.take().expect("a trainer has its model between steps");
        let lengths = |lists: &[Vec<f32>]| lists.iter().map(Vec::len).collect::<Vec<_>>();
        if lengths(&parameters(&model)) != lengths(&lists) {
            return Err(TrainError::State("its networks have other shapes than this configuration's".into()));
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

    /// Trains until `total` steps are done or the observer breaks off. The pictures of the next step
    /// are drawn while this one trains.
    ///
    /// # Errors
    /// When the gradient is not finite.
    pub fn run(&mut self, total: u64, mut observe: impl FnMut(&Self, Progress) -> ControlFlow<()>) -> Result<(), TrainError> {
        let mut batch = self.draw(self.step);
        while self.step < total {
            let model = self.model.take().expect("a trainer has its model between steps");
            let next = self.step + 1;
            let (drawn, ((model, gradient_norm), loss)) =
                rayon::join(|| self.draw(next), || Self::gradients(&self.schedule, &self.device, model, batch));
            batch = drawn;
            let (model, norm, rate) = self.update(model, gradient_norm, total);
            self.model = Some(model);
            if !norm.is_finite() {
                return Err(TrainError::NotFinite(self.step));
            }
            self.step = next;
            if observe(self, Progress { step: next, loss, gradient_norm: norm, rate }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn draw(&self, step: u64) -> Batch {
        draw(&self.config, &self.captions, &self.tokenizer, self.schedule.steps(), step)
    }

    /// Algorithm 1: noise the pictures, predict, compare; returns the gradients and the loss.
    fn gradients(schedule: &NoiseSchedule, device: &Device, model: Denoiser, batch: Batch) -> ((Denoiser, burn::tensor::Gradients), f32) {
        let count = batch.timesteps.len();
        let size = model.unet.config().sample_size;
        let picture = |values: Vec<f32>| Tensor::<4>::from_data(TensorData::new(values, [count, 3, size, size]), device);
        let (clean, noise) = (picture(batch.clean), picture(batch.noise));
        let ids = Tensor::<2, Int>::from_data(TensorData::new(batch.ids.clone(), [count, batch.ids.len() / count]), device);
        let camera = Tensor::<2>::from_data(TensorData::new(batch.cameras, [count, Camera::CONDITIONING]), device);
        let noisy = schedule.add_noise(clean.clone(), noise.clone(), &batch.timesteps);
        let target = schedule.target(clean, noise, &batch.timesteps);
        let text = model.text_encoder.forward(ids);
        let output = model.unet.forward(noisy, &batch.timesteps, text, Some(camera));
        let loss = (output - target).powi_scalar(2).mean();
        let value = loss.clone().into_scalar::<f32>();
        let grads = loss.backward();
        ((model, grads), value)
    }

    fn update(&mut self, model: Denoiser, grads: burn::tensor::Gradients, total: u64) -> (Denoiser, f64, f32) {
        let number = self.step + 1;
        let rate = self.config.rate_at(number, total);
        let adam = Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weight_decay: self.config.weight_decay };
        let step = Step { number, rate, clip_norm: self.config.clip_norm, ema_decay: self.config.ema_decay };
        let (model, norm) = optimizer::step(model, &grads, &adam, &step, &mut self.slots, &self.device);
        (model, norm, rate)
    }

    /// Writes the state that [`Trainer::resume_from`] goes on from exactly.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let model = self.model.as_ref().expect("a trainer has its model between steps");
        let slots = self.slots.iter().map(|s| Slot { moments: s.moments.clone(), average: s.average.clone() }).collect();
        state::save(path, &state::State { step: self.step, parameters: parameters(model), slots })
    }

    /// Writes the averaged weights as a folder in the diffusers layout.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn export(&self, folder: &Path) -> Result<(), TrainError> {
        let model = self.model.clone().expect("a trainer has its model between steps");
        let averages = self.slots.iter().map(|slot| slot.average.clone());
        let plain = Device::flex();
        let model = with_parameters(model.valid(), averages, &plain);
        folder::write(folder, &self.config, &self.tokenizer_files, &model)
    }
}
