//! What a run leaves: a textured mesh, and images of it.

mod bake;
mod cut;

use crate::EngineError;
use crate::config::RunConfig;
use crate::event::Textured;
use crate::shape::{Hold, Shape};
use crate::snapshot::Snapshot;
use bake::{albedo_of, normals_of, openness_of};
use cut::cut_surface;
use dreamfuse_core::{Camera, Crop, Image, Vec3, raster};
use dreamfuse_mesh::{
    About, Extras, Mesh, MeshLook, Method, Model, Simplified, Target, bake, draw,
    draw_with_opacity, fit_albedo, simplified, unwrap,
};
use dreamfuse_scene::ViewSettings;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::f32::consts::TAU;
use std::path::Path;
use std::time::Duration;

/// How a mesh is made.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// Cells along a side of the grid that the surface is cut from.
    pub cells: usize,
    /// Triangles at most, if the surface can be so simple.
    pub faces: usize,
    /// Side of the texture in texels; 0 for colours at the vertices alone.
    pub texture: usize,
    /// Whether details of the unsimplified surface become a normal map.
    pub normal_map: bool,
    /// Whether ambient occlusion is baked.
    pub occlusion: bool,
    /// Time for the best texture coordinates; quicker ways follow.
    pub unwrap_budget: Duration,
    /// Longest side of an STL.
    pub millimetres: f32,
}

impl ExportOptions {
    /// As a run's configuration says.
    pub fn of(config: &RunConfig) -> Self {
        Self {
            cells: config.mesh_cells,
            faces: config.mesh_faces,
            texture: config.texture_size,
            normal_map: false,
            occlusion: false,
            unwrap_budget: Duration::from_secs(10),
            millimetres: 100.0,
        }
    }
}

/// Texels for each of the field's finest cells along a side of the box, at which its albedo is asked: it is smooth within.
const TEXELS_PER_CELL: usize = 16;

/// Elevation of the views that are shown and compared, in radians.
const ELEVATION: f32 = 0.3;

/// Opacity of a pixel that shows nothing of the background.
const OPAQUE: f32 = 0.99;

/// How much larger an image of a mesh is than the mesh in it.
const MARGIN: f32 = 1.08;

/// A mesh that was made of a volume.
#[derive(Clone, Debug)]
pub struct Exported {
    pub model: Model,
    /// The density at which it was cut.
    pub iso: f32,
    /// The budget of triangles that it took; more than was asked for, where the surface could not be so simple.
    pub faces: usize,
    /// Crossing triangles that are left.
    pub self_intersections: usize,
    pub textured: Option<Textured>,
    /// How the mesh agrees with the volume.
    pub agreement: Agreement,
}

/// What a mesh's images have in common with the volume's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Mean intersection over union of the silhouettes.
    pub silhouette_iou: f32,
    /// Of albedo, where both show the object, in dB.
    pub albedo_psnr: f32,
}

/// Makes the mesh: cut at the threshold whose silhouettes agree best with the volume's, smoothed, simplified, and textured.
///
/// # Errors
/// When the scene is empty.
pub fn export_mesh(snapshot: &Snapshot, options: ExportOptions) -> Result<Exported, EngineError> {
    let surface = cut_surface(snapshot, options.cells)?;
    let cameras = compared();
    let Simplified {
        mut mesh,
        faces,
        self_intersections,
        ..
    } = simplified(&surface.mesh, options.faces, &cameras);
    let around = Around::of(snapshot);
    mesh = around.fitted(&mesh);
    let albedo = albedo_of(snapshot);
    mesh.colors = albedo(&bake::at_vertices(&mesh));
    let (mut model, textured) = if options.texture == 0 {
        (Model::plain(mesh), None)
    } else {
        let unwrap = unwrap(&mesh, options.texture, options.unwrap_budget);
        let textured = Textured {
            size: options.texture,
            charts: unwrap.charts,
            unwrap: unwrap.method.to_string(),
        };
        let fine = options.normal_map.then(|| normals_of(&surface.mesh));
        let open = options
            .occlusion
            .then(|| openness_of(snapshot, &surface.threshold));
        let extras = Extras {
            // Not below half: the padding of charts is made for that, and that of pairs for less.
            field_size: (unwrap.method != Method::Pairs)
                .then(|| (snapshot.finest_cells() * TEXELS_PER_CELL).max(options.texture / 2)),
            normals: fine.as_deref(),
            openness: open.as_deref(),
        };
        let baked = bake(&mesh, unwrap, options.texture, &*albedo, &extras);
        (Model::skinned(mesh, baked), Some(textured))
    };
    fit_albedo(&mut model, &around.targets);
    Ok(Exported {
        agreement: agreement(&model, snapshot),
        iso: surface.iso,
        faces,
        self_intersections,
        textured,
        model,
    })
}

