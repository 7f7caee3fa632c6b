//! Linear layers whose products are in bf16, on a CPU that has them.

pub mod reference;

use crate::cpu::{Matrix, SharedMut, add_product, contiguous, shape_of, slice_of, tensor_from};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

/// `input · weight + bias` of `input` `[rows, from]`, `weight` `[from, to]` and `bias` `[to]`, with operands rounded to bf16 and
/// sums in f32, there and back. Differentiable in all three.
///
/// # Panics
/// When the shapes do not fit, or the processor has no such products (see [`crate::cpu::is_autocast`]).
pub fn linear_bf16(input: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let ([_, from], [wf, to], [b]) = (input.dims(), weight.dims(), bias.dims());
    assert!(
        from == wf && to == b,
        "linear_bf16: rows of {from}, weight [{wf}, {to}], bias [{b}]"
    );
    Tensor::from_dispatch(Dispatch::linear_bf16_op(
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ))
}

/// The backends that have the operation.
#[backend_extension(Autodiff, Flex)]
pub trait LinearBackend: Backend {
    /// See [`linear_bf16`].
    fn linear_bf16_op(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradient with respect to the input.
    fn linear_bf16_input_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradients with respect to weight and bias.
    fn linear_bf16_weight_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// A part of the result has at least so many rows, where there are as many: the right operand is packed for all of them.
const ROWS: usize = 480;
/// Parts end between multiples of this, or with the matrix. What lies beyond whole tiles of AMX is added up in another
/// order, and must not depend on the number of threads.
const WHOLE: usize = 32;

/// `out += left · right`, rows of `cols` values; the same for any number of threads.
fn add_on_all_threads(
    out: &mut [f32],
    cols: usize,
    (left, left_shape): (&[f32], Matrix),
    (right, right_shape): (&[f32], Matrix),
) {
    let (rows, threads) = (left_shape.rows, rayon::current_num_threads());
    if [rows, cols, left_shape.cols].contains(&0) {
        return;
    }
    let height = rows.div_ceil(threads).max(ROWS).next_multiple_of(WHOLE);
    let threads_a_row = threads.div_ceil(rows.div_ceil(height).max(1));
    let width = cols.div_ceil(threads_a_row).next_multiple_of(WHOLE);
    let parts: Vec<[usize; 2]> = (0..rows)
        .step_by(height)
        .flat_map(|row| (0..cols).step_by(width).map(move |col| [row, col]))
        .collect();
    let shared = SharedMut::new(out);
    parts.into_par_iter().for_each(|[row, col]| {
        let l = Matrix {
            rows: height.min(rows - row),
            ..left_shape
        };
        let r = Matrix {
            cols: width.min(cols - col),
            ..right_shape
        };
        let place = shared.place(row * cols + col, (l.rows - 1) * cols + r.cols);
        let left = (&left[row * l.row_stride..], l);
        let right = (&right[col * r.col_stride..], r);
        // SAFETY: inside the result by the assertion of `place`; parts own different rows or columns.
        unsafe { add_product(place, cols, left, right) }
    });
}

impl LinearBackend for Flex {
    fn linear_bf16_op(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [input, weight, bias] = [input, weight, bias].map(contiguous);
        let ([rows, from], [_, to]) = (shape_of(&input), shape_of(&weight));
        let mut out = slice_of(&bias).repeat(rows);
        let left = (slice_of(&input), Matrix::rows(rows, from, from));
        let right = (slice_of(&weight), Matrix::rows(from, to, to));
        add_on_all_threads(&mut out, to, left, right);
        tensor_from(out, [rows, to])
    }

    fn linear_bf16_input_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [grad, weight] = [grad, weight].map(contiguous);
        let ([rows, to], [from, _]) = (shape_of(&grad), shape_of(&weight));
        let mut out = vec![0.0; rows * from];
        let left = (slice_of(&grad), Matrix::rows(rows, to, to));
        let right = (slice_of(&weight), Matrix::rows(from, to, to).transposed());
        add_on_all_threads(&mut out, from, left, right);
        tensor_from(out, [rows, from])
    }

    fn linear_bf16_weight_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [grad, input] = [grad, input].map(contiguous);
        let ([rows, to], [_, from]) = (shape_of(&grad), shape_of(&input));
        let mut of_weight = vec![0.0; from * to];
        let left = (
            slice_of(&input),
            Matrix::rows(rows, from, from).transposed(),
        );
        let right = (slice_of(&grad), Matrix::rows(rows, to, to));
        add_on_all_threads(&mut of_weight, to, left, right);
        let mut of_bias = vec![0.0; to];
        for row in slice_of(&grad).chunks_exact(to) {
            of_bias.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
        }
        (
            tensor_from(of_weight, [from, to]),
            tensor_from(of_bias, [to]),
        )
    }
}

/// The backward step of [`linear_bf16`].
#[derive(Debug)]
struct LinearBackward;

