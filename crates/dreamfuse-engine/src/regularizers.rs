//! What a scene is asked for beside the prior's wishes.

use burn::tensor::Tensor;
use dreamfuse_core::Scheduled;
use dreamfuse_scene::Rendered;
use serde::{Deserialize, Serialize};

/// Weights of the regularisers, all means over rays. Each may be `[start, end]`: it then moves as
/// `guidance.ramp` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeights {
    /// Weight of `√(α² + 0.01)` (DreamFusion, appendix A.2), against fog. It may be `[start, end]`, as the others.
    pub opacity: Scheduled,
    /// Weight of `α (1 − α)`: a ray should be empty or opaque.
    pub binary: Scheduled,
    /// Weight of normals that look away from the camera (DreamFusion, appendix A.2).
    pub orientation: Scheduled,
    /// Weight of the squared difference from `reference.picture`, at its camera.
    pub picture: Scheduled,
    /// Weight of the squared difference of the opacity from the picture's outline.
    pub mask: Scheduled,
}

impl Default for LossWeights {
    fn default() -> Self {
        Self {
            opacity: Scheduled {
                start: 0.001,
                end: 0.0003,
            },
            binary: Scheduled {
                start: 0.005,
                end: 0.01,
            },
            orientation: Scheduled::constant(0.001),
            picture: Scheduled::constant(1.0),
            mask: Scheduled::constant(0.3),
        }
    }
}

/// The regularizers of rendered views, each with its weight.
pub(crate) struct Terms {
    pub opacity: Tensor<1>,
    pub binary: Tensor<1>,
    pub orientation: Tensor<1>,
}

impl Terms {
    /// With weights that have moved by `ramp`.
    pub(crate) fn of(weights: &LossWeights, ramp: f64, rendered: &Rendered) -> Self {
        let alpha = rendered.opacity.clone();
        let opacity = (alpha.clone().powi_scalar(2) + 0.01).sqrt().mean();
        let binary = (alpha.clone() * (alpha * -1.0 + 1.0)).mean();
        Self {
            opacity: opacity * weights.opacity.at(ramp),
            binary: binary * weights.binary.at(ramp),
            orientation: rendered.orientation.clone() * weights.orientation.at(ramp),
        }
    }

    pub(crate) fn sum(&self) -> Tensor<1> {
        self.opacity.clone() + self.binary.clone() + self.orientation.clone()
    }

    /// Their values, one after the other, as they are summed.
    pub(crate) fn values(self) -> [Tensor<1>; 3] {
        [self.opacity, self.binary, self.orientation]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn each_term_is_its_formula_and_pulls_the_right_way() {
        let device = Device::flex().autodiff();
        let one = LossWeights {
            opacity: 0.0.into(),
            binary: 0.0.into(),
            orientation: 0.0.into(),
            picture: 0.0.into(),
            mask: 0.0.into(),
        };
        let moving = Scheduled {
            start: 1.0,
            end: 3.0,
        };
        let loss = |weights: &LossWeights| {
            let opacity =
                Tensor::<4>::from_data([[[[0.0, 0.2], [0.8, 1.0]]]], &device).require_grad();
            let zeros = opacity.clone().without_autodiff().zeros_like();
            let orientation = Tensor::<1>::from_data([0.3], &device);
            let rendered = Rendered {
                color: zeros.clone(),
                opacity: opacity.clone(),
                depth: zeros,
                orientation,
                samples: 0,
            };
            let loss = Terms::of(weights, 0.5, &rendered).sum();
            let slope = opacity
                .grad(&loss.backward())
                .map(|grad| grad.into_data().try_to_vec::<f32>().unwrap());
            (loss.into_scalar::<f32>(), slope.unwrap_or_default())
        };
        let (opacity, slope) = loss(&LossWeights {
            opacity: moving,
            ..one.clone()
        });
        let right = [0.0f32, 0.2, 0.8, 1.0]
            .map(|a| (a * a + 0.01).sqrt())
            .iter()
            .sum::<f32>()
            / 2.0;
        assert!(
            (opacity - right).abs() < 1e-6 && slope[3] > slope[1] && slope[1] > 0.0,
            "{opacity} {slope:?}"
        );
        let (binary, slope) = loss(&LossWeights {
            binary: moving,
            ..one.clone()
        });
        assert!(
            (binary - 0.16).abs() < 1e-6 && slope[1] > 0.0 && slope[2] < 0.0,
            "{binary} {slope:?}"
        );
        let (orientation, _) = loss(&LossWeights {
            orientation: moving,
            ..one
        });
        assert!((orientation - 0.6).abs() < 1e-6, "{orientation}");
    }
}
