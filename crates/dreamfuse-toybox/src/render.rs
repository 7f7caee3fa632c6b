//! The exact renderer.

use crate::scene::Scene;
use dreamfuse_core::{Camera, Image, Light, Shading, Vec3};

/// How a scene is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub shading: Shading,
    pub light: Light,
    pub background: [f32; 3],
}

impl Look {
    /// Albedo on neutral grey: what evaluations compare.
    pub fn albedo(camera: &Camera) -> Self {
        Self {
            shading: Shading::Albedo,
            light: Light::headlight(camera),
            background: [0.5; 3],
        }
    }
}

/// What a camera sees. Square buffers, row by row from the top left.
#[derive(Clone, Debug)]
pub struct View {
    pub image: Image,
    /// Share of each pixel that the scene covers.
    pub opacity: Vec<f32>,
    /// Mean distance from the camera over the covered part; infinite where there is none.
    pub depth: Vec<f32>,
    /// Unit shading normal, averaged over the covered part; zero where there is none.
    pub normal: Vec<Vec3>,
    /// Mean albedo of the covered part; black where there is none.
    pub albedo: Vec<[f32; 3]>,
    /// The name of a part that is seen there.
    pub part: Vec<Option<&'static str>>,
}

/// Samples along each side of a pixel.
const SUPERSAMPLES: usize = 2;

/// Draws `scene` at `size × size` pixels with 2 × 2 samples each.
pub fn render(scene: &Scene, camera: &Camera, look: &Look, size: usize) -> View {
    let mut view = View {
        image: Image::filled(size, size, look.background),
        opacity: vec![0.0; size * size],
        depth: vec![f32::INFINITY; size * size],
        normal: vec![Vec3::zeros(); size * size],
        albedo: vec![[0.0; 3]; size * size],
        part: vec![None; size * size],
    };
    for index in 0..size * size {
        pixel(scene, camera, look, size, index, &mut view);
    }
    view
}

fn pixel(scene: &Scene, camera: &Camera, look: &Look, size: usize, index: usize, view: &mut View) {
    let samples = SUPERSAMPLES * SUPERSAMPLES;
    let fine = (size * SUPERSAMPLES) as f32;
    let at = |i: usize, sub: usize| (i * SUPERSAMPLES + sub) as f32 / fine + 0.5 / fine;
    let (mut color, mut albedo) = ([0.0f32; 3], [0.0f32; 3]);
    let (mut hits, mut depth, mut normal) = (0, 0.0, Vec3::zeros());
    for sample in 0..samples {
        let ray = camera.ray(
            at(index % size, sample % SUPERSAMPLES),
            at(index / size, sample / SUPERSAMPLES),
        );
        let sampled = match scene.trace(&ray) {
            None => look.background,
            Some(surface) => {
                hits += 1;
                depth += surface.distance;
                normal += surface.normal;
                (0..3).for_each(|channel| albedo[channel] += surface.albedo[channel]);
                view.part[index] = Some(surface.part);
                look.shading
                    .apply(surface.albedo, surface.point, surface.normal, &look.light)
            }
        };
        color
            .iter_mut()
            .zip(sampled)
            .for_each(|(sum, value)| *sum += value / samples as f32);
    }
    view.image.pixels[index] = color;
    if hits > 0 {
        view.opacity[index] = hits as f32 / samples as f32;
        view.depth[index] = depth / hits as f32;
        view.albedo[index] = albedo.map(|sum| sum / hits as f32);
        view.normal[index] = normal.try_normalize(1e-6).unwrap_or_else(Vec3::zeros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use dreamfuse_core::Crop;

    fn scene(text: &str) -> Scene {
        Scene::canonical(&parse(text).unwrap())
    }

    #[test]
    fn depth_and_silhouette_agree_with_the_signed_distance() {
        let (scene, camera) = (scene("a squirrel at an easel"), Camera::orbit(0.6, 0.3));
        let size = 32;
        let view = render(&scene, &camera, &Look::albedo(&camera), size);
        let covered = view.opacity.iter().filter(|&&a| a > 0.0).count();
        assert!(
            (100..600).contains(&covered),
            "{covered} of 1024 pixels are covered"
        );
        for (index, ray) in camera.rays(size).iter().enumerate() {
            if let Some(surface) = scene.trace(ray) {
                assert!(scene.signed_distance(surface.point).abs() < 2e-3);
                assert!((surface.normal.norm() - 1.0).abs() < 1e-4);
            } else {
                assert!(view.opacity[index] < 1.0);
            }
        }
    }

    #[test]
    fn a_crop_shows_what_the_whole_view_shows_there() {
        let (scene, whole) = (scene("a red mushroom"), Camera::orbit(0.0, 0.2));
        let crop = Camera {
            crop: Crop {
                center: [0.5, 0.5],
                scale: 0.5,
            },
            ..whole
        };
        let large = render(&scene, &whole, &Look::albedo(&whole), 32);
        let small = render(&scene, &crop, &Look::albedo(&crop), 16);
        for y in 0..16 {
            for x in 0..16 {
                let (a, b) = (
                    small.image.pixels[y * 16 + x],
                    large.image.pixels[(y + 16) * 32 + x + 16],
                );
                assert!((0..3).all(|c| (a[c] - b[c]).abs() < 1e-4));
            }
        }
    }

    #[test]
    fn the_subject_stands_left_of_the_object_from_the_front_and_right_of_it_from_behind() {
        let scene = scene("a red apple next to a blue mug");
        let redness = |azimuth: f32| {
            let camera = Camera::orbit(azimuth, 0.2);
            let image = render(&scene, &camera, &Look::albedo(&camera), 32).image;
            let weigh = |x: usize, p: &[f32; 3]| {
                if p[0] > 2.0 * p[2] {
                    x as f32 - 15.5
                } else {
                    0.0
                }
            };
            image
                .pixels
                .iter()
                .enumerate()
                .map(|(i, p)| weigh(i % 32, p))
                .sum::<f32>()
        };
        assert!(redness(0.0) < -100.0);
        assert!(redness(std::f32::consts::PI) > 100.0);
    }
}
