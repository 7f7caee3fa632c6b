//! Silhouettes and colours beside the canonical scene's, without any search for an alignment.

use crate::views::{Image, is_covered};

/// Intersection over union of the silhouettes, and the PSNR in dB of albedo on neutral grey inside the union.
pub fn agreement(ours: &Image, truth: &Image) -> (f64, f64) {
    let (ours_seen, truth_seen) = (ours.picture(), truth.picture());
    let pixels = ours
        .pixels
        .iter()
        .zip(&truth.pixels)
        .zip(ours_seen.pixels.iter().zip(&truth_seen.pixels));
    let (mut both, mut either, mut error) = (0usize, 0usize, 0.0);
    for ((a, b), (ours, truth)) in pixels {
        let (a, b) = (is_covered(a), is_covered(b));
        both += usize::from(a && b);
        if a || b {
            either += 1;
            error += (0..3)
                .map(|c| f64::from(ours[c] - truth[c]).powi(2))
                .sum::<f64>()
                / 3.0;
        }
    }
    let either = either.max(1) as f64;
    (
        both as f64 / either,
        -10.0 * (error / either).max(1e-10).log10(),
    )
}
