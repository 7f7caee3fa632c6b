//! Images of a mesh, as a viewer shows it.

use crate::Mesh;
use crate::model::Model;
use crate::texture::{sample, visit};
use dreamfuse_core::{Camera, Image, Light, Shading, Vec3};

/// Samples of a pixel along each side.
const OVERSAMPLING: usize = 2;
const SAMPLES: usize = OVERSAMPLING * OVERSAMPLING;

/// How a mesh is shown.
#[derive(Clone, Copy, Debug)]
pub struct MeshLook {
    pub shading: Shading,
    pub light: Light,
    pub background: [f32; 3],
}

/// The model from a camera, lit, over a background; a square image of `size × size` pixels.
///
/// # Panics
/// When the mesh has no normals, or neither colours nor a texture.
pub fn draw(
    model: &Model,
    camera: &Camera,
    light: &Light,
    background: [f32; 3],
    size: usize,
) -> Image {
    let look = MeshLook {
        shading: Shading::Lambertian,
        light: *light,
        background,
    };
    draw_with_opacity(model, camera, &look, size).0
}

/// The model from a camera, and the share of each pixel that it covers.
///
/// # Panics
/// As [`draw`].
pub fn draw_with_opacity(
    model: &Model,
    camera: &Camera,
    look: &MeshLook,
    size: usize,
) -> (Image, Vec<f32>) {
    let side = OVERSAMPLING * size;
    let samples = seen(&model.mesh, camera, side);
    let shaded: Vec<[f32; 3]> = samples
        .iter()
        .map(|sample| sample.map_or(look.background, |hit| shade(model, hit, look)))
        .collect();
    let pixels = (0..size * size).map(|index| {
        let block = block(index, size).map(|sample| Vec3::from(shaded[sample]));
        (block.sum::<Vec3>() / SAMPLES as f32).into()
    });
    let covered = |index: usize| {
        let hit = block(index, size).filter(|sample| samples[*sample].is_some());
        hit.count() as f32 / SAMPLES as f32
    };
    let opacity = (0..size * size).map(covered).collect();
    (Image::square(size, pixels.collect()), opacity)
}

/// Which pixels' centres a mesh covers.
pub(crate) fn coverage(mesh: &Mesh, camera: &Camera, size: usize) -> Vec<bool> {
    let hits = seen(mesh, camera, size);
    hits.iter().map(Option::is_some).collect()
}

/// A place on a mesh: a triangle, and barycentric coordinates there.
#[derive(Clone, Copy)]
pub(crate) struct Hit {
    pub(crate) triangle: usize,
    pub(crate) weights: [f32; 3],
}

/// What the centre of each pixel of an image of `side × side` shows.
pub(crate) fn seen(mesh: &Mesh, camera: &Camera, side: usize) -> Vec<Option<Hit>> {
    let place = |position: &[f32; 3]| {
        let [x, y, depth] = camera.project(Vec3::from(*position))?;
        Some([x * side as f32, y * side as f32, depth])
    };
    let places: Vec<Option<[f32; 3]>> = mesh.positions.iter().map(place).collect();
    let mut depths = vec![f32::INFINITY; side * side];
    let mut hits = vec![None; side * side];
    for (triangle, corners) in mesh.triangles.iter().enumerate() {
        let [Some(a), Some(b), Some(c)] = corners.map(|vertex| places[vertex as usize]) else {
            continue;
        };
        visit_depths([a, b, c], side, |index, depth, weights| {
            if depth < depths[index] {
                depths[index] = depth;
                hits[index] = Some(Hit { triangle, weights });
            }
        });
    }
    hits
}

/// The samples of a pixel.
fn block(index: usize, size: usize) -> impl Iterator<Item = usize> {
    let side = OVERSAMPLING * size;
    let first = OVERSAMPLING * (index / size * side + index % size);
    (0..OVERSAMPLING).flat_map(move |y| (0..OVERSAMPLING).map(move |x| first + y * side + x))
}

/// Calls `hit` with the number, the depth and the barycentric weights of each sample that a triangle covers. Depths and
/// weights are linear in the image: a triangle is small beside its distance.
fn visit_depths(corners: [[f32; 3]; 3], side: usize, mut hit: impl FnMut(usize, f32, [f32; 3])) {
    let [a, b, c] = corners.map(|[_, _, depth]| depth);
    visit(corners.map(|[x, y, _]| [x, y]), side, |index, weights| {
        hit(
            index,
            weights[0] * a + weights[1] * b + weights[2] * c,
            weights,
        );
    });
}

fn shade(model: &Model, hit: Hit, look: &MeshLook) -> [f32; 3] {
    let mesh = &model.mesh;
    let normal = mean(&mesh.normals, mesh.triangles[hit.triangle], hit.weights)
        .try_normalize(1e-12)
        .unwrap_or_else(Vec3::z);
    let position = mean(&mesh.positions, mesh.triangles[hit.triangle], hit.weights);
    look.shading
        .apply(albedo_at(model, hit), position, normal, &look.light)
}

