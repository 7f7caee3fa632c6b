//! The Chamfer distance of surfaces: how far apart, on average, a point of one is from the other.

use dreamfuse_core::{Purpose, Vec3, stream};
use dreamfuse_mesh::{DensityGrid, Mesh, MeshError, Spread, extract};
use dreamfuse_toybox::Scene;
use rayon::prelude::*;

/// Points on each surface.
const POINTS: usize = 4096;
/// Cells along a side of the grid that the truth is cut from, as many as a run's.
const CELLS: usize = 96;
/// The truth's density at its surface; any will do.
const LEVEL: f32 = 0.1;

/// The surface of a scene, cut from its exact distances as a run's mesh is cut from its densities; being exact,
/// it needs no smoothing.
///
/// # Errors
/// When the scene is too thin for the grid.
pub fn surface(scene: &Scene) -> Result<Mesh, MeshError> {
    let density = |point: &[f32; 3]| (LEVEL - scene.signed_distance(Vec3::from(*point))).max(0.0);
    let grid = DensityGrid::sample(CELLS, |points| points.par_iter().map(density).collect());
    extract(&grid, LEVEL)
}

/// Points spread evenly over a surface; the origin if it is empty.
fn points(mesh: &Mesh, attempt: u64) -> Vec<Vec3> {
    let Some(spread) = Spread::over(mesh) else {
        return vec![Vec3::zeros()];
    };
    let mut rng = stream(0, Purpose::Evaluation, attempt, 0);
    (0..POINTS).map(|_| spread.draw(&mut rng).1).collect()
}

fn mean_distance(from: &[Vec3], to: &[Vec3]) -> f64 {
    let nearest = |point: &Vec3| {
        to.iter()
            .map(|other| (other - point).norm_squared())
            .fold(f32::MAX, f32::min)
            .sqrt()
    };
    from.par_iter()
        .map(nearest)
        .collect::<Vec<_>>()
        .into_iter()
        .map(f64::from)
        .sum::<f64>()
        / from.len() as f64
}

/// The mean of both directions' mean distances, in units of the world, whose scenes have a radius of 0.85. An empty
/// surface counts as the origin.
pub fn chamfer(one: &Mesh, other: &Mesh) -> f64 {
    let (one, other) = (points(one, 0), points(other, 1));
    0.5 * (mean_distance(&one, &other) + mean_distance(&other, &one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dreamfuse_toybox::parse;

    #[test]
    fn the_distance_is_that_of_shifted_spheres_and_small_between_equal_ones() {
        let sphere = |center: f32, radius: f32| {
            let density = |p: &[f32; 3]| {
                (1.0 - (Vec3::from(*p) - Vec3::new(center, 0.0, 0.0)).norm()).max(0.0)
            };
            let grid = DensityGrid::sample(48, |points| points.iter().map(density).collect());
            extract(&grid, 1.0 - radius).unwrap()
        };
        let small = sphere(0.0, 0.3);
        assert!(chamfer(&small, &sphere(0.0, 0.3)) < 0.012);
        assert!((chamfer(&small, &sphere(0.0, 0.6)) - 0.3).abs() < 0.02);
        assert!((chamfer(&small, &Mesh::default()) - 0.3).abs() < 0.01);
    }

    #[test]
    fn a_scene_is_nearer_to_itself_than_to_another() {
        let mesh = |text: &str| surface(&Scene::canonical(&parse(text).unwrap())).unwrap();
        let (teapot, again, car) = (mesh("a teapot"), mesh("a red teapot"), mesh("a car"));
        let (same, other) = (chamfer(&teapot, &again), chamfer(&teapot, &car));
        assert!(same < 0.03 && other > 2.0 * same, "{same} {other}");
    }
}
