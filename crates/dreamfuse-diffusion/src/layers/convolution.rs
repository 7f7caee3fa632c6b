//! Convolutions, by our kernel.

use burn::module::{Module, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2dConfig;
use burn::tensor::{Device, FloatDType, Tensor};
use dreamfuse_kernels::conv2d;
use dreamfuse_kernels::conv2d::{Prepared, Settings};
use dreamfuse_kernels::cpu::is_autocast;

/// A convolution with a bias that keeps the size at stride 1.
#[derive(Module, Debug)]
pub(crate) struct Convolution {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    settings: Settings,
}

impl Convolution {
    pub(crate) fn new(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Self {
        let padding = PaddingConfig2d::Explicit(0, 0, 0, 0);
        let layer = Conv2dConfig::new(channels, [kernel, kernel])
            .with_padding(padding)
            .init(device);
        let bias = layer
            .bias
            .expect("convolutions have a bias unless told otherwise");
        Self {
            weight: layer.weight,
            bias,
            settings: Settings {
                stride,
                padding: kernel / 2,
                is_bf16: false,
                prepared: None,
            },
        }
    }

    /// Without zeros around its input.
    pub(crate) fn unpadded(mut self) -> Self {
        self.settings.padding = 0;
        self
    }

    /// With zeros in place of random numbers: it ends a branch that adds nothing at first.
    pub(crate) fn zeroed(mut self) -> Self {
        self.weight = self.weight.map(|weight| weight.zeros_like());
        self.bias = self.bias.map(|bias| bias.zeros_like());
        self
    }

    /// Does what depends on the weights alone, which must not change any more.
    pub(crate) fn prepare(&mut self) {
        self.settings.prepared = Prepared::new(self.weight.val(), &self.settings);
    }

    /// The numbers that it computes with.
    pub(crate) fn dtype(&self) -> FloatDType {
        self.weight.val().dtype().into()
    }

    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let settings = Settings {
            is_bf16: is_autocast(),
            ..self.settings.clone()
        };
        conv2d(x, self.weight.val(), self.bias.val(), settings)
    }
}

/// A convolution before or after a change of size, under the name that diffusers gives it.
#[derive(Module, Debug)]
pub(crate) struct Resampler {
    pub(crate) conv: Convolution,
}
