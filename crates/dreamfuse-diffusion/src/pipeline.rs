//! A text-to-image model of several parts, in the folder layout of diffusers or in one file.

mod cost;
mod files;
mod in_hand;
mod infer;
mod parts;
mod picture_prompt;
mod plan;
mod single_file;
mod space;
mod tokenizers;

use crate::checkpoint::CheckpointError;
use crate::checkpoint::recognise::recognise;
use crate::fingerprint::Fingerprint;
use crate::lora::{LoraSource, Part};
use crate::network::{FrozenNetwork, Network};
use crate::precision::Precision;
use crate::text::{EncodedText, TextEncoder};
use crate::vae::Vae;
use burn::tensor::{Device, Tensor};
pub use cost::{Cost, Work};
use dreamfuse_kernels::cpu::Workers;
use dreamfuse_prior::{
    Batch, Conditioning, Encoded, Leaf, NoiseSchedule, Prior, PriorSpec, ReferenceImages,
    References, Views,
};
pub use files::{Files, Folder};
pub use in_hand::what_a_name_is;
use parts::Parts;
pub use picture_prompt::{LastNumber, PicturePlan, PicturePrompt};
pub use plan::{Plan, TextPlan};
pub use single_file::SingleFile;
use space::Space;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
pub use tokenizers::clip_tokenizer;

/// Text encoder, network, schedule and perhaps an autoencoder.
pub struct Pipeline {
    pub text: TextEncoder,
    pub network: FrozenNetwork,
    pub schedule: NoiseSchedule,
    /// Words that training used, if the folder says so.
    pub words: Vec<String>,
    /// What was inferred or read of the model, in one line.
    pub summary: String,
    fingerprint: [u8; 32],
    space: Space,
    device: Device,
    /// On a CPU, for parts of a batch that are evaluated side by side.
    workers: Option<Workers>,
    /// The same on a run's further devices; none where a device is the first one again.
    replicas: Vec<Option<Arc<Pipeline>>>,
}

/// What a user adds to a model's own files, and how it is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions<'a> {
    /// Dtype of the network. A CPU computes each operation in f32 and rounds what comes out.
    pub precision: Precision,
    /// Merged into the weights.
    pub loras: &'a [LoraSource],
    /// A pack of encoded texts in the place of the text encoder, whose files need not be there then.
    pub texts: Option<&'a Path>,
}

/// Parts of a batch on a CPU, whatever the number of threads: they decide the last digits.
const PARTS: usize = 2;

/// Values of a transformed 3 × 3 kernel for each of its own.
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
        let plan = Plan::open(files, additions)?;
        let (summary, identity) = (plan.summary(), plan.identity());
        let parts = Parts::open(files, additions, &plan.text, device)?;
        let space = match &plan.vae {
            None => Space::Pixels,
            Some(config) => Space::Latents(Box::new(Vae::load(
                config,
                files.weights(VAE_STEM)?,
                device,
            )?)),
        };
        let text = parts.text(plan.text)?;
        // It is cast before it goes to its device: there is not always room for its f32.
        let weights = parts.adapted(Part::UNet, UNET_STEM)?;
        let network = Network::load(&plan.network, weights, &Device::flex())?;
        let fingerprint = text.add_to(Fingerprint::new(&identity));
        let fingerprint = match &space {
            Space::Pixels => fingerprint,
            Space::Latents(vae) => fingerprint.with(&**vae),
        };
        Ok(Self {
            fingerprint: fingerprint.with(&network).finish(),
            text,
            network: FrozenNetwork::new(network).moved(additions.precision, device),
            schedule: NoiseSchedule::new(plan.schedule),
            words: plan.words,
            summary,
            space,
            device: device.clone(),
            workers: (*device == Device::flex()).then(|| Workers::new(PARTS)),
            replicas: Vec::new(),
        })
    }

    /// With the same model on further devices, in the run's order.
    #[must_use]
    pub fn with_replicas(self, replicas: Vec<Option<Arc<Self>>>) -> Self {
        Self { replicas, ..self }
    }

    /// The network's output for images `range` of a batch.
    fn output(&self, batch: &Batch, range: Range<usize>) -> Tensor<4> {
        let samples = batch.samples().clone().slice_dim(0, range.clone());
        let text = batch.conditioning().slice(range.clone());
        let timesteps = &batch.timesteps()[range.clone()];
        if let TextEncoder::Picture(picture) = &self.text {
            let (token, latents) = picture.asked(&samples, batch.known().slice(range));
            let samples = Tensor::cat(vec![samples, latents], 1);
            let text = self.network.read(&token, None, self.spec().resolution);
            let known = Views::Unknown.into();
            return self.network.forward(samples, timesteps, &text, known);
        }
        self.network
            .forward(samples, timesteps, &text, batch.known().slice(range))
    }
}

