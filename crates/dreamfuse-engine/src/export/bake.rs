//! What a volume has at points of its surface.

use crate::snapshot::Snapshot;
use dreamfuse_core::Vec3;
use dreamfuse_mesh::{Mesh, SurfacePoint, Threshold};
use std::collections::HashMap;

/// Samples of a ray through the surface, from outside to inside: a volume's surface is not infinitely thin.
const SAMPLES: usize = 8;

/// Where the first one is, above the surface; the last one is as far below it.
const OUTSIDE: f32 = 0.06;

/// Distance between the samples.
const STEP: f32 = 2.0 * OUTSIDE / (SAMPLES - 1) as f32;

/// How far four of the five rays of a point lean from its normal: cameras seldom look straight at a surface.
const LEAN: f32 = 0.7;

/// Rays of a point.
const RAYS: usize = 5;

/// A ray that hides less has the colour of the point itself.
const LEAST_OPACITY: f32 = 0.05;

/// Directions of a sky, and steps along each.
const SKY: usize = 24;
const SKY_STEPS: usize = 8;
const SKY_REACH: f32 = 0.4;

type FieldOf<'a, T> = Box<dyn Fn(&[SurfacePoint]) -> Vec<T> + 'a>;

/// Points at a mesh's vertices.
pub(super) fn at_vertices(mesh: &Mesh) -> Vec<SurfacePoint> {
    let vertices = mesh.positions.iter().zip(&mesh.normals);
    let point = |(position, normal): (&[f32; 3], &[f32; 3])| SurfacePoint {
        position: Vec3::from(*position),
        normal: Vec3::from(*normal),
    };
    vertices.map(point).collect()
}

/// Albedo as rays from outside see it: without light.
pub(super) fn albedo_of(snapshot: &Snapshot) -> FieldOf<'_, [f32; 3]> {
    Box::new(|points| {
        let places: Vec<[f32; 3]> = points.iter().flat_map(samples).collect();
        let seen = snapshot.samples(&places);
        let (rays, _) = seen.as_chunks::<SAMPLES>();
        let (rays, _) = rays.as_chunks::<RAYS>();
        let mean = |rays: &[[[f32; 4]; SAMPLES]; RAYS]| {
            let sum: Vec3 = rays.iter().map(|ray| Vec3::from(composite(ray))).sum();
            (sum / RAYS as f32).into()
        };
        rays.iter().map(mean).collect()
    })
}

/// The places of a point's rays, ray by ray.
fn samples(point: &SurfacePoint) -> Vec<[f32; 3]> {
    let [tangent, bitangent] = across(point.normal);
    let leaning = [(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)];
    let ray = |(x, y): (f32, f32)| {
        let direction = (point.normal + LEAN * (x * tangent + y * bitangent)).normalize();
        (0..SAMPLES).map(move |i| {
            let place = point.position + (OUTSIDE - STEP * i as f32) * direction;
            place.into()
        })
    };
    leaning.into_iter().flat_map(ray).collect()
}

/// Two directions across a normal.
fn across(normal: Vec3) -> [Vec3; 2] {
    let other = if normal.x.abs() < 0.8 {
        Vec3::x()
    } else {
        Vec3::y()
    };
    let tangent = normal.cross(&other).normalize();
    [tangent, normal.cross(&tangent)]
}

/// The colour of a ray's samples of density and albedo (Max 1995), as if it hid all.
fn composite(samples: &[[f32; 4]; SAMPLES]) -> [f32; 3] {
    let (mut left, mut sum) = (1.0f32, Vec3::zeros());
    for [density, r, g, b] in samples {
        let alpha = 1.0 - (-density * STEP).exp();
        sum += left * alpha * Vec3::new(*r, *g, *b);
        left *= 1.0 - alpha;
    }
    if 1.0 - left < LEAST_OPACITY {
        let [_, color @ ..] = samples[samples.len() / 2];
        return color;
    }
    (sum / (1.0 - left)).into()
}

