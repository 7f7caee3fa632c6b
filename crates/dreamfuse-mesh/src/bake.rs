//! What is written into a mesh's textures: colours of a field, directions of a finer surface, and how open it is.

use crate::Mesh;
use crate::texture::{Texel, Texels, sample};
use crate::unwrap::Unwrap;
use dreamfuse_core::{Image, Vec3};

/// Points that a field is asked for at once.
const PART: usize = 1 << 16;

/// Between charts, where nothing is baked.
pub(crate) const BETWEEN: [f32; 3] = [0.5; 3];

/// A point of the surface with its outward normal.
#[derive(Clone, Copy, Debug)]
pub struct SurfacePoint {
    pub position: Vec3,
    pub normal: Vec3,
}

/// Texture coordinates with their images.
#[derive(Clone, Debug)]
pub struct Baked {
    pub unwrap: Unwrap,
    pub albedo: Image,
    pub normals: Option<Image>,
    /// In which frame the normals are told, if they are: one for each of the texture coordinates.
    pub tangents: Option<Vec<[f32; 4]>>,
    pub occlusion: Option<Image>,
}

/// Values at surface points.
pub type Field<'a, T> = dyn Fn(&[SurfacePoint]) -> Vec<T> + 'a;

/// What is to be baked, and how.
#[derive(Default)]
pub struct Extras<'a> {
    /// Side of the image at which the albedo's field is asked, if it has no finer detail; the texture's own by default.
    pub field_size: Option<usize>,
    /// Outward normals of a finer surface.
    pub normals: Option<&'a Field<'a, Vec3>>,
    /// How much of the sky a point sees, 0 to 1.
    pub openness: Option<&'a Field<'a, f32>>,
}

/// Bakes the albedo, and what else there is, into images of `size × size` texels.
pub fn bake(
    mesh: &Mesh,
    unwrap: Unwrap,
    size: usize,
    albedo: &Field<[f32; 3]>,
    extras: &Extras,
) -> Baked {
    let texels = Texels::of(&unwrap.uvs, &unwrap.triangles, size);
    let points: Vec<SurfacePoint> = texels
        .covered
        .iter()
        .map(|texel| {
            let corners = mesh.triangles[texel.triangle as usize];
            point(mesh, corners, texel.weights)
        })
        .collect();
    let colors = match extras.field_size.filter(|side| *side < size) {
        None => points.chunks(PART).flat_map(albedo).collect(),
        Some(side) => enlarged(mesh, &unwrap, side, &texels, &points, albedo),
    };
    let tangents = extras.normals.map(|_| tangents(mesh, &unwrap));
    let normals = extras
        .normals
        .zip(tangents.as_ref())
        .map(|(field, tangents)| {
            let fine = points.chunks(PART).flat_map(field);
            let encoded =
                texels
                    .covered
                    .iter()
                    .zip(&points)
                    .zip(fine)
                    .map(|((texel, point), fine)| {
                        let places = unwrap.triangles[texel.triangle as usize];
                        let frame = places.map(|place| tangents[place as usize]);
                        encode(frame, texel.weights, point.normal, fine)
                    });
            texels.image(&encoded.collect::<Vec<_>>(), FLAT)
        });
    let occlusion = extras.openness.map(|field| {
        let open = points.chunks(PART).flat_map(field);
        texels.image(&open.map(|value| [value; 3]).collect::<Vec<_>>(), [1.0; 3])
    });
    Baked {
        albedo: texels.image(&colors, BETWEEN),
        tangents,
        normals,
        occlusion,
        unwrap,
    }
}

