//! The orientation loss (DreamFusion, appendix A.2, after Ref-NeRF).

use burn::tensor::{Int, Tensor};
use dreamfuse_kernels::composite;

/// The mean over rays of `Σ stopgrad(w) max(0, n · v)²`: what is seen should face the camera.
///
/// # Shapes
/// - `normal` and the rays' `directions`: `[samples, 3]`
/// - `density`: `[samples]`; only its weights `w` count, no gradient passes to it
/// - `starts`: `[rays + 1]`, where each ray's samples begin, and their number
pub(crate) fn orientation(
    normal: Tensor<2>,
    density: Tensor<1>,
    directions: Tensor<2>,
    starts: Tensor<1, Int>,
    step: f32,
) -> Tensor<1> {
    let rays = starts.dims()[0] - 1;
    let away = (normal * directions).sum_dim(1).clamp_min(0.0).powi_scalar(2);
    let rows = composite(density.detach(), away, starts, step);
    rows.slice([0..rays, 0..1]).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use dreamfuse_kernels::composite::reference;

    #[test]
    fn only_what_is_seen_and_looks_away_counts() {
        // Two rays along Y, of two samples and one. The last normal faces the camera.
        let (step, starts) = (0.5, [0, 2, 3]);
        let (density, along) = ([1.0, 2.0, 3.0], [0.6, 0.8, -1.0]);
        let device = Device::flex().autodiff();
        let normal: Vec<f32> = along.iter().flat_map(|y| [0.0, *y, 0.0]).collect();
        let normal = Tensor::<2>::from_data(TensorData::new(normal, [3, 3]), &device).require_grad();
        let of_density = Tensor::<1>::from_data(density, &device).require_grad();
        let directions = Tensor::<2>::from_data([[0.0, 1.0, 0.0]; 3], &device);
        let loss = orientation(
            normal.clone(),
            of_density.clone(),
            directions,
            Tensor::from_data(starts.map(|s| s as i64), &device),
            step,
        );
        let away = along.map(|y| f64::from(y.max(0.0f32)).powi(2));
        let rows = reference::forward(&density.map(f64::from), &away, 1, &starts, f64::from(step));
        let right = (rows[0] + rows[2]) / 2.0;
        let grads = loss.backward();
        assert!((f64::from(loss.into_scalar::<f32>()) - right).abs() < 1e-6, "{right}");
        let slope = normal.grad(&grads).unwrap().into_data().try_to_vec::<f32>().unwrap();
        assert!(slope[1] > 0.0 && slope[4] > 0.0 && slope[7] == 0.0, "{slope:?}");
        assert!(of_density.grad(&grads).is_none(), "the loss moves the density");
    }
}
