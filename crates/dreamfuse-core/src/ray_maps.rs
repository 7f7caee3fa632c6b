//! What each pixel of an image knows of its ray, as a network takes it.

use crate::{Camera, Ray};
use std::f32::consts::PI;

impl Camera {
    /// Channels of [`Camera::push_ray_maps`].
    pub const RAY_MAPS: usize = 18;

    /// Adds what each pixel of a square image knows of its ray to `values`, as `[RAY_MAPS, size, size]`:
    /// three channels each of its direction, of its point `p` nearest to the origin, and of sin πp, cos πp,
    /// sin 2πp and cos 2πp.
    pub fn push_ray_maps(&self, size: usize, values: &mut Vec<f32>) {
        let (first, pixels) = (values.len(), size * size);
        values.resize(first + Self::RAY_MAPS * pixels, 0.0);
        let maps = &mut values[first..];
        for (index, ray) in self.rays(size).into_iter().enumerate() {
            let Ray { origin, direction } = ray;
            let nearest = origin - origin.dot(&direction) * direction;
            for axis in 0..3 {
                let (sin, cos) = (PI * nearest[axis]).sin_cos();
                let twice = [2.0 * sin * cos, 2.0 * cos * cos - 1.0];
                let channels = [direction[axis], nearest[axis], sin, cos, twice[0], twice[1]];
                for (group, value) in channels.into_iter().enumerate() {
                    maps[(3 * group + axis) * pixels + index] = value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_has_its_own_ray() {
        let (camera, size) = (Camera::orbit(0.7, 0.4), 6);
        let mut values = vec![9.0];
        camera.push_ray_maps(size, &mut values);
        assert_eq!(values.len(), 1 + Camera::RAY_MAPS * size * size);
        let at = |channel: usize, pixel: usize| values[1 + channel * size * size + pixel];
        for (pixel, ray) in camera.rays(size).iter().enumerate() {
            for axis in 0..3 {
                assert_eq!(at(axis, pixel), ray.direction[axis]);
                // From the nearest point back to the camera, the ray's direction is all that is left.
                let nearest = at(3 + axis, pixel);
                let along = (ray.origin[axis] - nearest) / ray.direction[axis];
                assert!((along - ray.origin.dot(&ray.direction)).abs() < 1e-4);
                let waves = [
                    (PI * nearest).sin(),
                    (PI * nearest).cos(),
                    (2.0 * PI * nearest).sin(),
                    (2.0 * PI * nearest).cos(),
                ];
                for (wave, expected) in waves.into_iter().enumerate() {
                    assert!((at(6 + 3 * wave + axis, pixel) - expected).abs() < 1e-5);
                }
            }
        }
    }
}
