//! A mesh whose vertices were moved, without triangles that cross.

use crate::Mesh;
use crate::intersect::faulty_vertices;
use crate::smooth::normals;
use dreamfuse_core::Vec3;
use std::collections::HashSet;

/// Times that moves around crossing triangles are made smaller, before the mesh is left as it was.
const TRIES: usize = 16;
/// Tries that halve moves; later ones undo them.
const HALVINGS: usize = 8;

/// The mesh with its vertices at `places` and normals of its own. Around triangles that would cross, vertices move less; what
/// crosses in the mesh stays where it is. Places that are not finite leave the mesh as it was.
///
/// # Panics
/// When there are not as many places as vertices.
pub fn moved(mesh: &Mesh, places: &[[f32; 3]]) -> Mesh {
    assert_eq!(
        mesh.positions.len(),
        places.len(),
        "a place for each vertex"
    );
    if !places.as_flattened().iter().all(|v| v.is_finite()) {
        return mesh.clone();
    }
    let before = faulty_vertices(mesh);
    let mut shares = vec![1.0f32; places.len()];
    for vertex in around(mesh, &before) {
        shares[vertex as usize] = 0.0;
    }
    for attempt in 0..TRIES {
        let ends = mesh.positions.iter().zip(places).zip(&shares);
        let between = ends.map(|((from, to), share)| {
            let from = Vec3::from(*from);
            (from + *share * (Vec3::from(*to) - from)).into()
        });
        let mut moved = Mesh {
            positions: between.collect(),
            ..mesh.clone()
        };
        let faulty = faulty_vertices(&moved);
        if faulty.is_subset(&before) {
            moved.normals = normals(&moved);
            return moved;
        }
        let new: HashSet<u32> = faulty.difference(&before).copied().collect();
        for vertex in around(&moved, &new) {
            let share = &mut shares[vertex as usize];
            *share = if attempt < HALVINGS {
                0.5 * *share
            } else {
                0.0
            };
        }
    }
    mesh.clone()
}

/// The mesh with other positions, and normals of its own.
pub fn with_positions(mesh: &Mesh, positions: Vec<[f32; 3]>) -> Mesh {
    let mut mesh = Mesh {
        positions,
        ..mesh.clone()
    };
    mesh.normals = normals(&mesh);
    mesh
}

/// The vertices, and those of their triangles.
fn around(mesh: &Mesh, vertices: &HashSet<u32>) -> HashSet<u32> {
    let near = mesh.triangles.iter();
    let near = near.filter(|triangle| triangle.iter().any(|vertex| vertices.contains(vertex)));
    near.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DensityGrid, extract, self_intersections};

    fn ball() -> Mesh {
        let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
        let density = |p: &[f32; 3]| (1.0 - distance(p)).max(0.0);
        let grid = DensityGrid::sample(16, |points| points.iter().map(density).collect());
        extract(&grid, 0.5).unwrap()
    }

    #[test]
    fn sound_moves_are_made_and_others_only_as_far_as_nothing_crosses() {
        let ball = ball();
        let larger: Vec<[f32; 3]> = ball.positions.iter().map(|p| p.map(|v| 1.2 * v)).collect();
        assert_eq!(moved(&ball, &larger).positions, larger);
        // One vertex through the other side.
        let mut through = larger;
        through[0] = ball.positions[0].map(|v| -2.0 * v);
        let spiked = Mesh {
            positions: through.clone(),
            ..ball.clone()
        };
        assert!(self_intersections(&spiked) > 0);
        let sound = moved(&ball, &through);
        assert_eq!(self_intersections(&sound), 0);
        assert!(sound.positions != ball.positions);
        // What crosses already is left alone, and the rest moves all the same.
        let away: Vec<[f32; 3]> = through.iter().map(|p| p.map(|v| 1.01 * v)).collect();
        let still = moved(&spiked, &away);
        assert_eq!(still.positions[0], through[0]);
        let others = still.positions.iter().zip(&through).filter(|(a, b)| a != b);
        assert!(others.count() > 10 && self_intersections(&still) <= self_intersections(&spiked));
        through[1][2] = f32::NAN;
        assert_eq!(moved(&ball, &through).positions, ball.positions);
    }
}
