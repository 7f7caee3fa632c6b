//! Attention by Burn's kernels: its own operation forward, backward by the matrix of scores.

use crate::gpu::shape_of;
use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};
use burn::tensor::ops::AttentionModuleOptions;
use burn_cubecl::CubeBackend as B;
use burn_cubecl::tensor::CubeTensor;

/// `[batch, tokens, heads d]` to `[batch, heads, tokens, d]`.
fn split(x: CubeTensor, heads: usize) -> CubeTensor {
    let [batch, tokens, width] = shape_of(&x);
    let parts = B::float_reshape(x, [batch, tokens, heads, width / heads].into());
    B::float_swap_dims(parts, 1, 2)
}

/// The inverse of [`split`].
fn join(x: CubeTensor) -> CubeTensor {
    let [batch, heads, tokens, width] = shape_of(&x);
    B::float_reshape(
        B::float_swap_dims(x, 1, 2),
        [batch, tokens, heads * width].into(),
    )
}

pub(super) fn forward(q: CubeTensor, k: CubeTensor, v: CubeTensor, heads: usize) -> CubeTensor {
    let [q, k, v] = [q, k, v].map(|x| split(x, heads));
    let [.., width]: [usize; 4] = shape_of(&q);
    // Scaled before and not after the product, which may be more than f16 has (what diffusers' `upcast_attention` is for).
    let q = B::float_mul_scalar(q, (width as f32).sqrt().recip().into());
    let options = AttentionModuleOptions {
        scale: Some(1.0),
        ..Default::default()
    };
    join(<B as ModuleOps<B>>::attention(q, k, v, None, None, options))
}

/// With `P = softmax(S)`, `S = Q Kᵀ / √d` and `g` the gradient of `P V`: `∂V = Pᵀ g`,
/// `∂S = P ∘ (g Vᵀ − Σ_k P ∘ g Vᵀ)`, `∂Q = ∂S K / √d` and `∂K = ∂Sᵀ Q / √d`.
pub(super) fn backward(
    grad: CubeTensor,
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    heads: usize,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [grad, q, k, v] = [grad, q, k, v].map(|x| split(x, heads));
    let [.., width]: [usize; 4] = shape_of(&q);
    let scale = (width as f32).sqrt().recip();
    let turned = |x: CubeTensor| B::float_swap_dims(x, 2, 3);
    let q = B::float_mul_scalar(q, scale.into());
    let weights =
        <B as ActivationOps<B>>::softmax(B::float_matmul(q.clone(), turned(k.clone())), 3);
    let of_v = B::float_matmul(turned(weights.clone()), grad.clone());
    let of_weights = B::float_matmul(grad, turned(v));
    let mean = B::float_sum_dim(B::float_mul(weights.clone(), of_weights.clone()), 3);
    let of_scores = B::float_mul(weights, B::float_sub(of_weights, mean));
    let of_q = B::float_mul_scalar(B::float_matmul(of_scores.clone(), k), scale.into());
    let of_k = B::float_matmul(turned(of_scores), q);
    (join(of_q), join(of_k), join(of_v))
}
