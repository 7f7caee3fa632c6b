//! The level set as triangles, by marching tetrahedra: each cube of the grid is cut into six
//! tetrahedra around its diagonal (Kuhn), the same way everywhere, so that neighbours agree and no case
//! is ambiguous. The surface is a closed manifold.

use crate::grid::DensityGrid;
use crate::smooth::normals;
use crate::{Mesh, MeshError};
use dreamfuse_core::Vec3;
use std::collections::HashMap;

/// Corners of the cube's six tetrahedra: bit masks of the steps along x, y and z from the first corner.
const TETRAHEDRA: [[usize; 4]; 6] = [
    [0, 1, 3, 7],
    [0, 1, 5, 7],
    [0, 2, 3, 7],
    [0, 2, 6, 7],
    [0, 4, 5, 7],
    [0, 4, 6, 7],
];

/// A crossing keeps this far from an edge's ends: no triangle degenerates where the density meets the
/// threshold at a grid point.
const MARGIN: f32 = 0.05;

/// The surface where a grid's density crosses `iso`, denser inside; without colours.
///
/// # Errors
/// When nothing is denser than `iso`.
pub fn extract(grid: &DensityGrid, iso: f32) -> Result<Mesh, MeshError> {
    let area = (grid.cells + 1).pow(2);
    let layer = |z: usize| grid.values[z * area..(z + 1) * area].to_vec();
    extract_layers(grid.cells, iso, layer)
}

/// The same of a field that is sampled layer by layer: `layer(z)` has the `(cells + 1)²` densities of a layer, x fastest.
/// The outermost points of the box count as empty, so that surfaces close. Two layers are held at a time.
///
/// # Errors
/// When nothing is denser than `iso`.
pub fn extract_layers(
    cells: usize,
    iso: f32,
    mut layer: impl FnMut(usize) -> Vec<f32>,
) -> Result<Mesh, MeshError> {
    let mut closed = |z: usize| {
        let mut values = layer(z);
        close(&mut values, cells, z);
        values
    };
    let mut builder = Builder {
        cells,
        iso,
        first_layer: 0,
        layers: [closed(0), Vec::new()],
        vertices: HashMap::new(),
        mesh: Mesh::default(),
    };
    for z in 0..cells {
        builder.layers[1] = closed(z + 1);
        builder.first_layer = z;
        for y in 0..cells {
            for x in 0..cells {
                builder.cube([x, y, z]);
            }
        }
        builder.forget_layer();
    }
    let mut mesh = builder.mesh;
    if mesh.triangles.is_empty() {
        return Err(MeshError::Empty);
    }
    mesh.normals = normals(&mesh);
    Ok(mesh)
}

/// Makes the box's outermost points, and those whose density is not finite, empty.
fn close(values: &mut [f32], cells: usize, z: usize) {
    let side = cells + 1;
    for (i, value) in values.iter_mut().enumerate() {
        let is_outer = [i % side, i / side, z]
            .iter()
            .any(|c| *c == 0 || *c == cells);
        if is_outer || !value.is_finite() {
            *value = 0.0;
        }
    }
}

struct Builder {
    cells: usize,
    iso: f32,
    /// The z of the first of two layers.
    first_layer: usize,
    layers: [Vec<f32>; 2],
    /// Vertices by the two grid points of their edge, the lower number first.
    vertices: HashMap<(usize, usize), u32>,
    mesh: Mesh,
}

impl Builder {
    fn area(&self) -> usize {
        (self.cells + 1).pow(2)
    }

    fn value(&self, point: usize) -> f32 {
        let local = point - self.first_layer * self.area();
        self.layers[local / self.area()][local % self.area()]
    }

    fn point(&self, point: usize) -> [f32; 3] {
        DensityGrid::point_of(self.cells, point)
    }

    fn is_inside(&self, point: usize) -> bool {
        self.value(point) >= self.iso
    }

    /// The second layer becomes the first one; edges that begin below it are not met again.
    fn forget_layer(&mut self) {
        self.layers.swap(0, 1);
        let first = (self.first_layer + 1) * self.area();
        self.vertices.retain(|(low, _), _| *low >= first);
    }

    fn cube(&mut self, [x, y, z]: [usize; 3]) {
        let side = self.cells + 1;
        let first = x + side * (y + side * z);
        let points: [usize; 8] =
            std::array::from_fn(|c| first + (c & 1) + side * ((c >> 1 & 1) + side * (c >> 2 & 1)));
        let inside = points
            .iter()
            .filter(|point| self.is_inside(**point))
            .count();
        if inside == 0 || inside == 8 {
            return;
        }
        for corners in TETRAHEDRA {
            self.tetrahedron(corners.map(|corner| points[corner]));
        }
    }

