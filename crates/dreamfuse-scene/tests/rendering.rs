//! The renderer against what can be known: the blob's silhouette, empty space, and the slope of lit
//! images.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use burn::tensor::{Device, Tensor};
use dreamfuse_core::{Camera, Light, Shading};
use dreamfuse_scene::{OccupancyGrid, Rendered, Renderer, SceneConfig, SceneField, ViewSettings};

const SIZE: usize = 16;

fn config() -> SceneConfig {
    SceneConfig {
        levels: 3,
        base: 4,
        finest: 12,
        log2_table: 12,
        hidden: 8,
        ..SceneConfig::default()
    }
}

fn render(field: &SceneField, views: &[ViewSettings]) -> Rendered {
    let (config, occupancy) = (config(), OccupancyGrid::full(&config()));
    Renderer {
        field,
        occupancy: &occupancy,
        config: &config,
    }
    .render(views, SIZE, None)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.without_autodiff().into_data().try_to_vec().unwrap()
}

fn view(shading: Shading) -> ViewSettings {
    let camera = Camera::orbit(0.5, 0.3);
    ViewSettings {
        camera,
        light: Light::headlight(&camera),
        shading,
        background: [0.1, 0.5, 0.9],
    }
}

#[test]
fn the_blob_is_a_ball_in_the_middle_and_the_rest_is_background() {
    let field = SceneField::random(&config(), 1, &Device::flex());
    let rendered = render(&field, &[view(Shading::Albedo)]);
    let (opacity, color) = (numbers(rendered.opacity), numbers(rendered.color));
    let at = |x: usize, y: usize| opacity[y * SIZE + x];
    assert!(at(8, 8) > 0.95, "{}", at(8, 8));
    assert!(at(0, 0) < 0.01 && at(15, 15) < 0.01 && at(0, 8) < 0.05);
    let corner: Vec<f32> = (0..3).map(|c| color[c * SIZE * SIZE]).collect();
    assert!(
        (0..3).all(|c| (corner[c] - [0.1, 0.5, 0.9][c]).abs() < 0.01),
        "{corner:?}"
    );
    let depth = numbers(rendered.depth)[8 * SIZE + 8] / at(8, 8);
    assert!(
        (Camera::orbit(0.0, 0.0).distance - depth - 0.35).abs() < 0.15,
        "{depth}"
    );
}

#[test]
fn occupancy_leaves_the_image_as_it_is() {
    let config = SceneConfig {
        exploration: 0.0,
        ..config()
    };
    let field = SceneField::random(&config, 1, &Device::flex());
    let mut occupancy = OccupancyGrid::full(&config);
    let full = render(&field, &[view(Shading::Albedo)]);
    occupancy.update(&field, &config, 1, 0, 0);
    assert!(
        occupancy.occupancy.occupied_part() < 0.4,
        "{}",
        occupancy.occupancy.occupied_part()
    );
    let renderer = Renderer {
        field: &field,
        occupancy: &occupancy,
        config: &config,
    };
    let skipped = renderer.render(&[view(Shading::Albedo)], SIZE, None);
    assert!(skipped.samples < full.samples / 2);
    let worst = numbers(full.color)
        .iter()
        .zip(numbers(skipped.color))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 0.03, "{worst}");
}

#[test]
fn only_surfaces_that_look_away_count_against_the_orientation() {
    let of = |blob: f32| {
        let config = SceneConfig { blob, ..config() };
        let (field, occupancy) = (
            SceneField::random(&config, 1, &Device::flex()),
            OccupancyGrid::full(&config),
        );
        let renderer = Renderer {
            field: &field,
            occupancy: &occupancy,
            config: &config,
        };
        renderer
            .render(&[view(Shading::Lambertian)], SIZE, None)
            .orientation
            .into_scalar::<f32>()
    };
    // A ball faces its camera; where the density grows outwards, every normal points inwards.
    let (ball, hollow) = (of(8.0), of(-8.0));
    assert!((0.0..0.02).contains(&ball), "{ball}");
    assert!((0.3..=1.0).contains(&hollow), "{hollow}");
}

#[test]
fn gradients_of_lit_images_are_their_slopes() {
    let config = config();
    let device = Device::flex().autodiff();
    let [table, mut mlp] = SceneField::random(&config, 3, &device)
        .parameters()
        .map(numbers);
    // Away from kinks: at the start the table is almost zero and every hidden unit near its own. A unit that
    // switches turns the normal at once, which no gradient sees and every difference does.
    let table: Vec<f32> = table.iter().map(|v| 3e3 * v).collect();
    for (unit, bias) in mlp[config.spec().mlp_layout().b1].iter_mut().enumerate() {
        *bias = if unit % 2 == 0 { 2.0 } else { -2.0 };
    }
    let views = [view(Shading::Lambertian), view(Shading::Textureless)];
    let loss = |mlp: &[f32]| -> (f64, Option<Vec<f32>>) {
        let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
        let field = SceneField::from_parameters(&config, [tensor(&table), tensor(mlp)]);
        let rendered = render(&field, &views);
        let weights: Vec<f32> = (0..2 * 3 * SIZE * SIZE)
            .map(|i| (1.7 * i as f32).sin())
            .collect();
        let value = numbers(rendered.color.clone())
            .iter()
            .zip(&weights)
            .map(|(a, b)| f64::from(a * b))
            .sum::<f64>();
        let target = Tensor::<4>::from_data(
            burn::tensor::TensorData::new(weights, [2, 3, SIZE, SIZE]),
            &Device::flex(),
        );
        let grads = (rendered.color * target).sum().backward();
        (
            value,
            field
                .mlp
                .grad(&grads)
                .map(|g| g.into_data().try_to_vec().unwrap()),
        )
    };
    let ours: Vec<f64> = loss(&mlp).1.unwrap().into_iter().map(f64::from).collect();
    let step = 2e-3;
    let slope = |i: usize| {
        let at = |by: f32| {
            let mut moved = mlp.clone();
            moved[i] += by;
            loss(&moved).0
        };
        (at(step) - at(-step)) / f64::from(2.0 * step)
    };
    let right: Vec<f64> = (0..mlp.len()).step_by(3).map(slope).collect();
    let ours: Vec<f64> = ours.into_iter().step_by(3).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = dot(&ours, &right) / (dot(&ours, &ours) * dot(&right, &right)).sqrt();
    // f32 images and kinks of the ReLU within a step bound how well slopes can agree here; the
    // kernels have their own tests in f64.
    assert!(cosine > 0.999, "{cosine}");
}