impl<B: LinearBackend> Backward<B, 3> for LinearBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [input_parent, weight_parent, bias_parent] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (input, weight) = ops.state;
        if let Some(node) = input_parent {
            let of_input = B::linear_bf16_input_grad(grad.clone(), weight);
            grads.register::<B>(node.id, of_input);
        }
        if weight_parent.is_some() || bias_parent.is_some() {
            let (of_weight, of_bias) = B::linear_bf16_weight_grad(grad, input);
            if let Some(node) = weight_parent {
                grads.register::<B>(node.id, of_weight);
            }
            if let Some(node) = bias_parent {
                grads.register::<B>(node.id, of_bias);
            }
        }
    }
}

impl<B: LinearBackend, C: CheckpointStrategy> LinearBackend for Autodiff<B, C> {
    fn linear_bf16_op(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), bias.node()];
        let (input, weight, bias) = (
            input.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        let out = B::linear_bf16_op(input.clone(), weight.clone(), bias);
        match LinearBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((input, weight), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn linear_bf16_input_grad(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (grad, weight) = (grad.into_primitive(), weight.into_primitive());
        <FloatTensor<Self>>::new(B::linear_bf16_input_grad(grad, weight))
    }

    fn linear_bf16_weight_grad(
        grad: FloatTensor<Self>,
        input: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (grad, input) = (grad.into_primitive(), input.into_primitive());
        let (of_weight, of_bias) = B::linear_bf16_weight_grad(grad, input);
        (
            <FloatTensor<Self>>::new(of_weight),
            <FloatTensor<Self>>::new(of_bias),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{autocast, has_bf16_products, is_autocast};
    use crate::testing::{central_differences, narrow, numbers, relative_error, weighted_sum};
    use burn::tensor::{Device, TensorData};

    /// bf16 has 8 significant bits.
    #[track_caller]
    fn assert_near(what: &str, ours: Tensor<2>, expected: &[f64]) {
        let ours: Vec<f64> = ours.into_data().iter::<f64>().collect();
        let error = relative_error(&ours, expected);
        assert!(error < 5e-3, "{what}: relative error {error:.2e}");
    }

    #[test]
    fn value_and_gradients_are_those_of_f64_but_for_the_rounding() {
        if !has_bf16_products() {
            // Nothing computes so here.
            assert!(!autocast(true, is_autocast));
            return;
        }
        let [rows, from, to] = [21, 37, 45];
        let device = Device::flex().autodiff();
        let (x, w, b) = (
            numbers(1, rows * from),
            numbers(2, from * to),
            numbers(3, to),
        );
        let tensor = |values: &[f64], shape: [usize; 2]| {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, shape), &device).require_grad()
        };
        let (input, weight, bias) = (
            tensor(&x, [rows, from]),
            tensor(&w, [from, to]),
            tensor(&b, [1, to]),
        );
        let out = linear_bf16(input.clone(), weight.clone(), bias.clone().reshape([to]));
        assert_near(
            "value",
            out.clone().inner(),
            &reference::forward(from, &x, &w, &b),
        );
        let weights = numbers(4, rows * to);
        let grads = (out * tensor(&weights, [rows, to]).detach())
            .sum()
            .backward();
        let loss = |x: &[f64], w: &[f64], b: &[f64]| {
            weighted_sum(&reference::forward(from, x, w, b), &weights)
        };
        let expected = central_differences(&x, 1e-3, |x| loss(x, &w, &b));
        assert_near("input", input.grad(&grads).unwrap(), &expected);
        let expected = central_differences(&w, 1e-3, |w| loss(&x, w, &b));
        assert_near("weight", weight.grad(&grads).unwrap(), &expected);
        let expected = central_differences(&b, 1e-3, |b| loss(&x, &w, b));
        assert_near("bias", bias.grad(&grads).unwrap(), &expected);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        if !has_bf16_products() {
            assert!(!autocast(true, is_autocast));
            return;
        }
        // Three threads would cut the rows beside a whole tile; two blocks of the common axis are added up.
        let [rows, from, to] = [2048, 600, 40];
        let device = Device::flex().autodiff();
        let all = || {
            let tensor = |seed, shape: [usize; 2]| {
                let values = narrow(&numbers(seed, shape[0] * shape[1]));
                Tensor::<2>::from_data(TensorData::new(values, shape), &device).require_grad()
            };
            let (input, weight) = (tensor(1, [rows, from]), tensor(2, [from, to]));
            let bias = tensor(3, [1, to]);
            let out = linear_bf16(input.clone(), weight.clone(), bias.reshape([to]));
            let grads = (out.clone() * tensor(4, [rows, to])).sum().backward();
            [
                out.inner(),
                input.grad(&grads).unwrap(),
                weight.grad(&grads).unwrap(),
            ]
            .map(Tensor::into_data)
        };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(all)
        };
        let one = on(1);
        assert!(on(2) == one && on(3) == one);
    }
}
