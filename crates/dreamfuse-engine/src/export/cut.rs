//! From a volume to its surface.

use crate::EngineError;
use crate::snapshot::Snapshot;
use dreamfuse_core::{Camera, Vec3};
use dreamfuse_mesh::{
    DensityGrid, Mesh, Silhouette, Threshold, Topology, choose_iso, coarsened, extract_layers,
    faulty_vertices, grow, keep_solid, pores, smoothed,
};
use dreamfuse_scene::ViewSettings;
use std::collections::HashSet;

/// Cells of the grid by which the threshold is chosen, and by which it is known where the surface is not.
const COARSE_CELLS: usize = 96;

/// Components below this part of the largest one's volume are floaters.
const LEAST_COMPONENT: f32 = 0.005;

/// Triangles that are smoothed: their edges are about as long as cells of the coarse grid.
const WORKING_FACES: usize = 120_000;

/// Double passes of smoothing, under which bumps shorter than about five edges go: those of the hash grid's finest cells too.
const SMOOTHING: usize = 50;

/// Density within the solid, in units of the threshold: half of it is on the surface.
const FULL: f32 = 2.0;

/// Times that smoothing is tried again with fewer vertices, and the rings of neighbours that stay with a vertex.
const MOST_REPAIRS: usize = 6;
const SURROUNDINGS: usize = 3;

/// A surface that was cut from a volume, closed and smooth.
pub struct Surface {
    pub mesh: Mesh,
    /// The density at which it was cut: the best one for all parts together.
    pub iso: f32,
    /// The density at which it was cut at each place.
    pub threshold: Threshold,
}

/// Cuts a volume on a grid of `cells³`.
///
/// # Errors
/// When the scene is empty.
pub fn cut_surface(snapshot: &Snapshot, cells: usize) -> Result<Surface, EngineError> {
    let coarse = DensityGrid::sample(cells.min(COARSE_CELLS), |points| snapshot.densities(points));
    let silhouettes = silhouettes(snapshot);
    let (iso, _) = choose_iso(&coarse, &silhouettes);
    let threshold = Threshold::of(&coarse, &silhouettes, iso);
    // In units of the threshold, so that the surface lies at one.
    let mut coarse = coarse.divided_by(|point| threshold.at(point));
    let full = pores(&coarse, 1.0);
    for (value, full) in coarse.values.iter_mut().zip(&full.values) {
        *value = value.max(FULL * full);
    }
    let fine = Fine {
        snapshot,
        threshold: &threshold,
        coarse: &coarse,
        full: &full,
        near: coarse.near_surface(1.0),
        cells,
    };
    let rough = keep_solid(
        &extract_layers(cells, 1.0, |z| fine.layer(z))?,
        LEAST_COMPONENT,
    );
    Ok(Surface {
        mesh: smoothed_without_crossings(&working(&rough)),
        iso,
        threshold,
    })
}

/// The surface with fewer triangles, as many as it takes for it to stay closed.
fn working(rough: &Mesh) -> Mesh {
    let mut faces = WORKING_FACES;
    while faces < rough.triangles.len() {
        let mesh = coarsened(rough, faces);
        if Topology::of(&mesh).is_closed_manifold() {
            return mesh;
        }
        faces *= 2;
    }
    rough.clone()
}

/// Smoothing may pull thin parts through each other: there the surface is kept as it was cut.
fn smoothed_without_crossings(mesh: &Mesh) -> Mesh {
    let (mut kept, before) = (HashSet::new(), faulty_vertices(mesh));
    // Where that does not do, there are fewer passes, too.
    let passes = std::iter::repeat_n(SMOOTHING, MOST_REPAIRS).chain([SMOOTHING / 2, SMOOTHING / 4]);
    for passes in passes {
        let smooth = smoothed(mesh.clone(), passes, &kept);
        let mut faulty = faulty_vertices(&smooth);
        if faulty.is_subset(&before) {
            return smooth;
        }
        for _ in 0..SURROUNDINGS {
            grow(&mut faulty, mesh);
        }
        kept.extend(faulty);
    }
    smoothed(mesh.clone(), 0, &kept)
}

/// The grid that the surface is cut from, in units of the threshold. Only near the surface is the field asked; elsewhere the coarse
/// grid, which agrees with it on which side a point is.
struct Fine<'a> {
    snapshot: &'a Snapshot,
    threshold: &'a Threshold,
    coarse: &'a DensityGrid,
    /// Where the solid is full, whatever the field says.
    full: &'a DensityGrid,
    near: Vec<bool>,
    cells: usize,
}

impl Fine<'_> {
    /// Densities of a layer.
    fn layer(&self, z: usize) -> Vec<f32> {
        let side = self.cells + 1;
        if self.cells == self.coarse.cells {
            return self.coarse.values[z * side * side..(z + 1) * side * side].to_vec();
        }
        let mut values = vec![0.0; side * side];
        let (mut asked, mut points) = (Vec::new(), Vec::new());
        for (i, value) in values.iter_mut().enumerate() {
            let point = [i % side, i / side, z].map(|c| 2.0 * c as f32 / self.cells as f32 - 1.0);
            if self.near[self.coarse.cell_of(point)] {
                asked.push(i);
                points.push(point);
            } else {
                *value = self.coarse.at(Vec3::from(point));
            }
        }
        let densities = self.snapshot.densities(&points);
        for ((i, point), density) in asked.into_iter().zip(&points).zip(densities) {
            let full = FULL * self.full.at(Vec3::from(*point));
            values[i] = full.max(density / self.threshold.at(*point));
        }
        values
    }
}

/// The volume from many sides: at the edges of its silhouettes it says where its surface is.
fn silhouettes(snapshot: &Snapshot) -> Vec<Silhouette> {
    const SIZE: usize = 96;
    /// Views of a ring, and the rings' elevations in radians.
    const RING: usize = 8;
    const RINGS: [f32; 3] = [-0.3, 0.25, 0.9];
    let seen = |camera| {
        let (_, opacity) = snapshot.image_and_opacity(&ViewSettings::preview(camera), SIZE);
        Silhouette {
            camera,
            size: SIZE,
            opacity,
        }
    };
    let cameras = RINGS
        .iter()
        .flat_map(|elevation| Camera::ring(RING, *elevation));
    cameras.map(seen).collect()
}
