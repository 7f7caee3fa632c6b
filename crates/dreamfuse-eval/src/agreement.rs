//! A view beside the truth's: silhouettes, colours, structure and sharpness, without any search for
//! an alignment.

use crate::knowledge::decibels;
use crate::views::{Mode, Premultiplied, SIZE, Subject, cameras, is_covered};
use dreamfuse_core::Image;
use dreamfuse_distill::power_spectrum;
use serde::{Deserialize, Serialize};

/// How far a subject agrees with the truth, means over views. Images are albedo on neutral grey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Intersection over union of the silhouettes.
    pub iou: f64,
    /// Inside the union of the silhouettes, in dB.
    pub psnr: f64,
    /// Structural similarity of the luminance (Wang et al. 2004), inside the union.
    pub ssim: f64,
    /// Power above eight waves an image, as a share of the truth's.
    pub sharpness: f64,
}

/// Waves an image above which power counts as sharpness.
const FINE: usize = 8;

/// Compares a subject with the truth from all cameras.
pub fn agreement(ours: &dyn Subject, truth: &dyn Subject) -> Agreement {
    let all = cameras();
    let (mut sum, mut fine) = (Agreement::default(), [0.0; 2]);
    for camera in &all {
        let [ours, truth] = [ours, truth].map(|subject| subject.image(camera, Mode::Albedo));
        let (iou, psnr) = silhouette_and_color(&ours, &truth);
        sum.iou += iou / all.len() as f64;
        sum.psnr += psnr / all.len() as f64;
        sum.ssim += ssim(&ours, &truth) / all.len() as f64;
        fine[0] += fine_power(&ours);
        fine[1] += fine_power(&truth);
    }
    Agreement {
        sharpness: fine[0] / fine[1].max(1e-12),
        ..sum
    }
}

/// Intersection over union of the silhouettes, and the PSNR in dB inside the union.
pub fn silhouette_and_color(ours: &Premultiplied, truth: &Premultiplied) -> (f64, f64) {
    let (ours_seen, truth_seen) = (ours.image(), truth.image());
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
            let squares = (0..3).map(|c| f64::from(ours[c] - truth[c]).powi(2));
            error += squares.sum::<f64>() / 3.0;
        }
    }
    let either = either.max(1) as f64;
    (both as f64 / either, decibels(error / either))
}

/// Luminance by Rec. 709's weights.
fn luminance(image: &Image) -> Vec<f32> {
    let weigh = |[r, g, b]: &[f32; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
    image.pixels.iter().map(weigh).collect()
}

fn fine_power(image: &Premultiplied) -> f64 {
    let spectrum = power_spectrum(&luminance(&image.image()), SIZE);
    // A ring of frequencies has as many waves as it is long.
    let rings = spectrum.iter().enumerate().skip(FINE + 1);
    rings.map(|(k, power)| k as f64 * power).sum()
}

/// The Gaussian window of SSIM: its deviation and its reach in pixels.
const WINDOW: (f64, usize) = (1.5, 5);
/// The constants of SSIM for values in `[0, 1]`: (0.01)² and (0.03)².
const STABLE: [f64; 2] = [1e-4, 9e-4];

fn ssim(ours: &Premultiplied, truth: &Premultiplied) -> f64 {
    let [x, y] = [ours, truth].map(|image| -> Vec<f64> {
        luminance(&image.image())
            .into_iter()
            .map(f64::from)
            .collect()
    });
    let product =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let means = [&x, &y].map(|values| windowed(values));
    let squares =
        [product(&x, &x), product(&y, &y), product(&x, &y)].map(|values| windowed(&values));
    let at = |i: usize| {
        let (a, b) = (means[0][i], means[1][i]);
        let [var_a, var_b, cov] = [
            squares[0][i] - a * a,
            squares[1][i] - b * b,
            squares[2][i] - a * b,
        ];
        (2.0 * a * b + STABLE[0]) * (2.0 * cov + STABLE[1])
            / ((a * a + b * b + STABLE[0]) * (var_a + var_b + STABLE[1]))
    };
    let union =
        (0..x.len()).filter(|&i| is_covered(&ours.pixels[i]) || is_covered(&truth.pixels[i]));
    let (sum, count) = union.fold((0.0, 0usize), |(sum, count), i| (sum + at(i), count + 1));
    sum / count.max(1) as f64
}

/// Gaussian means around each pixel; the border repeats its last pixel.
pub(crate) fn blurred(values: &[f64], size: usize, deviation: f64, reach: usize) -> Vec<f64> {
    let weight = |offset: i64| (-0.5 * (offset as f64 / deviation).powi(2)).exp();
    let offsets = -(reach as i64)..=reach as i64;
    let total: f64 = offsets.clone().map(weight).sum();
    let pass = |values: &[f64], step: usize| -> Vec<f64> {
        let at = |i: usize| {
            let along = (i / step % size) as i64;
            let start = i - i / step % size * step;
            let sample = |offset: i64| {
                let place = (along + offset).clamp(0, size as i64 - 1) as usize;
                weight(offset) * values[start + place * step]
            };
            offsets.clone().map(sample).sum::<f64>() / total
        };
        (0..values.len()).map(at).collect()
    };
    pass(&pass(values, 1), size)
}

fn windowed(values: &[f64]) -> Vec<f64> {
    blurred(values, SIZE, WINDOW.0, WINDOW.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::{Blurred, Flat};
    use dreamfuse_toybox::{Scene, parse};

    #[test]
    fn the_truth_agrees_with_itself_and_blur_costs_sharpness_first() {
        let scene = Scene::canonical(&parse("a stone castle").unwrap());
        let own = agreement(&scene, &scene);
        assert!(
            (own.iou - 1.0).abs() < 1e-9 && (own.ssim - 1.0).abs() < 1e-9,
            "{own:?}"
        );
        assert!(
            (own.sharpness - 1.0).abs() < 1e-9 && own.psnr > 90.0,
            "{own:?}"
        );
        let soft = agreement(
            &Blurred {
                scene: &scene,
                deviation: 2.0,
            },
            &scene,
        );
        assert!(
            soft.sharpness < 0.2 && soft.iou > 0.85 && soft.psnr > 18.0,
            "{soft:?}"
        );
        let flat = agreement(&Flat(&scene), &scene);
        assert!((flat.iou - 1.0).abs() < 1e-9, "{flat:?}");
        assert!(flat.psnr < 28.0 && flat.ssim < 0.9, "{flat:?}");
    }

    #[test]
    fn a_blur_keeps_constants_and_the_mean_of_an_impulse() {
        assert!(
            blurred(&[0.3; 64 * 64], 64, 2.0, 6)
                .iter()
                .all(|v| (v - 0.3).abs() < 1e-12)
        );
        let mut impulse = vec![0.0; 64 * 64];
        impulse[32 * 64 + 20] = 1.0;
        let spread = blurred(&impulse, 64, 1.5, 5);
        assert!((spread.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(
            spread[32 * 64 + 20] > spread[32 * 64 + 21]
                && (spread[31 * 64 + 20] - spread[32 * 64 + 21]).abs() < 1e-12
        );
    }
}