/// The model's albedo at a place.
pub(crate) fn albedo_at(model: &Model, Hit { triangle, weights }: Hit) -> [f32; 3] {
    let Some(skin) = &model.skin else {
        return mean(&model.mesh.colors, model.mesh.triangles[triangle], weights).into();
    };
    let corners = skin.triangles[triangle].map(|corner| skin.uvs[corner as usize]);
    let uv = [0, 1].map(|axis| (0..3).map(|i| weights[i] * corners[i][axis]).sum());
    sample(&skin.albedo, uv)
}

/// A value between those of a triangle's corners.
fn mean(values: &[[f32; 3]], corners: [u32; 3], weights: [f32; 3]) -> Vec3 {
    let weighted = corners
        .iter()
        .zip(weights)
        .map(|(vertex, weight)| weight * Vec3::from(values[*vertex as usize]));
    weighted.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DensityGrid, extract};

    /// A ball of radius 0.3 around a point, in one colour.
    fn ball(center: [f32; 3], color: [f32; 3]) -> Mesh {
        let distance = |p: &[f32; 3]| (Vec3::from(*p) - Vec3::from(center)).norm();
        let grid = DensityGrid::sample(64, |points| {
            points
                .iter()
                .map(|p| (1.0 - distance(p)).max(0.0))
                .collect()
        });
        let mesh = extract(&grid, 0.7).unwrap();
        Mesh {
            colors: vec![color; mesh.positions.len()],
            ..mesh
        }
    }

    fn both(mut first: Mesh, second: Mesh) -> Mesh {
        let count = first.positions.len() as u32;
        first.triangles.extend(
            second
                .triangles
                .iter()
                .map(|triangle| triangle.map(|vertex| vertex + count)),
        );
        first.positions.extend(second.positions);
        first.normals.extend(second.normals);
        first.colors.extend(second.colors);
        first
    }

    const BACKGROUND: [f32; 3] = [0.0, 0.0, 1.0];
    const SIZE: usize = 48;

    fn drawn(mesh: &Mesh, camera: &Camera) -> Image {
        let model = Model::plain(mesh.clone());
        draw(&model, camera, &Light::headlight(camera), BACKGROUND, SIZE)
    }

    #[test]
    fn a_ball_is_seen_where_its_rays_meet_it() {
        let center = [0.4, 0.1, 0.2];
        let mesh = ball(center, [1.0, 0.0, 0.0]);
        for camera in Camera::ring(5, 0.4) {
            let image = drawn(&mesh, &camera);
            for (ray, pixel) in camera.rays(SIZE).iter().zip(&image.pixels) {
                let distance = (Vec3::from(center) - ray.origin)
                    .cross(&ray.direction)
                    .norm();
                if distance < 0.27 {
                    assert!(
                        pixel[0] > 0.3 && pixel[2] == 0.0,
                        "{pixel:?}, {distance} from the middle"
                    );
                } else if distance > 0.33 {
                    assert_eq!(*pixel, BACKGROUND);
                }
            }
        }
    }

    #[test]
    fn what_is_near_hides_what_is_far_and_faces_the_light() {
        let mesh = both(
            ball([0.0, -0.6, 0.0], [1.0, 0.0, 0.0]),
            ball([0.0, 0.6, 0.0], [0.0, 1.0, 0.0]),
        );
        let middle = |azimuth: f32| {
            drawn(&mesh, &Camera::orbit(azimuth, 0.0)).pixels[SIZE / 2 * SIZE + SIZE / 2]
        };
        let ([red, ..], [_, green, _]) = (middle(0.0), middle(std::f32::consts::PI));
        assert!(red > 0.7 && green > 0.7, "{red} {green}");
        // A single triangle too, drawn from both sides; the side that turns away from the light is darker.
        let corner = |x: f32, z: f32| [x, 0.0, z];
        let triangle = Mesh {
            positions: vec![corner(-0.5, -0.5), corner(0.5, -0.5), corner(0.0, 0.6)],
            triangles: vec![[0, 1, 2]],
            normals: vec![[0.0, -1.0, 0.0]; 3],
            colors: vec![[1.0; 3]; 3],
        };
        let middle = |azimuth: f32| {
            drawn(&triangle, &Camera::orbit(azimuth, 0.0)).pixels[SIZE / 2 * SIZE + SIZE / 2]
        };
        let (front, back) = (middle(0.0)[0], middle(std::f32::consts::PI)[0]);
        assert!(back > 0.3 && front > back + 0.3, "{front} {back}");
    }

    #[test]
    fn what_is_behind_the_camera_or_empty_is_not_drawn() {
        let behind = ball([0.0, 0.0, 0.0], [1.0; 3]);
        let camera = Camera {
            look_at: [0.0, -4.0, 0.0],
            distance: 1.0,
            ..Camera::orbit(0.0, 0.0)
        };
        let near = Camera {
            look_at: [0.0, 3.0, 0.0],
            ..camera
        };
        for (mesh, camera) in [(&behind, &near), (&Mesh::default(), &camera)] {
            assert!(
                drawn(mesh, camera)
                    .pixels
                    .iter()
                    .all(|pixel| *pixel == BACKGROUND)
            );
        }
    }
}
