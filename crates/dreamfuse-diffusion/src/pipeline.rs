//! A text-to-image model of several parts, in the folder layout of diffusers.

use crate::checkpoint::{CheckpointError, parse_json};
use crate::clip_text::{ClipTextConfig, ClipTextModel};
use crate::defaults;
use crate::precision::Precision;
use crate::prior::FrozenPrior;
use crate::schedule::{NoiseSchedule, ScheduleConfig};
use crate::tokenizer::Tokenizer;
use crate::unet::{ReadText, UNet, UNetConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use dreamfuse_core::Camera;
use dreamfuse_kernels::cpu::Workers;
use serde_json::{Map, Value};
use std::ops::Range;
use std::path::Path;

/// Tokenizer, text encoder, U-Net and schedule of a pixel-space model.
pub struct Pipeline {
    pub tokenizer: Tokenizer,
    pub text_encoder: ClipTextModel,
    pub unet: UNet,
    pub schedule: NoiseSchedule,
    /// Words that training used, if the folder says so.
    pub words: Vec<String>,
    device: Device,
    /// On a CPU, for parts of a batch that are evaluated side by side.
    workers: Option<Workers>,
}

/// Parts of a batch on a CPU, whatever the number of threads: they decide the last digits.
const PARTS: usize = 2;

/// The U-Net's tensors, by their path in a pipeline's folder.
pub const UNET_WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// The files of a pipeline's folder, by their paths in it.
pub const FILES: [&str; 8] = [
    "unet/config.json",
    UNET_WEIGHTS,
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "scheduler/scheduler_config.json",
];

/// One word a line; absent in folders that dreamfuse did not train.
pub const WORDS: &str = "words.txt";

impl Pipeline {
    /// Loads a folder.
    ///
    /// # Errors
    /// When a file is missing, damaged or unsupported; the message names it.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| CheckpointError::Read { path, source })
        };
        Self::assemble(folder, &read, device)
    }

    /// Puts a pipeline together from files that `read` returns by their path; `folder` names them in
    /// errors.
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub fn assemble(
        folder: &Path,
        read: &dyn Fn(&str) -> Result<Vec<u8>, CheckpointError>,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let [unet_config, unet, text_config, text, vocab, merges, tokens, scheduler] = FILES;
        let config: UNetConfig = parse_json(&folder.join(unet_config), &read(unet_config)?)?;
        config.check().map_err(|reason| CheckpointError::Unsupported { path: folder.join(unet_config), reason })?;
        let text_shape: ClipTextConfig = parse_json(&folder.join(text_config), &read(text_config)?)?;
        let schedule: ScheduleConfig = parse_json(&folder.join(scheduler), &read(scheduler)?)?;
        for (file, defaults) in [(unet_config, defaults::unet()), (scheduler, defaults::scheduler())] {
            let path = folder.join(file);
            let read: Map<String, Value> = parse_json(&path, &read(file)?)?;
            defaults::check(&read, &defaults).map_err(|reason| CheckpointError::Unsupported { path, reason })?;
        }
        let string = |name: &str| read(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let tokenizer = Tokenizer::from_texts(&string(vocab)?, &string(merges)?, &string(tokens)?)
            .map_err(|reason| CheckpointError::Malformed { path: folder.join("tokenizer"), reason })?;
        fit_together(&config, &text_shape, &tokenizer, &schedule)
            .map_err(|(file, reason)| CheckpointError::Unsupported { path: folder.join(file), reason })?;
        let words = string(WORDS).map(|text| text.lines().map(Into::into).collect()).unwrap_or_default();
        Ok(Self {
            tokenizer,
            text_encoder: ClipTextModel::load(&text_shape, &folder.join(text), read(text)?, device)?,
            unet: UNet::load(&config, &folder.join(unet), read(unet)?, device)?.frozen(),
            schedule: NoiseSchedule::new(schedule),
            words,
            device: device.clone(),
            workers: (*device == Device::flex()).then(|| Workers::new(PARTS)),
        })
    }

    /// With a U-Net that computes with these numbers. A CPU computes in f32 alone.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.unet = precision.of(self.unet);
        self
    }

    /// Token ids `[prompts, max_length]`.
    ///
    /// # Errors
    /// When a prompt is too long.
    pub fn tokenize(&self, prompts: &[String]) -> Result<Tensor<2, Int>, String> {
        let ids = prompts.iter().map(|prompt| self.tokenizer.encode(prompt)).collect::<Result<Vec<_>, _>>()?;
        let shape = [prompts.len(), self.tokenizer.max_length()];
        Ok(Tensor::from_data(TensorData::new(ids.concat(), shape), &self.device))
    }

    /// The U-Net's output for pictures `range` of a batch.
    fn output(
        &self,
        range: Range<usize>,
        noisy: &Tensor<4>,
        timesteps: &[usize],
        text: &ReadText,
        cameras: Option<&[Camera]>,
    ) -> Tensor<4> {
        let (noisy, text) = (noisy.clone().slice_dim(0, range.clone()), text.part(range.clone()));
        let cameras = cameras.map(|cameras| &cameras[range.clone()]);
        let camera = self.takes_camera().then(|| camera_tensor(cameras, range.len(), &self.device));
        self.unet.forward(noisy, &timesteps[range], text, camera)
    }

    /// Whether it is told where the camera stands.
    pub fn takes_camera(&self) -> bool {
        self.unet.config().projection_class_embeddings_input_dim == Some(Camera::CONDITIONING)
    }
}

