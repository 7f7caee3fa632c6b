//! Parts of a mesh that hang together.

use crate::Mesh;
use std::collections::HashSet;

/// Keeps the parts that are solid: components whose volume is at least `part` of the largest one's. Floaters go, and so do
/// cavities, whose surfaces enclose a negative volume: nobody sees them, and a printer would leave them hollow.
pub fn keep_solid(mesh: &Mesh, part: f32) -> Mesh {
    let roots = roots(mesh);
    let mut volumes = vec![0.0f64; mesh.positions.len()];
    for triangle in &mesh.triangles {
        volumes[roots[triangle[0] as usize] as usize] += volume(mesh, triangle);
    }
    let least = f64::from(part) * volumes.iter().copied().fold(0.0, f64::max);
    let is_kept: Vec<bool> = roots
        .iter()
        .map(|root| volumes[*root as usize] >= least)
        .collect();
    filter(mesh, &is_kept)
}

/// Parts that hang together.
pub(crate) fn count(mesh: &Mesh) -> usize {
    let roots = roots(mesh);
    let firsts = mesh.triangles.iter().map(|triangle| triangle[0]);
    let found: HashSet<u32> = firsts.map(|vertex| roots[vertex as usize]).collect();
    found.len()
}

/// For each vertex, the first one of its part.
fn roots(mesh: &Mesh) -> Vec<u32> {
    let mut parents: Vec<u32> = (0..mesh.positions.len() as u32).collect();
    for [a, b, c] in &mesh.triangles {
        join(&mut parents, *a, *b);
        join(&mut parents, *b, *c);
    }
    (0..mesh.positions.len() as u32)
        .map(|vertex| find(&mut parents, vertex))
        .collect()
}

fn find(parents: &mut [u32], vertex: u32) -> u32 {
    let mut root = vertex;
    while parents[root as usize] != root {
        let above = parents[parents[root as usize] as usize];
        parents[root as usize] = above;
        root = above;
    }
    root
}

fn join(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (find(parents, a), find(parents, b));
    // The lower number is the root, so that the result does not depend on the order of joins.
    parents[a.max(b) as usize] = a.min(b);
}

/// Of the tetrahedron that a triangle makes with the origin, with its sign.
fn volume(mesh: &Mesh, triangle: &[u32; 3]) -> f64 {
    let [a, b, c] = mesh.corners(triangle).map(|corner| corner.cast::<f64>());
    a.dot(&b.cross(&c)) / 6.0
}

/// The mesh of the vertices that are kept; a triangle's vertices are kept together.
fn filter(mesh: &Mesh, is_kept: &[bool]) -> Mesh {
    let mut numbers = vec![0u32; is_kept.len()];
    for (new, (number, _)) in (0..).zip(numbers.iter_mut().zip(is_kept).filter(|(_, kept)| **kept))
    {
        *number = new;
    }
    let pick = |values: &[[f32; 3]]| {
        values
            .iter()
            .zip(is_kept)
            .filter(|(_, kept)| **kept)
            .map(|(value, _)| *value)
            .collect()
    };
    let triangles = mesh
        .triangles
        .iter()
        .filter(|triangle| is_kept[triangle[0] as usize]);
    Mesh {
        positions: pick(&mesh.positions),
        normals: pick(&mesh.normals),
        colors: pick(&mesh.colors),
        triangles: triangles
            .map(|triangle| triangle.map(|vertex| numbers[vertex as usize]))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DensityGrid, Topology, extract};

    #[test]
    fn a_floater_goes_and_two_things_stay() {
        let blob = |p: &[f32; 3], x: f32, r: f32| {
            r - ((p[0] - x).powi(2) + p[1] * p[1] + p[2] * p[2]).sqrt()
        };
        let density = |p: &[f32; 3]| {
            (1.0 + blob(p, -0.5, 0.3)
                .max(blob(p, 0.4, 0.25))
                .max(blob(p, 0.85, 0.06)))
            .max(0.0)
        };
        let grid = DensityGrid::sample(48, |points| points.iter().map(density).collect());
        let mesh = extract(&grid, 1.0).unwrap();
        assert_eq!(Topology::of(&mesh).euler_characteristic, 6);
        let kept = keep_solid(&mesh, 0.1);
        let topology = Topology::of(&kept);
        assert_eq!(topology.euler_characteristic, 4);
        assert!(topology.is_closed_manifold());
        assert_eq!(
            (kept.normals.len(), kept.colors.len()),
            (kept.positions.len(), 0)
        );
    }

    #[test]
    fn a_hollow_ball_becomes_solid() {
        let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
        let shell = |p: &[f32; 3]| (1.0 - (distance(p) - 0.5).abs()).max(0.0);
        let grid = DensityGrid::sample(48, |points| points.iter().map(shell).collect());
        let hollow = extract(&grid, 0.85).unwrap();
        assert_eq!(Topology::of(&hollow).euler_characteristic, 4);
        let solid = Topology::of(&keep_solid(&hollow, 0.01));
        assert_eq!(solid.euler_characteristic, 2);
        let expected = 4.0 / 3.0 * std::f32::consts::PI * 0.65f32.powi(3);
        assert!(
            (solid.volume / expected - 1.0).abs() < 0.02,
            "{}",
            solid.volume
        );
    }
}
