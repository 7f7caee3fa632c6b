//! Triangles of a mesh that cross each other. Slicers and boolean operations fail on them.

use crate::Mesh;
use dreamfuse_core::Vec3;
use rayon::prelude::*;
use std::collections::HashMap;

/// Cells of the search grid along the longest side, at most.
const MOST_CELLS: f32 = 256.0;

/// Pairs of triangles that cross. Triangles that share a corner are no pair: they touch there.
///
/// # Shapes
/// Corners are told by position, so that vertices which were split for texture coordinates are one.
pub fn self_intersections(mesh: &Mesh) -> usize {
    let triangles: Vec<[Vec3; 3]> = mesh
        .triangles
        .iter()
        .map(|corners| corners.map(|corner| Vec3::from(mesh.positions[corner as usize])))
        .collect();
    let grid = Grid::of(&triangles);
    let cells: Vec<&Vec<u32>> = grid.cells.values().collect();
    let in_cell = |members: &&Vec<u32>| {
        let pairs = members.iter().enumerate().flat_map(|(index, first)| {
            members[index + 1..]
                .iter()
                .map(move |second| (*first, *second))
        });
        let crossing = pairs.filter(|(first, second)| {
            let (a, b) = (&triangles[*first as usize], &triangles[*second as usize]);
            crosses(a, b)
        });
        crossing
            .map(|(first, second)| (first.min(second), first.max(second)))
            .collect::<Vec<_>>()
    };
    // A pair may meet in several cells.
    let mut pairs: Vec<(u32, u32)> = cells.par_iter().flat_map_iter(in_cell).collect();
    pairs.par_sort_unstable();
    pairs.dedup();
    pairs.len()
}

/// Triangles by the cells that their boxes touch.
struct Grid {
    cells: HashMap<[i32; 3], Vec<u32>>,
}

impl Grid {
    fn of(triangles: &[[Vec3; 3]]) -> Self {
        let (mut low, mut high) = (Vec3::repeat(f32::MAX), Vec3::repeat(f32::MIN));
        let mut lengths = 0.0f64;
        for [a, b, c] in triangles {
            for corner in [a, b, c] {
                (low, high) = (low.inf(corner), high.sup(corner));
            }
            lengths += f64::from((b - a).norm() + (c - b).norm() + (a - c).norm()) / 3.0;
        }
        let mean = (lengths / triangles.len().max(1) as f64) as f32;
        let side = mean.max((high - low).max() / MOST_CELLS).max(1e-9);
        let mut cells: HashMap<[i32; 3], Vec<u32>> = HashMap::new();
        for (index, [a, b, c]) in (0..).zip(triangles) {
            let cell = |p: Vec3| (p - low).map(|v| (v / side).floor() as i32);
            let (first, last) = (cell(a.inf(b).inf(c)), cell(a.sup(b).sup(c)));
            for z in first.z..=last.z {
                for y in first.y..=last.y {
                    for x in first.x..=last.x {
                        cells.entry([x, y, z]).or_default().push(index);
                    }
                }
            }
        }
        Self { cells }
    }
}

/// Whether an edge of one passes through the inside of the other.
fn crosses(a: &[Vec3; 3], b: &[Vec3; 3]) -> bool {
    let overlap = (0..3).all(|axis| {
        let low = |t: &[Vec3; 3]| t.iter().map(|p| p[axis]).fold(f32::MAX, f32::min);
        let high = |t: &[Vec3; 3]| t.iter().map(|p| p[axis]).fold(f32::MIN, f32::max);
        low(a) <= high(b) && low(b) <= high(a)
    });
    if !overlap || a.iter().any(|corner| b.contains(corner)) {
        return false;
    }
    let through = |edges: &[Vec3; 3], face: &[Vec3; 3]| {
        (0..3).any(|i| passes(edges[i], edges[(i + 1) % 3], face))
    };
    through(a, b) || through(b, a)
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
