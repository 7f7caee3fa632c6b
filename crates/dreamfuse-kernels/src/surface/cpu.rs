//! The surface on slices, sample by sample.

use super::{ALBEDO, LIGHT, LIT, Settings};
use crate::cpu::{SharedMut, sigmoid, softplus, vectorized};
use crate::field::{OUTPUTS, OUTPUTS_WITH_GRADIENT};
use rayon::prelude::*;

/// Samples, and rays, of a piece of work.
const SAMPLES: usize = 4096;
const RAYS: usize = 128;

/// See [`Lighting`](super::Lighting).
#[derive(Clone, Copy)]
pub(super) struct Rays<'a> {
    pub starts: &'a [usize],
    pub directions: &'a [f32],
    pub lights: &'a [f32],
}

type Vector = [f32; 3];

#[inline(always)]
fn dot(a: Vector, b: Vector) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline(always)]
fn vector(from: &[f32]) -> Vector {
    [from[0], from[1], from[2]]
}

impl Settings {
    /// The raw density of the start at a place, and its gradient.
    #[inline(always)]
    fn start(&self, p: Vector) -> (f32, Vector) {
        let radius = (dot(p, p) + 1e-12).sqrt();
        let slope = -self.blob / self.blob_radius;
        (self.blob + slope * radius, p.map(|v| slope * v / radius))
    }
}

pub(super) fn albedo(s: Settings, raw: &[f32], positions: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; raw.len() / OUTPUTS * ALBEDO];
    let parts = out
        .par_chunks_mut(SAMPLES * ALBEDO)
        .zip(raw.par_chunks(SAMPLES * OUTPUTS));
    parts
        .zip(positions.par_chunks(SAMPLES * 3))
        .for_each(|((out, raw), positions)| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = out.chunks_exact_mut(ALBEDO).zip(raw.chunks_exact(OUTPUTS));
                    for ((out, raw), p) in rows.zip(positions.chunks_exact(3)) {
                        out[0] = s.density_scale * softplus(raw[0] + s.start(vector(p)).0);
                        for c in 1..ALBEDO {
                            out[c] = sigmoid(raw[c]);
                        }
                    }
                },
            );
        });
    out
}

pub(super) fn albedo_backward(
    s: Settings,
    grad: &[f32],
    raw: &[f32],
    positions: &[f32],
) -> Vec<f32> {
    let mut out = vec![0.0; raw.len()];
    let parts = out
        .par_chunks_mut(SAMPLES * OUTPUTS)
        .zip(raw.par_chunks(SAMPLES * OUTPUTS));
    let parts = parts.zip(
        grad.par_chunks(SAMPLES * ALBEDO)
            .zip(positions.par_chunks(SAMPLES * 3)),
    );
    parts.for_each(|((out, raw), (grad, positions))| {
        vectorized(
            #[inline(always)]
            || {
                let rows = out.chunks_exact_mut(OUTPUTS).zip(raw.chunks_exact(OUTPUTS));
                for ((out, raw), (grad, p)) in
                    rows.zip(grad.chunks_exact(ALBEDO).zip(positions.chunks_exact(3)))
                {
                    out[0] = grad[0] * s.density_scale * sigmoid(raw[0] + s.start(vector(p)).0);
                    for c in 1..ALBEDO {
                        let a = sigmoid(raw[c]);
                        out[c] = grad[c] * a * (1.0 - a);
                    }
                }
            },
        );
    });
    out
}

/// What shading a sample needs on either way.
struct Shaded {
    /// Raw density with the start's.
    density: f32,
    albedo: Vector,
    /// Gradient of the raw density and its length.
    slope: Vector,
    length: f32,
    /// Unit vector to the light.
    towards: Vector,
    cosine: f32,
    irradiance: f32,
    /// `max(0, n · v)`.
    away: f32,
}

#[inline(always)]
fn shade(s: Settings, raw: &[f32], p: Vector, light: &[f32], direction: Vector) -> Shaded {
    let (start, start_slope) = s.start(p);
    let slope: Vector = std::array::from_fn(|i| raw[4 + i] + start_slope[i]);
    let length = (dot(slope, slope) + 1e-6).sqrt();
    let normal = slope.map(|v| -v / length);
    let to_light: Vector = std::array::from_fn(|i| light[i] - p[i]);
    let towards = to_light.map(|v| v / dot(to_light, to_light).sqrt());
    let cosine = dot(normal, towards);
    Shaded {
        density: raw[0] + start,
        albedo: std::array::from_fn(|c| sigmoid(raw[1 + c])),
        slope,
        length,
        towards,
        cosine,
        irradiance: light[3] + light[4] * cosine.max(0.0),
        away: dot(normal, direction).max(0.0),
    }
}

