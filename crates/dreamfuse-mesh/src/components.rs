//! Parts of a mesh that hang together.

use crate::Mesh;

/// Keeps the components whose area is at least `part` of the largest one's; floaters go.
pub fn keep_largest(mesh: &Mesh, part: f32) -> Mesh {
    let mut parents: Vec<u32> = (0..mesh.positions.len() as u32).collect();
    for [a, b, c] in &mesh.triangles {
        join(&mut parents, *a, *b);
        join(&mut parents, *b, *c);
    }
    let mut areas = vec![0.0f32; mesh.positions.len()];
    for triangle in &mesh.triangles {
        let root = find(&mut parents, triangle[0]);
        areas[root as usize] += area(mesh, triangle);
    }
    let least = part * areas.iter().copied().fold(0.0, f32::max);
    let is_kept: Vec<bool> = (0..mesh.positions.len() as u32)
        .map(|v| areas[find(&mut parents, v) as usize] >= least)
        .collect();
    filter(mesh, &is_kept)
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

fn area(mesh: &Mesh, [a, b, c]: &[u32; 3]) -> f32 {
    let at = |vertex: &u32| dreamfuse_core::Vec3::from(mesh.positions[*vertex as usize]);
    0.5 * (at(b) - at(a)).cross(&(at(c) - at(a))).norm()
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
        let kept = keep_largest(&mesh, 0.1);
        let topology = Topology::of(&kept);
        assert_eq!(topology.euler_characteristic, 4);
        assert!(topology.is_closed_manifold());
        assert_eq!(
            (kept.normals.len(), kept.colors.len()),
            (kept.positions.len(), 0)
        );
    }
}
