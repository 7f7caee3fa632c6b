//! A U-Net whose weights do not change any more.

use super::{UNet, UNetConfig};
use crate::precision::Precision;
use burn::module::Module;
use burn::tensor::Tensor;
use dreamfuse_prior::Conditioning;

/// The largest network whose convolutions are transformed ahead: in the form that Winograd's algorithm
/// multiplies with, a 3 × 3 kernel has four times the values.
pub(crate) const PREPARED_PARAMETERS: usize = 100_000_000;

/// A U-Net for evaluation alone. It is no module: nothing of it can be trained, because what was
/// computed ahead from the weights would not follow them.
pub struct FrozenUNet {
    network: UNet,
}

impl FrozenUNet {
    /// Takes a network as it is. A small one is made ready for many evaluations.
    pub fn new(network: UNet) -> Self {
        let mut network = network;
        if network.num_params() <= PREPARED_PARAMETERS {
            network.prepare();
        }
        Self { network }
    }

    /// The same with weights of this dtype.
    pub fn cast(self, precision: Precision) -> Self {
        if precision == Precision::F32 {
            return self;
        }
        Self::new(precision.of(self.network))
    }

    /// The network's configuration.
    pub fn config(&self) -> &UNetConfig {
        self.network.config()
    }

    /// See [`UNet::read`].
    ///
    /// # Panics
    /// As there.
    pub fn read(&self, text: &Tensor<3>) -> Conditioning {
        self.network.read(text)
    }

    /// See [`UNet::read_pooled`].
    ///
    /// # Panics
    /// As there.
    pub fn read_pooled(&self, text: &Tensor<3>, pooled: &Tensor<2>, size: usize) -> Conditioning {
        self.network.read_pooled(text, pooled, size)
    }

    /// See [`UNet::forward`].
    ///
    /// # Panics
    /// As there.
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: &[usize],
        text: &Conditioning,
        camera: Option<Tensor<2>>,
    ) -> Tensor<4> {
        self.network.forward(sample, timesteps, text, camera)
    }
}
