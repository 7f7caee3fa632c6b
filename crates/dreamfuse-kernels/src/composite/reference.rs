//! Alpha compositing by its definition, in f64 (Max 1995; Mildenhall et al. 2020, equation 3).

/// `[rays, channels + 1]`; arguments as of [`composite`](super::composite).
pub fn forward(density: &[f64], features: &[f64], channels: usize, starts: &[usize], step: f64) -> Vec<f64> {
    let mut out = Vec::new();
    for ray in starts.windows(2) {
        let mut row = vec![0.0; channels + 1];
        for n in ray[0]..ray[1] {
            let before: f64 = density[ray[0]..n].iter().map(|d| (-d * step).exp()).product();
            let weight = (1.0 - (-density[n] * step).exp()) * before;
            for c in 0..channels {
                row[c] += weight * features[n * channels + c];
            }
            row[channels] += weight;
        }
        out.extend(row);
    }
    out
}
