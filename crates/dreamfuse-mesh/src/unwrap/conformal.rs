//! Charts by the crate uvunwrap, in a thread of their own: one of its stages cannot be interrupted.

use super::{Method, Unwrap};
use crate::Mesh;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};
use uvunwrap::{Atlas, Density, MeshInput, Options, generate_with_progress};

/// What a stage that cannot be interrupted may take beyond the budget before it is left to itself.
const GRACE: Duration = Duration::from_millis(200);

/// Texels between charts, for an image of 1,024.
const PADDING: usize = 2;
/// And at least: so much that no filter over two texels meets another chart.
const LEAST_PADDING: usize = 4;

/// `None` when the budget is over, or a triangle got no place.
pub(super) fn unwrap(mesh: &Mesh, size: usize, budget: Duration) -> Option<Unwrap> {
    if budget.is_zero() {
        return None;
    }
    let deadline = Instant::now() + budget;
    let (positions, indices) = (
        mesh.positions.clone(),
        mesh.triangles.as_flattened().to_vec(),
    );
    let options = Options {
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
