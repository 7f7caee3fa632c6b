//! Whether a mesh is what artists and printers can use: what is counted, and what is wrong with it.

use crate::intersect::self_intersections;
use crate::read::{Places, ReadMesh};
use crate::spread::Spread;
use crate::texture::{cross, overlapping_texels};
use crate::{Mesh, Topology};
use dreamfuse_core::{Purpose, Vec3, stream};
use rayon::prelude::*;
use serde::Serialize;

/// Side of the image on which overlaps of texture coordinates are counted.
const OVERLAP_SIZE: usize = 2048;
/// Rays for the thinnest wall, at most.
const RAYS: usize = 2000;
/// Triangles that all rays together may be tried against.
const TRIALS: usize = 100_000_000;
/// Two sides of a wall face apart: the cosine between them and the ray is at least this.
const FACES_APART: f32 = 0.8;
/// The part of the measured walls that is thinner: bevels of edges are no walls.
const THINNEST: f32 = 0.02;
/// A ray begins this far inside, as a part of the box's longest side.
const INSIDE: f32 = 1e-4;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    pub vertices: usize,
    pub triangles: usize,
    pub components: usize,
    pub boundary_edges: usize,
    /// Edges with more than two triangles, or two that run the same way.
    pub bad_edges: usize,
    pub degenerate_triangles: usize,
    pub self_intersections: usize,
    /// Vertices − edges + triangles.
    pub euler_characteristic: i64,
    /// Lowest and highest corner of the box, in the file's unit and axes.
    pub bounds: [[f32; 3]; 2],
    pub volume: f32,
    /// Thickness along inward normals at random points of the surface: 2 % of the walls are thinner.
    pub thinnest_wall: Option<f32>,
    pub uvs: Option<CheckedUvs>,
    /// Width and height of the base colour's image.
    pub texture: Option<[u32; 2]>,
    pub has_colors: bool,
    pub has_material: bool,
    /// What is wrong, if anything is.
    pub problems: Vec<String>,
}

/// What was found of texture coordinates.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedUvs {
    /// Part of the square that triangles cover.
    pub coverage: f32,
    /// Texels of 2,048 × 2,048 in more than one triangle.
    pub overlapping_texels: usize,
    /// The 95th percentile of texel density over the 5th.
    pub stretch: f32,
    /// Whether any is outside of the square.
    pub leaves_square: bool,
}

/// Whether it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Sound,
    Flawed,
}

impl Checked {
    /// Sound, if there is no problem.
    pub fn verdict(&self) -> Verdict {
        if self.problems.is_empty() {
            Verdict::Sound
        } else {
            Verdict::Flawed
        }
    }
}

/// Counts.
pub fn check(read: &ReadMesh) -> Checked {
    let mesh = &read.mesh;
    let topology = Topology::of(mesh);
    let mut checked = Checked {
        vertices: mesh.positions.len(),
        triangles: mesh.triangles.len(),
        components: crate::components::count(mesh),
        boundary_edges: topology.boundary_edges,
        bad_edges: topology.bad_edges,
        degenerate_triangles: topology.degenerate_triangles,
        self_intersections: self_intersections(mesh),
        euler_characteristic: topology.euler_characteristic,
        bounds: bounds(mesh),
        volume: topology.volume,
        thinnest_wall: thinnest_wall(mesh),
        uvs: read.uvs.as_ref().map(|places| check_uvs(mesh, places)),
        texture: read.texture,
        has_colors: read.has_colors,
        has_material: read.has_material,
        problems: Vec::new(),
    };
    checked.problems = problems(&checked);
    checked
}

