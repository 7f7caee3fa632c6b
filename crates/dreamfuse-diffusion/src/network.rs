//! The networks that denoise, and the same with weights that do not change any more.

use crate::checkpoint::{CheckpointError, Weights};
use crate::precision::Precision;
use crate::unet::{UNet, UNetConfig};
use crate::uvit::{UVit, UVitConfig};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use dreamfuse_core::Told;
use dreamfuse_kernels::cpu::autocast;
use dreamfuse_prior::{Conditioning, Known, Views};
use serde_json::{Map, Value};
use std::path::Path;

/// What shapes a network.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a model has one")]
pub enum NetworkConfig {
    UNet(UNetConfig),
    UVit(UVitConfig),
}

/// A network that denoises.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "parts of a module cannot be boxed, and there is one"
)]
pub enum Network {
    UNet(UNet),
    UVit(UVit),
}

impl NetworkConfig {
    /// Whether `config.json` is of a [`UVit`].
    pub(crate) fn is_uvit(keys: &Map<String, Value>) -> bool {
        keys.get("_class_name").and_then(Value::as_str) == Some(UVitConfig::CLASS)
    }

    /// Channels in and out.
    pub fn channels(&self) -> [usize; 2] {
        match self {
            Self::UNet(config) => [config.in_channels, config.out_channels],
            Self::UVit(config) => [config.in_channels; 2],
        }
    }

    /// Side of its samples.
    pub fn sample_size(&self) -> usize {
        match self {
            Self::UNet(config) => config.sample_size,
            Self::UVit(config) => config.sample_size,
        }
    }

    /// Images that it denoises together.
    pub fn views_per_group(&self) -> usize {
        match self {
            Self::UNet(config) => config.num_views,
            Self::UVit(_) => 1,
        }
    }

    /// Whether it is conditioned on the camera.
    pub fn takes_camera(&self) -> bool {
        match self {
            Self::UNet(config) => config.camera_numbers().is_some(),
            Self::UVit(_) => true,
        }
    }

    /// Whether it takes reference images.
    pub fn takes_references(&self) -> bool {
        match self {
            Self::UNet(_) => false,
            Self::UVit(config) => config.references,
        }
    }

    /// Width of the text that it reads, and the key that says so.
    pub fn text_width(&self) -> (usize, &'static str) {
        match self {
            Self::UNet(config) if config.encoder_hid_dim.is_some() => {
                (config.text_width(), "encoder_hid_dim")
            }
            Self::UNet(config) => (config.text_width(), "cross_attention_dim"),
            Self::UVit(config) => (config.text_size, "text_size"),
        }
    }

    /// Width of the pooled texts that it takes beside the texts, if it does.
    pub fn pooled_width(&self) -> Option<usize> {
        match self {
            Self::UNet(config) => config.pooled_width(),
            Self::UVit(_) => None,
        }
    }
}

impl Network {
    /// With random weights.
    pub fn new(config: &NetworkConfig, device: &Device) -> Self {
        match config {
            NetworkConfig::UNet(config) => Self::UNet(UNet::new(config, device)),
            NetworkConfig::UVit(config) => Self::UVit(UVit::new(config, device)),
        }
    }

    /// With the weights of a safetensors file.
    ///
    /// # Errors
    /// When they do not fit the configuration.
    pub fn load(
        config: &NetworkConfig,
        weights: Weights,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        Ok(match config {
            NetworkConfig::UNet(config) => Self::UNet(UNet::load(config, weights, device)?),
            NetworkConfig::UVit(config) => Self::UVit(UVit::load(config, weights, device)?),
        })
    }

    /// Writes a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<(), CheckpointError> {
        match self {
            Self::UNet(network) => network.save(path, dtype),
            Self::UVit(network) => network.save(path, dtype),
        }
    }

    /// What the network makes of texts `[batch, tokens, text_width]`.
    ///
    /// # Panics
    /// When it takes them pooled too: then [`UNet::read_pooled`] is for it.
    pub fn read(&self, text: &Tensor<3>) -> Conditioning {
        match self {
            Self::UNet(network) => network.read(text),
            Self::UVit(network) => network.read(text),
        }
    }

    /// Its output for noisy samples `[batch, channels, size, size]`, without the variances that some networks
    /// predict besides.
    ///
    /// # Panics
    /// As [`UNet::forward`] and [`UVit::forward`]; when images are shown to a U-Net.
    pub fn forward(
        &self,
        samples: Tensor<4>,
        timesteps: &[usize],
        text: &Conditioning,
        Known { views, shown }: Known,
    ) -> Tensor<4> {
        let count = timesteps.len();
        match self {
            Self::UNet(network) => {
                assert!(shown.is_none(), "this network takes no references");
                let config = network.config();
                let camera = camera_values(config, views, count).map(|values| {
                    let width = values.len() / count;
                    let data = TensorData::new(values, [count, width]);
                    Tensor::from_data(data, &samples.device())
                });
                network.forward(samples, timesteps, text, camera).narrow(
                    1,
                    0,
                    config.in_channels.min(config.out_channels),
                )
            }
            Self::UVit(network) => {
                let unknown = vec![Told::default(); count];
                let told = views.told().unwrap_or(&unknown);
                network.forward(samples, timesteps, text, told, shown)
            }
        }
    }

    fn prepare(&mut self) {
        match self {
            Self::UNet(network) => network.prepare(),
            Self::UVit(network) => network.prepare(),
        }
    }
}

