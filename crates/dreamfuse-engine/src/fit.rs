//! A field that is fitted to images of known cameras.

use crate::config::RunConfig;
use crate::optimizer::Optimizer;
use crate::regularizers::Terms;
use crate::share::gradients;
use crate::snapshot::Snapshot;
use burn::tensor::{Device, Tensor};
use dreamfuse_core::{Camera, Image, Purpose, view_stream};
use dreamfuse_prior::batch_of;
use dreamfuse_scene::{OccupancyGrid, Renderer, SceneField, ViewSettings};
use rand::RngExt;
use std::sync::Arc;

/// Weight of the images beside the regularizers', which are weighted for score distillation.
const IMAGES: f32 = 10.0;

/// The scene whose albedo images on neutral grey are those of `images`, all of one size: `config.steps` steps of
/// `config.views` of them, drawn at random.
///
/// # Panics
/// When there are no images.
pub fn fit(config: &RunConfig, images: &[(Camera, Image)]) -> Snapshot {
    let device = Device::flex();
    let size = images[0].1.width;
    let mut field = SceneField::random(&config.scene, config.seed, &device);
    let mut optimizer = Optimizer::new(field.parameters());
    let mut occupancy = OccupancyGrid::full(&config.scene);
    for step in 0..config.steps {
        if step.is_multiple_of(config.occupancy_every) {
            occupancy.update(&field, &config.scene, config.seed, 0, step);
        }
        let random = |purpose, view| view_stream(config.seed, purpose, 0, step, view);
        let chosen: Vec<&(Camera, Image)> = (0..config.views)
            .map(|view| &images[random(Purpose::Camera, view).random_range(0..images.len())])
            .collect();
        let albedo = |(camera, _): &&(Camera, Image)| ViewSettings::albedo(*camera);
        let views: Vec<ViewSettings> = chosen.iter().map(albedo).collect();
        let values = optimizer.values().map(Tensor::autodiff);
        let tracked = SceneField::from_parameters(&config.scene, values);
        let renderer = Renderer {
            field: &tracked,
            occupancy: &occupancy,
            config: &config.scene,
        };
        let rendered = renderer.render(&views, size, Some(&|view| random(Purpose::Jitter, view)));
        let wanted = chosen.iter().map(|(_, image)| image);
        let wanted = batch_of(wanted, &rendered.color.device());
        let apart = (rendered.color.clone() - wanted).powi_scalar(2).mean() * IMAGES;
        let ramp = config.guidance.ramp_at(step as f64 / config.steps as f64);
        let loss = apart.reshape([1]) + Terms::of(&config.losses, ramp, &rendered).sum();
        optimizer.step(config, step + 1, gradients(&tracked, &loss.backward()));
        field = SceneField::from_parameters(&config.scene, optimizer.values());
    }
    Snapshot {
        field,
        occupancy: Arc::new(occupancy),
        config: config.scene.clone(),
        step: config.steps,
    }
}
