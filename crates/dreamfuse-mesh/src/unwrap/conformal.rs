//! Charts by the crate uvunwrap, in a thread of their own: one of its stages cannot be interrupted.

use super::{Method, Unwrap};
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

/// Part of the image that charts should cover, before smaller ones are tried.
const COVERAGE: f32 = 0.65;
/// Largest charts of a further try, as parts of the surface: small ones fill the gaps between each other.
const PARTS: [f32; 2] = [1.0 / 12.0, 1.0 / 30.0];

/// `None` when the budget is over, or a triangle got no place.
pub(super) fn unwrap(mesh: &Mesh, size: usize, budget: Duration) -> Option<Unwrap> {
    let deadline = Instant::now() + budget;
    let area: f32 = mesh
        .triangles
        .iter()
        .map(|triangle| area(mesh, triangle))
        .sum();
    let mut best = charts(mesh, size, 0.0, deadline)?;
    let mut covered = coverage(&best);
    for part in PARTS {
        if covered >= COVERAGE {
            break;
        }
        let Some(next) = charts(mesh, size, part * area, deadline) else {
            break;
        };
        if coverage(&next) > covered {
            covered = coverage(&next);
            best = next;
        }
    }
    Some(best)
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

/// Charts of at most an area, 0 for any; `None` after the deadline.
fn charts(mesh: &Mesh, size: usize, max_chart_area: f32, deadline: Instant) -> Option<Unwrap> {
    let budget = deadline.checked_duration_since(Instant::now())?;
    if budget.is_zero() {
        return None;
    }
    let (positions, indices) = (
        mesh.positions.clone(),
        mesh.triangles.as_flattened().to_vec(),
    );
    let options = Options {
        density: Density::Auto {
            page_size: size as u32,
        },
        padding: (PADDING * size).div_ceil(1024).max(LEAST_PADDING) as u32,
        max_chart_area,
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
