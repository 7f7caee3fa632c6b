//! Charts by the crate uvunwrap, in a thread of their own: one of its stages cannot be interrupted.

use super::{Method, Unwrap, is_valid};
use crate::Mesh;
use crate::texture::cross;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};
use uvunwrap::{Atlas, Density, MeshInput, Options, generate_with_progress};

/// What a stage that cannot be interrupted may take beyond the budget before it is left to itself.
const GRACE: Duration = Duration::from_millis(200);

/// Texels between charts, for an image of 1,024.
const PADDING: usize = 2;
/// And at least: so much that no filter over two texels meets another chart.
const LEAST_PADDING: usize = 4;

/// Part of the image that charts should cover, before others are tried.
const COVERAGE: f32 = 0.65;

/// How a surface is cut into charts.
#[derive(Clone, Copy)]
struct Cut {
    /// Between a triangle and its chart's mean, in degrees.
    angle: f32,
    /// Largest part of the surface, 0 for any.
    part: f32,
}

/// One after the other: how well charts fill an image is a matter of luck.
const CUTS: [Cut; 5] = [
    Cut {
        angle: 70.0,
        part: 0.0,
    },
    Cut {
        angle: 60.0,
        part: 0.0,
    },
    Cut {
        angle: 70.0,
        part: 1.0 / 6.0,
    },
    Cut {
        angle: 50.0,
        part: 0.0,
    },
    Cut {
        angle: 40.0,
        part: 0.0,
    },
];

/// The largest mesh that is cut again: so that it is not the clock that decides how often.
const FEW: usize = 40_000;

/// A surface in more charts is too rough for another cut to help, and each takes seconds.
const MANY: usize = 600;

/// The best of several cuts, each within the budget; `None` when the budget is over, or a triangle got no place.
pub(super) fn unwrap(mesh: &Mesh, size: usize, budget: Duration) -> Option<Unwrap> {
    if budget.is_zero() {
        return None;
    }
    let mut best: Option<Unwrap> = None;
    for cut in CUTS {
        let start = Instant::now();
        let next = charts(mesh, size, cut, budget).filter(is_valid);
        if next.is_none() && start.elapsed() >= budget {
            break;
        }
        if next.as_ref().map(coverage) > best.as_ref().map(coverage) {
            best = next;
        }
        let is_good = |best: &Unwrap| coverage(best) >= COVERAGE || best.charts > MANY;
        let is_enough = best.as_ref().is_some_and(is_good);
        if is_enough || mesh.triangles.len() > FEW {
            break;
        }
    }
    best
}

fn area(mesh: &Mesh, triangle: &[u32; 3]) -> f32 {
    let [a, b, c] = mesh.corners(triangle);
    0.5 * (b - a).cross(&(c - a)).norm()
}

/// Part of the image that triangles cover, if none overlap.
fn coverage(unwrap: &Unwrap) -> f32 {
    let area = |corners: &[u32; 3]| {
        let [a, b, c] = corners.map(|corner| unwrap.uvs[corner as usize]);
        0.5 * cross(a, b, c).abs()
    };
    unwrap.triangles.iter().map(area).sum()
}

/// `None` when the budget is over, or where there is no place for everything.
fn charts(mesh: &Mesh, size: usize, cut: Cut, budget: Duration) -> Option<Unwrap> {
    let deadline = Instant::now() + budget;
    let (positions, indices) = (
        mesh.positions.clone(),
        mesh.triangles.as_flattened().to_vec(),
    );
    let area: f32 = mesh
        .triangles
        .iter()
        .map(|triangle| area(mesh, triangle))
        .sum();
    let options = Options {
        max_chart_angle: cut.angle,
        max_chart_area: cut.part * area,
        density: Density::Auto {
            page_size: size as u32,
        },
        padding: (PADDING * size).div_ceil(1024).max(LEAST_PADDING) as u32,
        ..Options::default()
    };
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let input = MeshInput::new(&positions, &indices);
        let goes_on = |_| Instant::now() < deadline;
        let atlas = generate_with_progress(&[input], &options, goes_on);
        let _ = sender.send(atlas); // nobody waits any more when it took too long
    });
    let atlas = receiver.recv_timeout(budget + GRACE).ok()?.ok()?;
    of_atlas(&atlas)
}

fn of_atlas(atlas: &Atlas) -> Option<Unwrap> {
    let mesh = atlas.meshes.first().filter(|_| atlas.page_count == 1)?;
    let is_placed = mesh.vertices.iter().all(|vertex| vertex.chart.is_some());
    let (triangles, _) = mesh.indices.as_chunks::<3>();
    is_placed.then(|| Unwrap {
        // v downwards.
        uvs: mesh
            .vertices
            .iter()
            .map(|vertex| [vertex.uv[0], 1.0 - vertex.uv[1]])
            .collect(),
        triangles: triangles.to_vec(),
        charts: atlas.chart_count as usize,
        method: Method::Conformal,
    })
}
