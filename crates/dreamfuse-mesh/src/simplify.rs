//! Fewer triangles, by collapsing edges (meshoptimizer's quadric error), as far as the surface stays what it was.

use crate::intersect::self_intersections;
use crate::silhouette::silhouette_iou;
use crate::smooth::normals;
use crate::{Mesh, Topology};
use dreamfuse_core::Camera;
use meshopt::{SimplifyOptions, simplify_decoder};

/// What a simplified mesh's silhouettes have in common with those of the mesh before, at least.
const LEAST_IOU: f32 = 0.99;

/// A budget that was too small for the surface grows by this factor.
const GROWTH: f32 = 1.5;

/// Largest error of a collapse, relative to the mesh's size: the budget decides, not the error.
const MOST_ERROR: f32 = 1.0;

/// A mesh of fewer triangles.
#[derive(Clone, Debug)]
pub struct Simplified {
    pub mesh: Mesh,
    /// The budget that it took.
    pub faces: usize,
    /// Mean silhouette agreement with the mesh before.
    pub iou: f32,
    /// Crossing triangles, which are those of the mesh before if there are any.
    pub self_intersections: usize,
}

/// About `faces` triangles in a regular arrangement, for filters that want edges of one length. Unchecked.
pub fn coarsened(mesh: &Mesh, faces: usize) -> Mesh {
    collapsed(mesh, faces, SimplifyOptions::Regularize)
}

/// At most `faces` triangles, or as many more as it takes: no open or bad edge, no more crossing triangles than before, and
/// silhouettes that agree to 0.99. Returns the mesh itself where nothing less would do.
pub fn simplified(mesh: &Mesh, faces: usize, cameras: &[Camera]) -> Simplified {
    let before = self_intersections(mesh);
    let mut budget = faces;
    while budget < mesh.triangles.len() {
        let candidate = collapsed(mesh, budget, SimplifyOptions::RegularizeLight);
        if Topology::of(&candidate).is_closed_manifold() {
            let self_intersections = self_intersections(&candidate);
            let iou = silhouette_iou(&candidate, mesh, cameras);
            if self_intersections <= before && iou >= LEAST_IOU {
                return Simplified {
                    mesh: candidate,
                    faces: budget,
                    iou,
                    self_intersections,
                };
            }
        }
        budget = (budget as f32 * GROWTH) as usize + 1;
    }
    Simplified {
        mesh: mesh.clone(),
        faces: mesh.triangles.len(),
        iou: 1.0,
        self_intersections: before,
    }
}

fn collapsed(mesh: &Mesh, faces: usize, options: SimplifyOptions) -> Mesh {
    if mesh.triangles.len() <= faces {
        return mesh.clone();
    }
    let indices = mesh.triangles.as_flattened();
    let kept = simplify_decoder(
        indices,
        &mesh.positions,
        3 * faces,
        MOST_ERROR,
        options,
        None,
    );
    let mut numbers = vec![u32::MAX; mesh.positions.len()];
    let mut positions = Vec::new();
    let mut number = |vertex: u32| {
        let slot = &mut numbers[vertex as usize];
        if *slot == u32::MAX {
            *slot = positions.len() as u32;
            positions.push(mesh.positions[vertex as usize]);
        }
        *slot
    };
    let (corners, _) = kept.as_chunks::<3>();
    let triangles = corners
        .iter()
        .map(|corners| corners.map(&mut number))
        .collect();
    let mut small = Mesh {
        positions,
        triangles,
        ..Mesh::default()
    };
    small.normals = normals(&small);
    small
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DensityGrid, extract};

    /// A ball with a rod: something thin and something round.
    fn lollipop() -> Mesh {
        let distance = |p: &[f32; 3]| {
            let ball = (p[0] * p[0] + p[1] * p[1] + (p[2] - 0.4).powi(2)).sqrt() - 0.35;
            let rod = (p[0].hypot(p[1]) - 0.05).max((p[2] + 0.35).abs() - 0.45);
            ball.min(rod)
        };
        let density = |p: &[f32; 3]| (0.5 - distance(p)).max(0.0);
        let grid = DensityGrid::sample(64, |points| points.iter().map(density).collect());
        extract(&grid, 0.5).unwrap()
    }

    #[test]
    fn a_tenth_of_the_triangles_looks_the_same_and_is_closed() {
        let mesh = lollipop();
        let faces = mesh.triangles.len() / 10;
        let small = simplified(&mesh, faces, &Camera::ring(8, 0.3));
        assert!(
            small.mesh.triangles.len() <= faces,
            "{}",
            small.mesh.triangles.len()
        );
        let topology = Topology::of(&small.mesh);
        assert!(
            topology.is_closed_manifold() && topology.euler_characteristic == 2,
            "{topology:?}"
        );
        let part = topology.volume / Topology::of(&mesh).volume;
        assert!((part - 1.0).abs() < 0.01, "{part} of the volume");
        assert!(small.iou > LEAST_IOU && small.self_intersections == 0);
        assert_eq!(small.mesh.normals.len(), small.mesh.positions.len());
    }

    #[test]
    fn a_budget_that_is_too_small_grows() {
        let mesh = lollipop();
        let small = simplified(&mesh, 16, &Camera::ring(8, 0.3));
        assert!(
            small.faces > 16 && small.iou >= LEAST_IOU,
            "{} {}",
            small.faces,
            small.iou
        );
        assert!(Topology::of(&small.mesh).is_closed_manifold());
    }

    #[test]
    fn a_mesh_within_its_budget_is_left_alone() {
        let mesh = lollipop();
        let same = simplified(&mesh, mesh.triangles.len(), &Camera::ring(2, 0.3));
        assert_eq!(same.mesh, mesh);
    }
}