/// Colours of texels from an image of `side × side`, where it has all four that a texel lies between; else from the field.
fn enlarged(
    mesh: &Mesh,
    unwrap: &Unwrap,
    side: usize,
    texels: &Texels,
    points: &[SurfacePoint],
    albedo: &Field<[f32; 3]>,
) -> Vec<[f32; 3]> {
    let small = Texels::of(&unwrap.uvs, &unwrap.triangles, side);
    let at = |texel: &Texel| point(mesh, mesh.triangles[texel.triangle as usize], texel.weights);
    let asked: Vec<SurfacePoint> = small.covered.iter().map(at).collect();
    let colors: Vec<[f32; 3]> = asked.chunks(PART).flat_map(albedo).collect();
    let image = small.image(&colors, BETWEEN);
    let mut is_known = vec![false; side * side];
    for texel in &small.covered {
        is_known[texel.index as usize] = true;
    }
    let place = |texel: &Texel| {
        let middle = [
            texel.index as usize % texels.size,
            texel.index as usize / texels.size,
        ];
        middle.map(|at| (at as f32 + 0.5) / texels.size as f32)
    };
    let is_between = |uv: [f32; 2]| {
        let [x, y] = uv.map(|t| (t * side as f32 - 0.5).clamp(0.0, side as f32 - 2.0) as usize);
        [0, 1, side, side + 1]
            .iter()
            .all(|step| is_known[y * side + x + step])
    };
    let (mut colors, mut left) = (Vec::with_capacity(points.len()), Vec::new());
    for (index, texel) in texels.covered.iter().enumerate() {
        let uv = place(texel);
        colors.push(sample(&image, uv));
        if !is_between(uv) {
            left.push(index);
        }
    }
    let rest: Vec<SurfacePoint> = left.iter().map(|index| points[*index]).collect();
    for (index, color) in left.into_iter().zip(rest.chunks(PART).flat_map(albedo)) {
        colors[index] = color;
    }
    colors
}

/// The point of a triangle at barycentric coordinates.
pub(crate) fn point(mesh: &Mesh, corners: [u32; 3], weights: [f32; 3]) -> SurfacePoint {
    let mean = |values: &[[f32; 3]]| {
        let parts = corners.iter().zip(weights);
        parts
            .map(|(corner, w)| w * Vec3::from(values[*corner as usize]))
            .sum::<Vec3>()
    };
    SurfacePoint {
        position: mean(&mesh.positions),
        normal: mean(&mesh.normals)
            .try_normalize(1e-12)
            .unwrap_or_else(Vec3::z),
    }
}

/// A texel that says nothing: the surface's own normal.
const FLAT: [f32; 3] = [0.5, 0.5, 1.0];

/// For each of the texture coordinates, the direction in which u grows there, and the sign by which the cross product of
/// normal and tangent points to where the image is up.
fn tangents(mesh: &Mesh, unwrap: &Unwrap) -> Vec<[f32; 4]> {
    let mut sums = vec![(Vec3::zeros(), 0.0f32); unwrap.uvs.len()];
    for (corners, places) in mesh.triangles.iter().zip(&unwrap.triangles) {
        let [a, b, c] = mesh.corners(corners);
        let [p, q, r] = places.map(|place| unwrap.uvs[place as usize]);
        let (du1, dv1) = (q[0] - p[0], q[1] - p[1]);
        let (du2, dv2) = (r[0] - p[0], r[1] - p[1]);
        let turn = du1 * dv2 - du2 * dv1;
        let along = ((b - a) * dv2 - (c - a) * dv1) * turn.signum();
        for place in places {
            let (sum, side) = &mut sums[*place as usize];
            *sum += along;
            *side -= turn;
        }
    }
    let tangent = |(sum, side): (Vec3, f32)| {
        let along = sum.try_normalize(1e-20).unwrap_or_else(Vec3::x);
        [
            along.x,
            along.y,
            along.z,
            if side < 0.0 { -1.0 } else { 1.0 },
        ]
    };
    sums.into_iter().map(tangent).collect()
}

