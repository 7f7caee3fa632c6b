//! How well two meshes agree as they are seen.

use crate::Mesh;
use crate::draw::coverage;
use dreamfuse_core::Camera;
use rayon::prelude::*;

/// Side of the images that are compared.
const SIZE: usize = 256;

/// Mean intersection over union of the silhouettes of two meshes from the cameras.
pub fn silhouette_iou(one: &Mesh, other: &Mesh, cameras: &[Camera]) -> f32 {
    let of_camera = |camera: &Camera| {
        let (a, b) = (coverage(one, camera, SIZE), coverage(other, camera, SIZE));
        let (mut both, mut either) = (0usize, 0usize);
        for (a, b) in a.iter().zip(&b) {
            both += usize::from(*a && *b);
            either += usize::from(*a || *b);
        }
        if either == 0 {
            1.0
        } else {
            both as f32 / either as f32
        }
    };
    let each: Vec<f32> = cameras.par_iter().map(of_camera).collect();
    each.iter().sum::<f32>() / each.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DensityGrid, extract};

    fn ball(radius: f32) -> Mesh {
        let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
        let density = |p: &[f32; 3]| (1.0 - distance(p)).max(0.0);
        let grid = DensityGrid::sample(48, |points| points.iter().map(density).collect());
        extract(&grid, 1.0 - radius).unwrap()
    }

    #[test]
    fn silhouettes_of_balls_overlap_as_their_areas_do() {
        let cameras = Camera::ring(3, 0.2);
        let iou = |a: f32, b: f32| silhouette_iou(&ball(a), &ball(b), &cameras);
        assert_eq!(iou(0.5, 0.5), 1.0);
        // Perspective makes the larger ball a little larger still.
        let expected = (0.4f32 / 0.5).powi(2);
        assert!((iou(0.4, 0.5) - expected).abs() < 0.02, "{}", iou(0.4, 0.5));
        assert_eq!(silhouette_iou(&Mesh::default(), &ball(0.3), &cameras), 0.0);
    }
}
