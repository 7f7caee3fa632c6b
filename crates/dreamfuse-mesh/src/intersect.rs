//! Triangles of a mesh that cross each other. Slicers and boolean operations fail on them.

use crate::Mesh;
use dreamfuse_core::Vec3;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The number of pairs of triangles that cross. Those that share an edge are no pair: they touch there.
pub fn self_intersections(mesh: &Mesh) -> usize {
    crossing_pairs(mesh).len()
}

/// Corners that are nearer become one when a mesh is moved and rounded.
const LEAST_EDGE: f32 = 1e-5;

/// Vertices of triangles that cross others, or that have two corners in one place.
pub fn faulty_vertices(mesh: &Mesh) -> HashSet<u32> {
    let crossing = crossing_pairs(mesh).into_iter().flat_map(|(a, b)| [a, b]);
    let of_crossing = crossing.flat_map(|triangle| mesh.triangles[triangle as usize]);
    let is_flat = |triangle: &&[u32; 3]| {
        let [a, b, c] = mesh.corners(triangle);
        [a - b, b - c, c - a]
            .iter()
            .any(|edge| edge.norm() < LEAST_EDGE)
    };
    let flat = mesh.triangles.iter().filter(is_flat);
    of_crossing.chain(flat.flatten().copied()).collect()
}

fn crossing_pairs(mesh: &Mesh) -> Vec<(u32, u32)> {
    let triangles: Vec<[Vec3; 3]> = mesh
        .triangles
        .iter()
        .map(|triangle| mesh.corners(triangle))
        .collect();
    let levels = Levels::of(&triangles);
    let partners = |index: u32| {
        let own = &triangles[index as usize];
        let near = levels.near(index, own).into_iter();
        let crossing = near.filter(|other| crosses(own, &triangles[*other as usize]));
        crossing
            .map(|other| (index.min(other), index.max(other)))
            .collect::<Vec<_>>()
    };
    // A pair may meet in several cells.
    let indices = (0..triangles.len() as u32).into_par_iter();
    let mut pairs: Vec<(u32, u32)> = indices.flat_map_iter(partners).collect();
    pairs.par_sort_unstable();
    pairs.dedup();
    pairs
}

/// Cells with the triangles in them.
type Cells = HashMap<[i64; 3], Vec<u32>>;

/// Grids of cells that double in size: each triangle is in that of its own size, where it touches few cells. What is small
/// looks for partners in the grids of what is larger, too.
struct Levels {
    low: DVec3,
    /// Of the first grid.
    side: f64,
    /// By level.
    grids: BTreeMap<i32, Cells>,
}

/// Differences of corners may be too large for f32.
type DVec3 = nalgebra::Vector3<f64>;

impl Levels {
    fn of(triangles: &[[Vec3; 3]]) -> Self {
        // Those without extent cross nothing, and say nothing of the others.
        let mut sizes: Vec<f64> = triangles
            .iter()
            .map(size)
            .filter(|size| *size > 0.0)
            .collect();
        let middle = sizes.len() / 2;
        let median = match sizes.get(middle) {
            Some(_) => *sizes.select_nth_unstable_by(middle, f64::total_cmp).1,
            None => 1.0,
        };
        let corners = triangles
            .iter()
            .flatten()
            .map(|corner| corner.cast::<f64>());
        let mut levels = Self {
            low: corners.fold(DVec3::repeat(f64::MAX), |low, corner| low.inf(&corner)),
            side: median,
            grids: BTreeMap::new(),
        };
        for (index, triangle) in (0..).zip(triangles) {
            let level = levels.level(triangle);
            for cell in levels.cells(triangle, level) {
                let grid = levels.grids.entry(level).or_default();
                grid.entry(cell).or_default().push(index);
            }
        }
        levels
    }

    /// The grid whose cells are at least as large as a triangle.
    fn level(&self, triangle: &[Vec3; 3]) -> i32 {
        (size(triangle) / self.side)
            .log2()
            .ceil()
            .clamp(0.0, 1000.0) as i32
    }

    /// Those of a grid that a triangle's box touches. It is no larger than a cell, so there are two along an axis at most.
    fn cells(&self, triangle: &[Vec3; 3], level: i32) -> Vec<[i64; 3]> {
        let side = self.side * 2f64.powi(level);
        let cell = |p: Vec3| (p.cast::<f64>() - self.low).map(|v| (v / side).floor() as i64);
        let [a, b, c] = triangle;
        let (first, last) = (cell(a.inf(b).inf(c)), cell(a.sup(b).sup(c)));
        let along = |axis: usize| {
            let (from, to) = (first[axis], last[axis].min(first[axis].saturating_add(1)));
            from..=to
        };
        let mut cells = Vec::new();
        for z in along(2) {
            for y in along(1) {
                cells.extend(along(0).map(|x| [x, y, z]));
            }
        }
        cells
    }

    /// Triangles of at least this one's size in its cells; of the same size those that come later.
    fn near(&self, index: u32, triangle: &[Vec3; 3]) -> Vec<u32> {
        let own = self.level(triangle);
        let mut found = Vec::new();
        for (level, grid) in self.grids.range(own..) {
            for cell in self.cells(triangle, *level) {
                let members = grid.get(&cell).into_iter().flatten().copied();
                found.extend(members.filter(|other| *level > own || *other > index));
            }
        }
        found
    }
}

/// The longest side of a triangle's box.
fn size([a, b, c]: &[Vec3; 3]) -> f64 {
    let (low, high) = (a.inf(b).inf(c), a.sup(b).sup(c));
    (high.cast::<f64>() - low.cast::<f64>()).max()
}

