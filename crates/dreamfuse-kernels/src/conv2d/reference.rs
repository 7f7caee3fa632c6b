//! Convolution by its definition, in f64: what the fast body is compared with.

use super::Geometry;

/// `out[b, o, y, x] = bias[o] + Σ_{c, i, j} weight[o, c, i, j] · input[b, c, y s + i − p, x s + j − p]`.
pub fn forward(g: &Geometry, input: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let (out_h, out_w) = (g.out_height(), g.out_width());
    let mut out = Vec::with_capacity(g.batch * g.channels_out * out_h * out_w);
    for b in 0..g.batch {
        for (o, bias) in bias.iter().enumerate() {
            for y in 0..out_h {
                for x in 0..out_w {
                    out.push(bias + at(g, input, weight, [b, o, y, x]));
                }
            }
        }
    }
    out
}

fn at(g: &Geometry, input: &[f64], weight: &[f64], [b, o, y, x]: [usize; 4]) -> f64 {
    let mut sum = 0.0;
    for c in 0..g.channels_in {
        for i in 0..g.kernel {
            for j in 0..g.kernel {
                let (row, col) = (
                    (y * g.stride + i).wrapping_sub(g.padding),
                    (x * g.stride + j).wrapping_sub(g.padding),
                );
                if row < g.height && col < g.width {
                    let w = weight[((o * g.channels_in + c) * g.kernel + i) * g.kernel + j];
                    sum += w * input[((b * g.channels_in + c) * g.height + row) * g.width + col];
                }
            }
        }
    }
    sum
}
