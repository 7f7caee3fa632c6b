//! Texture coordinates: every triangle a place of its own in the unit square. It always ends: the best method has a
//! time budget, the next one places each triangle once, and the last one is a formula.

mod conformal;
mod pack;
mod pairs;
mod projection;

use crate::Mesh;
use crate::texture::overlapping_texels;
use std::fmt;
use std::time::Duration;

/// Side of the image on which overlaps are looked for.
const TEST_SIZE: usize = 4096;

/// How texture coordinates were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Charts that keep angles (uvunwrap: LSCM and ARAP).
    Conformal,
    /// Charts of triangles that face one axis, seen along it.
    Projection,
    /// Two triangles in each cell of a grid.
    Pairs,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conformal => "conformal charts",
            Self::Projection => "projected charts",
            Self::Pairs => "pairs of triangles",
        })
    }
}

/// Texture coordinates of a mesh.
#[derive(Clone, Debug)]
pub struct Unwrap {
    /// In `[0, 1]`, v downwards.
    pub uvs: Vec<[f32; 2]>,
    /// Each triangle's corners in `uvs`, in the order of the mesh's triangles.
    pub triangles: Vec<[u32; 3]>,
    pub charts: usize,
    pub method: Method,
}

/// Texture coordinates for an image of `size × size` texels; charts that take longer than `budget` are given up.
pub fn unwrap(mesh: &Mesh, size: usize, budget: Duration) -> Unwrap {
    conformal::unwrap(mesh, size, budget)
        .or_else(|| projection::unwrap(mesh, size))
        .unwrap_or_else(|| pairs::unwrap(mesh, size))
}

/// Whether coordinates are in the square and no triangle covers what another does.
fn is_valid(unwrap: &Unwrap) -> bool {
    let is_inside = |uv: &[f32; 2]| uv.iter().all(|v| (0.0..=1.0).contains(v));
    unwrap.uvs.iter().all(is_inside)
        && overlapping_texels(&unwrap.uvs, &unwrap.triangles, TEST_SIZE) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texture::Texels;
    use crate::{DensityGrid, coarsened, extract};
    use std::time::Instant;

    const SIZE: usize = 1024;
    const BUDGET: Duration = Duration::from_secs(20);

    fn cut(cells: usize, distance: impl Fn(&[f32; 3]) -> f32) -> Mesh {
        let density = |p: &[f32; 3]| (0.5 - distance(p)).max(0.0);
        let grid = DensityGrid::sample(cells, |points| points.iter().map(density).collect());
        extract(&grid, 0.5).unwrap()
    }

    fn torus() -> Mesh {
        let distance = |p: &[f32; 3]| (p[0].hypot(p[1]) - 0.5).hypot(p[2]) - 0.2;
        coarsened(&cut(64, distance), 8000)
    }

    /// Coordinates of every triangle, no overlap, and how much of the image is used.
    fn checked(mesh: &Mesh, unwrap: &Unwrap) -> f32 {
        assert_eq!(unwrap.triangles.len(), mesh.triangles.len());
        assert!(is_valid(unwrap), "{}", unwrap.method);
        let texels = Texels::of(&unwrap.uvs, &unwrap.triangles, SIZE);
        texels.covered.len() as f32 / (SIZE * SIZE) as f32
    }

    #[test]
    fn each_method_covers_every_triangle_without_overlap() {
        let mesh = torus();
        let methods = [
            (
                conformal::unwrap(&mesh, SIZE, BUDGET),
                Method::Conformal,
                0.5,
            ),
            (projection::unwrap(&mesh, SIZE), Method::Projection, 0.3),
            (Some(pairs::unwrap(&mesh, SIZE)), Method::Pairs, 0.4),
        ];
        for (unwrap, method, least) in methods {
            let unwrap = unwrap.unwrap_or_else(|| panic!("{method} gave up"));
            assert_eq!(unwrap.method, method);
            // With v upwards no triangle is mirrored: what is painted reads as it was painted.
            let mirrored = unwrap.triangles.iter().filter(|corners| {
                let [a, b, c] = corners.map(|corner| unwrap.uvs[corner as usize]);
                crate::texture::cross(a, b, c) > 0.0
            });
            assert_eq!(mirrored.count(), 0, "{method}");
            let coverage = checked(&mesh, &unwrap);
            assert!(
                coverage > least,
                "{method} covers {coverage} in {} charts",
                unwrap.charts
            );
        }
    }

    #[test]
    fn without_time_the_next_method_is_taken() {
        let mesh = torus();
        let unwrap = unwrap(&mesh, SIZE, Duration::ZERO);
        assert_eq!(unwrap.method, Method::Projection);
        checked(&mesh, &unwrap);
    }

    /// What keeps other unwrappers busy for ever: noise, and thousands of parts.
    #[test]
    fn noise_and_thousands_of_parts_end_within_the_budget() {
        let noise = |p: &[f32; 3]| {
            let bits = p.iter().fold(7u32, |hash, v| {
                (hash ^ v.to_bits())
                    .wrapping_mul(0x9E37_79B1)
                    .rotate_left(13)
            });
            (bits >> 8) as f32 / (1u32 << 24) as f32
        };
        for mesh in [cut(24, |p| noise(p) - 0.45), cut(36, |p| noise(p) - 0.1)] {
            let (start, budget) = (Instant::now(), Duration::from_secs(1));
            let unwrap = unwrap(&mesh, SIZE, budget);
            let took = start.elapsed();
            assert!(took < Duration::from_secs(20), "{took:?}");
            checked(&mesh, &unwrap);
        }
    }
}
