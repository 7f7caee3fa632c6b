//! Charts of triangles that face one axis, seen along it. Each triangle is drawn once into its chart's bitmap; one that
//! meets another there opens a new chart. So it ends, and nothing overlaps.

use super::pack::pack;
use super::{Method, TEST_SIZE, Unwrap};
use crate::Mesh;
use crate::texture::{cross, overlapping_triangles, visit};
use std::collections::{HashMap, HashSet};

/// Part of the square that charts are hoped to cover.
const FILL: f32 = 0.7;
/// How much smaller charts become when they did not fit.
const SHRINK: f32 = 0.9;
/// Times that they may.
const TRIES: usize = 60;
/// Texels around a chart, for an image of 1,024.
const PADDING: usize = 3;
/// Texels of a chart's bitmap for each of the image, along a side.
const FINE: f32 = 2.0;
/// A texel whose centre is this near to an edge belongs to no triangle: neighbours share their edges.
const INSIDE: f32 = 1e-3;

/// A chart in the plane of its axis.
struct Chart {
    triangles: Vec<usize>,
    axis: usize,
}

/// `None` when the charts are too many for the image.
pub(super) fn unwrap(mesh: &Mesh, size: usize) -> Option<Unwrap> {
    let axes: Vec<usize> = mesh
        .triangles
        .iter()
        .map(|corners| facing(mesh, corners))
        .collect();
    let corners = |triangle: usize| {
        let axis = axes[triangle];
        mesh.triangles[triangle].map(|corner| flat(mesh.positions[corner as usize], axis))
    };
    let area: f32 = (0..axes.len())
        .map(corners)
        .map(|[a, b, c]| 0.5 * cross(a, b, c).abs())
        .sum();
    let mut scale = size as f32 * (FILL / area.max(1e-12)).sqrt();
    let padding = (PADDING * size).div_ceil(1024);
    let neighbours = neighbours(mesh);
    let mut apart = HashSet::new();
    for _ in 0..TRIES {
        let charts = charts(&neighbours, &axes, &corners, scale * FINE, &apart);
        // Even without their triangles they would not fit.
        if charts.len() * (2 * padding + 1).pow(2) > size * size {
            return None;
        }
        let boxes: Vec<[[f32; 2]; 2]> =
            charts.iter().map(|chart| bounds(chart, &corners)).collect();
        let sides: Vec<[usize; 2]> = boxes
            .iter()
            .map(|[low, high]| {
                [0, 1].map(|i| ((high[i] - low[i]) * scale).ceil() as usize + 2 * padding)
            })
            .collect();
        if let Some(places) = pack(&sides, size) {
            let place = |chart: usize, at: [f32; 2]| -> [f32; 2] {
                let [low, _] = boxes[chart];
                let [u, v] = [0, 1].map(|i| {
                    let texel = (at[i] - low[i]) * scale + (places[chart][i] + padding) as f32;
                    texel / size as f32
                });
                [u, 1.0 - v] // v downwards
            };
            let unwrap = placed(mesh, &charts, &place);
            // Bitmaps do not see everything: between their texels, a sliver may meet another triangle.
            let met = overlapping_triangles(&unwrap.uvs, &unwrap.triangles, TEST_SIZE);
            if met.is_empty() {
                return Some(unwrap);
            }
            apart.extend(met);
        } else {
            scale *= SHRINK;
        }
    }
    None
}

/// The axis that a triangle faces: 0 to 5 for +x, −x, +y, −y, +z, −z.
fn facing(mesh: &Mesh, corners: &[u32; 3]) -> usize {
    let [a, b, c] = mesh.corners(corners);
    let normal = (b - a).cross(&(c - a));
    let axis = normal.iamax();
    2 * axis + usize::from(normal[axis] < 0.0)
}

/// A point seen along an axis, not mirrored.
fn flat(p: [f32; 3], axis: usize) -> [f32; 2] {
    let (u, v) = (p[(axis / 2 + 1) % 3], p[(axis / 2 + 2) % 3]);
    if axis.is_multiple_of(2) {
        [u, v]
    } else {
        [-u, v]
    }
}

fn bounds(chart: &Chart, corners: &dyn Fn(usize) -> [[f32; 2]; 3]) -> [[f32; 2]; 2] {
    let all = chart
        .triangles
        .iter()
        .flat_map(|triangle| corners(*triangle));
    all.fold([[f32::MAX; 2], [f32::MIN; 2]], |[low, high], at| {
        [
            std::array::from_fn(|i| low[i].min(at[i])),
            std::array::from_fn(|i| high[i].max(at[i])),
        ]
    })
}

