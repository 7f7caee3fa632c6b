//! What is compared: the same views of a run and of the truth.

use dreamfuse_core::{Camera, Image, Light, Shading};
use dreamfuse_engine::Snapshot;
use dreamfuse_mesh::{MeshLook, Model, draw_with_opacity};
use dreamfuse_scene::ViewSettings;
use dreamfuse_toybox::{Look, Scene, render};

/// Views of a comparison: rings of eight.
pub const VIEWS: usize = RING * ELEVATIONS.len();
/// Views of a ring, from the front around.
pub(crate) const RING: usize = 8;
/// Elevations of the rings; the first is level, the second is what sheets show.
const ELEVATIONS: [f32; 3] = [0.0, 0.35, 0.8];
/// Side of the images.
pub(crate) const SIZE: usize = 64;
const BACKGROUND: f32 = 0.5;

/// What of a surface is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Albedo,
    /// White under a light from the camera: the shape alone.
    Textureless,
}

impl Mode {
    fn shading(self) -> Shading {
        match self {
            Self::Albedo => Shading::Albedo,
            Self::Textureless => Shading::Textureless,
        }
    }
}

/// An image with its opacity: `[red · opacity, green · opacity, blue · opacity, opacity]` a pixel.
#[derive(Clone)]
pub struct Premultiplied {
    pub pixels: Vec<[f32; 4]>,
}

impl Premultiplied {
    pub(crate) fn new(image: &Image, opacity: &[f32]) -> Self {
        let pixel = |([r, g, b], a): (&[f32; 3], &f32)| {
            let behind = (1.0 - a) * BACKGROUND;
            [r - behind, g - behind, b - behind, *a]
        };
        Self {
            pixels: image.pixels.iter().zip(opacity).map(pixel).collect(),
        }
    }

    /// Left and right exchanged.
    pub(crate) fn mirrored(&self) -> Self {
        Self {
            pixels: self
                .pixels
                .chunks_exact(SIZE)
                .flat_map(|row| row.iter().rev().copied())
                .collect(),
        }
    }

    /// The mean of each block of `factor × factor` pixels.
    pub(crate) fn shrunk(&self, factor: usize) -> Self {
        let small = SIZE / factor;
        let mean = |i: usize| {
            let first = i / small * factor * SIZE + i % small * factor;
            let block = (0..factor).flat_map(|y| (0..factor).map(move |x| first + y * SIZE + x));
            let sum = block.fold([0.0; 4], |sum: [f32; 4], pixel| {
                std::array::from_fn(|c| sum[c] + self.pixels[pixel][c])
            });
            sum.map(|value| value / (factor * factor) as f32)
        };
        Self {
            pixels: (0..small * small).map(mean).collect(),
        }
    }

    /// On neutral grey.
    pub(crate) fn image(&self) -> Image {
        let mut image = Image::filled(SIZE, SIZE, [BACKGROUND; 3]);
        for (pixel, [r, g, b, a]) in image.pixels.iter_mut().zip(&self.pixels) {
            *pixel = [r, g, b].map(|value| value + (1.0 - a) * BACKGROUND);
        }
        image
    }
}

/// Whether a pixel belongs to the silhouette.
pub(crate) fn is_covered(pixel: &[f32; 4]) -> bool {
    pixel[3] > 0.5
}

/// Mean squared difference of colour and opacity where either image shows something.
pub(crate) fn difference(one: &Premultiplied, other: &Premultiplied) -> f64 {
    let either = one
        .pixels
        .iter()
        .zip(&other.pixels)
        .filter(|(a, b)| is_covered(a) || is_covered(b));
    let (sum, count) = either.fold((0.0, 0usize), |(sum, count), (a, b)| {
        let squares: f32 = (0..4).map(|i| (a[i] - b[i]).powi(2)).sum();
        (sum + f64::from(squares) / 4.0, count + 1)
    });
    sum / count.max(1) as f64
}

/// The cameras, ring by ring.
pub fn cameras() -> Vec<Camera> {
    ELEVATIONS
        .iter()
        .flat_map(|elevation| Camera::ring(RING, *elevation))
        .collect()
}

/// Something that cameras can see.
pub trait Subject {
    fn image(&self, camera: &Camera, mode: Mode) -> Premultiplied;
}

impl Subject for Scene {
    fn image(&self, camera: &Camera, mode: Mode) -> Premultiplied {
        let look = Look {
            shading: mode.shading(),
            background: [BACKGROUND; 3],
            ..Look::albedo(camera)
        };
        let view = render(self, camera, &look, SIZE);
        Premultiplied::new(&view.image, &view.opacity)
    }
}

impl Subject for Model {
    fn image(&self, camera: &Camera, mode: Mode) -> Premultiplied {
        let look = MeshLook {
            shading: mode.shading(),
            light: Light::headlight(camera),
            background: [BACKGROUND; 3],
        };
        let (image, opacity) = draw_with_opacity(self, camera, &look, SIZE);
        Premultiplied::new(&image, &opacity)
    }
}

impl Subject for Snapshot {
    fn image(&self, camera: &Camera, mode: Mode) -> Premultiplied {
        let settings = ViewSettings {
            camera: *camera,
            light: Light::headlight(camera),
            shading: mode.shading(),
            background: [BACKGROUND; 3],
        };
        let (image, opacity) = self.image_and_opacity(&settings, SIZE);
        Premultiplied::new(&image, &opacity)
    }
}
