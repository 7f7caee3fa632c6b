//! Power spectra of images.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// Mean power of planes `[channels, size, size]` by frequency: entry `k` is that of waves of `k` an image in any direction
/// (rounded), up to `size / 2`. White noise of variance one has power one at each.
pub fn power_spectrum(planes: &[f32], size: usize) -> Vec<f64> {
    let forward = FftPlanner::new().plan_fft_forward(size);
    let (mut sums, mut counts) = (vec![0.0; size / 2 + 1], vec![0usize; size / 2 + 1]);
    for plane in planes.chunks_exact(size * size) {
        let mut waves: Vec<Complex<f64>> = plane
            .iter()
            .map(|value| Complex::new(f64::from(*value), 0.0))
            .collect();
        forward.process(&mut waves); // all rows, one after the other
        let mut columns: Vec<Complex<f64>> = (0..size * size)
            .map(|i| waves[i % size * size + i / size])
            .collect();
        forward.process(&mut columns);
        let signed = |i: usize| {
            if i > size / 2 {
                i as f64 - size as f64
            } else {
                i as f64
            }
        };
        for (i, wave) in columns.iter().enumerate() {
            let frequency = signed(i % size).hypot(signed(i / size)).round() as usize;
            if frequency < sums.len() {
                sums[frequency] += wave.norm_sqr() / (size * size) as f64;
                counts[frequency] += 1;
            }
        }
    }
    sums.iter()
        .zip(counts)
        .map(|(sum, count)| sum / count.max(1) as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    #[test]
    fn a_wave_has_its_power_at_its_frequency() {
        let size = 16;
        let wave = |i: usize| (TAU * (3 * (i % size) + 4 * (i / size)) as f32 / size as f32).cos();
        let planes: Vec<f32> = (0..size * size).map(wave).collect();
        let spectrum = power_spectrum(&planes, size);
        let total: f64 = spectrum.iter().sum();
        assert!(spectrum[5] > 0.999 * total, "{spectrum:?}");
    }

    #[test]
    fn white_noise_has_power_one_everywhere() {
        let noise =
            dreamfuse_prior::sampler::normal([1, 3, 64, 64], 1, 0, &burn::tensor::Device::flex());
        let planes = noise.into_data().try_to_vec::<f32>().unwrap();
        for (k, power) in power_spectrum(&planes, 64).into_iter().enumerate().skip(2) {
            assert!((power - 1.0).abs() < 0.35, "{power} at {k}");
        }
    }
}
