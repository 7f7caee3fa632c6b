//! What a prior can be told of an image beside the text: all that the renderer knows of it.

use crate::{Camera, Crop, Light, Shading, Vec3};

/// What is known of one image; what is not stays out. A prior takes of it what it was trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    pub camera: Option<Camera>,
    pub shading: Option<Shading>,
    pub light: Option<Light>,
    /// Display-referred sRGB.
    pub background: Option<[f32; 3]>,
    /// Whether the scene is the canonical one of its sentence.
    pub canonical: Option<bool>,
    /// Whether azimuths count from another direction than the scene's front: then they only relate images to each other.
    pub is_turned: bool,
}

impl Told {
    /// Values of [`Told::conditioning`].
    pub const CONDITIONING: usize = Camera::CONDITIONING + 14;

    /// The camera alone.
    pub fn camera(camera: Camera) -> Self {
        Self {
            camera: Some(camera),
            ..Self::default()
        }
    }

    /// With azimuths that count from `angle` (radians) before the front.
    #[must_use]
    pub fn turned(self, angle: f32) -> Self {
        let (sin, cos) = angle.sin_cos();
        let turn = |[x, y, z]: [f32; 3]| [x * cos - y * sin, x * sin + y * cos, z];
        Self {
            camera: self.camera.map(|camera| Camera {
                azimuth: camera.azimuth + angle,
                look_at: turn(camera.look_at),
                ..camera
            }),
            light: self.light.map(|light| Light {
                position: turn(light.position),
                ..light
            }),
            is_turned: true,
            ..self
        }
    }

    /// As a network takes it. What is not known is zeros, group by group:
    ///
    /// | values | meaning |
    /// | --- | --- |
    /// | 9 | [`Camera::conditioning`], without the azimuth where that is none from the front |
    /// | 3 | shading, one-hot: albedo, Lambertian, textureless |
    /// | 3 + 1 | unit direction to the light in camera axes (right, up, forward), ambient part |
    /// | 3 | background, less the middle grey of 0.5 |
    /// | 2 + 1 | the world's origin in the whole view, in units in which that is `[−1, 1]²`; roll in radians |
    /// | 1 | 1 for a canonical scene, −1 for another |
    pub fn conditioning(&self) -> [f32; Self::CONDITIONING] {
        let mut values = [0.0; Self::CONDITIONING];
        let (camera, rest) = values.split_at_mut(Camera::CONDITIONING);
        let [shading, light, background, aim, canonical] = split(rest, [3, 4, 3, 3, 1]);
        if let Some(known) = &self.camera {
            camera.copy_from_slice(&known.conditioning());
            aim.copy_from_slice(&aim_of(known));
            if self.is_turned {
                camera[1..3].fill(0.0);
            }
        }
        if let Some(known) = self.shading {
            shading[known as usize] = 1.0;
        }
        // The light of an albedo image is seen nowhere.
        if let (Some(known), Some(seen_from)) = (&self.light, &self.camera)
            && self.shading != Some(Shading::Albedo)
        {
            light.copy_from_slice(&light_of(known, seen_from));
        }
        if let Some(known) = self.background {
            background.copy_from_slice(&known.map(|value| value - 0.5));
        }
        if let Some(known) = self.canonical {
            canonical[0] = if known { 1.0 } else { -1.0 };
        }
        values
    }
}

/// Consecutive parts of a slice.
fn split<const N: usize>(mut values: &mut [f32], lengths: [usize; N]) -> [&mut [f32]; N] {
    lengths.map(|length| {
        let (part, rest) = std::mem::take(&mut values).split_at_mut(length);
        values = rest;
        part
    })
}

fn light_of(light: &Light, camera: &Camera) -> [f32; 4] {
    let direction = Vec3::from(light.position).normalize();
    let [right, up, forward] = camera.axes().map(|axis| axis.dot(&direction));
    [right, up, forward, light.ambient]
}

fn aim_of(camera: &Camera) -> [f32; 3] {
    let whole = Camera {
        crop: Crop::WHOLE,
        ..*camera
    };
    let [x, y, _] = whole.project(Vec3::zeros()).unwrap_or([0.5, 0.5, 0.0]);
    [2.0 * x - 1.0, 2.0 * y - 1.0, camera.roll]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_known_is_zeros_and_each_group_has_its_place() {
        assert_eq!(Told::default().conditioning(), [0.0; Told::CONDITIONING]);
        let camera = Camera {
            look_at: [0.0, 0.0, 0.2],
            roll: 0.1,
            ..Camera::orbit(0.0, 0.0)
        };
        let light = Light {
            position: (camera.position() * 2.0).into(),
            ambient: 0.3,
            diffuse: 0.7,
        };
        let told = Told {
            camera: Some(camera),
            shading: Some(Shading::Lambertian),
            light: Some(light),
            background: Some([0.5, 0.6, 0.4]),
            canonical: Some(false),
            is_turned: false,
        };
        let values = told.conditioning();
        assert_eq!(values[..9], camera.conditioning());
        assert_eq!(values[9..12], [0.0, 1.0, 0.0]);
        // From behind the camera, but for the height of what it looks at.
        assert!(
            values[14] < -0.99 && (values[15] - 0.3).abs() < 1e-6,
            "{values:?}"
        );
        assert!(values[16].abs() < 1e-6 && (values[17] - 0.1).abs() < 1e-6);
        // It looks above the origin, which is therefore below the middle (y goes down).
        assert!(
            values[20] > 0.1 && (values[21] - 0.1).abs() < 1e-6,
            "{values:?}"
        );
        assert_eq!(values[22], -1.0);
        let unlit = Told {
            shading: Some(Shading::Albedo),
            ..told
        };
        assert_eq!(unlit.conditioning()[12..16], [0.0; 4]);
        // All but the azimuth is as before in a world that is turned.
        let turned = told.turned(0.7).conditioning();
        assert_eq!(turned[1..3], [0.0; 2]);
        for index in (0..1).chain(3..Told::CONDITIONING) {
            assert!((turned[index] - values[index]).abs() < 1e-5, "{index}");
        }
    }
}