/// What the volume shows from around, from other sides than those that are compared.
struct Around {
    targets: Vec<Target>,
    /// White where a pixel is more opaque than not.
    silhouettes: Vec<Image>,
}

impl Around {
    fn of(snapshot: &Snapshot) -> Self {
        const SIZE: usize = 192;
        const ELEVATIONS: [f32; 4] = [-0.2, 0.1, 0.35, 0.65];
        let cameras = ELEVATIONS.iter().enumerate().flat_map(|(i, elevation)| {
            // Half a step further in every second ring.
            (0..7).map(move |k| {
                Camera::orbit(TAU * (k as f32 + 0.5 * (i % 2) as f32) / 7.0, *elevation)
            })
        });
        let (mut targets, mut silhouettes) = (Vec::new(), Vec::new());
        for camera in cameras {
            let (image, opacity) = snapshot.image_and_opacity(&ViewSettings::albedo(camera), SIZE);
            let white = opacity.iter().map(|part| [f32::from(*part > 0.5); 3]);
            silhouettes.push(Image::square(SIZE, white.collect()));
            targets.push(Target {
                camera,
                image,
                is_inside: opacity.iter().map(|part| *part > OPAQUE).collect(),
            });
        }
        Self {
            targets,
            silhouettes,
        }
    }

    /// The mesh with vertices that were moved towards the volume's silhouettes.
    fn fitted(&self, mesh: &Mesh) -> Mesh {
        /// Times that each view is looked at, and views of a step, which are far from each other.
        const ROUNDS: usize = 6;
        const STRIDE: usize = 7;
        /// Of the first step and of the last one, in world units.
        const RATES: [f32; 2] = [0.002, 0.0005];
        let views: Vec<ViewSettings> = self
            .targets
            .iter()
            .map(|target| ViewSettings {
                background: [0.0; 3],
                ..ViewSettings::albedo(target.camera)
            })
            .collect();
        let hold = Hold {
            least_side: self.silhouettes[0].width,
            laplacian: 200.0,
            normals: 2e-2,
        };
        let mut shape = Shape::of(mesh, None, hold);
        let steps = ROUNDS * STRIDE;
        for step in 0..steps {
            let of_step = |index: &usize| index % STRIDE == step % STRIDE;
            let chosen: Vec<usize> = (0..views.len()).filter(of_step).collect();
            let some: Vec<ViewSettings> = chosen.iter().map(|index| views[*index]).collect();
            let wanted = chosen.iter().map(|index| self.silhouettes[*index].clone());
            let progress = step as f32 / (steps - 1) as f32;
            let rate = RATES[0] + progress * (RATES[1] - RATES[0]);
            shape.step(&some, &wanted.collect::<Vec<_>>(), rate);
        }
        let fitted = shape.into_mesh();
        // Where a shape is worse for it, it is left.
        if self.lack(&fitted) < self.lack(mesh) {
            fitted
        } else {
            mesh.clone()
        }
    }

    /// Pixels that the mesh covers and the volume does not, or the other way round.
    fn lack(&self, mesh: &Mesh) -> usize {
        let model = Model::plain(Mesh {
            colors: vec![[1.0; 3]; mesh.positions.len()],
            ..mesh.clone()
        });
        let views = self.targets.par_iter().zip(&self.silhouettes);
        let wrong = views.map(|(target, silhouette)| {
            let view = ViewSettings::albedo(target.camera);
            let (_, covered) = drawn_as(&model, &view, silhouette.width);
            let pixels = silhouette.pixels.iter().zip(covered);
            pixels
                .filter(|(white, part)| (white[0] > 0.5) != (*part > 0.5))
                .count()
        });
        wrong.sum()
    }
}