/// Calls `work(samples, light, direction)` for each ray, on all threads.
fn for_each_ray(rays: Rays, work: impl Fn(std::ops::Range<usize>, &[f32], Vector) + Sync) {
    let count = rays.starts.len() - 1;
    let a_view = count / (rays.lights.len() / LIGHT);
    (0..count)
        .into_par_iter()
        .with_min_len(RAYS)
        .for_each(|ray| {
            let samples = rays.starts[ray]..rays.starts[ray + 1];
            let light = &rays.lights[ray / a_view * LIGHT..][..LIGHT];
            vectorized(
                #[inline(always)]
                || work(samples, light, vector(&rays.directions[3 * ray..])),
            );
        });
}

pub(super) fn lit(s: Settings, raw: &[f32], positions: &[f32], rays: Rays) -> Vec<f32> {
    let mut out = vec![0.0; raw.len() / OUTPUTS_WITH_GRADIENT * LIT];
    let shared = SharedMut::new(&mut out);
    for_each_ray(
        rays,
        #[inline(always)]
        |samples, light, direction| {
            // SAFETY: rays own the rows of their own samples.
            let rows = unsafe { shared.part(samples.start * LIT, samples.len() * LIT) };
            for (n, out) in samples.zip(rows.chunks_exact_mut(LIT)) {
                let raw = &raw[n * OUTPUTS_WITH_GRADIENT..][..OUTPUTS_WITH_GRADIENT];
                let shaded = shade(s, raw, vector(&positions[3 * n..]), light, direction);
                out[0] = s.density_scale * softplus(shaded.density);
                for c in 0..3 {
                    out[1 + c] =
                        (shaded.albedo[c] * (1.0 - light[5]) + light[5]) * shaded.irradiance;
                }
                out[4] = shaded.away * shaded.away;
            }
        },
    );
    out
}

/// With `n = −u / |u|`, a gradient `g` of the normal is `(n (n · g) − g) / |u|` of the slope `u`.
pub(super) fn lit_backward(
    s: Settings,
    grad: &[f32],
    raw: &[f32],
    positions: &[f32],
    rays: Rays,
) -> Vec<f32> {
    let mut out = vec![0.0; raw.len()];
    let shared = SharedMut::new(&mut out);
    for_each_ray(
        rays,
        #[inline(always)]
        |samples, light, direction| {
            let columns = OUTPUTS_WITH_GRADIENT;
            // SAFETY: rays own the rows of their own samples.
            let rows = unsafe { shared.part(samples.start * columns, samples.len() * columns) };
            for (n, out) in samples.zip(rows.chunks_exact_mut(columns)) {
                let (raw, grad) = (&raw[n * columns..][..columns], &grad[n * LIT..][..LIT]);
                let shaded = shade(s, raw, vector(&positions[3 * n..]), light, direction);
                out[0] = grad[0] * s.density_scale * sigmoid(shaded.density);
                let mut of_irradiance = 0.0;
                for c in 0..3 {
                    let a = shaded.albedo[c];
                    of_irradiance += grad[1 + c] * (a * (1.0 - light[5]) + light[5]);
                    out[1 + c] = grad[1 + c] * shaded.irradiance * (1.0 - light[5]) * a * (1.0 - a);
                }
                let of_cosine = if shaded.cosine > 0.0 {
                    of_irradiance * light[4]
                } else {
                    0.0
                };
                let of_facing = 2.0 * grad[4] * shaded.away;
                let of_normal: Vector = std::array::from_fn(|i| {
                    of_cosine * shaded.towards[i] + of_facing * direction[i]
                });
                // The length holds a constant beside the slope, so the normal is a little shorter than one.
                let along = dot(shaded.slope, of_normal) / (shaded.length * shaded.length);
                for i in 0..3 {
                    out[4 + i] = (shaded.slope[i] * along - of_normal[i]) / shaded.length;
                }
            }
        },
    );
    out
}