/// Normals of a finer surface, at its nearest vertex.
pub(super) fn normals_of(fine: &Mesh) -> FieldOf<'_, Vec3> {
    /// Cells along a unit of length.
    const CELLS: f32 = 40.0;
    let cell = |p: &Vec3| [p.x, p.y, p.z].map(|v| (v * CELLS).floor() as i32);
    let mut cells: HashMap<[i32; 3], Vec<u32>> = HashMap::new();
    for (index, position) in (0..).zip(&fine.positions) {
        cells
            .entry(cell(&Vec3::from(*position)))
            .or_default()
            .push(index);
    }
    let nearest = move |point: &SurfacePoint| {
        let [x, y, z] = cell(&point.position);
        let around =
            (-1..=1).flat_map(|i| (-1..=1).flat_map(move |j| (-1..=1).map(move |k| [i, j, k])));
        let members = around
            .filter_map(|[i, j, k]| cells.get(&[x + i, y + j, z + k]))
            .flatten();
        // Not those of the other side of something thin.
        let members = members
            .filter(|vertex| Vec3::from(fine.normals[**vertex as usize]).dot(&point.normal) > 0.0);
        let distance = |vertex: &&u32| {
            (Vec3::from(fine.positions[**vertex as usize]) - point.position).norm_squared()
        };
        let found = members.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        found.map_or(point.normal, |vertex| {
            Vec3::from(fine.normals[*vertex as usize])
        })
    };
    Box::new(move |points| points.iter().map(&nearest).collect())
}

/// Ambient occlusion: the part of the sky above a point that is not hidden within reach.
pub(super) fn openness_of<'a>(
    snapshot: &'a Snapshot,
    threshold: &'a Threshold,
) -> FieldOf<'a, f32> {
    Box::new(move |points| {
        let places: Vec<[f32; 3]> = points.iter().flat_map(sky).collect();
        let densities = snapshot.densities(&places).into_iter().zip(&places);
        let is_open: Vec<bool> = densities
            .map(|(density, place)| density < threshold.at(*place))
            .collect();
        let of_point = |rays: &[bool]| {
            let rays = rays.chunks_exact(SKY_STEPS);
            rays.filter(|ray| ray.iter().all(|open| *open)).count() as f32 / SKY as f32
        };
        is_open
            .chunks_exact(SKY * SKY_STEPS)
            .map(of_point)
            .collect()
    })
}

/// Points along directions above a surface, spread by their cosine (a Fibonacci spiral).
fn sky(point: &SurfacePoint) -> Vec<[f32; 3]> {
    let [tangent, bitangent] = across(point.normal);
    let ray = |index: usize| {
        let radius = ((index as f32 + 0.5) / SKY as f32).sqrt();
        let angle = 2.399_963 * index as f32;
        let direction = tangent * (radius * angle.cos())
            + bitangent * (radius * angle.sin())
            + point.normal * (1.0 - radius * radius).max(0.0).sqrt();
        (1..=SKY_STEPS).map(move |step| {
            let distance = SKY_REACH * (step as f32 / SKY_STEPS as f32).powi(2) + 0.02;
            (point.position + distance * direction).into()
        })
    };
    (0..SKY).flat_map(ray).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ray_has_the_colour_of_what_hides_it_first() {
        let (red, green) = ([1e4, 1.0, 0.0, 0.0], [1e4, 0.0, 1.0, 0.0]);
        let empty = [0.0, 0.0, 0.0, 1.0];
        assert_eq!(
            composite(&[empty, empty, red, green, green, green, green, green]),
            [1.0, 0.0, 0.0]
        );
        assert_eq!(composite(&[empty; SAMPLES]), [0.0, 0.0, 1.0]);
        // Thin mist of one colour has that colour.
        let [r, g, b] = composite(&[[8.0, 0.2, 0.4, 0.6]; SAMPLES]);
        assert!((r - 0.2).abs() < 1e-6 && (g - 0.4).abs() < 1e-6 && (b - 0.6).abs() < 1e-6);
    }

    #[test]
    fn a_sky_is_above_its_point() {
        let normal = Vec3::new(0.6, 0.0, 0.8);
        let point = SurfacePoint {
            position: Vec3::new(0.1, 0.2, 0.3),
            normal,
        };
        let places = sky(&point);
        assert_eq!(places.len(), SKY * SKY_STEPS);
        let heights = places
            .iter()
            .map(|place| (Vec3::from(*place) - point.position).dot(&normal));
        assert!(heights.clone().all(|height| height > 0.0));
        // Spread by the cosine, the mean direction rises by two thirds.
        let mean = heights.step_by(SKY_STEPS).sum::<f32>() / SKY as f32;
        let first = SKY_REACH / (SKY_STEPS as f32).powi(2) + 0.02;
        assert!((mean / first - 2.0 / 3.0).abs() < 0.02, "{}", mean / first);
    }
}
