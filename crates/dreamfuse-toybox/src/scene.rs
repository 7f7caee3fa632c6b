//! From a sentence to solids in the world: objects are built, decorated, put in the fixed layout of
//! their relation, and the whole is scaled into a ball around the origin.

use crate::grammar::{Phrase, Sentence};
use crate::kinds::index_of;
use crate::layout::arrange;
use crate::material::{Color, Material};
use crate::object::Object;
use crate::solid::Solid;
use dreamfuse_core::{Ray, Vec3};
use nalgebra::Rotation3;

/// No point of a scene is farther from the origin, so that it fits every camera's view.
pub const RADIUS: f32 = 0.85;

/// A rotation by shortest arc that takes Z to `axis`.
pub(crate) fn turn_to(axis: Vec3) -> Rotation3<f32> {
    Rotation3::rotation_between(&Vec3::z(), &axis)
        .unwrap_or_else(|| Rotation3::from_axis_angle(&Vec3::x_axis(), std::f32::consts::PI))
}

/// A coloured solid in its place.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: &'static str,
    pub solid: Solid,
    pub center: Vec3,
    pub rotation: Rotation3<f32>,
    pub color: Color,
    pub material: Option<Texture>,
}

/// A material on a part. Patterns keep their size relative to the object.
#[derive(Clone, Copy, Debug)]
pub struct Texture {
    pub material: Material,
    /// The part's number in its object.
    pub part: usize,
    /// World units per unit of the object.
    pub scale: f32,
}

/// What a ray meets first.
#[derive(Clone, Copy, Debug)]
pub struct Surface {
    pub distance: f32,
    pub point: Vec3,
    pub normal: Vec3,
    pub albedo: Color,
    /// The name of the part.
    pub part: &'static str,
}

/// A scene inside `[−1, 1]³`.
#[derive(Clone, Debug)]
pub struct Scene {
    pub parts: Vec<Part>,
}

impl Scene {
    /// The scene of a sentence: the canonical one.
    pub fn canonical(sentence: &Sentence) -> Self {
        Self::build(sentence, None)
    }

    /// An instance that varies by `seed`.
    pub fn instance(sentence: &Sentence, seed: u64) -> Self {
        Self::build(sentence, Some(seed))
    }

    fn build(sentence: &Sentence, seed: Option<u64>) -> Self {
        let mut salt = 0;
        let mut object = |phrase: &Phrase| Object::build(phrase, seed, &mut salt);
        let subject = object(&sentence.subject);
        let whole = match &sentence.relation {
            None => subject,
            Some((relation, phrase)) => {
                let other = object(phrase);
                let board = || object(&Phrase::of(index_of("chess board")));
                arrange(*relation, subject, other, board)
            }
        };
        // A tiny thing by itself leaves most of the world empty; a giant one can but fill it.
        let radius = RADIUS * whole.scale.min(1.0);
        Self {
            parts: whole.into_centered(radius).parts,
        }
    }

    /// The first surface along a ray that starts outside.
    pub fn trace(&self, ray: &Ray) -> Option<Surface> {
        let mut first: Option<(f32, Vec3, usize)> = None;
        for (index, part) in self.parts.iter().enumerate() {
            let limit = first.map_or(f32::MAX, |(distance, ..)| distance);
            if let Some((distance, normal)) = part.intersect(ray, limit) {
                first = Some((distance, normal, index));
            }
        }
        let (distance, normal, index) = first?;
        let point = ray.origin + distance * ray.direction;
        let (albedo, normal) = self.parts[index].surface(point, normal);
        Some(Surface {
            distance,
            point,
            normal,
            albedo,
            part: self.parts[index].name,
        })
    }

    /// The signed distance of a point from the union of all parts; inside it is a bound.
    pub fn signed_distance(&self, point: Vec3) -> f32 {
        self.parts
            .iter()
            .map(|part| part.solid.signed_distance(part.to_local(point)))
            .fold(f32::MAX, f32::min)
    }
}

impl Part {
    fn to_local(&self, point: Vec3) -> Vec3 {
        self.rotation
            .inverse_transform_vector(&(point - self.center))
    }

    /// Distance and world normal of the first hit nearer than `limit`.
    fn intersect(&self, ray: &Ray, limit: f32) -> Option<(f32, Vec3)> {
        let towards = self.center - ray.origin;
        let along = towards.dot(&ray.direction);
        let radius = self.solid.radius();
        if towards.norm_squared() - along * along > radius * radius || along - radius > limit {
            return None;
        }
        let origin = -self.rotation.inverse_transform_vector(&towards);
        let direction = self.rotation.inverse_transform_vector(&ray.direction);
        let hit = self.solid.intersect(&Ray { origin, direction })?;
        (hit.distance < limit).then(|| (hit.distance, self.rotation * hit.normal))
    }

    /// Albedo and shading normal at a point of the surface.
    fn surface(&self, point: Vec3, normal: Vec3) -> (Color, Vec3) {
        let Some(Texture {
            material,
            part,
            scale,
        }) = self.material
        else {
            return (self.color, normal);
        };
        let p = self.to_local(point) / scale;
        (
            material.paint(self.color, part, p),
            material.bump(normal, p),
        )
    }
}