    fn tetrahedron(&mut self, points: [usize; 4]) {
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            points.into_iter().partition(|point| self.is_inside(*point));
        match (&inside[..], &outside[..]) {
            ([a], [b, c, d]) => {
                let corners = [
                    self.vertex(*a, *b),
                    self.vertex(*a, *c),
                    self.vertex(*a, *d),
                ];
                self.triangle(corners, &inside, &outside);
            }
            ([a, b, c], [d]) => {
                let corners = [
                    self.vertex(*a, *d),
                    self.vertex(*b, *d),
                    self.vertex(*c, *d),
                ];
                self.triangle(corners, &inside, &outside);
            }
            ([a, b], [c, d]) => {
                let ring = [
                    self.vertex(*a, *c),
                    self.vertex(*a, *d),
                    self.vertex(*b, *d),
                    self.vertex(*b, *c),
                ];
                self.triangle([ring[0], ring[1], ring[2]], &inside, &outside);
                self.triangle([ring[0], ring[2], ring[3]], &inside, &outside);
            }
            _ => {}
        }
    }

    /// The vertex on the edge between a point inside and one outside.
    fn vertex(&mut self, inside: usize, outside: usize) -> u32 {
        let key = (inside.min(outside), inside.max(outside));
        if let Some(vertex) = self.vertices.get(&key) {
            return *vertex;
        }
        let (a, b) = (self.value(inside), self.value(outside));
        let part = ((a - self.iso) / (a - b)).clamp(MARGIN, 1.0 - MARGIN);
        let (from, to) = (self.point(inside), self.point(outside));
        let vertex = self.mesh.positions.len() as u32;
        self.mesh
            .positions
            .push(std::array::from_fn(|i| from[i] + part * (to[i] - from[i])));
        self.vertices.insert(key, vertex);
        vertex
    }

    /// Pushes a triangle, turned so that it is counter-clockwise from outside.
    fn triangle(&mut self, [a, b, c]: [u32; 3], inside: &[usize], outside: &[usize]) {
        let middle = |points: &[usize]| {
            points
                .iter()
                .map(|point| Vec3::from(self.point(*point)))
                .sum::<Vec3>()
                / points.len() as f32
        };
        let at = |vertex: u32| Vec3::from(self.mesh.positions[vertex as usize]);
        let normal = (at(b) - at(a)).cross(&(at(c) - at(a)));
        let is_outward = normal.dot(&(middle(outside) - middle(inside))) > 0.0;
        self.mesh
            .triangles
            .push(if is_outward { [a, b, c] } else { [a, c, b] });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topology;

    fn sphere(cells: usize, radius: f32) -> DensityGrid {
        let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
        DensityGrid::sample(cells, |points| {
            points
                .iter()
                .map(|p| (2.0 * radius - distance(p)).max(0.0))
                .collect()
        })
    }

    #[test]
    fn a_sphere_is_closed_round_and_outward() {
        let mesh = extract(&sphere(24, 0.6), 0.6).unwrap();
        let topology = Topology::of(&mesh);
        assert!(topology.is_closed_manifold(), "{topology:?}");
        assert_eq!(topology.euler_characteristic, 2);
        for (p, n) in mesh.positions.iter().zip(&mesh.normals) {
            let (p, n) = (Vec3::from(*p), Vec3::from(*n));
            assert!((p.norm() - 0.6).abs() < 0.02);
            assert!(p.normalize().dot(&n) > 0.98);
        }
        let right = 4.0 / 3.0 * std::f32::consts::PI * 0.6f32.powi(3);
        assert!(
            (topology.volume / right - 1.0).abs() < 0.03,
            "volume {} for {right}",
            topology.volume
        );
    }

    #[test]
    fn random_fields_give_closed_manifolds() {
        let noise = |i: usize, seed: u64| {
            let x = (i as u64 + 1)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .wrapping_add(seed)
                .wrapping_mul(0xBF58_476D_1CE4_E5B9);
            (x >> 40) as f32 / (1u64 << 24) as f32
        };
        for seed in 0..20 {
            let grid = DensityGrid::sample(9, |points| {
                (0..points.len()).map(|i| noise(i, seed)).collect()
            });
            let topology = Topology::of(&extract(&grid, 0.5).unwrap());
            assert!(topology.is_closed_manifold(), "seed {seed}: {topology:?}");
        }
    }

    #[test]
    fn scenes_that_touch_the_box_are_closed_and_empty_ones_are_an_error() {
        let full = DensityGrid::sample(8, |points| vec![1.0; points.len()]);
        assert!(Topology::of(&extract(&full, 0.5).unwrap()).is_closed_manifold());
        assert!(matches!(extract(&full, 2.0), Err(MeshError::Empty)));
    }
}
