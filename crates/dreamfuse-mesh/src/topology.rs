//! Checks of a mesh.

use crate::Mesh;
use dreamfuse_core::Vec3;
use std::collections::{HashMap, HashSet};

/// What can be counted on a mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Edges with one triangle.
    pub boundary_edges: usize,
    /// Edges with more than two triangles, or two that run the same way.
    pub bad_edges: usize,
    /// Triangles with two equal corners.
    pub degenerate_triangles: usize,
    /// Vertices − edges + triangles: 2 for each closed part without handles.
    pub euler_characteristic: i64,
    /// Enclosed volume; negative where the surface is inside out.
    pub volume: f32,
}

impl Topology {
    /// Counts.
    pub fn of(mesh: &Mesh) -> Self {
        let edges = edges(&mesh.triangles);
        let (mut degenerate_triangles, mut volume) = (0, 0.0f64);
        // From a corner of the mesh, so that nothing is lost far from the origin.
        let first = mesh.positions.first().copied().unwrap_or_default();
        let first = Vec3::from(first).cast::<f64>();
        for [a, b, c] in &mesh.triangles {
            degenerate_triangles += usize::from(a == b || b == c || c == a);
            let at =
                |vertex: &u32| Vec3::from(mesh.positions[*vertex as usize]).cast::<f64>() - first;
            volume += at(a).dot(&at(b).cross(&at(c))) / 6.0;
        }
        let boundary_edges = edges
            .values()
            .filter(|[forth, back]| forth + back == 1)
            .count();
        let good_edges = edges.values().filter(|count| **count == [1, 1]).count();
        Self {
            boundary_edges,
            bad_edges: edges.len() - good_edges - boundary_edges,
            degenerate_triangles,
            euler_characteristic: mesh.positions.len() as i64 - edges.len() as i64
                + mesh.triangles.len() as i64,
            volume: volume as f32,
        }
    }

    /// Vertices of edges that are not those of a closed surface.
    pub(crate) fn bad_vertices(triangles: &[[u32; 3]]) -> HashSet<u32> {
        let edges = edges(triangles).into_iter();
        let bad = edges.filter(|(_, count)| *count != [1, 1]);
        bad.flat_map(|((a, b), _)| [a, b]).collect()
    }

    /// Every edge has exactly two triangles, which run opposite ways along it.
    pub fn is_closed_manifold(&self) -> bool {
        self.boundary_edges == 0 && self.bad_edges == 0 && self.degenerate_triangles == 0
    }
}

/// For each edge, lower vertex first: triangles that run along it forth and back.
fn edges(triangles: &[[u32; 3]]) -> HashMap<(u32, u32), [usize; 2]> {
    let mut edges: HashMap<(u32, u32), [usize; 2]> = HashMap::new();
    for [a, b, c] in triangles {
        for (from, to) in [(a, b), (b, c), (c, a)] {
            let counts = edges.entry((*from.min(to), *from.max(to))).or_default();
            counts[usize::from(from > to)] += 1;
        }
    }
    edges
}