/// Says which file keeps the parts from working as one pixel-space model, and why, if any does.
fn fit_together(
    unet: &UNetConfig,
    text: &ClipTextConfig,
    tokenizer: &Tokenizer,
    schedule: &ScheduleConfig,
) -> Result<(), (&'static str, String)> {
    let [unet_file, _, text_file, _, vocabulary, _, tokens, scheduler] = FILES;
    let (channels, heads) = ([unet.in_channels, unet.out_channels], text.num_attention_heads);
    let labels = unet.projection_class_embeddings_input_dim.unwrap_or(Camera::CONDITIONING);
    let (length, positions) = (tokenizer.max_length(), text.max_position_embeddings);
    let (words, embedded) = (tokenizer.vocabulary_size(), text.vocab_size);
    let (width, taken) = (text.hidden_size, unet.cross_attention_dim);
    Err(match () {
        () if channels != [3, 3] => {
            (unet_file, format!("{channels:?} channels in and out are no pixels, which have 3"))
        }
        () if labels != Camera::CONDITIONING => (unet_file, format!("class labels of {labels} numbers are no cameras")),
        () if width != taken => (unet_file, format!("cross_attention_dim is {taken}, and the text {width} wide")),
        () if heads == 0 || !width.is_multiple_of(heads) => {
            (text_file, format!("hidden_size {width} does not divide into num_attention_heads {heads}"))
        }
        () if length > positions => {
            (tokens, format!("model_max_length {length} is more than the text encoder's {positions} positions"))
        }
        () if words > embedded => (vocabulary, format!("{words} tokens are more than the text encoder's {embedded}")),
        () if schedule.num_train_timesteps < 2 => (scheduler, "num_train_timesteps is less than 2".into()),
        () => return Ok(()),
    })
}

/// The conditioning vectors of `count` pictures `[count, 9]`, zeros where no camera is known.
pub fn camera_tensor(cameras: Option<&[Camera]>, count: usize, device: &Device) -> Tensor<2> {
    let values = match cameras {
        Some(cameras) => cameras.iter().flat_map(Camera::conditioning).collect(),
        None => vec![0.0; count * Camera::CONDITIONING],
    };
    Tensor::from_data(TensorData::new(values, [count, Camera::CONDITIONING]), device)
}

impl FrozenPrior for Pipeline {
    fn resolution(&self) -> usize {
        self.unet.config().sample_size
    }

    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    fn encode(&self, prompts: &[String]) -> Result<ReadText, String> {
        Ok(self.unet.read(&self.text_encoder.forward(self.tokenize(prompts)?)))
    }

    fn to_own_range(&self, pictures: Tensor<4>) -> Tensor<4> {
        pictures * 2.0 - 1.0
    }

    fn noise(&self, noisy: Tensor<4>, timesteps: &[usize], text: ReadText, cameras: Option<&[Camera]>) -> Tensor<4> {
        let (count, at) = (timesteps.len(), |range| self.output(range, &noisy, timesteps, &text, cameras));
        let output = match &self.workers {
            None => at(0..count),
            // Pictures do not depend on each other: threads that have some to themselves wait for each other once,
            // not at every operation.
            Some(workers) => {
                let part = |index: usize| index * count / PARTS..(index + 1) * count / PARTS;
                let parts: Vec<_> = (0..PARTS).map(part).filter(|part| !part.is_empty()).collect();
                Tensor::cat(workers.map(parts.len(), |index| at(parts[index].clone())), 0)
            }
        };
        self.schedule.noise_of(noisy, output, timesteps)
    }
}
