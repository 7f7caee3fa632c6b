//! What a run leaves: images and meshes.

use crate::EngineError;
use crate::config::RunConfig;
use crate::run::Run;
use burn::tensor::Tensor;
use dreamfuse_core::{Camera, Crop, Image, Vec3, raster};
use dreamfuse_mesh::{
    DensityGrid, Mesh, Silhouette, choose_iso, draw, extract, keep_largest, smoothed,
};
use dreamfuse_scene::{Rendered, ViewSettings};
use rayon::prelude::*;
use std::path::Path;

/// How a mesh is cut.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// Cells along a side of the sampled grid.
    pub cells: usize,
    /// Components smaller than this part of the largest one's area go.
    pub least_component: f32,
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
            least_component: LEAST_COMPONENT,
        }
    }
}

/// Elevation of the views that are shown and compared, in radians.
const ELEVATION: f32 = 0.3;

/// How much larger an image of a mesh is than the mesh in it.
const MARGIN: f32 = 1.08;

/// Cuts the mesh at the threshold whose silhouettes agree best with the volume's, and smooths it; returns the mesh,
/// the threshold and the agreement of the cut.
///
/// # Errors
/// When the scene is empty.
pub fn export_mesh(run: &Run, options: ExportOptions) -> Result<(Mesh, f32, f32), EngineError> {
    let grid = DensityGrid::sample(options.cells, |points| densities(run, points));
    let (iso, agreement) = choose_iso(&grid, &silhouettes(run));
    let mut mesh = smoothed(
        keep_largest(&extract(&grid, iso)?, options.least_component),
        SMOOTHING,
    );
    mesh.colors = run.field().albedos(&mesh.positions);
    Ok((mesh, iso, agreement))
}

/// Densities, none outside of the ball that fits the box: nothing there was ever marched, and so not trained.
fn densities(run: &Run, points: &[[f32; 3]]) -> Vec<f32> {
    let is_inside = |[x, y, z]: &[f32; 3]| x * x + y * y + z * z < 1.0;
    let all = run.field().densities(points).into_iter().zip(points);
    all.map(|(density, point)| if is_inside(point) { density } else { 0.0 })
        .collect()
}

fn silhouettes(run: &Run) -> Vec<Silhouette> {
    const SIZE: usize = 64;
    let cameras = Camera::ring(6, ELEVATION)
        .into_iter()
        .chain(Camera::ring(2, -0.1));
    cameras
        .map(|camera| {
            let opacity = values(views(run, &[ViewSettings::preview(camera)], SIZE).opacity);
            Silhouette {
                camera,
                size: SIZE,
                opacity,
            }
        })
        .collect()
}

fn views(run: &Run, settings: &[ViewSettings], size: usize) -> Rendered {
    let field = run.field().frozen();
    dreamfuse_scene::Renderer {
        field: &field,
        ..run.renderer()
    }
    .render(settings, size, None)
}

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor
        .into_data()
        .try_to_vec::<f32>()
        .expect("images are f32")
}

/// Renders one view: its image, and how opaque the scene is at each pixel.
pub fn image_and_opacity(run: &Run, settings: &ViewSettings, size: usize) -> (Image, Vec<f32>) {
    let rendered = views(run, std::slice::from_ref(settings), size);
    (
        Image::from_planes(size, &values(rendered.color)),
        values(rendered.opacity),
    )
}

/// Renders one image a view, one after the other.
pub fn images(run: &Run, settings: &[ViewSettings], size: usize) -> Vec<Image> {
    settings
        .iter()
        .map(|settings| image_and_opacity(run, settings, size).0)
        .collect()
}

/// Four small views in a row.
pub fn preview_sheet(run: &Run) -> Image {
    let views: Vec<_> = Camera::ring(4, ELEVATION)
        .into_iter()
        .map(ViewSettings::preview)
        .collect();
    Image::sheet(&images(run, &views, 64), 4)
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
