//! A texture that is moved towards images: each texel takes what the pixels lack that show it.

use crate::bake::{BETWEEN, SurfacePoint, point};
use crate::draw::{Hit, seen};
use crate::model::Model;
use crate::texture::{Texels, sample};
use dreamfuse_core::{Camera, Image, Vec3};
use rayon::prelude::*;

/// A texel that is seen more aslant takes nothing: its pixels show its neighbours too.
const LEAST_COSINE: f32 = 0.2;

/// How far what a pixel shows may be from a texel's place, in widths of a pixel, before it hides it.
const NEAR: f32 = 3.0;

/// What an image lacks, and from where it is seen.
pub struct Lack {
    pub camera: Camera,
    /// Per pixel of a square: what is wanted less what is there.
    pub image: Image,
}

/// The texels of a model with their places on its surface.
pub struct Painter {
    texels: Texels,
    points: Vec<SurfacePoint>,
}

impl Painter {
    /// `None` where a model has no texture.
    pub fn of(model: &Model) -> Option<Self> {
        let skin = model.skin.as_ref()?;
        let texels = Texels::of(&skin.uvs, &skin.triangles, skin.albedo.width);
        let mut painter = Self {
            texels,
            points: Vec::new(),
        };
        painter.place(model);
        Some(painter)
    }

    /// Takes up where the model's vertices are now.
    pub fn place(&mut self, model: &Model) {
        let place = |texel: &crate::texture::Texel| {
            let corners = model.mesh.triangles[texel.triangle as usize];
            point(&model.mesh, corners, texel.weights)
        };
        self.points = self.texels.covered.par_iter().map(place).collect();
    }

    /// Moves each texel by a part of the mean of what the images lack where they show it, weighted by how much it faces them: a
    /// step down the gradient of the images' squared error. Returns the root mean square of the moves.
    pub fn paint(&self, model: &mut Model, lacks: &[Lack], part: f32) -> f32 {
        let views: Vec<View> = lacks.iter().map(|lack| View::of(model, lack)).collect();
        let Some(skin) = model.skin.as_mut() else {
            return 0.0;
        };
        let old = |index: u32| Vec3::from(skin.albedo.pixels[index as usize]);
        let texels = self.texels.covered.par_iter().zip(&self.points);
        let moved: Vec<[[f32; 3]; 2]> = texels
            .map(|(texel, point)| {
                let seen = views.iter().filter_map(|view| view.lack_at(point));
                let (sum, weight) = seen
                    .fold((Vec3::zeros(), 0.0), |(sum, total), (lack, weight)| {
                        (sum + weight * lack, total + weight)
                    });
                let old = old(texel.index);
                let mean = if weight > 0.0 { sum / weight } else { sum };
                let new = (old + part * mean).map(|v| v.clamp(0.0, 1.0));
                [new.into(), (new - old).into()]
            })
            .collect();
        let squares: f64 = moved
            .iter()
            .flat_map(|[_, by]| by)
            .map(|v| f64::from(*v).powi(2))
            .sum();
        let colors: Vec<[f32; 3]> = moved.iter().map(|[new, _]| *new).collect();
        skin.albedo = self.texels.image(&colors, BETWEEN);
        (squares / (3 * moved.len()).max(1) as f64).sqrt() as f32
    }

    /// Gives the vertices the colours of the texture.
    pub fn color_vertices(&self, model: &mut Model) {
        let Model {
            mesh,
            skin: Some(skin),
        } = model
        else {
            return;
        };
        for (corners, places) in mesh.triangles.iter().zip(&skin.triangles) {
            for (vertex, place) in corners.iter().zip(places) {
                mesh.colors[*vertex as usize] = sample(&skin.albedo, skin.uvs[*place as usize]);
            }
        }
    }
}

/// An image with what its pixels show.
struct View<'a> {
    lack: &'a Lack,
    eye: Vec3,
    /// For each pixel the place on the mesh.
    places: Vec<Option<Vec3>>,
}

impl<'a> View<'a> {
    fn of(model: &Model, lack: &'a Lack) -> Self {
        let hits = seen(&model.mesh, &lack.camera, lack.image.width);
        let place = |hit: Hit| {
            let corners = model.mesh.corners(&model.mesh.triangles[hit.triangle]);
            corners
                .iter()
                .zip(hit.weights)
                .map(|(corner, weight)| weight * corner)
                .sum()
        };
        Self {
            lack,
            eye: lack.camera.position(),
            places: hits.into_iter().map(|hit| hit.map(place)).collect(),
        }
    }

