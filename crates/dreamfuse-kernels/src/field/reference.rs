//! The field by its definition, in f64, one point at a time.

use super::spec::{FEATURES, FieldSpec, Level, OUTPUTS};

/// Trilinear interpolation of the table at `p` in `[−1, 1]³`: the encoding, and its derivative by the
/// position, `[encoding][3]`.
pub fn encode(spec: &FieldSpec, table: &[f64], p: [f64; 3]) -> (Vec<f64>, Vec<[f64; 3]>) {
    let (mut values, mut slopes) = (Vec::new(), Vec::new());
    for level in spec.layout() {
        let (value, slope) = interpolate(&level, table, p);
        values.extend(value);
        slopes.extend(slope);
    }
    (values, slopes)
}

fn interpolate(
    level: &Level,
    table: &[f64],
    p: [f64; 3],
) -> ([f64; FEATURES], [[f64; 3]; FEATURES]) {
    let scaled = p.map(|v| (v + 1.0) / 2.0 * level.cells as f64);
    let low = scaled.map(|v| v.floor().clamp(0.0, (level.cells - 1) as f64));
    let (mut value, mut slope) = ([0.0; FEATURES], [[0.0; 3]; FEATURES]);
    for corner in 0..8usize {
        let offset = [corner & 1, corner >> 1 & 1, corner >> 2 & 1];
        let at: [u32; 3] = std::array::from_fn(|i| low[i] as u32 + offset[i] as u32);
        let weights: [f64; 3] = std::array::from_fn(|i| {
            let above = scaled[i] - low[i];
            if offset[i] == 1 { above } else { 1.0 - above }
        });
        for f in 0..FEATURES {
            let entry = table[level.row(at) * FEATURES + f];
            value[f] += entry * weights.iter().product::<f64>();
            for d in 0..3 {
                let others: f64 = (0..3).filter(|i| *i != d).map(|i| weights[i]).product();
                let sign = if offset[d] == 1 { 1.0 } else { -1.0 };
                slope[f][d] += entry * others * sign * level.cells as f64 / 2.0;
            }
        }
    }
    (value, slope)
}

/// Raw density and colour at `p`, then the gradient of the raw density by the position:
/// `w2ᵀ relu(w1ᵀ e(p) + b1) + b2` and `Jᵀ w1 (w2_density ⊙ step)`.
pub fn forward(spec: &FieldSpec, table: &[f64], mlp: &[f64], p: [f64; 3]) -> [f64; OUTPUTS + 3] {
    let layout = spec.mlp_layout();
    let (w1, b1, w2, b2) = (
        &mlp[layout.w1],
        &mlp[layout.b1],
        &mlp[layout.w2],
        &mlp[layout.b2],
    );
    let (encoding, slopes) = encode(spec, table, p);
    let mut out = [0.0; OUTPUTS + 3];
    out[..OUTPUTS].copy_from_slice(b2);
    for j in 0..spec.hidden {
        let hidden = b1[j]
            + encoding
                .iter()
                .enumerate()
                .map(|(i, e)| e * w1[i * spec.hidden + j])
                .sum::<f64>();
        if hidden <= 0.0 {
            continue;
        }
        for k in 0..OUTPUTS {
            out[k] += hidden * w2[j * OUTPUTS + k];
        }
        for d in 0..3 {
            let slope: f64 = slopes
                .iter()
                .enumerate()
                .map(|(i, s)| s[d] * w1[i * spec.hidden + j])
                .sum();
            out[OUTPUTS + d] += slope * w2[j * OUTPUTS];
        }
    }
    out
}
