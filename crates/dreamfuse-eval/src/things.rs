//! Objects that priors are shown, and views of them.

use crate::knowledge::decibels;
use dreamfuse_core::{Camera, Image, Purpose, Told, stream};
use dreamfuse_toybox::{Look, Scene, parse, render, toy};
use rand::RngExt;
use std::f32::consts::TAU;

/// Side of the views in pixels is the prior's; their background is neutral grey.
const BACKGROUND: [f32; 3] = [0.5; 3];

/// Elevations of references and views, in radians.
const ELEVATIONS: [f32; 2] = [0.0, 0.9];

/// An object that training shows as no reference.
pub struct Thing {
    pub name: String,
    /// What it is in words; empty for a toy.
    pub prompt: String,
    pub scene: Scene,
    /// Numbers of its own for cameras and noise.
    pub seed: u64,
}

/// The first held-out toys.
pub fn held_out_toys(count: usize) -> Vec<Thing> {
    toy::held_out()
        .take(count)
        .map(|seed| Thing {
            name: format!("toy {seed}"),
            prompt: String::new(),
            scene: Scene::toy(seed),
            seed,
        })
        .collect()
}

/// Instances of kinds that never come as references, `each` of a kind.
///
/// # Panics
/// When a kind of the list is not of the toybox.
pub fn unseen_things(each: usize) -> Vec<Thing> {
    let of_kind = |(index, kind): (usize, &&str)| {
        let sentence = parse(&format!("a {kind}")).expect("a kind of the toybox");
        let instances: Vec<Thing> = (0..each as u64)
            .map(|instance| Thing {
                name: format!("{kind} {instance}"),
                prompt: format!("a {kind}"),
                scene: Scene::instance(&sentence, instance),
                seed: 1000 * (index as u64 + 1) + instance,
            })
            .collect();
        instances
    };
    toy::UNSEEN.iter().enumerate().flat_map(of_kind).collect()
}

impl Thing {
    /// Its albedo on neutral grey.
    pub fn image(&self, camera: &Camera, size: usize) -> Image {
        render(&self.scene, camera, &Look::albedo(camera), size).image
    }

    /// Where it is first seen from.
    pub fn camera(&self) -> Camera {
        let mut rng = stream(self.seed, Purpose::Evaluation, 4, 0);
        let [low, high] = ELEVATIONS;
        Camera::orbit(rng.random_range(0.0..TAU), rng.random_range(low..high))
    }

    /// Cameras of views to draw: any azimuth, uniform in stripes, so that few are as good as many.
    pub fn targets(&self, count: usize) -> Vec<Camera> {
        let mut rng = stream(self.seed, Purpose::Evaluation, 4, 1);
        let [low, high] = ELEVATIONS;
        let first = self.camera().azimuth;
        (0..count)
            .map(|index| {
                let turn = (index as f32 + rng.random::<f32>()) / count as f32;
                Camera::orbit(first + TAU * turn, rng.random_range(low..high))
            })
            .collect()
    }
}

/// What is told of an albedo image: all but what its text would say.
pub fn told(camera: Camera) -> Told {
    let look = Look::albedo(&camera);
    Told {
        camera: Some(camera),
        shading: Some(look.shading),
        light: Some(look.light),
        background: Some(look.background),
        ..Told::default()
    }
}

/// How far a pixel is from the background, in its most different channel, before it is there at all, and when it is
/// fully there.
const PRESENT: [f32; 2] = [0.05, 0.2];

/// How far a pixel differs from the background, 0 to 1.
pub(crate) fn presence(pixel: &[f32; 3], background: [f32; 3]) -> f32 {
    let difference = (0..3).map(|c| (pixel[c] - background[c]).abs());
    let [none, full] = PRESENT;
    ((difference.fold(0.0, f32::max) - none) / (full - none)).clamp(0.0, 1.0)
}

/// How near two images on neutral grey are.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Nearness {
    /// In the union of the silhouettes, in dB.
    pub psnr: f64,
    /// Soft intersection over union: a pixel is there as far as it differs from the background.
    pub iou: f64,
}

impl Nearness {
    /// Of two images of one size.
    pub fn of(first: &Image, second: &Image) -> Self {
        let (mut both, mut either, mut squares, mut count) = (0.0, 0.0, 0.0, 0usize);
        for (a, b) in first.pixels.iter().zip(&second.pixels) {
            let [x, y] = [a, b].map(|pixel| f64::from(presence(pixel, BACKGROUND)));
            both += x.min(y);
            either += x.max(y);
            if x.max(y) > 0.0 {
                let error = (0..3).map(|c| f64::from(a[c] - b[c]).powi(2));
                squares += error.sum::<f64>();
                count += 3;
            }
        }
        Self {
            psnr: decibels(squares / count.max(1) as f64),
            iou: both / f64::max(either, 1e-9),
        }
    }

    /// The mean of several.
    pub fn mean(all: &[Self]) -> Self {
        let count = all.len().max(1) as f64;
        Self {
            psnr: all.iter().map(|one| one.psnr).sum::<f64>() / count,
            iou: all.iter().map(|one| one.iou).sum::<f64>() / count,
        }
    }
}

/// The mean of images of one size.
///
/// # Panics
/// When there are none.
pub(crate) fn mean_image(images: &[Image]) -> Image {
    let pixels = (0..images[0].pixels.len()).map(|index| {
        std::array::from_fn(|c| {
            let values = images.iter().map(|image| image.pixels[index][c]);
            values.sum::<f32>() / images.len() as f32
        })
    });
    Image::square(images[0].width, pixels.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_nearest_to_itself_and_an_empty_one_is_far() {
        let thing = held_out_toys(1).remove(0);
        let image = thing.image(&thing.camera(), 32);
        let same = Nearness::of(&image, &image);
        assert!(same.psnr > 90.0 && (same.iou - 1.0).abs() < 1e-9);
        let empty = Nearness::of(&image, &Image::filled(32, 32, BACKGROUND));
        assert!(empty.psnr < 20.0 && empty.iou < 1e-6, "{empty:?}");
        let half = mean_image(&[image.clone(), Image::filled(32, 32, BACKGROUND)]);
        let nearness = Nearness::of(&half, &image);
        assert!((nearness.psnr - empty.psnr - 6.02).abs() < 0.01);
    }

    #[test]
    fn things_are_held_out_and_seen_all_around() {
        let toys = held_out_toys(4);
        assert!(toys.iter().all(|thing| toy::is_held_out(thing.seed)));
        assert_eq!(unseen_things(2).len(), 2 * toy::UNSEEN.len());
        let thing = &toys[1];
        let turns: Vec<f32> = thing
            .targets(4)
            .iter()
            .map(|camera| (camera.azimuth - thing.camera().azimuth) / TAU)
            .collect();
        for (index, turn) in turns.iter().enumerate() {
            assert!((0.25 * index as f32..=0.25 * (index + 1) as f32).contains(turn));
        }
    }
}
