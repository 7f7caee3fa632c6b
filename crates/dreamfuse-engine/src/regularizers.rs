//! What a scene is asked for beside the prior's wishes.

use burn::tensor::Tensor;
use dreamfuse_scene::Rendered;
use serde::{Deserialize, Serialize};

/// Weights of the regularisers, all means over rays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeights {
    /// `√(α² + 0.01)` (DreamFusion, appendix A.2): against fog.
    pub opacity: f64,
    /// `α (1 − α)`: a ray should be empty or opaque.
    pub binary: f64,
    /// Normals that look away from the camera (DreamFusion, appendix A.2).
    pub orientation: f64,
}

impl Default for LossWeights {
    fn default() -> Self {
        Self {
            opacity: 0.001,
            binary: 0.005,
            orientation: 0.001,
        }
    }
}

/// The weighted sum of the regularisers of rendered views.
pub(crate) fn regularizers(weights: &LossWeights, rendered: &Rendered) -> Tensor<1> {
    let alpha = rendered.opacity.clone();
    let opacity = (alpha.clone().powi_scalar(2) + 0.01).sqrt().mean() * weights.opacity;
    let binary = (alpha.clone() * (alpha * -1.0 + 1.0)).mean() * weights.binary;
    opacity + binary + rendered.orientation.clone() * weights.orientation
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn each_term_is_its_formula_and_pulls_the_right_way() {
        let device = Device::flex().autodiff();
        let one = LossWeights {
            opacity: 0.0,
            binary: 0.0,
            orientation: 0.0,
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
            let loss = regularizers(weights, &rendered);
            let slope = opacity
                .grad(&loss.backward())
                .map(|grad| grad.into_data().try_to_vec::<f32>().unwrap());
            (loss.into_scalar::<f32>(), slope.unwrap_or_default())
        };
        let (opacity, slope) = loss(&LossWeights {
            opacity: 2.0,
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
            binary: 2.0,
            ..one.clone()
        });
        assert!(
            (binary - 0.16).abs() < 1e-6 && slope[1] > 0.0 && slope[2] < 0.0,
            "{binary} {slope:?}"
        );
        let (orientation, _) = loss(&LossWeights {
            orientation: 2.0,
            ..one
        });
        assert!((orientation - 0.6).abs() < 1e-6, "{orientation}");
    }
}