/// Whether an edge of one passes through the inside of the other.
fn crosses(a: &[Vec3; 3], b: &[Vec3; 3]) -> bool {
    let overlap = (0..3).all(|axis| {
        let low = |t: &[Vec3; 3]| t.iter().map(|p| p[axis]).fold(f32::MAX, f32::min);
        let high = |t: &[Vec3; 3]| t.iter().map(|p| p[axis]).fold(f32::MIN, f32::max);
        low(a) <= high(b) && low(b) <= high(a)
    });
    if !overlap {
        return false;
    }
    let is_shared = |corner: &Vec3, other: &[Vec3; 3]| other.contains(corner);
    // Edges that begin or end in a shared corner only touch there.
    let through = |edges: &[Vec3; 3], face: &[Vec3; 3]| {
        (0..3).any(|i| {
            let (from, to) = (edges[i], edges[(i + 1) % 3]);
            !is_shared(&from, face) && !is_shared(&to, face) && passes(from, to, face)
        })
    };
    match a.iter().filter(|corner| is_shared(corner, b)).count() {
        0 | 1 => through(a, b) || through(b, a),
        _ => false,
    }
}

/// Whether a segment passes through a triangle, by the signs of volumes (in f64: corners are f32).
fn passes(from: Vec3, to: Vec3, [a, b, c]: &[Vec3; 3]) -> bool {
    let volume = |p: Vec3, q: Vec3, r: Vec3, s: Vec3| {
        let edge = |end: Vec3| (end.cast::<f64>()) - p.cast::<f64>();
        edge(q).cross(&edge(r)).dot(&edge(s))
    };
    let (above, below) = (volume(*a, *b, *c, from), volume(*a, *b, *c, to));
    if above * below >= 0.0 {
        return false;
    }
    let sides = [
        volume(from, to, *a, *b),
        volume(from, to, *b, *c),
        volume(from, to, *c, *a),
    ];
    sides.iter().all(|side| *side > 0.0) || sides.iter().all(|side| *side < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DensityGrid, extract};

    fn mesh(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Mesh {
        Mesh {
            positions: positions.to_vec(),
            triangles: triangles.to_vec(),
            ..Mesh::default()
        }
    }

    #[test]
    fn crossing_triangles_are_counted_once_and_touching_ones_not() {
        let flat = [[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 1.0, 0.0]];
        let upright = |x: f32| [[x, 0.0, -0.5], [x, 0.3, -0.5], [x, 0.1, 0.5]];
        let pair = |x: f32| {
            let positions = [flat.as_slice(), &upright(x)].concat();
            self_intersections(&mesh(&positions, &[[0, 1, 2], [3, 4, 5]]))
        };
        assert_eq!((pair(0.0), pair(5.0)), (1, 0));
        // Two that share an edge.
        let positions = [flat.as_slice(), &[[0.0, -0.5, 1.0]]].concat();
        assert_eq!(
            self_intersections(&mesh(&positions, &[[0, 1, 2], [1, 0, 3]])),
            0
        );
    }

    #[test]
    fn a_folded_fan_crosses_itself_though_its_triangles_share_a_corner() {
        let positions = [
            [0.0, 0.0, 0.0],
            [1.0, -1.0, 0.0],
            [1.0, 1.0, 0.0],
            [0.8, 0.0, -0.5],
            [0.8, 0.1, 0.5],
        ];
        assert_eq!(
            self_intersections(&mesh(&positions, &[[0, 1, 2], [0, 3, 4]])),
            1
        );
        // The same fan, not folded.
        let mut apart = positions;
        (apart[3], apart[4]) = ([-1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]);
        assert_eq!(
            self_intersections(&mesh(&apart, &[[0, 1, 2], [0, 3, 4]])),
            0
        );
    }

    /// A large triangle through many small ones: sizes that no single grid suits.
    #[test]
    fn triangles_of_all_sizes_meet() {
        let mut positions = vec![[-1e3, 5.0, -1e3], [1e3, 5.0, -1e3], [0.0, 5.0, 1e3]];
        let mut triangles = vec![[0, 1, 2]];
        for i in 0..2000u32 {
            let x = i as f32 * 0.01 - 10.0;
            let first = positions.len() as u32;
            let y = if i % 2 == 0 { 5.0 } else { 6.0 };
            positions.extend([
                [x, y - 0.005, 0.0],
                [x, y + 0.005, 0.0],
                [x + 0.005, y + 0.001, 0.004],
            ]);
            triangles.push([first, first + 1, first + 2]);
        }
        assert_eq!(self_intersections(&mesh(&positions, &triangles)), 1000);
    }

    #[test]
    fn two_balls_cross_and_one_does_not() {
        let ball = |x: f32| {
            let distance = |p: &[f32; 3]| (Vec3::from(*p) - Vec3::new(x, 0.0, 0.0)).norm();
            let density = |p: &[f32; 3]| (1.0 - distance(p)).max(0.0);
            let grid = DensityGrid::sample(24, |points| points.iter().map(density).collect());
            extract(&grid, 0.6).unwrap()
        };
        let both = |x: f32| {
            let (mut first, second) = (ball(0.0), ball(x));
            let count = first.positions.len() as u32;
            first.positions.extend(second.positions);
            let moved = second.triangles.iter().map(|t| t.map(|v| v + count));
            first.triangles.extend(moved);
            self_intersections(&first)
        };
        assert_eq!(self_intersections(&ball(0.0)), 0);
        assert!(both(0.31) > 20);
        let aside = Mesh {
            positions: ball(0.0)
                .positions
                .iter()
                .map(|p| [p[0] + 2.0, p[1], p[2]])
                .collect(),
            ..ball(0.0)
        };
        assert_eq!(self_intersections(&aside), 0);
    }
}
