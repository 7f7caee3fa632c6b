//! A smooth surface: what a field of small cells leaves on it is not part of the thing.

use crate::Mesh;
use dreamfuse_core::Vec3;
use std::collections::HashSet;

/// How far a vertex moves towards the mean of its neighbours, and in the next pass away from it: bumps of a few edges go,
/// and the volume stays (Taubin 1995, section 5: the pass band ends at 1 / 0.63 − 1 / 0.65 = 0.05).
const PASSES: [f32; 2] = [0.63, -0.65];

/// A closed surface after so many double passes of Taubin's filter, with normals of its own. Vertices that are `kept` stay.
pub fn smoothed(mut mesh: Mesh, count: usize, kept: &HashSet<u32>) -> Mesh {
    for part in PASSES.repeat(count) {
        let (mut sums, mut counts) = (
            vec![Vec3::zeros(); mesh.positions.len()],
            vec![0.0f32; mesh.positions.len()],
        );
        for [a, b, c] in &mesh.triangles {
            // Each edge of a closed surface is met once in either direction.
            for (from, to) in [(a, b), (b, c), (c, a)] {
                sums[*from as usize] += Vec3::from(mesh.positions[*to as usize]);
                counts[*from as usize] += 1.0;
            }
        }
        let vertices = mesh.positions.iter_mut().zip(sums).zip(counts);
        for (vertex, ((position, sum), count)) in (0..).zip(vertices) {
            if kept.contains(&vertex) {
                continue;
            }
            let own = Vec3::from(*position);
            *position = (own + part * (sum / count.max(1.0) - own)).into();
        }
    }
    mesh.normals = normals(&mesh);
    mesh
}

/// The mean of the normals of a vertex's triangles, weighted by area.
pub(crate) fn normals(mesh: &Mesh) -> Vec<[f32; 3]> {
    let mut sums = vec![Vec3::zeros(); mesh.positions.len()];
    for triangle in &mesh.triangles {
        let [a, b, c] = mesh.corners(triangle);
        let normal = (b - a).cross(&(c - a));
        for vertex in triangle {
            sums[*vertex as usize] += normal;
        }
    }
    sums.into_iter()
        .map(|sum| sum.try_normalize(1e-20).unwrap_or_else(Vec3::z).into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DensityGrid, Topology, extract};

    #[test]
    fn bumps_go_and_the_volume_stays() {
        let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
        let bump = |p: &[f32; 3]| 0.01 * p.iter().map(|v| (90.0 * v).sin()).product::<f32>();
        let density = |p: &[f32; 3]| (1.2 - distance(p) + bump(p)).max(0.0);
        let grid = DensityGrid::sample(96, |points| points.iter().map(density).collect());
        let rough = extract(&grid, 0.6).unwrap();
        let smooth = smoothed(rough.clone(), 50, &HashSet::new());
        let roughness = |mesh: &Mesh| {
            let square = |p: &[f32; 3]| (distance(p) - 0.6).powi(2);
            (mesh.positions.iter().map(square).sum::<f32>() / mesh.positions.len() as f32).sqrt()
        };
        let (before, after) = (roughness(&rough), roughness(&smooth));
        assert!(after < 0.4 * before, "{before} {after}");
        let (rough, smooth_topology) = (Topology::of(&rough), Topology::of(&smooth));
        assert!(smooth_topology.is_closed_manifold());
        assert!(
            (smooth_topology.volume / rough.volume - 1.0).abs() < 0.01,
            "{smooth_topology:?}"
        );
        let outward = smooth
            .positions
            .iter()
            .zip(&smooth.normals)
            .map(|(p, n)| Vec3::from(*p).dot(&Vec3::from(*n)));
        let least = outward
            .zip(&smooth.positions)
            .map(|(dot, p)| dot / distance(p))
            .fold(1.0, f32::min);
        assert!(least > 0.9, "{least}");
    }

    /// What is lost of a rod as thin as an easel's legs, as many passes as an export makes.
    #[test]
    fn a_thin_rod_is_kept() {
        let across = |p: &[f32; 3]| (p[0].hypot(p[1]) - 0.03).max(p[2].abs() - 0.5);
        let grid = DensityGrid::sample(96, |points| {
            points.iter().map(|p| (0.1 - across(p)).max(0.0)).collect()
        });
        let rod = extract(&grid, 0.1).unwrap();
        let smooth = Topology::of(&smoothed(rod.clone(), 50, &HashSet::new()));
        let part = smooth.volume / Topology::of(&rod).volume;
        assert!(
            smooth.is_closed_manifold() && (0.8..1.2).contains(&part),
            "{part} of the volume"
        );
    }
}
