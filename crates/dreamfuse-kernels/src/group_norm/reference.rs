//! Group normalisation by its definition, in f64.

use super::Settings;

/// `gamma` and `beta` are `[channels]` or `[batch, channels]`:
/// `silu?((x − μ) / √(σ² + ε) · γ + β)` with mean and variance over a group's channels and pixels.
pub fn forward(
    [batch, channels, height, width]: [usize; 4],
    s: Settings,
    input: &[f64],
    gamma: &[f64],
    beta: &[f64],
) -> Vec<f64> {
    let (area, members) = (height * width, channels / s.groups * height * width);
    assert_eq!(input.len(), batch * channels * area);
    let mut out = Vec::with_capacity(input.len());
    for (group, values) in input.chunks_exact(members).enumerate() {
        let mean = values.iter().sum::<f64>() / members as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / members as f64;
        for (i, value) in values.iter().enumerate() {
            let channel = group * (channels / s.groups) + i / area; // counted through all images
            let (gamma, beta) = (gamma[channel % gamma.len()], beta[channel % beta.len()]);
            let normal = (value - mean) / (variance + f64::from(s.epsilon)).sqrt() * gamma + beta;
            out.push(if s.silu {
                normal / (1.0 + (-normal).exp())
            } else {
                normal
            });
        }
    }
    out
}
