//! A texture that agrees with images of what it was baked from. A volume has several colours behind each other, and which of
//! them are seen depends on the view; a surface has one, and the best one is that of the images.

use crate::bake::BETWEEN;
use crate::draw::{Hit, albedo_at, seen};
use crate::model::Model;
use crate::texture::Texels;
use dreamfuse_core::{Camera, Image, Vec3};

/// Passes of the correction: by then it has settled.
const PASSES: usize = 8;

/// A vertex that fewer pixels see is corrected less.
const LEAST_SEEN: f32 = 0.5;

/// A pixel counts as the cosine between its surface and its ray, to this power: what is seen aslant is another depth's colour.
const FACING: i32 = 1;

/// A view to agree with.
pub struct Target {
    pub camera: Camera,
    /// Albedo, a square.
    pub image: Image,
    /// Whether each pixel shows the object and nothing else.
    pub is_inside: Vec<bool>,
}

/// A pixel that the mesh and a target both show.
struct Pixel {
    vertices: [u32; 3],
    weights: [f32; 3],
    /// What the target has more than the texture.
    missing: Vec3,
    /// How much it counts.
    share: f32,
}

/// Corrects a model's albedo by what the targets show. The correction is smooth: it is linear between vertices (by SIRT, Gilbert
/// 1972: each vertex moves by the mean of what its pixels lack).
pub fn fit_albedo(model: &mut Model, targets: &[Target]) {
    let pixels: Vec<Pixel> = targets
        .iter()
        .flat_map(|target| pixels(model, target))
        .collect();
    let mut corrections = vec![Vec3::zeros(); model.mesh.positions.len()];
    for _ in 0..PASSES {
        pass(&pixels, &mut corrections);
    }
    let corrected = |old: [f32; 3], vertices: [u32; 3], weights: [f32; 3]| {
        let sum = Vec3::from(old) + between(&corrections, vertices, weights);
        sum.map(|v| v.clamp(0.0, 1.0)).into()
    };
    let Model { mesh, skin } = model;
    for (vertex, color) in (0..).zip(&mut mesh.colors) {
        *color = corrected(*color, [vertex; 3], [1.0, 0.0, 0.0]);
    }
    if let Some(skin) = skin {
        let texels = Texels::of(&skin.uvs, &skin.triangles, skin.albedo.width);
        let new = texels.covered.iter().map(|texel| {
            let old = skin.albedo.pixels[texel.index as usize];
            corrected(old, mesh.triangles[texel.triangle as usize], texel.weights)
        });
        skin.albedo = texels.image(&new.collect::<Vec<_>>(), BETWEEN);
    }
}

fn pixels<'a>(model: &'a Model, target: &'a Target) -> impl Iterator<Item = Pixel> {
    let (hits, eye) = (
        seen(&model.mesh, &target.camera, target.image.width),
        target.camera.position(),
    );
    let inside = hits
        .into_iter()
        .zip(&target.is_inside)
        .zip(&target.image.pixels);
    inside.filter_map(move |((hit, is_inside), color)| {
        let hit = hit.filter(|_| *is_inside)?;
        let Hit { triangle, weights } = hit;
        let [a, b, c] = model.mesh.corners(&model.mesh.triangles[triangle]);
        let (normal, ray) = ((b - a).cross(&(c - a)), a - eye);
        let cosine = -normal.dot(&ray) / (normal.norm() * ray.norm()).max(1e-12);
        Some(Pixel {
            share: cosine.max(0.0).powi(FACING),
            vertices: model.mesh.triangles[triangle],
            weights,
            missing: Vec3::from(*color) - Vec3::from(albedo_at(model, hit)),
        })
    })
}

fn between(values: &[Vec3], vertices: [u32; 3], weights: [f32; 3]) -> Vec3 {
    let terms = vertices.iter().zip(weights);
    terms
        .map(|(vertex, weight)| weight * values[*vertex as usize])
        .sum()
}

fn pass(pixels: &[Pixel], corrections: &mut [Vec3]) {
    let mut sums = vec![(Vec3::zeros(), LEAST_SEEN); corrections.len()];
    for pixel in pixels {
        let left = pixel.missing - between(corrections, pixel.vertices, pixel.weights);
        for (vertex, weight) in pixel.vertices.iter().zip(pixel.weights) {
            let (sum, weights) = &mut sums[*vertex as usize];
            *sum += pixel.share * weight * left;
            *weights += pixel.share * weight;
        }
    }
    for (correction, (sum, weights)) in corrections.iter_mut().zip(sums) {
        *correction += sum / weights;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DensityGrid;
    use crate::testing::{albedo, painted};

    /// A ball whose colour is asked of a formula at each point.
    fn ball(color: impl Fn(&[f32; 3]) -> [f32; 3]) -> Model {
        let grid = DensityGrid::sample(32, |points| {
            points
                .iter()
                .map(|p| (1.0 - Vec3::from(*p).norm()).max(0.0))
                .collect()
        });
        painted(&grid, 0.4, color)
    }

    fn looks(model: &Model, camera: Camera) -> Target {
        let (image, covered) = albedo(model, camera);
        let is_inside = covered.iter().map(|part| *part == 1.0).collect();
        Target {
            camera,
            image,
            is_inside,
        }
    }

    fn error(model: &Model, expected: &Model, camera: Camera) -> f32 {
        let (ours, right) = (looks(model, camera), looks(expected, camera));
        let pairs = ours
            .image
            .pixels
            .iter()
            .zip(&right.image.pixels)
            .zip(&right.is_inside);
        let (mut sum, mut count) = (0.0, 0.0);
        for ((a, b), _) in pairs.filter(|(_, is_inside)| **is_inside) {
            sum += (Vec3::from(*a) - Vec3::from(*b)).norm_squared();
            count += 1.0;
        }
        sum / count
    }

    #[test]
    fn a_texture_takes_what_views_show_and_keeps_its_details() {
        let stripes = |p: &[f32; 3]| 0.1 * f32::from((p[2] * 20.0).sin() > 0.0);
        let right = ball(|p| [0.4 + 0.3 * p[0] + stripes(p), 0.5, 0.3]);
        let mut model = ball(|p| [0.6 + stripes(p), 0.4, 0.4 + 0.2 * p[1]]);
        let held_out = Camera::orbit(0.37, 0.1);
        let before = error(&model, &right, held_out);
        let seen: Vec<Target> = [0.5, -0.4]
            .iter()
            .flat_map(|elevation| Camera::ring(6, *elevation))
            .map(|camera| looks(&right, camera))
            .collect();
        fit_albedo(&mut model, &seen);
        let after = error(&model, &right, held_out);
        assert!(after < 0.02 * before, "{after} of {before}");
    }

    #[test]
    fn without_targets_nothing_changes() {
        let model = ball(|p| [0.5 + 0.4 * p[0], 0.5, 0.5]);
        let mut same = model.clone();
        fit_albedo(&mut same, &[]);
        let (skin, before) = (same.skin.unwrap(), model.skin.unwrap());
        assert_eq!(skin.albedo.pixels, before.albedo.pixels);
        assert_eq!(same.mesh.colors, model.mesh.colors);
    }
}