fn problems(checked: &Checked) -> Vec<String> {
    let mut problems = Vec::new();
    let counts = [
        (checked.boundary_edges, "open edges: the surface has holes"),
        (
            checked.bad_edges,
            "edges with more than two triangles, or with two that face apart",
        ),
        (
            checked.degenerate_triangles,
            "triangles with two equal corners",
        ),
        (checked.self_intersections, "pairs of triangles that cross"),
    ];
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        problems.push(format!("{count} {what}"));
    }
    if checked.boundary_edges == 0 && checked.volume <= 0.0 {
        problems.push("the surface is inside out: its volume is not above zero".into());
    }
    if let Some(uvs) = &checked.uvs {
        if uvs.overlapping_texels > 0 {
            let count = uvs.overlapping_texels;
            problems.push(format!(
                "texture coordinates overlap on {count} texels of 2,048 × 2,048"
            ));
        }
        if uvs.leaves_square {
            problems.push("texture coordinates leave the unit square".into());
        }
    }
    problems
}

fn bounds(mesh: &Mesh) -> [[f32; 3]; 2] {
    // Vertices that no triangle has are not part of the surface.
    let used = mesh
        .triangles
        .iter()
        .flat_map(|triangle| mesh.corners(triangle));
    let (low, high) = used.fold(
        (Vec3::repeat(f32::MAX), Vec3::repeat(f32::MIN)),
        |(low, high), p| (low.inf(&p), high.sup(&p)),
    );
    [low.into(), high.into()]
}

fn check_uvs(mesh: &Mesh, places: &Places) -> CheckedUvs {
    let mut coverage = 0.0;
    let mut densities = Vec::with_capacity(mesh.triangles.len());
    for (triangle, places_of) in mesh.triangles.iter().zip(&places.triangles) {
        let [a, b, c] = mesh.corners(triangle);
        let [p, q, r] = places_of.map(|place| places.uvs[place as usize]);
        let (flat, solid) = (
            cross(p, q, r).abs() / 2.0,
            (b - a).cross(&(c - a)).norm() / 2.0,
        );
        coverage += flat;
        if solid > 0.0 && flat.is_finite() {
            densities.push((flat / solid).sqrt());
        }
    }
    densities.sort_by(f32::total_cmp);
    let percentile = |part: f32| {
        let index = (densities.len().max(1) - 1) as f32 * part;
        densities.get(index as usize).copied().unwrap_or(0.0)
    };
    let is_outside = |value: &f32| !(-1e-6..=1.000_001).contains(value);
    CheckedUvs {
        coverage,
        overlapping_texels: overlapping_texels(&places.uvs, &places.triangles, OVERLAP_SIZE),
        stretch: percentile(0.95) / percentile(0.05).max(1e-12),
        leaves_square: places.uvs.iter().flatten().any(is_outside),
    }
}

/// Among the least distances from points of the surface, inwards, to a part of it that faces the other way.
fn thinnest_wall(mesh: &Mesh) -> Option<f32> {
    let count = RAYS.min(TRIALS / mesh.triangles.len().max(1)).max(1);
    let [low, high] = bounds(mesh).map(Vec3::from);
    let inside = INSIDE * (high - low).max();
    let mut numbers = stream(0, Purpose::Evaluation, 0, 0);
    let spread = Spread::over(mesh)?;
    let starts: Vec<(usize, Vec3)> = (0..count).map(|_| spread.draw(&mut numbers)).collect();
    let along = |(triangle, place): &(usize, Vec3)| -> Option<f32> {
        let [a, b, c] = mesh.corners(&mesh.triangles[*triangle]);
        let direction = -(b - a).cross(&(c - a)).try_normalize(1e-20)?;
        let start = place + direction * inside;
        let hits = mesh.triangles.iter().filter_map(|t| {
            let far = mesh.corners(t);
            Some((distance(start, direction, far)?, far))
        });
        let (hit, [a, b, c]) = hits.min_by(|one, other| one.0.total_cmp(&other.0))?;
        let normal = (b - a).cross(&(c - a)).try_normalize(1e-20)?;
        (normal.dot(&direction) >= FACES_APART).then_some(hit + inside)
    };
    let mut walls: Vec<f32> = starts.par_iter().filter_map(along).collect();
    walls.sort_by(f32::total_cmp);
    walls.get((THINNEST * walls.len() as f32) as usize).copied()
}

