//! A scene as it is at one step: what export, health, evaluation and viewers look at. It needs no prior
//! and holds no graph.

use crate::EngineError;
use crate::checkpoint::State;
use crate::config::RunConfig;
use crate::device::device;
use crate::folder::RunFolder;
use burn::tensor::{Tensor, TensorData};
use dreamfuse_core::Image;
use dreamfuse_diffusion::Precision;
use dreamfuse_kernels::march::Occupancy;
use dreamfuse_scene::{OccupancyGrid, Rendered, Renderer, SceneConfig, SceneField, ViewSettings};
use std::path::Path;
use std::sync::Arc;

/// A scene that does not change.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) field: SceneField,
    pub(crate) occupancy: Arc<OccupancyGrid>,
    pub(crate) config: SceneConfig,
    pub(crate) step: u64,
}

impl Snapshot {
    /// The scene of a run's newest whole checkpoint. The prior is not looked for.
    ///
    /// # Errors
    /// When there is no checkpoint, or none that can be read.
    pub fn load(
        folder: &RunFolder,
        config: &RunConfig,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self, EngineError> {
        let device = device(&config.device, Precision::F32)?;
        let read = |path: &Path| State::read(path, &config.scene);
        let state = folder.newest_whole(read, warn)?;
        let [table, mlp] = state.parameters.map(|[values, ..]| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), &device)
        });
        Ok(Self {
            field: SceneField::from_parameters(&config.scene, [table, mlp]),
            occupancy: Arc::new(OccupancyGrid {
                densities: state.densities,
                occupancy: Occupancy::new(config.scene.occupancy_cells, |i| state.occupied[i]),
            }),
            config: config.scene.clone(),
            step: state.step,
        })
    }

    /// Steps that made the scene.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Cells along a side of the field's finest grid.
    pub fn finest_cells(&self) -> usize {
        self.config.finest
    }

    /// The scene from each view, `size × size` pixels.
    pub fn render(&self, views: &[ViewSettings], size: usize) -> Rendered {
        let renderer = Renderer {
            field: &self.field,
            occupancy: &self.occupancy,
            config: &self.config,
        };
        renderer.render(views, size, None)
    }

    /// One view: its image, and how opaque the scene is at each pixel.
    pub fn image_and_opacity(&self, view: &ViewSettings, size: usize) -> (Image, Vec<f32>) {
        let rendered = self.render(std::slice::from_ref(view), size);
        let image = Image::from_planes(size, &values(rendered.color));
        (image, values(rendered.opacity))
    }

    /// One image a view, one after the other.
    pub fn images(&self, views: &[ViewSettings], size: usize) -> Vec<Image> {
        let image = |view| self.image_and_opacity(view, size).0;
        views.iter().map(image).collect()
    }

    /// Densities at points, none outside of the ball that fits the box: nothing there was ever marched,
    /// and so not trained.
    pub fn densities(&self, points: &[[f32; 3]]) -> Vec<f32> {
        let all = self.field.densities(points).into_iter().zip(points);
        all.map(|(density, point)| if is_trained(point) { density } else { 0.0 })
            .collect()
    }

    /// Density and albedo at points, `[density, red, green, blue]`; as empty as [`Snapshot::densities`].
    pub fn samples(&self, points: &[[f32; 3]]) -> Vec<[f32; 4]> {
        let mut samples = self.field.samples(points);
        for ([density, ..], point) in samples.iter_mut().zip(points) {
            if !is_trained(point) {
                *density = 0.0;
            }
        }
        samples
    }
}

/// Whether a point is in the ball that fits the box: nothing outside of it was ever marched.
fn is_trained([x, y, z]: &[f32; 3]) -> bool {
    x * x + y * y + z * z < 1.0
}

/// The values of a rendered tensor.
pub(crate) fn values(tensor: Tensor<4>) -> Vec<f32> {
    let data = tensor.into_data();
    data.try_to_vec::<f32>().expect("images are f32")
}