/// The files of a model in a folder or in one file.
///
/// # Errors
/// When there are none, or only a pickle.
pub fn open(path: &Path) -> Result<Box<dyn Files + '_>, CheckpointError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        _ if path.is_dir() => {
            in_hand::check_folder(path)?;
            Ok(Box::new(Folder(path)))
        }
        Some("ckpt" | "pt" | "pth" | "bin") if path.is_file() => {
            let path = path.to_owned();
            Err(recognise(&path).unwrap_or(CheckpointError::Pickle { path }))
        }
        _ if path.is_file() => Ok(Box::new(SingleFile::open(path)?)),
        _ => {
            if let Some(reason) = in_hand::what_a_name_is(&path.to_string_lossy()) {
                let path = path.to_owned();
                return Err(CheckpointError::Malformed { path, reason });
            }
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

impl Prior for Pipeline {
    fn spec(&self) -> PriorSpec {
        let config = self.network.config();
        let ([taken, made], size) = (config.channels(), config.sample_size());
        // Some networks predict variances besides, and Zero123's takes the picture's latents besides.
        let channels = taken.min(made);
        let has_picture = matches!(self.text, TextEncoder::Picture(_));
        PriorSpec {
            resolution: size * self.space.factor(),
            sample_shape: [channels, size, size],
            views_per_group: config.views_per_group(),
            takes_camera: config.takes_camera(),
            takes_references: config.takes_references() || has_picture,
            needs_references: has_picture,
        }
    }

    fn fingerprint(&self) -> Option<[u8; 32]> {
        Some(self.fingerprint)
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn replica(&self, index: usize) -> Option<&dyn Prior> {
        let replica = self.replicas.get(index.checked_sub(1)?)?;
        replica.as_deref().map(|replica| replica as &dyn Prior)
    }

    fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    fn condition(&self, prompts: &[String]) -> Result<Conditioning, String> {
        let EncodedText { tokens, pooled } = self.text.encode(prompts, &self.device)?;
        if matches!(self.text, TextEncoder::Picture(_)) {
            return Ok(Conditioning::new(vec![Leaf::Tokens(tokens)]));
        }
        let size = self.spec().resolution;
        Ok(self.network.read(&tokens, pooled.as_ref(), size))
    }

    fn read_references(&self, images: &ReferenceImages) -> Result<References, String> {
        let count = images.told.len();
        if let (TextEncoder::Picture(picture), Space::Latents(vae)) = (&self.text, &self.space) {
            let fitted = Space::fitted(images.images.clone(), self.spec().resolution);
            return picture.read(vae, images, fitted);
        }
        let clean = self.encode(images.images.clone()).samples;
        let timesteps = vec![self.schedule.timestep(images.noise_level); count];
        let samples = if images.noise_level > 0.0 {
            let noise = images.noise.clone();
            self.schedule.add_noise(clean, noise, &timesteps)
        } else {
            clean
        };
        let empty = self.condition(&vec![String::new(); count])?;
        let read = self.network.read_references(
            samples,
            &timesteps,
            &empty,
            images.told,
            images.per_set,
        )?;
        Ok(References::new(read, images.told.to_vec()))
    }

    fn encode(&self, images: Tensor<4>) -> Encoded<'_> {
        self.space.encode(images, self.spec().resolution)
    }

    fn decode(&self, samples: Tensor<4>) -> Tensor<4> {
        self.space.decode(samples)
    }

    fn clamp_clean(&self, clean: Tensor<4>) -> Tensor<4> {
        match (&self.space, self.schedule.config().thresholding()) {
            (Space::Latents(_), _) => clean,
            (Space::Pixels, Some(thresholding)) => thresholding.apply(clean),
            (Space::Pixels, None) => clean.clamp(-1.0, 1.0),
        }
    }

    /// # Panics
    /// When the views come in groups of another size than the network's.
    fn predict(&self, batch: &Batch) -> Tensor<4> {
        let (count, group) = (batch.count(), batch.views().per_group());
        assert!(
            group == 1 || group == self.network.config().views_per_group(),
            "expected groups of {} views, got {group}",
            self.network.config().views_per_group()
        );
        let output = match &self.workers {
            None => self.output(batch, 0..count),
            // Images do not depend on each other: threads that have some to themselves wait for each other once,
            // not at every operation.
            Some(workers) => {
                let end = |part: usize| part * (count / group) / PARTS * group;
                let parts: Vec<Range<usize>> = (0..PARTS)
                    .map(|part| end(part)..end(part + 1))
                    .filter(|part| !part.is_empty())
                    .collect();
                let outputs = workers.map(parts.len(), |index| {
                    self.output(batch, parts[index].clone())
                });
                Tensor::cat(outputs, 0)
            }
        };
        self.schedule
            .noise_of(batch.samples().clone(), output, batch.timesteps())
    }
}
