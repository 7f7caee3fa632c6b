//! The threshold at which the surface is cut: users of other systems have to guess it.

use crate::grid::DensityGrid;
use dreamfuse_core::Camera;
use rayon::prelude::*;

/// A view of the volume that the surface's silhouette has to agree with.
pub struct Silhouette {
    pub camera: Camera,
    pub size: usize,
    /// The volume renderer's opacity, `size²` values.
    pub opacity: Vec<f32>,
}

/// Thresholds that are tried, spaced evenly in the logarithm.
const CANDIDATES: usize = 240;

/// The density whose silhouettes have the best mean intersection over union with the opacities above
/// one half, and that mean.
pub fn choose_iso(grid: &DensityGrid, views: &[Silhouette]) -> (f32, f32) {
    let highest: Vec<Vec<f32>> = views
        .par_iter()
        .map(|view| {
            view.camera
                .rays(view.size)
                .iter()
                .map(|ray| grid.highest_along(ray))
                .collect()
        })
        .collect();
    let top = grid.values.iter().copied().fold(1e-3, f32::max);
    let candidates =
        (0..CANDIDATES).map(|i| top * 10f32.powf(-3.0 * (i as f32 + 0.5) / CANDIDATES as f32));
    let agreement = |iso: f32| {
        let each = views
            .iter()
            .zip(&highest)
            .map(|(view, highest)| overlap(&view.opacity, highest, iso));
        each.sum::<f32>() / views.len().max(1) as f32
    };
    let scored = candidates.map(|iso| (iso, agreement(iso)));
    scored
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((top * 0.5, 0.0))
}

fn overlap(opacity: &[f32], highest: &[f32], iso: f32) -> f32 {
    let (mut both, mut either) = (0, 0);
    for (opacity, highest) in opacity.iter().zip(highest) {
        let (a, b) = (*opacity > 0.5, *highest >= iso);
        both += usize::from(a && b);
        either += usize::from(a || b);
    }
    if either == 0 {
        0.0
    } else {
        both as f32 / either as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_the_one_of_the_given_silhouettes() {
        // Density falls from 10 at the centre to 0 at radius 1; silhouettes of radius 0.5 mean 5.
        let density = |points: &[[f32; 3]]| {
            points
                .iter()
                .map(|p| 10.0 * (1.0 - p.iter().map(|v| v * v).sum::<f32>().sqrt()).max(0.0))
                .collect()
        };
        let grid = DensityGrid::sample(48, density);
        let view = |camera: Camera| {
            let distance = |ray: &dreamfuse_core::Ray| ray.origin.cross(&ray.direction).norm();
            let opacity = camera
                .rays(32)
                .iter()
                .map(|ray| if distance(ray) < 0.5 { 1.0 } else { 0.0 })
                .collect();
            Silhouette {
                camera,
                size: 32,
                opacity,
            }
        };
        let views: Vec<_> = Camera::ring(4, 0.3).into_iter().map(view).collect();
        let (iso, agreement) = choose_iso(&grid, &views);
        assert!((iso - 5.0).abs() < 0.6, "{iso}");
        assert!(agreement > 0.95);
    }
}
