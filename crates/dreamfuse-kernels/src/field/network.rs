//! The network on a tile of samples. Rows are units or features, columns samples: what is one number a sample is a row,
//! which vector units walk.

#![expect(
    clippy::needless_range_loop,
    reason = "closures of iterators are not always compiled for the vector units that the caller chose"
)]

use super::cpu::{Parameters, TILE};
use super::spec::{FieldSpec, MlpLayout, OUTPUTS, OUTPUTS_WITH_GRADIENT};
use crate::cpu::{LANES, Weights, add_row_products, combine_rows, sum as lanes_sum};
use std::cell::RefCell;

/// A number of as many samples as a vector has lanes.
type Lanes = [f32; LANES];

/// What a tile computes on the way; rows of `TILE` numbers.
pub(super) struct Scratch {
    /// `[outputs, TILE]`: the output, later its gradient.
    out: Vec<f32>,
    /// `[hidden, TILE]`: the hidden layer before the ReLU.
    hidden: Vec<f32>,
    /// `[hidden, TILE]`: its gradient.
    of_hidden: Vec<f32>,
    /// `[hidden, TILE]`: density weights of the active units.
    density: Vec<f32>,
    /// `[hidden, TILE]`.
    tangent: Vec<f32>,
    /// `[encoding, TILE]`: ∂density/∂encoding.
    adjoint: Vec<f32>,
    /// `[encoding, TILE]`: derivative of the encoding along the gradient's gradient.
    along: Vec<f32>,
}

impl Scratch {
    fn new(spec: &FieldSpec) -> Self {
        let rows = |count: usize| vec![0.0; count * TILE];
        let (e, h) = (spec.encoding(), spec.hidden);
        Self {
            out: rows(OUTPUTS_WITH_GRADIENT),
            hidden: rows(h),
            of_hidden: rows(h),
            density: rows(h),
            tangent: rows(h),
            adjoint: rows(e),
            along: rows(e),
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Option<(FieldSpec, Scratch)>> = const { RefCell::new(None) };
}

/// Lends the thread's scratch.
pub(super) fn with_scratch<R>(spec: &FieldSpec, body: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(made_for, _)| made_for != spec) {
            *slot = Some((*spec, Scratch::new(spec)));
        }
        body(&mut slot.as_mut().expect("made above").1)
    })
}

fn lanes(row: &[f32]) -> &[Lanes] {
    row.as_chunks().0
}

/// The network as it is applied to tiles.
#[derive(Clone, Copy)]
pub(super) struct Network<'a> {
    encoding: usize,
    hidden: usize,
    /// `[encoding, hidden]`.
    w1: &'a [f32],
    /// `[hidden]`.
    b1: &'a [f32],
    /// `[hidden]`, the weights of each output.
    w2: &'a [[f32; OUTPUTS]],
    b2: &'a [f32],
}

/// The network's gradient, laid out as the network.
struct NetworkGrad<'a> {
    w1: &'a mut [f32],
    b1: &'a mut [f32],
    w2: &'a mut [[f32; OUTPUTS]],
    b2: &'a mut [f32],
}

impl<'a> NetworkGrad<'a> {
    fn new(layout: &MlpLayout, packed: &'a mut [f32]) -> Self {
        let (w1, rest) = packed.split_at_mut(layout.w1.len());
        let (b1, rest) = rest.split_at_mut(layout.b1.len());
        let (w2, b2) = rest.split_at_mut(layout.w2.len());
        Self {
            w1,
            b1,
            w2: w2.as_chunks_mut().0,
            b2,
        }
    }
}

impl<'a> Network<'a> {
    pub(super) fn new(p: &Parameters<'a>) -> Self {
        let MlpLayout { w1, b1, w2, b2 } = p.spec.mlp_layout();
        Self {
            encoding: p.spec.encoding(),
            hidden: p.spec.hidden,
            w1: &p.mlp[w1],
            b1: &p.mlp[b1],
            w2: p.mlp[w2].as_chunks().0,
            b2: &p.mlp[b2],
        }
    }

