//! Cameras on a sphere around the scene, and the rays of their pixels.

use crate::Vec3;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use std::f32::consts::{PI, TAU};

/// A ray `origin + t · direction` with a unit direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ray {
    pub origin: Vec3,
    pub direction: Vec3,
}

/// The part of the image plane that an image shows: a square window in units in which the whole
/// view is `[-1, 1]²`, x to the right and y down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crop {
    pub center: [f32; 2],
    /// Half the window's side; 1 is the whole view.
    pub scale: f32,
}

impl Crop {
    pub const WHOLE: Self = Self {
        center: [0.0, 0.0],
        scale: 1.0,
    };

    /// A window of the given scale, uniformly placed inside the whole view.
    pub fn random(scale: f32, rng: &mut impl Rng) -> Self {
        let room = 1.0 - scale;
        let mut place = || room * rng.random_range(-1.0..=1.0f32);
        Self {
            center: [place(), place()],
            scale,
        }
    }
}

/// A perspective camera that looks at a point of the scene.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// Radians; 0 is the front (the camera stands at −Y), growing towards +X.
    pub azimuth: f32,
    /// Radians above the ground.
    pub elevation: f32,
    /// Distance from the point looked at, in world units.
    pub distance: f32,
    /// Vertical field of view in radians.
    pub fov: f32,
    pub look_at: [f32; 3],
    /// Radians by which the camera's up leans to its right.
    pub roll: f32,
    pub crop: Crop,
}

impl Camera {
    /// Numbers in [`Camera::conditioning`].
    pub const CONDITIONING: usize = 9;
    /// Numbers in [`Camera::matrix`].
    pub const MATRIX: usize = 16;

    /// A whole view of the scene from `azimuth` and `elevation` (radians), at the middle of the
    /// default ranges of distance and field of view.
    pub fn orbit(azimuth: f32, elevation: f32) -> Self {
        let range = CameraRange::default();
        let middle = |[low, high]: [f32; 2]| 0.5 * (low + high);
        Self {
            azimuth,
            elevation,
            distance: middle(range.distance),
            fov: middle(range.fov).to_radians(),
            look_at: [0.0; 3],
            roll: 0.0,
            crop: Crop::WHOLE,
        }
    }

    /// `count` cameras evenly spaced in azimuth, starting at the front.
    pub fn ring(count: usize, elevation: f32) -> Vec<Self> {
        (0..count)
            .map(|i| Self::orbit(TAU * i as f32 / count as f32, elevation))
            .collect()
    }

    /// Where the camera stands.
    pub fn position(&self) -> Vec3 {
        let (sin_a, cos_a) = self.azimuth.sin_cos();
        let (sin_e, cos_e) = self.elevation.sin_cos();
        Vec3::from(self.look_at) + self.distance * Vec3::new(sin_a * cos_e, -cos_a * cos_e, sin_e)
    }

    /// Unit vectors `[right, up, forward]` of the image plane.
    pub fn axes(&self) -> [Vec3; 3] {
        let (sin_a, cos_a) = self.azimuth.sin_cos();
        let (sin_e, cos_e) = self.elevation.sin_cos();
        // Written out, so that the poles need no special case.
        let forward = Vec3::new(-sin_a * cos_e, cos_a * cos_e, -sin_e);
        let level = Vec3::new(cos_a, sin_a, 0.0);
        let up = level.cross(&forward);
        let (sin, cos) = self.roll.sin_cos();
        [cos * level - sin * up, cos * up + sin * level, forward]
    }

    /// The ray through the point `(x, y)` of an image, both in `[0, 1]`, y downwards.
    pub fn ray(&self, x: f32, y: f32) -> Ray {
        let [right, up, forward] = self.axes();
        let half = (0.5 * self.fov).tan();
        let plane = |v: f32, center: f32| half * (center + self.crop.scale * (2.0 * v - 1.0));
        let direction =
            forward + plane(x, self.crop.center[0]) * right - plane(y, self.crop.center[1]) * up;
        Ray {
            origin: self.position(),
            direction: direction.normalize(),
        }
    }

    /// The rays through the pixel centres of a square image, row by row from the top left.
    pub fn rays(&self, size: usize) -> Vec<Ray> {
        let at = |i: usize| (i as f32 + 0.5) / size as f32;
        (0..size * size)
            .map(|i| self.ray(at(i % size), at(i / size)))
            .collect()
    }

    /// Where [`Camera::ray`] has to go through to meet a point, and the point's distance along the view: `[x, y, depth]`.
    /// `None` for what is not in front of the camera.
    pub fn project(&self, point: Vec3) -> Option<[f32; 3]> {
        let [right, up, forward] = self.axes();
        let from = point - self.position();
        let depth = from.dot(&forward);
        let half = depth * (0.5 * self.fov).tan();
        let part =
            |along: f32, center: f32| 0.5 * ((along / half - center) / self.crop.scale + 1.0);
        let [x, y] = self.crop.center;
        (depth > 0.0).then(|| [part(from.dot(&right), x), part(-from.dot(&up), y), depth])
    }

