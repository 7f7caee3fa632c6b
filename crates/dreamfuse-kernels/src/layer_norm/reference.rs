//! Layer normalisation by its definition, in f64.

/// `(x − μ) / √(σ² + ε) · γ + β` with mean and variance over each row, which is as long as gamma.
pub fn forward(epsilon: f64, input: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    let row = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64;
        let scaled = row.iter().map(|v| (v - mean) / (variance + epsilon).sqrt());
        scaled
            .zip(gamma.iter().zip(beta))
            .map(|(v, (g, b))| v * g + b)
            .collect::<Vec<_>>()
    };
    input.chunks_exact(gamma.len()).flat_map(row).collect()
}
