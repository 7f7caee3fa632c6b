//! What a prior can be told of an image beside the text: all that the renderer knows of it.

use crate::{Camera, Light, Shading};

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
}

impl Told {
    /// The camera alone.
    pub fn camera(camera: Camera) -> Self {
        Self {
            camera: Some(camera),
            ..Self::default()
        }
    }
}