    /// What MVDream is told: the rows of camera-to-world in Blender's axes, right, up and backwards in the columns, and the
    /// camera on the unit sphere (MVDream's `camera_utils.py`, `get_camera`). The distance is not told, nor where it aims.
    pub fn matrix(&self) -> [f32; Self::MATRIX] {
        let [right, up, forward] = Self { roll: 0.0, ..*self }.axes();
        let row = |i: usize| [right[i], up[i], -forward[i], -forward[i]];
        let [x, y, z] = [row(0), row(1), row(2)];
        let mut rows = [0.0; Self::MATRIX];
        for (target, value) in rows
            .iter_mut()
            .zip(x.into_iter().chain(y).chain(z).chain([0.0, 0.0, 0.0, 1.0]))
        {
            *target = value;
        }
        rows
    }

    /// What a camera-aware prior is told: `[present, cos azimuth, sin azimuth, sin elevation,
    /// distance, field of view, crop centre x, y, crop scale]`; all zeros stand for "unknown".
    pub fn conditioning(&self) -> [f32; Self::CONDITIONING] {
        let (sin, cos) = self.azimuth.sin_cos();
        let [x, y] = self.crop.center;
        [
            1.0,
            cos,
            sin,
            self.elevation.sin(),
            self.distance,
            self.fov,
            x,
            y,
            self.crop.scale,
        ]
    }
}

/// The distribution that random cameras are drawn from. Degrees and world units, as in files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraRange {
    /// From the front (0) towards +X.
    pub azimuth: [f32; 2],
    /// Above the ground.
    pub elevation: [f32; 2],
    /// From the point looked at.
    pub distance: [f32; 2],
    /// Vertical field of view.
    pub fov: [f32; 2],
    /// Standard deviation of the point looked at, along each axis.
    pub look_at: f32,
    /// Standard deviation of the roll.
    pub roll: f32,
    /// Share of the images that are zoomed crops.
    pub crops: f32,
    /// Side of a crop, as a share of the whole view's.
    pub crop_scale: [f32; 2],
}

impl Default for CameraRange {
    fn default() -> Self {
        Self {
            azimuth: [0.0, 360.0],
            elevation: [-10.0, 80.0],
            distance: [2.7, 3.1],
            fov: [36.0, 40.0],
            look_at: 0.02,
            roll: 1.0,
            crops: 0.05,
            crop_scale: [0.4, 0.8],
        }
    }
}

impl CameraRange {
    /// Says which number cannot be, if any.
    ///
    /// # Errors
    /// The message names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        for (key, range, [least, most]) in [
            ("azimuth", self.azimuth, [-360.0, 360.0]),
            ("elevation", self.elevation, [-90.0, 90.0]),
            ("distance", self.distance, [0.5, 100.0]),
            ("fov", self.fov, [1.0, 150.0]),
            ("look_at", [self.look_at; 2], [0.0, 1.0]),
            ("roll", [self.roll; 2], [0.0, 90.0]),
            ("crops", [self.crops, self.crops], [0.0, 1.0]),
            ("crop_scale", self.crop_scale, [0.01, 1.0]),
        ] {
            check_range(&format!("cameras.{key}"), range, [least, most])?;
        }
        Ok(())
    }

    /// Random cameras in rows of `together`: those of a row are as far apart as they can be, and differ in nothing else.
    /// `numbers(i)` are for view `i`, the first of a row.
    pub fn sample_rows<R: Rng>(
        &self,
        count: usize,
        together: usize,
        numbers: impl Fn(usize) -> R,
    ) -> Vec<Camera> {
        let rows = count.div_ceil(together);
        let mut cameras = Vec::with_capacity(count);
        for row in 0..rows {
            let first = self.sample(row, rows, &mut numbers(row * together));
            let turned = |index: usize| TAU * index as f32 / together as f32;
            cameras.extend((0..together).map(|index| Camera {
                azimuth: wrap(first.azimuth + turned(index)),
                ..first
            }));
        }
        cameras.truncate(count);
        cameras
    }

    /// One random camera. The azimuth is uniform in stratum `index` of `count`. Half of the
    /// elevations are uniform in angle, half uniform in area on the sphere; the point looked at and the
    /// up vector vary (DreamFusion, app. A.2).
    pub fn sample(&self, index: usize, count: usize, rng: &mut impl Rng) -> Camera {
        let uniform =
            |[low, high]: [f32; 2], rng: &mut dyn FnMut() -> f32| low + (high - low) * rng();
        let mut unit = || rng.random::<f32>();
        let [first, last] = self.azimuth.map(f32::to_radians);
        let azimuth = first + (last - first) * (index as f32 + unit()) / count as f32;
        let [low, high] = self.elevation.map(f32::to_radians);
        let elevation = if unit() < 0.5 {
            uniform([low, high], &mut unit)
        } else {
            uniform([low.sin(), high.sin()], &mut unit).asin()
        };
        let distance = uniform(self.distance, &mut unit);
        let fov = uniform(self.fov, &mut unit).to_radians();
        let is_crop = unit() < self.crops;
        let scale = uniform(self.crop_scale, &mut unit);
        let crop = if is_crop {
            Crop::random(scale, rng)
        } else {
            Crop::WHOLE
        };
        let mut normal = |deviation: f32| deviation * rng.sample::<f32, _>(StandardNormal);
        let look_at = [0; 3].map(|_| normal(self.look_at));
        let roll = normal(self.roll).to_radians();
        Camera {
            azimuth: wrap(azimuth),
            elevation,
            distance,
            fov,
            look_at,
            roll,
            crop,
        }
    }
}

