//! A text-to-image model of several parts, in the folder layout of diffusers or in one file.

mod cost;
mod files;
mod infer;
mod plan;
mod single_file;
mod space;

use crate::checkpoint::CheckpointError;
use crate::clip_text::ClipTextModel;
use crate::lora::{Lora, LoraSource, Part};
use crate::precision::Precision;
use crate::prior::FrozenPrior;
use crate::schedule::NoiseSchedule;
use crate::t5::T5Encoder;
use crate::text::{ClipPair, EncodedText, TextEncoder, TextPack};
use crate::unet::{ReadText, UNet};
use crate::vae::Vae;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
pub use cost::{Cost, Work};
use dreamfuse_core::Camera;
use dreamfuse_kernels::cpu::Workers;
pub use files::{Files, Folder};
pub use plan::{Plan, TextPlan};
pub use single_file::SingleFile;
use space::Space;
use std::ops::Range;
use std::path::Path;

/// Text encoder, U-Net, schedule and perhaps an autoencoder.
pub struct Pipeline {
    pub text: TextEncoder,
    pub unet: UNet,
    pub schedule: NoiseSchedule,
    /// Words that training used, if the folder says so.
    pub words: Vec<String>,
    space: Space,
    device: Device,
    /// On a CPU, for parts of a batch that are evaluated side by side.
    workers: Option<Workers>,
}

/// What a user adds to a model's own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions<'a> {
    /// Merged into the weights.
    pub loras: &'a [LoraSource],
    /// A pack of encoded texts in the place of the text encoder, whose files need not be there then.
    pub texts: Option<&'a Path>,
}

/// Parts of a batch on a CPU, whatever the number of threads: they decide the last digits.
const PARTS: usize = 2;

/// The largest network whose weights are prepared: in the form that convolutions multiply with, a 3 × 3 kernel has four
/// times the numbers.
const PREPARED_PARAMETERS: usize = 100_000_000;
const PREPARED_NUMBERS: f64 = 4.0;

const UNET_STEM: &str = "unet/diffusion_pytorch_model";
const VAE_STEM: &str = "vae/diffusion_pytorch_model";
const TEXT_STEM: &str = "text_encoder/model";
const SECOND_TEXT_STEM: &str = "text_encoder_2/model";

/// The U-Net's tensors, by their path in a pipeline's folder.
pub const UNET_WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// One word a line; absent in folders that dreamfuse did not train.
pub const WORDS: &str = "words.txt";

impl Pipeline {
    /// Loads a folder, or a single file (see [`SingleFile`]).
    ///
    /// # Errors
    /// When a file is missing, damaged or unsupported; the message names it.
    pub fn load(path: &Path, device: &Device) -> Result<Self, CheckpointError> {
        Self::load_with(path, &Additions::default(), device)
    }

    /// As [`Pipeline::load`], with what is added.
    ///
    /// # Errors
    /// As there, and when that does not fit.
    pub fn load_with(
        path: &Path,
        additions: &Additions,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        Self::assemble(&*open(path)?, additions, device)
    }

    /// Puts a pipeline together. What is small is read and checked before anything large is.
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub fn assemble(
        files: &dyn Files,
        additions: &Additions,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let plan = Plan::read(files, additions.texts.map(TextPack::open).transpose()?)?;
        let loras = additions
            .loras
            .iter()
            .map(Lora::open)
            .collect::<Result<Vec<_>, _>>()?;
        if !matches!(plan.text, TextPlan::ClipPair { .. } | TextPlan::Pack(_)) {
            loras
                .iter()
                .try_for_each(|lora| lora.check_without(Part::SecondText))?;
        }
        let adapted = |part: Part, stem: &str| {
            loras
                .iter()
                .try_fold(files.weights(stem)?, |weights, lora| {
                    lora.merge_into(part, weights)
                })
        };
        let space = match &plan.vae {
            None => Space::Pixels,
            Some(config) => Space::Latents(Box::new(Vae::load(
                config,
                files.weights(VAE_STEM)?,
                device,
            )?)),
        };
        let weights = || adapted(Part::Text, TEXT_STEM);
        let text = match plan.text {
            TextPlan::Clip { config, tokenizer } => {
                let model = Box::new(ClipTextModel::load(&config, weights()?, device)?);
                TextEncoder::Clip { tokenizer, model }
            }
            TextPlan::ClipPair {
                configs: [first, second],
                tokenizers,
                empty_is_zero,
            } => {
                let second_weights = adapted(Part::SecondText, SECOND_TEXT_STEM)?;
                let second = ClipTextModel::load_projecting(&second, second_weights, device)?;
                let models = Box::new([ClipTextModel::load(&first, weights()?, device)?, second]);
                TextEncoder::ClipPair(ClipPair {
                    tokenizers,
                    models,
                    empty_is_zero,
                })
            }
            TextPlan::T5 { config, tokenizer } => TextEncoder::T5 {
                model: T5Encoder::open(&config, weights()?, device)?,
                tokenizer,
            },
            TextPlan::Pack(pack) => TextEncoder::Pack(pack),
        };
        let unet = UNet::load(&plan.unet, adapted(Part::UNet, UNET_STEM)?, device)?;
        let is_small = unet.num_params() <= PREPARED_PARAMETERS;
        Ok(Self {
            text,
            unet: if is_small { unet.frozen() } else { unet },
            schedule: NoiseSchedule::new(plan.schedule),
            words: plan.words,
            space,
            device: device.clone(),
            workers: (*device == Device::flex()).then(|| Workers::new(PARTS)),
        })
    }