/// Charts that hang together and do not meet themselves at a density of texels a unit. Triangles that are `apart` have their own.
fn charts(
    neighbours: &[[usize; 3]],
    axes: &[usize],
    corners: &dyn Fn(usize) -> [[f32; 2]; 3],
    density: f32,
    apart: &HashSet<usize>,
) -> Vec<Chart> {
    let mut chart_of = vec![usize::MAX; axes.len()];
    let mut charts: Vec<Chart> = Vec::new();
    for first in 0..axes.len() {
        if chart_of[first] != usize::MAX {
            continue;
        }
        let number = charts.len();
        let axis = axes[first];
        let mut bitmap = Bitmap::default();
        let mut chart = Chart {
            triangles: Vec::new(),
            axis,
        };
        let mut waiting = std::collections::VecDeque::from([first]);
        while let Some(triangle) = waiting.pop_front() {
            let is_open = chart_of[triangle] == usize::MAX
                && axes[triangle] == axis
                && (triangle == first || !apart.contains(&triangle));
            if !is_open || !bitmap.draw(corners(triangle).map(|at| at.map(|v| v * density))) {
                continue;
            }
            chart_of[triangle] = number;
            chart.triangles.push(triangle);
            if apart.contains(&triangle) {
                break;
            }
            waiting.extend(
                neighbours[triangle]
                    .iter()
                    .filter(|near| **near != usize::MAX),
            );
        }
        charts.push(chart);
    }
    charts
}

/// The triangles across each edge.
fn neighbours(mesh: &Mesh) -> Vec<[usize; 3]> {
    let mut edges: HashMap<(u32, u32), (usize, usize)> = HashMap::new();
    let mut found = vec![[usize::MAX; 3]; mesh.triangles.len()];
    for (triangle, [a, b, c]) in mesh.triangles.iter().enumerate() {
        for (side, (from, to)) in [(a, b), (b, c), (c, a)].into_iter().enumerate() {
            let key = (*from.min(to), *from.max(to));
            if let Some((other, other_side)) = edges.insert(key, (triangle, side)) {
                found[triangle][side] = other;
                found[other][other_side] = triangle;
            }
        }
    }
    found
}

/// Texels that a chart has taken, in blocks that are made where they are needed.
#[derive(Default)]
struct Bitmap(HashMap<[i32; 2], [u64; 64]>);

impl Bitmap {
    /// Takes a triangle's texels; false, and none are taken, when one is taken already.
    fn draw(&mut self, corners: [[f32; 2]; 3]) -> bool {
        let low = [0, 1].map(|i| {
            corners
                .iter()
                .map(|at| at[i])
                .fold(f32::MAX, f32::min)
                .floor()
        });
        let high = [0, 1].map(|i| corners.iter().map(|at| at[i]).fold(f32::MIN, f32::max));
        let side = (high[0] - low[0]).max(high[1] - low[1]).ceil() as usize + 1;
        let mut taken = Vec::new();
        visit(
            corners.map(|at| [at[0] - low[0], at[1] - low[1]]),
            side,
            |index, weights| {
                if weights.iter().all(|weight| *weight > INSIDE) {
                    taken.push([
                        low[0] as i32 + (index % side) as i32,
                        low[1] as i32 + (index / side) as i32,
                    ]);
                }
            },
        );
        let is_free = taken.iter().all(|at| {
            let (block, row, bit) = place(*at);
            self.0.get(&block).is_none_or(|rows| rows[row] & bit == 0)
        });
        if is_free {
            for at in taken {
                let (block, row, bit) = place(at);
                self.0.entry(block).or_insert([0; 64])[row] |= bit;
            }
        }
        is_free
    }
}

/// A texel's block of 64 × 64, and its row and bit there.
fn place([x, y]: [i32; 2]) -> ([i32; 2], usize, u64) {
    let block = [x.div_euclid(64), y.div_euclid(64)];
    (block, y.rem_euclid(64) as usize, 1 << x.rem_euclid(64))
}

fn placed(mesh: &Mesh, charts: &[Chart], place: &dyn Fn(usize, [f32; 2]) -> [f32; 2]) -> Unwrap {
    let mut uvs = Vec::new();
    let mut triangles = vec![[0; 3]; mesh.triangles.len()];
    for (number, chart) in charts.iter().enumerate() {
        let mut known: HashMap<u32, u32> = HashMap::new();
        for triangle in &chart.triangles {
            triangles[*triangle] = mesh.triangles[*triangle].map(|corner| {
                *known.entry(corner).or_insert_with(|| {
                    uvs.push(place(
                        number,
                        flat(mesh.positions[corner as usize], chart.axis),
                    ));
                    uvs.len() as u32 - 1
                })
            });
        }
    }
    Unwrap {
        uvs,
        triangles,
        charts: charts.len(),
        method: Method::Projection,
    }
}
