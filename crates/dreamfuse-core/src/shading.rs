//! The shading formula that the toybox draws with and the scene renders with, so that an image of
//! the one is in the distribution of the other.

use crate::camera::check_range;
use crate::{Camera, Vec3};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use serde::{Deserialize, Serialize};

/// How a surface is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shading {
    /// The albedo alone.
    Albedo,
    /// Albedo times irradiance.
    Lambertian,
    /// Irradiance alone, on white: shows the shape without its paint (DreamFusion, section 3.2).
    Textureless,
}

/// A point light with an ambient part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Light {
    pub position: [f32; 3],
    pub ambient: f32,
    pub diffuse: f32,
}

impl Light {
    /// A light at the camera, raised and to its left: what previews and evaluation use.
    pub fn headlight(camera: &Camera) -> Self {
        let [right, up, forward] = camera.axes();
        let position = camera.distance * (0.5 * up - 0.35 * right - forward);
        Self {
            position: position.into(),
            ambient: 0.4,
            diffuse: 0.6,
        }
    }

    /// Irradiance `l_a + l_d max(0, n · (l − p)/|l − p|)` at point `p` with unit normal `n`
    /// (DreamFusion, equation 7), in display-referred units.
    pub fn irradiance(&self, point: Vec3, normal: Vec3) -> f32 {
        let towards = (Vec3::from(self.position) - point).normalize();
        self.ambient + self.diffuse * normal.dot(&towards).max(0.0)
    }
}

/// The distribution that random lights are drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LightRange {
    /// Distance of the light from the origin, as a multiple of the camera's.
    pub distance: [f32; 2],
    /// Ambient part of the light; the rest is diffuse.
    pub ambient: [f32; 2],
    /// Standard deviation, per axis, of noise that is added to the unit vector towards the camera; the sum is
    /// the light's direction.
    pub spread: f32,
}

impl Default for LightRange {
    fn default() -> Self {
        Self {
            distance: [0.8, 1.5],
            ambient: [0.25, 0.5],
            spread: 0.6,
        }
    }
}

impl LightRange {
    /// Says which number cannot be, if any.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        check_range("lights.distance", self.distance, [0.01, 100.0])?;
        check_range("lights.ambient", self.ambient, [0.0, 1.0])?;
        check_range("lights.spread", [self.spread, self.spread], [0.0, 100.0])
    }

    /// A light around the camera's direction: `N(camera, spread² I)`, normalised and put at a random
    /// distance (DreamFusion, appendix A.2). Ambient and diffuse parts add up to one.
    pub fn sample(&self, camera: &Camera, rng: &mut impl Rng) -> Light {
        let mut normal = || -> f32 { StandardNormal.sample(rng) };
        let jitter = Vec3::new(normal(), normal(), normal());
        let towards = (camera.position().normalize() + self.spread * jitter).normalize();
        let mut between = |[low, high]: [f32; 2]| {
            Uniform::new_inclusive(low, high)
                .expect("a range")
                .sample(rng)
        };
        let position = camera.distance * between(self.distance) * towards;
        let ambient = between(self.ambient);
        Light {
            position: position.into(),
            ambient,
            diffuse: 1.0 - ambient,
        }
    }
}

impl Shading {
    /// The colour of a surface point: albedo and normal in, display-referred colour out.
    pub fn apply(self, albedo: [f32; 3], point: Vec3, normal: Vec3, light: &Light) -> [f32; 3] {
        match self {
            Self::Albedo => albedo,
            Self::Lambertian => albedo.map(|c| c * light.irradiance(point, normal)),
            Self::Textureless => [light.irradiance(point, normal); 3],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surface_facing_the_light_is_lit_fully_and_one_turned_away_keeps_the_ambient_part() {
        let light = Light {
            position: [0.0, 0.0, 3.0],
            ambient: 0.1,
            diffuse: 0.9,
        };
        let shade =
            |normal| Shading::Lambertian.apply([1.0, 0.5, 0.0], Vec3::zeros(), normal, &light);
        assert_eq!(shade(Vec3::z()), [1.0, 0.5, 0.0]);
        assert_eq!(shade(-Vec3::z()), [0.1, 0.05, 0.0]);
        assert_eq!(
            Shading::Textureless.apply([1.0, 0.5, 0.0], Vec3::zeros(), Vec3::z(), &light),
            [1.0; 3]
        );
    }
}