    /// With a U-Net that computes with these numbers. A CPU computes each operation in f32 and rounds what comes out.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        if precision != Precision::F32 {
            // What was prepared of the former weights goes.
            self.unet = precision.of(self.unet).frozen();
        }
        self
    }

    /// The U-Net's output for pictures `range` of a batch, without the variances that some networks predict besides.
    fn output(
        &self,
        range: Range<usize>,
        noisy: &Tensor<4>,
        timesteps: &[usize],
        text: &ReadText,
        cameras: Option<&[Camera]>,
    ) -> Tensor<4> {
        let (noisy, text) = (
            noisy.clone().slice_dim(0, range.clone()),
            text.part(range.clone()),
        );
        let cameras = cameras.map(|cameras| &cameras[range.clone()]);
        let camera = self.camera_tensor(cameras, range.len());
        let channels = self.unet.config().in_channels;
        self.unet
            .forward(noisy, &timesteps[range], text, camera)
            .narrow(1, 0, channels)
    }

    /// Whether it is told where the camera stands.
    pub fn takes_camera(&self) -> bool {
        self.unet.config().camera_numbers().is_some()
    }

    /// What the U-Net takes for the cameras of `count` pictures. Cameras that are not known are zeros, and nothing at all for a
    /// network of several views.
    fn camera_tensor(&self, cameras: Option<&[Camera]>, count: usize) -> Option<Tensor<2>> {
        let width = self.unet.config().camera_numbers()?;
        let values = match (cameras, self.views_together()) {
            (Some(cameras), 1) => cameras.iter().flat_map(Camera::conditioning).collect(),
            (Some(cameras), _) => cameras.iter().flat_map(Camera::matrix).collect(),
            (None, 1) => vec![0.0; count * width],
            (None, _) => return None,
        };
        Some(Tensor::from_data(
            TensorData::new(values, [count, width]),
            &self.device,
        ))
    }
}

/// The files of a model in a folder or in one file.
///
/// # Errors
/// When there are none, or only a pickle.
pub fn open(path: &Path) -> Result<Box<dyn Files + '_>, CheckpointError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        _ if path.is_dir() => Ok(Box::new(Folder(path))),
        Some("ckpt" | "pt" | "pth" | "bin") if path.is_file() => Err(CheckpointError::Pickle {
            path: path.to_owned(),
        }),
        _ if path.is_file() => Ok(Box::new(SingleFile::open(path)?)),
        _ => {
            let source = std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "there is no such file or folder",
            );
            Err(CheckpointError::Read {
                path: path.to_owned(),
                source,
            })
        }
    }
}

impl FrozenPrior for Pipeline {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn resolution(&self) -> usize {
        self.unet.config().sample_size * self.space.factor()
    }

    fn views_together(&self) -> usize {
        self.unet.config().num_views
    }

    fn sample_shape(&self) -> [usize; 3] {
        let config = self.unet.config();
        [config.in_channels, config.sample_size, config.sample_size]
    }

    fn keep_clean(&self, clean: Tensor<4>) -> Tensor<4> {
        match (&self.space, self.schedule.config().thresholding()) {
            (Space::Latents(_), _) => clean,
            (Space::Pixels, Some(thresholding)) => thresholding.apply(clean),
            (Space::Pixels, None) => clean.clamp(-1.0, 1.0),
        }
    }

    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    fn encode(&self, prompts: &[String]) -> Result<ReadText, String> {
        let EncodedText { tokens, pooled } = self.text.encode(prompts, &self.device)?;
        Ok(match pooled {
            Some(pooled) => self.unet.read_pooled(&tokens, &pooled, self.resolution()),
            None => self.unet.read(&tokens),
        })
    }

    fn to_own_space(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.space.of_pictures(pictures, self.resolution())
    }

    fn to_pictures(&self, own: Tensor<4>) -> Tensor<4> {
        self.space.to_pictures(own)
    }

    fn pull_back(
        &self,
        pictures: Tensor<4>,
        gradient: &mut dyn FnMut(Tensor<4>) -> Tensor<4>,
    ) -> Tensor<4> {
        self.space.pull_back(pictures, self.resolution(), gradient)
    }

    fn noise(
        &self,
        noisy: Tensor<4>,
        timesteps: &[usize],
        text: ReadText,
        cameras: Option<&[Camera]>,
    ) -> Tensor<4> {
        let (count, row) = (timesteps.len(), self.views_together());
        // Views that make no whole row are seen one by one.
        let cameras = cameras.filter(|cameras| cameras.len().is_multiple_of(row));
        let at = |range| self.output(range, &noisy, timesteps, &text, cameras);
        let row = if cameras.is_some() { row } else { 1 };
        let output = match &self.workers {
            None => at(0..count),
            // Pictures do not depend on each other: threads that have some to themselves wait for each other once,
            // not at every operation.
            Some(workers) => {
                let part = |index: usize| {
                    index * (count / row) / PARTS * row..(index + 1) * (count / row) / PARTS * row
                };
                let parts: Vec<_> = (0..PARTS)
                    .map(part)
                    .filter(|part| !part.is_empty())
                    .collect();
                Tensor::cat(
                    workers.map(parts.len(), |index| at(parts[index].clone())),
                    0,
                )
            }
        };
        self.schedule.noise_of(noisy, output, timesteps)
    }
}