/// From where a mesh is compared with the volume.
fn compared() -> Vec<Camera> {
    let level = Camera::ring(6, ELEVATION).into_iter();
    level.chain(Camera::ring(2, -0.1)).collect()
}

/// Compares albedo images of the mesh with those of the volume.
pub(crate) fn agreement(model: &Model, snapshot: &Snapshot) -> Agreement {
    const SIZE: usize = 128;
    let (mut iou, mut squares, mut values) = (0.0, 0.0f64, 0usize);
    let cameras = compared();
    for camera in &cameras {
        let view = ViewSettings::albedo(*camera);
        let (volume, opacity) = snapshot.image_and_opacity(&view, SIZE);
        let (image, covered) = drawn_as(model, &view, SIZE);
        let (mut both, mut either) = (0usize, 0usize);
        for pixel in 0..SIZE * SIZE {
            let (a, b) = (opacity[pixel] > 0.5, covered[pixel] > 0.5);
            both += usize::from(a && b);
            either += usize::from(a || b);
            // Where either is see-through, the background is compared.
            if opacity[pixel] > OPAQUE && covered[pixel] == 1.0 {
                let pair = image.pixels[pixel].iter().zip(&volume.pixels[pixel]);
                squares += pair.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
                values += 3;
            }
        }
        iou += both as f32 / either.max(1) as f32;
    }
    Agreement {
        silhouette_iou: iou / cameras.len() as f32,
        albedo_psnr: (-10.0 * (squares / values.max(1) as f64).max(1e-10).log10()) as f32,
    }
}

/// The mesh as a view shows the volume, and the share of each pixel that it covers.
pub(crate) fn drawn_as(model: &Model, view: &ViewSettings, size: usize) -> (Image, Vec<f32>) {
    let look = MeshLook {
        shading: view.shading,
        light: view.light,
        background: view.background,
    };
    draw_with_opacity(model, &view.camera, &look, size)
}

/// What the files of a run say of it.
pub fn about(config: &RunConfig, options: &ExportOptions) -> About {
    let note = |name: &str, value: String| (name.to_owned(), value);
    About {
        name: name_of(&config.title()),
        notes: vec![
            note("prompt", config.prompt.clone()),
            note("seed", config.seed.to_string()),
            note("steps", config.steps.to_string()),
            note("prior", config.prior.name()),
            note("licence of the prior", config.prior.licence().into()),
        ],
        millimetres: options.millimetres,
    }
}

/// A prompt as a name in files: without control characters, and not too long for lists.
fn name_of(prompt: &str) -> String {
    let clean: String = prompt
        .chars()
        .filter(|c| !c.is_control())
        .take(60)
        .collect();
    let clean = clean.trim();
    if clean.is_empty() {
        "dreamfuse".into()
    } else {
        clean.into()
    }
}

/// Four small views in a row.
pub fn preview_sheet(snapshot: &Snapshot) -> Image {
    let views: Vec<_> = Camera::ring(4, ELEVATION)
        .into_iter()
        .map(ViewSettings::preview)
        .collect();
    Image::sheet(&snapshot.images(&views, 64), 4)
}

/// Writes `views.png`, a contact sheet of eight views of the model, and `turntable.gif`.
///
/// # Errors
/// When a file cannot be written.
pub fn save_images(model: &Model, folder: &Path) -> Result<(), EngineError> {
    Image::sheet(&around(model, 8, 160), 4).save_png(&folder.join("views.png"))?;
    raster::save_gif(&around(model, 24, 128), 12, &folder.join("turntable.gif"))?;
    Ok(())
}

/// The model from `count` sides, all at one scale.
fn around(model: &Model, count: usize, size: usize) -> Vec<Image> {
    let cameras = Camera::ring(count, ELEVATION);
    let crop = framing(&model.mesh, &cameras);
    let drawn = cameras.into_par_iter().map(|camera| {
        let view = ViewSettings::preview(Camera { crop, ..camera });
        draw(model, &view.camera, &view.light, view.background, size)
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
        let images = around(&Model::plain(aside()), 8, SIZE);
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
