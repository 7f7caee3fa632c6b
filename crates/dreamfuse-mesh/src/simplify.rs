//! Fewer triangles, by collapsing edges (meshoptimizer's quadric error), as far as the surface stays what it was.

use crate::components::keep_solid;
use crate::intersect::{faulty_vertices, self_intersections};
use crate::silhouette::silhouette_iou;
use crate::smooth::normals;
use crate::{Mesh, Topology};
use dreamfuse_core::Camera;
use meshopt::{SimplifyOptions, simplify_with_locks_decoder};
use std::collections::HashSet;

/// What a simplified mesh's silhouettes have in common with those of the mesh before, at least.
const LEAST_IOU: f32 = 0.99;

/// A budget that was too small for the surface grows by this factor.
const GROWTH: f32 = 1.5;

/// Times that a collapse which joined sheets is done again around them.
const MOST_REPAIRS: usize = 8;

/// Components below this part of the largest one's volume are splinters.
const LEAST_COMPONENT: f32 = 0.002;

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
            // What became of something thin may be a splinter that floats.
            let candidate = keep_solid(&candidate, LEAST_COMPONENT);
            let self_intersections = self_intersections(&candidate);
            let iou = silhouette_iou(&candidate, mesh, cameras);
            if self_intersections <= before && iou >= LEAST_IOU {
                return Simplified {
                    faces: budget.max(candidate.triangles.len()),
                    mesh: candidate,
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
    let kept = collapse(mesh, faces, options);
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
    let triangles = kept
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

/// Triangles between vertices of the mesh. meshoptimizer does not look whether a collapse joins two sheets of a surface or pulls
/// one through the other; where it did, the surroundings are kept as they were, and the rest is collapsed again.
fn collapse(mesh: &Mesh, faces: usize, options: SimplifyOptions) -> Vec<[u32; 3]> {
    let mut is_kept = vec![false; mesh.positions.len()];
    let indices = mesh.triangles.as_flattened();
    let mut small = mesh.clone();
    for _ in 0..=MOST_REPAIRS {
        let kept = simplify_with_locks_decoder(
            indices,
            &mesh.positions,
            &is_kept,
            3 * faces,
            MOST_ERROR,
            options,
            None,
        );
        small.triangles = kept.as_chunks::<3>().0.to_vec();
        let mut bad = Topology::bad_vertices(&small.triangles);
        bad.extend(faulty_vertices(&small));
        if bad.is_empty() {
            break;
        }
        grow(&mut bad, mesh);
        if bad.iter().all(|vertex| is_kept[*vertex as usize]) {
            break; // the mesh itself is so
        }
        bad.iter()
            .for_each(|vertex| is_kept[*vertex as usize] = true);
    }
    small.triangles
}

/// Adds the neighbours of vertices.
pub fn grow(vertices: &mut HashSet<u32>, mesh: &Mesh) {
    let touch = |corners: &&[u32; 3]| corners.iter().any(|corner| vertices.contains(corner));
    let near: Vec<u32> = mesh
        .triangles
        .iter()
        .filter(touch)
        .flatten()
        .copied()
        .collect();
    vertices.extend(near);
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

    /// Waves that leave sheets, holes and bridges a cell or two apart, as a field of few steps does.
    fn sponge() -> Mesh {
        let wave = |p: &[f32; 3]| {
            let swirl = (31.0 * p[0] + 7.0 * p[1]).sin() + (29.0 * p[1] - 11.0 * p[2]).sin();
            swirl + (23.0 * p[2] + 13.0 * p[0]).sin()
        };
        let ball = |p: &[f32; 3]| 0.8 - (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]).sqrt();
        let density = |p: &[f32; 3]| wave(p).min(20.0 * ball(p)).max(0.0);
        let grid = DensityGrid::sample(64, |points| points.iter().map(density).collect());
        extract(&grid, 0.3).unwrap()
    }

    #[test]
    fn sheets_that_a_collapse_joined_are_taken_apart() {
        let mesh = sponge();
        let indices = mesh.triangles.as_flattened();
        let budget = mesh.triangles.len() / 8;
        let options = SimplifyOptions::RegularizeLight;
        let joined = meshopt::simplify_decoder(
            indices,
            &mesh.positions,
            3 * budget,
            MOST_ERROR,
            options,
            None,
        );
        let joined = Topology::bad_vertices(joined.as_chunks().0);
        assert!(!joined.is_empty(), "the surface is too easy for the test");
        let small = collapsed(&mesh, budget, options);
        assert!(Topology::of(&small).is_closed_manifold());
        assert!(small.triangles.len() < 2 * budget);
    }

    #[test]
    fn splinters_that_float_are_dropped() {
        let mut mesh = lollipop();
        // A tetrahedron of a thousandth of the size, beside it.
        let first = mesh.positions.len() as u32;
        let corner = [0.7, 0.7, 0.7];
        let at = |axis: usize| std::array::from_fn(|i| corner[i] + 0.002 * f32::from(i == axis));
        mesh.positions.extend([corner, at(0), at(1), at(2)]);
        mesh.normals.extend([[0.0, 0.0, 1.0]; 4]);
        let faces = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]];
        mesh.triangles
            .extend(faces.map(|corners: [u32; 3]| corners.map(|corner| first + corner)));
        let small = simplified(&mesh, mesh.triangles.len() / 4, &Camera::ring(8, 0.3));
        let topology = Topology::of(&small.mesh);
        assert!(topology.is_closed_manifold() && topology.euler_characteristic == 2);
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