    /// What the image lacks at a point of the surface, and how much it counts; `None` if it does not show it.
    fn lack_at(&self, point: &SurfacePoint) -> Option<(Vec3, f32)> {
        let to_eye = self.eye - point.position;
        let cosine = point.normal.dot(&to_eye) / to_eye.norm();
        if cosine < LEAST_COSINE {
            return None;
        }
        let [x, y, _] = self.lack.camera.project(point.position)?;
        let size = self.lack.image.width;
        let camera = &self.lack.camera;
        let pixel =
            2.0 * to_eye.norm() * (0.5 * camera.fov).tan() * camera.crop.scale / size as f32;
        // The pixels between which the image is sampled: none may show what lies before or behind.
        let last = size as f32 - 1.0;
        let [x0, y0] = [x, y].map(|v| (v * size as f32 - 0.5).floor());
        let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)];
        let is_near = corners.iter().all(|(dx, dy)| {
            let [u, v] = [x0 + dx, y0 + dy].map(|at| at.clamp(0.0, last) as usize);
            self.places[v * size + u]
                .is_some_and(|shown| (shown - point.position).norm() < NEAR * pixel / cosine)
        });
        is_near.then(|| (sample(&self.lack.image, [x, y]).into(), cosine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DensityGrid;
    use crate::testing::{SIZE, albedo, painted};

    fn balls(color: impl Fn(&[f32; 3]) -> [f32; 3]) -> Model {
        let ball =
            |p: &[f32; 3], y: f32| 0.35 - (p[0] * p[0] + (p[1] - y).powi(2) + p[2] * p[2]).sqrt();
        let grid = DensityGrid::sample(48, |points| {
            points
                .iter()
                .map(|p| (0.5 + ball(p, -0.5).max(ball(p, 0.5))).max(0.0))
                .collect()
        });
        painted(&grid, 0.5, color)
    }

    fn lack(model: &Model, right: &Model, camera: Camera) -> Lack {
        let [wanted, there] = [right, model].map(|model| albedo(model, camera).0);
        let pixels = wanted.pixels.iter().zip(&there.pixels);
        let pixels = pixels.map(|(a, b)| (Vec3::from(*a) - Vec3::from(*b)).into());
        Lack {
            camera,
            image: Image::square(SIZE, pixels.collect()),
        }
    }

    fn error(model: &Model, right: &Model, camera: Camera) -> f32 {
        let pixels = lack(model, right, camera).image.pixels;
        pixels.iter().map(|v| Vec3::from(*v).norm_squared()).sum()
    }

    #[test]
    fn a_texture_becomes_what_the_images_show() {
        let right = balls(|p| [0.5 + 0.4 * (9.0 * p[2]).sin(), 0.4, 0.5 + 0.5 * p[1]]);
        let mut model = balls(|_| [0.5; 3]);
        let painter = Painter::of(&model).unwrap();
        let held_out = Camera::orbit(0.3, 0.2);
        let before = error(&model, &right, held_out);
        let ring = || {
            [0.0, 0.6]
                .iter()
                .flat_map(|elevation| Camera::ring(5, *elevation))
        };
        let mut moves = Vec::new();
        for _ in 0..6 {
            let lacks: Vec<Lack> = ring().map(|camera| lack(&model, &right, camera)).collect();
            moves.push(painter.paint(&mut model, &lacks, 0.7));
        }
        let after = error(&model, &right, held_out);
        assert!(after < 0.05 * before, "{after} of {before}");
        assert!(moves[5] < 0.3 * moves[0], "{moves:?}");
        painter.color_vertices(&mut model);
        let own = Model::plain(model.mesh.clone());
        assert!(error(&own, &right, held_out) < 0.1 * before);
    }

    #[test]
    fn what_is_hidden_or_turned_away_is_left_alone() {
        let mut model = balls(|_| [0.5; 3]);
        let painter = Painter::of(&model).unwrap();
        let camera = Camera::orbit(0.0, 0.0); // the second ball is behind the first
        let image = Image::filled(SIZE, SIZE, [0.4, 0.0, 0.0]);
        painter.paint(&mut model, &[Lack { camera, image }], 1.0);
        let albedo = &model.skin.as_ref().unwrap().albedo;
        let colors = painter
            .texels
            .covered
            .iter()
            .map(|texel| albedo.pixels[texel.index as usize]);
        for (color, point) in colors.zip(&painter.points) {
            let is_front = point.position.y < -0.6 && point.normal.y < -0.6;
            let is_hidden = point.position.y > 0.0 || point.normal.y > 0.0;
            assert!(!is_front || color[0] > 0.85, "{color:?} at {point:?}");
            assert!(!is_hidden || color[0] == 0.5, "{color:?} at {point:?}");
        }
    }
}
