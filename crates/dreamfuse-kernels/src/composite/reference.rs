//! Alpha compositing by its definition, in f64 (Max 1995; Mildenhall et al. 2020, equation 3).

/// `[rays, columns + 1]` of samples `[samples, columns]`; arguments as of [`composite`](super::composite()).
pub fn forward(
    samples: &[f64],
    distances: &[f64],
    columns: usize,
    starts: &[usize],
    step: f64,
) -> Vec<f64> {
    let mut out = Vec::new();
    let density = |n: usize| samples[n * columns];
    for ray in starts.windows(2) {
        let mut row = vec![0.0; columns + 1];
        for n in ray[0]..ray[1] {
            let before: f64 = (ray[0]..n).map(|m| (-density(m) * step).exp()).product();
            let weight = (1.0 - (-density(n) * step).exp()) * before;
            for c in 1..columns {
                row[c - 1] += weight * samples[n * columns + c];
            }
            row[columns - 1] += weight * distances[n];
            row[columns] += weight;
        }
        out.extend(row);
    }
    out
}
