//! What [`linear_bf16`](super::linear_bf16) computes, without its rounding.

/// `input · weight + bias`, row after row of `from` numbers.
pub fn forward(from: usize, input: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let to = bias.len();
    let value = |row: &[f64], column: usize| {
        let terms = row.iter().enumerate();
        bias[column]
            + terms
                .map(|(k, value)| value * weight[k * to + column])
                .sum::<f64>()
    };
    input
        .chunks_exact(from)
        .flat_map(|row| (0..to).map(move |column| value(row, column)))
        .collect()
}