/// What a U-Net takes for `count` images: their cameras, or all that is told of them, by the width
/// that it has. What is not known is zeros; a network of several views that sees single images takes
/// nothing.
fn camera_values(config: &UNetConfig, views: Views, count: usize) -> Option<Vec<f32>> {
    let width = config.camera_numbers()?;
    if config.num_views > 1 && views.per_group() == 1 {
        return None;
    }
    let unknown = vec![0.0; width];
    let values = |told: &Told| match told.camera {
        _ if width == Told::CONDITIONING => told.conditioning().to_vec(),
        None => unknown.clone(),
        Some(camera) if config.num_views > 1 => camera.matrix().to_vec(),
        Some(camera) => camera.conditioning().to_vec(),
    };
    Some(match views.told() {
        None => unknown.repeat(count),
        Some(told) => told.iter().flat_map(values).collect(),
    })
}

/// The largest network whose convolutions are transformed ahead: in the form that Winograd's algorithm
/// multiplies with, a 3 × 3 kernel has four times the values.
pub(crate) const PREPARED_PARAMETERS: usize = 100_000_000;

/// A network for evaluation alone. It is no module: nothing of it can be trained, because what was
/// computed ahead from the weights would not follow them.
pub struct FrozenNetwork {
    network: Network,
    config: NetworkConfig,
    is_autocast: bool,
}

impl FrozenNetwork {
    /// Takes a network as it is. A small one is made ready for many evaluations.
    pub fn new(network: Network) -> Self {
        let config = match &network {
            Network::UNet(network) => NetworkConfig::UNet(network.config().clone()),
            Network::UVit(network) => NetworkConfig::UVit(network.config().clone()),
        };
        let mut network = network;
        if network.num_params() <= PREPARED_PARAMETERS {
            network.prepare();
        }
        Self {
            network,
            config,
            is_autocast: false,
        }
    }

    /// The same with weights of a dtype, on a device.
    pub fn moved(self, precision: Precision, device: &Device) -> Self {
        if precision.is_autocast(device) {
            return Self {
                is_autocast: true,
                ..self
            };
        }
        if precision == Precision::F32 && *device == Device::flex() {
            return self;
        }
        let cast = precision.of(self.network);
        Self::new(cast.to_device(device))
    }

    /// The network's configuration.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The U-Net, if it is one.
    pub fn unet(&self) -> Option<&UNet> {
        match &self.network {
            Network::UNet(network) => Some(network),
            Network::UVit(_) => None,
        }
    }

    /// What the network makes of texts `[batch, tokens, text_width]`, and of the same pooled, `[batch,
    /// pooled_width]`, where a text encoder pools them, for whole images with sides of `size` pixels.
    ///
    /// # Panics
    /// When it takes pooled texts and none are given, or the other way round.
    pub fn read(&self, text: &Tensor<3>, pooled: Option<&Tensor<2>>, size: usize) -> Conditioning {
        match (&self.network, pooled) {
            (Network::UNet(network), Some(pooled)) => network.read_pooled(text, pooled, size),
            (Network::UVit(_), Some(_)) => panic!("this network takes no pooled texts"),
            (network, None) => network.read(text),
        }
    }

    /// See [`Network::forward`].
    ///
    /// # Panics
    /// As there.
    pub fn forward(
        &self,
        samples: Tensor<4>,
        timesteps: &[usize],
        text: &Conditioning,
        known: Known,
    ) -> Tensor<4> {
        autocast(self.is_autocast, || {
            self.network.forward(samples, timesteps, text, known)
        })
    }

    /// See [`UVit::read_references`]; the text is the empty one, so that what is read goes with any.
    ///
    /// # Errors
    /// When the network takes none.
    pub fn read_references(
        &self,
        samples: Tensor<4>,
        timesteps: &[usize],
        empty: &Conditioning,
        told: &[Told],
        per_set: usize,
    ) -> Result<Conditioning, String> {
        match &self.network {
            Network::UVit(network) if network.config().references => {
                Ok(autocast(self.is_autocast, || {
                    network.read_references(samples, timesteps, empty, told, per_set)
                }))
            }
            _ => Err("this prior takes no images".into()),
        }
    }
}
