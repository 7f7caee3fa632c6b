//! Muon (Jordan et al. 2024): the step of a weight matrix is its momentum made orthogonal, so that all directions are
//! learned at one speed and not only those that most pictures ask for.

use burn::tensor::{Device, Tensor, TensorData};

/// The quintic iteration of Jordan et al.: singular values come to lie between 0.7 and 1.2, which is near enough to 1.
const COEFFICIENTS: [f32; 3] = [3.4445, -4.775, 2.0315];
const ITERATIONS: usize = 5;
const MOMENTUM: f32 = 0.95;

/// The root mean square of a step that Adam's has too, so that both take one rate and one decay (Liu et al. 2025, section 2.2).
const ADAM_SIZE: f32 = 0.2;

/// One step on a matrix of `[rows, columns]` in row-major order, with its gradient and momentum.
pub(crate) fn step(
    [rows, columns]: [usize; 2],
    rate: f32,
    weight_decay: f32,
    values: &mut [f32],
    grad: &[f32],
    momentum: &mut [f32],
) {
    let nesterov = momentum.iter_mut().zip(grad).map(|(m, g)| {
        *m = MOMENTUM * *m + g;
        g + MOMENTUM * *m
    });
    let direction = TensorData::new(nesterov.collect::<Vec<f32>>(), [rows, columns]);
    let direction = orthogonal(Tensor::from_data(direction, &Device::flex())).into_data();
    let direction = direction.try_to_vec::<f32>().expect("the matrix is f32");
    let size = rate * ADAM_SIZE * (rows.max(columns) as f32).sqrt();
    for (value, direction) in values.iter_mut().zip(direction) {
        *value -= rate * weight_decay * *value + size * direction;
    }
}

/// Nearly the orthogonal matrix that is nearest to a matrix: its singular vectors, with all singular values near 1. The
/// iteration multiplies by polynomials of the matrix's Gram matrix, so that it can go on with the small square factors alone.
fn orthogonal(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    if rows > columns {
        return orthogonal(matrix.transpose()).transpose();
    }
    let norm = matrix.clone().powi_scalar(2).sum().sqrt().clamp_min(1e-12).unsqueeze::<2>();
    let matrix = matrix / norm;
    let one = Tensor::<2>::eye(rows, &matrix.device());
    let [a, b, c] = COEFFICIENTS;
    let start = (one.clone(), matrix.clone().matmul(matrix.clone().transpose()));
    let (factor, _) = (0..ITERATIONS).fold(start, |(factor, gram), _| {
        let next = one.clone() * a + gram.clone() * b + gram.clone().matmul(gram.clone()) * c;
        (next.clone().matmul(factor), next.clone().matmul(gram).matmul(next))
    });
    factor.matmul(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn what_is_made_orthogonal_has_singular_values_near_one_and_the_same_singular_vectors() {
        let device = Device::flex();
        for dims in [[24, 40], [40, 24], [24, 24]] {
            let matrix = Tensor::<2>::random(dims, Distribution::Normal(0.0, 3.0), &device);
            let list = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().unwrap();
            let made = nalgebra::DMatrix::from_row_slice(dims[0], dims[1], &list(orthogonal(matrix.clone())));
            let right = nalgebra::DMatrix::from_row_slice(dims[0], dims[1], &list(matrix)).svd(true, true);
            // In the matrix's own singular vectors the result is diagonal.
            let inner = right.u.unwrap().transpose() * made * right.v_t.unwrap().transpose();
            for (row, column) in (0..inner.nrows()).flat_map(|i| (0..inner.ncols()).map(move |j| (i, j))) {
                let value = inner[(row, column)];
                if row != column {
                    assert!(value.abs() < 1e-3, "{value} beside the diagonal");
                } else if right.singular_values[row] > 0.05 * right.singular_values[0] {
                    assert!((0.6..1.3).contains(&value), "{value}");
                }
            }
        }
    }

    #[test]
    fn a_step_has_the_size_of_adams_and_forgets_weights_at_their_rate() {
        let (mut values, mut momentum) = (vec![1.0; 32 * 64], vec![0.0; 32 * 64]);
        step([32, 64], 0.01, 0.5, &mut values, &[0.0; 32 * 64], &mut momentum);
        assert!(values.iter().all(|value| (value - 0.995).abs() < 1e-6));
        let grad = Tensor::<2>::random([32, 64], Distribution::Default, &Device::flex()) - 0.5;
        let grad = grad.into_data().try_to_vec::<f32>().unwrap();
        let before = values.clone();
        step([32, 64], 0.01, 0.0, &mut values, &grad, &mut momentum);
        let moved = values.iter().zip(&before).map(|(after, before)| (after - before).powi(2)).sum::<f32>();
        let size = (moved / values.len() as f32).sqrt() / 0.01;
        assert!((0.1..0.3).contains(&size), "{size}");
        assert!(values.iter().zip(&before).zip(&grad).map(|((a, b), g)| (a - b) * g).sum::<f32>() < 0.0);
    }
}
