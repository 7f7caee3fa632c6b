//! Residual blocks.

use super::convolution::Convolution;
use super::nonlinearity::Nonlinearity;
use super::norm::{Norms, modulate, normalize};
use super::project::linear;
use super::scale::ChangeOfSize;
use burn::module::Module;
use burn::nn::{GroupNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// How the time embedding enters a residual block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScaleShift {
    /// Added before the second norm.
    #[default]
    Default,
    /// Scales and shifts after it (Dhariwal & Nichol 2021's adaptive group norm).
    ScaleShift,
}

/// A time embedding that a block takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeInput {
    pub width: usize,
    pub scale_shift: TimeScaleShift,
}

/// diffusers' `ResnetBlock2D`.
#[derive(Module, Debug)]
pub(crate) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Convolution,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Convolution,
    conv_shortcut: Option<Convolution>,
    #[module(skip)]
    time_scale_shift: TimeScaleShift,
    #[module(skip)]
    nonlinearity: Nonlinearity,
    #[module(skip)]
    change_of_size: Option<ChangeOfSize>,
}

impl ResnetBlock {
    pub(crate) fn new(
        norms: Norms,
        time: Option<TimeInput>,
        [from, to]: [usize; 2],
        device: &Device,
    ) -> Self {
        let scale_shift = time.map_or(TimeScaleShift::Default, |time| time.scale_shift);
        let numbers = match scale_shift {
            TimeScaleShift::Default => to,
            TimeScaleShift::ScaleShift => 2 * to,
        };
        Self {
            norm1: norms.over(from, device),
            conv1: Convolution::new([from, to], 3, 1, device),
            time_emb_proj: time.map(|time| LinearConfig::new(time.width, numbers).init(device)),
            norm2: norms.over(to, device),
            conv2: Convolution::new([to, to], 3, 1, device),
            conv_shortcut: (from != to).then(|| Convolution::new([from, to], 1, 1, device)),
            time_scale_shift: scale_shift,
            nonlinearity: Nonlinearity::Silu,
            change_of_size: None,
        }
    }

    /// With another nonlinearity than SiLU.
    pub(crate) fn with_nonlinearity(self, nonlinearity: Nonlinearity) -> Self {
        Self {
            nonlinearity,
            ..self
        }
    }

    /// Images change their size before the first convolution.
    pub(crate) fn resizing(self, change: ChangeOfSize) -> Self {
        Self {
            change_of_size: Some(change),
            ..self
        }
    }

    /// See [`Convolution::prepare`].
    pub(crate) fn prepare(&mut self) {
        self.conv1.prepare();
        self.conv2.prepare();
    }

    /// `x` is `[batch, from, h, w]`; `time` is `[batch, width]`, after the nonlinearity, where the block takes one.
    pub(crate) fn forward(&self, x: Tensor<4>, time: Option<&Tensor<2>>) -> Tensor<4> {
        let then = self.nonlinearity;
        let h = normalize(&self.norm1, x.clone(), Some(then));
        let [x, h] = match self.change_of_size {
            Some(change) => [x, h].map(|image| change.apply(image)),
            None => [x, h],
        };
        let h = self.conv1.forward(h);
        let time = self
            .time_emb_proj
            .as_ref()
            .zip(time)
            .map(|(layer, time)| linear(layer, time.clone()));
        let h = match (time, self.time_scale_shift) {
            (None, _) => normalize(&self.norm2, h, Some(then)),
            (Some(time), TimeScaleShift::Default) => {
                let [batch, channels] = time.dims();
                normalize(
                    &self.norm2,
                    h + time.reshape([batch, channels, 1, 1]),
                    Some(then),
                )
            }
            (Some(time), TimeScaleShift::ScaleShift) => modulate(&self.norm2, h, time, then),
        };
        let h = self.conv2.forward(h);
        let shortcut = match &self.conv_shortcut {
            Some(layer) => layer.forward(x),
            None => x,
        };
        shortcut + h
    }
}