    /// The first layer's weights, a row for each hidden unit.
    fn by_hidden(&self) -> Weights<'a> {
        Weights {
            values: self.w1,
            row_stride: 1,
            col_stride: self.hidden,
        }
    }

    /// The same, a row for each feature of the encoding.
    fn by_feature(&self) -> Weights<'a> {
        Weights {
            values: self.w1,
            row_stride: self.hidden,
            col_stride: 1,
        }
    }

    /// Fills the rows of `out` `[samples, 4 or 7]`. An encoded tile is its encoding `[encoding, TILE]` and, where the
    /// density's gradient is asked for, the derivatives by the position `[encoding · 3, TILE]`.
    #[inline(always)]
    pub(super) fn forward(&self, encoded: &[f32], s: &mut Scratch, out: &mut [f32]) {
        let (encoding, slopes) = encoded.split_at(self.encoding * TILE);
        self.hidden(encoding, s);
        self.outputs(s);
        if !slopes.is_empty() {
            self.gradient(slopes, s);
        }
        let columns = if slopes.is_empty() {
            OUTPUTS
        } else {
            OUTPUTS_WITH_GRADIENT
        };
        for (n, sample) in out.chunks_exact_mut(columns).enumerate() {
            sample
                .iter_mut()
                .enumerate()
                .for_each(|(k, value)| *value = s.out[k * TILE + n]);
        }
    }

    /// `w1ᵀ encoding + b1`.
    #[inline(always)]
    fn hidden(&self, encoding: &[f32], s: &mut Scratch) {
        combine_rows(
            TILE,
            &mut s.hidden,
            |j| self.b1[j],
            self.by_hidden(),
            encoding,
        );
    }

    /// `w2ᵀ relu(hidden) + b2`.
    #[inline(always)]
    fn outputs(&self, s: &mut Scratch) {
        for block in 0..TILE / LANES {
            let mut sums: [Lanes; OUTPUTS] = std::array::from_fn(|k| [self.b2[k]; LANES]);
            for (row, weights) in s.hidden.chunks_exact(TILE).zip(self.w2) {
                let values = &lanes(row)[block];
                for n in 0..LANES {
                    let active = if values[n] > 0.0 { values[n] } else { 0.0 };
                    for k in 0..OUTPUTS {
                        sums[k][n] += weights[k] * active;
                    }
                }
            }
            for (k, sum) in sums.iter().enumerate() {
                s.out[k * TILE + block * LANES..][..LANES].copy_from_slice(sum);
            }
        }
    }

    /// The density's gradient by the position; fills density, adjoint and the gradient's rows of out.
    #[inline(always)]
    fn gradient(&self, slopes: &[f32], s: &mut Scratch) {
        self.adjoint(s);
        let gradient = &mut s.out[OUTPUTS * TILE..];
        gradient.fill(0.0);
        for (adjoint, slopes) in s
            .adjoint
            .chunks_exact(TILE)
            .zip(slopes.chunks_exact(3 * TILE))
        {
            for (row, slopes) in gradient
                .chunks_exact_mut(TILE)
                .zip(slopes.chunks_exact(TILE))
            {
                row.iter_mut()
                    .zip(adjoint)
                    .zip(slopes)
                    .for_each(|((sum, a), slope)| *sum += a * slope);
            }
        }
    }

    /// Fills density and adjoint.
    #[inline(always)]
    fn adjoint(&self, s: &mut Scratch) {
        let units = s
            .density
            .chunks_exact_mut(TILE)
            .zip(s.hidden.chunks_exact(TILE));
        for ((row, hidden), weights) in units.zip(self.w2) {
            let weight = weights[0];
            row.iter_mut()
                .zip(hidden)
                .for_each(|(value, hidden)| *value = if *hidden > 0.0 { weight } else { 0.0 });
        }
        combine_rows(TILE, &mut s.adjoint, |_| 0.0, self.by_feature(), &s.density);
    }

    /// Adds the network's gradient of a tile to `of_mlp`; `for_table` receives the gradient of the encoding, with slopes
    /// followed by the density's derivative by the encoding. `grad` is the gradient of the output's rows.
    #[inline(always)]
    pub(super) fn backward(
        &self,
        layout: &MlpLayout,
        encoded: &[f32],
        grad: &[f32],
        s: &mut Scratch,
        (for_table, of_mlp): (&mut [f32], &mut [f32]),
    ) {
        let (encoding, slopes) = encoded.split_at(self.encoding * TILE);
        self.hidden(encoding, s);
        let mut of = NetworkGrad::new(layout, of_mlp);
        let columns = if slopes.is_empty() {
            OUTPUTS
        } else {
            OUTPUTS_WITH_GRADIENT
        };
        // The gradient of the output, transposed; zeros past the last sample.
        s.out.fill(0.0);
        for (n, sample) in grad.chunks_exact(columns).enumerate() {
            sample
                .iter()
                .enumerate()
                .for_each(|(k, value)| s.out[k * TILE + n] = *value);
        }
        self.outputs_backward(s, &mut of);
        add_row_products(TILE, of.w1, encoding, &s.of_hidden);
        let (of_encoding, of_slopes) = for_table.split_at_mut(self.encoding * TILE);
        combine_rows(TILE, of_encoding, |_| 0.0, self.by_feature(), &s.of_hidden);
        if !slopes.is_empty() {
            self.adjoint(s);
            of_slopes.copy_from_slice(&s.adjoint);
            self.gradient_backward(slopes, s, &mut of);
        }
    }

    /// The gradients of the second layer, and of the hidden one before the ReLU.
    #[inline(always)]
    fn outputs_backward(&self, s: &mut Scratch, of: &mut NetworkGrad) {
        let grads: [&[Lanes]; OUTPUTS] = std::array::from_fn(|k| lanes(&s.out[k * TILE..][..TILE]));
        let total = |sum: &Lanes| sum.iter().sum::<f32>();
        for (sum, row) in of.b2.iter_mut().zip(s.out.chunks_exact(TILE)) {
            *sum += lanes_sum(row, |value| value);
        }
        let units = s
            .hidden
            .chunks_exact(TILE)
            .zip(s.of_hidden.chunks_exact_mut(TILE))
            .zip(self.w2);
        for (j, ((hidden, of_hidden), weights)) in units.enumerate() {
            let of_hidden: &mut [Lanes] = of_hidden.as_chunks_mut().0;
            let (mut of_w2, mut of_b1) = ([[0.0; LANES]; OUTPUTS], [0.0; LANES]);
            for (block, (values, of_values)) in lanes(hidden).iter().zip(of_hidden).enumerate() {
                let grads = grads.map(|grads| &grads[block]);
                for n in 0..LANES {
                    let active = if values[n] > 0.0 { values[n] } else { 0.0 };
                    let mut sum = 0.0;
                    for k in 0..OUTPUTS {
                        sum += weights[k] * grads[k][n];
                        of_w2[k][n] += active * grads[k][n];
                    }
                    let of_value = if values[n] > 0.0 { sum } else { 0.0 };
                    of_values[n] = of_value;
                    of_b1[n] += of_value;
                }
            }
            of.b1[j] += total(&of_b1);
            for k in 0..OUTPUTS {
                of.w2[j][k] += total(&of_w2[k]);
            }
        }
    }

    /// The part of the network's gradient that comes from the density's gradient `g = Jᵀ w1 (w2 ⊙ step)`:
    /// with `q` the gradient of `g`, it is that of `w2 · (step ⊙ w1ᵀ (J q))`.
    #[inline(always)]
    fn gradient_backward(&self, slopes: &[f32], s: &mut Scratch, of: &mut NetworkGrad) {
        let q = &s.out[OUTPUTS * TILE..];
        for (along, slopes) in s
            .along
            .chunks_exact_mut(TILE)
            .zip(slopes.chunks_exact(3 * TILE))
        {
            along.fill(0.0);
            for (q, slopes) in q.chunks_exact(TILE).zip(slopes.chunks_exact(TILE)) {
                along
                    .iter_mut()
                    .zip(q)
                    .zip(slopes)
                    .for_each(|((sum, q), slope)| *sum += q * slope);
            }
        }
        combine_rows(TILE, &mut s.tangent, |_| 0.0, self.by_hidden(), &s.along);
        let units = s
            .tangent
            .chunks_exact(TILE)
            .zip(s.hidden.chunks_exact(TILE));
        for (of_w2, (tangent, hidden)) in of.w2.iter_mut().zip(units) {
            of_w2[0] += masked_sum(tangent, hidden);
        }
        add_row_products(TILE, of.w1, &s.along, &s.density);
    }
}

/// The sum of the values whose unit is active.
#[inline(always)]
fn masked_sum(values: &[f32], units: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (values, units) in lanes(values).iter().zip(lanes(units)) {
        for n in 0..LANES {
            sums[n] += if units[n] > 0.0 { values[n] } else { 0.0 };
        }
    }
    sums.iter().sum()
}