/// A direction in the frame of tangent, bitangent and normal, as a colour: what a viewer undoes.
fn encode(frame: [[f32; 4]; 3], weights: [f32; 3], normal: Vec3, fine: Vec3) -> [f32; 3] {
    let parts = frame.iter().zip(weights);
    let tangent = parts.map(|([x, y, z, _], weight)| Vec3::new(*x, *y, *z) * weight);
    let tangent = tangent.sum::<Vec3>();
    let across = tangent - normal * normal.dot(&tangent);
    let Some(tangent) = across.try_normalize(1e-6) else {
        return FLAT;
    };
    let bitangent = normal.cross(&tangent) * frame[0][3];
    [tangent, bitangent, normal].map(|axis| 0.5 + 0.5 * fine.dot(&axis).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwrap::unwrap;
    use crate::{DensityGrid, coarsened, extract};
    use std::time::Duration;

    fn ball() -> Mesh {
        let distance = |p: &[f32; 3]| p.iter().map(|v| v * v).sum::<f32>().sqrt();
        let density = |p: &[f32; 3]| (1.0 - distance(p)).max(0.0);
        let grid = DensityGrid::sample(48, |points| points.iter().map(density).collect());
        coarsened(&extract(&grid, 0.5).unwrap(), 2000)
    }

    /// A colour that says where it is.
    fn told(point: &SurfacePoint) -> [f32; 3] {
        (point.position.add_scalar(1.0) * 0.5).into()
    }

    #[test]
    fn a_texture_shows_at_each_place_what_the_field_has_there() {
        let mesh = ball();
        let unwrap = unwrap(&mesh, 512, Duration::from_secs(20));
        let albedo = |points: &[SurfacePoint]| points.iter().map(told).collect();
        for field_size in [None, Some(256)] {
            let extras = Extras {
                field_size,
                ..Extras::default()
            };
            let baked = bake(&mesh, unwrap.clone(), 512, &albedo, &extras);
            let mut worst = 0.0f32;
            for (corners, places) in mesh.triangles.iter().zip(&baked.unwrap.triangles) {
                let third = [1.0 / 3.0; 3];
                let expected = told(&point(&mesh, *corners, third));
                let uvs = places.map(|place| baked.unwrap.uvs[place as usize]);
                let middle = [0, 1].map(|i| uvs.iter().map(|uv| uv[i]).sum::<f32>() / 3.0);
                let seen = sample(&baked.albedo, middle);
                let apart = (0..3).map(|i| (seen[i] - expected[i]).abs());
                worst = apart.fold(worst, f32::max);
            }
            assert!(worst < 0.012, "{worst}");
        }
    }

    #[test]
    fn the_surfaces_own_normals_are_the_flat_colour_and_leaning_ones_decode() {
        let mesh = ball();
        let unwrap = unwrap(&mesh, 256, Duration::from_secs(20));
        let own = |points: &[SurfacePoint]| points.iter().map(|point| point.normal).collect();
        let albedo = |points: &[SurfacePoint]| points.iter().map(told).collect();
        let half = |points: &[SurfacePoint]| vec![0.25; points.len()];
        let extras = Extras {
            normals: Some(&own),
            openness: Some(&half),
            field_size: None,
        };
        let baked = bake(&mesh, unwrap, 256, &albedo, &extras);
        let (normals, occlusion) = (baked.normals.unwrap(), baked.occlusion.unwrap());
        let far = |pixel: &[f32; 3]| (0..3).any(|i| (pixel[i] - FLAT[i]).abs() > 0.01);
        assert_eq!(normals.pixels.iter().filter(|pixel| far(pixel)).count(), 0);
        assert!(occlusion.pixels.contains(&[0.25; 3]));
        let normal = Vec3::z();
        let leaning = Vec3::new(0.6, 0.0, 0.8);
        let frame = [[1.0, 0.0, 0.0, 1.0]; 3];
        let [x, y, z] = encode(frame, [0.2, 0.3, 0.5], normal, leaning);
        assert!((x - 0.8).abs() < 1e-6 && (y - 0.5).abs() < 1e-6 && (z - 0.9).abs() < 1e-6);
    }
}