/// Along a ray to a triangle, if it is hit (Möller and Trumbore 1997).
fn distance(from: Vec3, direction: Vec3, [a, b, c]: [Vec3; 3]) -> Option<f32> {
    let (ab, ac) = (b - a, c - a);
    let across = direction.cross(&ac);
    let turn = ab.dot(&across);
    if turn == 0.0 {
        return None;
    }
    let offset = from - a;
    let u = offset.dot(&across) / turn;
    let along = offset.cross(&ab);
    let v = direction.dot(&along) / turn;
    let t = ac.dot(&along) / turn;
    (u >= 0.0 && v >= 0.0 && u + v <= 1.0 && t > 0.0).then_some(t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DensityGrid, extract};

    /// A plate of thickness 0.2.
    fn plate() -> Mesh {
        let distance = |p: &[f32; 3]| {
            (p[0].abs() - 0.6)
                .max(p[1].abs() - 0.6)
                .max(p[2].abs() - 0.1)
        };
        let density = |p: &[f32; 3]| (0.5 - distance(p)).max(0.0);
        let grid = DensityGrid::sample(40, |points| points.iter().map(density).collect());
        extract(&grid, 0.5).unwrap()
    }

    fn checked(mesh: Mesh) -> Checked {
        check(&ReadMesh {
            mesh,
            ..ReadMesh::default()
        })
    }

    #[test]
    fn a_plate_is_sound_and_as_thin_as_it_is() {
        let plate = checked(plate());
        assert_eq!(plate.verdict(), Verdict::Sound, "{:?}", plate.problems);
        assert_eq!(plate.components, 1);
        let wall = plate.thinnest_wall.unwrap();
        assert!((wall - 0.2).abs() < 0.03, "{wall}");
        assert!(
            (plate.volume - 1.2 * 1.2 * 0.2).abs() < 0.02,
            "{}",
            plate.volume
        );
    }

    #[test]
    fn each_fault_is_named() {
        let fault = |change: &dyn Fn(&mut Mesh), expected: &str| {
            let mut mesh = plate();
            change(&mut mesh);
            let problems = checked(mesh).problems.join("; ");
            assert!(problems.contains(expected), "{problems}");
        };
        fault(
            &|mesh| mesh.triangles.truncate(mesh.triangles.len() - 1),
            "3 open edges",
        );
        fault(
            &|mesh| mesh.triangles.push(mesh.triangles[0]),
            "more than two triangles",
        );
        fault(
            &|mesh| mesh.triangles[0][1] = mesh.triangles[0][0],
            "two equal corners",
        );
        fault(
            &|mesh| mesh.triangles.iter_mut().for_each(|t| t.swap(0, 1)),
            "inside out",
        );
        let through = |mesh: &mut Mesh| {
            // A vertex of the upper side is pulled through the lower one.
            let top = mesh
                .positions
                .iter()
                .position(|p| p[2] > 0.09 && p[0].hypot(p[1]) < 0.1);
            mesh.positions[top.unwrap()][2] = -0.5;
        };
        fault(&through, "triangles that cross");
    }

    #[test]
    fn texture_coordinates_are_measured() {
        let square = [[0.0, 0.0], [0.5, 0.0], [0.5, 0.5], [0.0, 0.5]];
        let mesh = Mesh {
            positions: square.iter().map(|[x, y]| [*x, *y, 0.0]).collect(),
            triangles: vec![[0, 1, 2], [0, 2, 3]],
            ..Mesh::default()
        };
        let places = |triangles: [[u32; 3]; 2]| Places {
            uvs: square.to_vec(),
            triangles: triangles.to_vec(),
        };
        let good = check_uvs(&mesh, &places([[0, 1, 2], [0, 2, 3]]));
        assert!((good.coverage - 0.25).abs() < 1e-6 && (good.stretch - 1.0).abs() < 1e-4);
        assert_eq!((good.overlapping_texels, good.leaves_square), (0, false));
        let twice = check_uvs(&mesh, &places([[0, 1, 2], [0, 1, 2]]));
        assert!(twice.overlapping_texels > 400_000);
    }
}