/// Says what is wrong with a range from low to high that has to lie within bounds, if anything.
///
/// # Errors
/// The message names the key.
pub fn check_range(
    key: &str,
    [low, high]: [f32; 2],
    [least, most]: [f32; 2],
) -> Result<(), String> {
    let is_right = least <= low && low <= high && high <= most;
    if is_right {
        Ok(())
    } else {
        Err(format!(
            "{key} from {low} to {high} is not in order within {least} and {most}"
        ))
    }
}

/// An angle brought into `(-π, π]`.
pub fn wrap(angle: f32) -> f32 {
    PI - (PI - angle).rem_euclid(TAU)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn the_front_camera_stands_at_minus_y_and_sees_x_to_the_right() {
        let camera = Camera::orbit(0.0, 0.0);
        assert!((camera.position() - Vec3::new(0.0, -camera.distance, 0.0)).norm() < 1e-6);
        let [right, up, forward] = camera.axes();
        assert!((right - Vec3::x()).norm() < 1e-6);
        assert!((up - Vec3::z()).norm() < 1e-6);
        assert!((forward - Vec3::y()).norm() < 1e-6);
        assert!(Camera::orbit(PI / 2.0, 0.0).position().x > 2.0);
        // Leaning to the right turns up towards the right.
        let [right, up, _] = Camera {
            roll: PI / 2.0,
            ..camera
        }
        .axes();
        assert!((up - Vec3::x()).norm() < 1e-6 && (right + Vec3::z()).norm() < 1e-6);
    }

    #[test]
    fn a_crop_is_a_window_of_the_whole_view() {
        let whole = Camera::orbit(0.7, 0.4);
        let crop = Camera {
            crop: Crop {
                center: [0.5, -0.5],
                scale: 0.5,
            },
            ..whole
        };
        // The crop's left edge is the whole view's middle, its top edge the whole view's top.
        assert!((crop.ray(0.0, 0.0).direction - whole.ray(0.5, 0.0).direction).norm() < 1e-6);
        assert!((crop.ray(1.0, 1.0).direction - whole.ray(1.0, 0.5).direction).norm() < 1e-6);
    }

    #[test]
    fn a_point_is_projected_to_where_its_ray_goes_through() {
        let crop = Crop {
            center: [0.3, -0.2],
            scale: 0.6,
        };
        let camera = Camera {
            roll: 0.3,
            look_at: [0.1, 0.2, -0.1],
            crop,
            ..Camera::orbit(0.7, 0.4)
        };
        for (x, y) in [(0.5, 0.5), (0.1, 0.8), (-0.4, 1.7)] {
            let ray = camera.ray(x, y);
            let [there_x, there_y, depth] =
                camera.project(ray.origin + 2.0 * ray.direction).unwrap();
            assert!(
                (there_x - x).abs() < 1e-5 && (there_y - y).abs() < 1e-5,
                "{there_x} {there_y}"
            );
            assert!((depth - 2.0 * ray.direction.dot(&camera.axes()[2])).abs() < 1e-5);
            assert_eq!(camera.project(ray.origin - ray.direction), None);
        }
    }

    #[test]
    fn random_cameras_keep_to_their_ranges_and_strata() {
        let range = CameraRange::default();
        let mut rng = stream(3, Purpose::Camera, 0, 0);
        let (mut aims, mut rolls) = (0.0, 0.0);
        for i in 0..400 {
            let camera = range.sample(i % 4, 4, &mut rng);
            aims += camera.look_at[i % 3].powi(2) / 400.0;
            rolls += camera.roll.to_degrees().powi(2) / 400.0;
            let turn = camera.azimuth.rem_euclid(TAU) / TAU * 4.0;
            assert_eq!(turn.min(3.999) as usize, i % 4);
            let narrow = CameraRange {
                azimuth: [-45.0, 45.0],
                ..CameraRange::default()
            }
            .sample(i % 4, 4, &mut rng);
            assert!(
                narrow.azimuth.to_degrees().abs() <= 45.001,
                "{}",
                narrow.azimuth
            );
            assert!((-10.001..=80.001).contains(&camera.elevation.to_degrees()));
            assert!(
                camera
                    .crop
                    .center
                    .iter()
                    .all(|c| c.abs() + camera.crop.scale <= 1.0 + 1e-6)
            );
        }
        assert!(
            (aims.sqrt() / range.look_at - 1.0).abs() < 0.15,
            "{}",
            aims.sqrt()
        );
        assert!(
            (rolls.sqrt() / range.roll - 1.0).abs() < 0.15,
            "{}",
            rolls.sqrt()
        );
    }
}
