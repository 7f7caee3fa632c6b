//! What a run leaves: images and meshes.

use crate::EngineError;
use crate::config::RunConfig;
use crate::snapshot::Snapshot;
use dreamfuse_core::{Camera, Crop, Image, Vec3, raster};
use dreamfuse_mesh::{
    DensityGrid, Mesh, Silhouette, choose_iso, draw, extract, keep_largest, smoothed,
};
use dreamfuse_scene::ViewSettings;
use rayon::prelude::*;
use std::path::Path;

/// How a mesh is cut.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// Cells along a side of the sampled grid.
    pub cells: usize,
}

/// Small components below this part of the largest one's area are floaters.
const LEAST_COMPONENT: f32 = 0.03;

/// Double passes of smoothing, under which bumps shorter than about five cells of the sampled grid go: at the default size
/// those of the hash grid's finest cells too.
const SMOOTHING: usize = 50;

impl ExportOptions {
    /// As a run's configuration says.
    pub fn of(config: &RunConfig) -> Self {
        Self {
            cells: config.mesh_cells,
        }
    }
}

/// Elevation of the views that are shown and compared, in radians.
const ELEVATION: f32 = 0.3;

/// How much larger an image of a mesh is than the mesh in it.
const MARGIN: f32 = 1.08;

/// A mesh that was cut from a volume.
#[derive(Clone, Debug)]
pub struct Cut {
    pub mesh: Mesh,
    /// The density at which it was cut.
    pub iso: f32,
    /// Intersection over union of the cut's silhouettes and the volume's.
    pub silhouette_iou: f32,
}

/// Cuts the mesh at the threshold whose silhouettes agree best with the volume's, and smooths it.
///
/// # Errors
/// When the scene is empty.
pub fn export_mesh(snapshot: &Snapshot, options: ExportOptions) -> Result<Cut, EngineError> {
    let grid = DensityGrid::sample(options.cells, |points| snapshot.densities(points));
    let (iso, silhouette_iou) = choose_iso(&grid, &silhouettes(snapshot));
    let surface = keep_largest(&extract(&grid, iso)?, LEAST_COMPONENT);
    let mut mesh = smoothed(surface, SMOOTHING);
    mesh.colors = snapshot.albedos(&mesh.positions);
    Ok(Cut {
        mesh,
        iso,
        silhouette_iou,
    })
}

fn silhouettes(snapshot: &Snapshot) -> Vec<Silhouette> {
    const SIZE: usize = 64;
    let cameras = Camera::ring(6, ELEVATION)
        .into_iter()
        .chain(Camera::ring(2, -0.1));
    cameras
        .map(|camera| {
            let (_, opacity) = snapshot.image_and_opacity(&ViewSettings::preview(camera), SIZE);
            Silhouette {
                camera,
                size: SIZE,
                opacity,
            }
        })
        .collect()
}

/// Four small views in a row.
pub fn preview_sheet(snapshot: &Snapshot) -> Image {
    let views: Vec<_> = Camera::ring(4, ELEVATION)
        .into_iter()
        .map(ViewSettings::preview)
        .collect();
    Image::sheet(&snapshot.images(&views, 64), 4)
}

/// Writes `views.png`, a contact sheet of eight views of the mesh, and `turntable.gif`.
///
/// # Errors
/// When a file cannot be written.
pub fn save_images(mesh: &Mesh, folder: &Path) -> Result<(), EngineError> {
    Image::sheet(&around(mesh, 8, 160), 4).save_png(&folder.join("views.png"))?;
    raster::save_gif(&around(mesh, 24, 128), 12, &folder.join("turntable.gif"))?;
    Ok(())
}

/// The mesh from `count` sides, all at one scale.
fn around(mesh: &Mesh, count: usize, size: usize) -> Vec<Image> {
    let cameras = Camera::ring(count, ELEVATION);
    let crop = framing(mesh, &cameras);
    let drawn = cameras.into_par_iter().map(|camera| {
        let view = ViewSettings::preview(Camera { crop, ..camera });
        draw(mesh, &view.camera, &view.light, view.background, size)
    });
    drawn.collect()
}

/// The window, centred on the axis, that holds the mesh from all cameras with a margin.
fn framing(mesh: &Mesh, cameras: &[Camera]) -> Crop {
    let from = |camera: &Camera| {
        let places = mesh
            .positions
            .iter()
            .filter_map(|position| camera.project(Vec3::from(*position)));
        places.fold(
            [0.0f32, f32::INFINITY, f32::NEG_INFINITY],
            |[wide, top, bottom], [x, y, _]| {
                [
                    wide.max((2.0 * x - 1.0).abs()),
                    top.min(2.0 * y - 1.0),
                    bottom.max(2.0 * y - 1.0),
                ]
            },
        )
    };
    let [wide, top, bottom] = cameras
        .iter()
        .map(from)
        .fold([0.0f32, f32::INFINITY, f32::NEG_INFINITY], |a, b| {
            [a[0].max(b[0]), a[1].min(b[1]), a[2].max(b[2])]
        });
    Crop {
        center: [0.0, 0.5 * (top + bottom)],
        scale: MARGIN * wide.max(0.5 * (bottom - top)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tetrahedron that stands to one side, as a closed surface.
    fn aside() -> Mesh {
        let positions = vec![
            [0.1, 0.1, 0.2],
            [0.5, 0.1, 0.2],
            [0.1, 0.5, 0.2],
            [0.1, 0.1, 0.6],
        ];
        let normals = vec![[0.0, 0.0, 1.0]; positions.len()];
        let colors = vec![[1.0, 0.0, 0.0]; positions.len()];
        Mesh {
            positions,
            triangles: vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]],
            normals,
            colors,
        }
    }

    #[test]
    fn images_hold_the_mesh_with_a_margin_and_not_much_more() {
        const SIZE: usize = 64;
        let background = ViewSettings::preview(Camera::orbit(0.0, 0.0)).background;
        let is_seen = |image: &Image, i: usize| image.pixels[i] != background;
        let images = around(&aside(), 8, SIZE);
        let mut nearest = SIZE;
        for image in &images {
            for i in (0..SIZE * SIZE).filter(|i| is_seen(image, *i)) {
                let (x, y) = (i % SIZE, i / SIZE);
                nearest = nearest.min(x).min(y).min(SIZE - 1 - x).min(SIZE - 1 - y);
            }
        }
        assert!(
            (1..=3).contains(&nearest),
            "{nearest} pixels from the border"
        );
    }
}
