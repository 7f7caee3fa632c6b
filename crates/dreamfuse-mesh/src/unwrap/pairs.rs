//! Two triangles in each cell of a grid: no overlap by construction, and no chart that a person could paint on.

use super::{Method, Unwrap};
use crate::Mesh;

/// Room around a triangle, in texels and as a part of a cell, whichever is less.
const BORDER: [f32; 2] = [1.0, 0.1];

/// Coordinates by formula.
pub(super) fn unwrap(mesh: &Mesh, size: usize) -> Unwrap {
    let count = mesh.triangles.len();
    let columns = (count.div_ceil(2) as f32).sqrt().ceil().max(1.0);
    let cell = 1.0 / columns;
    let border = (BORDER[0] / size as f32).min(BORDER[1] * cell);
    let far = cell - border;
    // The second triangle is the first one turned half around.
    let lower = [
        [border, border],
        [far - border, border],
        [border, far - border],
    ];
    let mut uvs = Vec::with_capacity(3 * count);
    for index in 0..count {
        let pair = index / 2;
        let origin = [
            (pair % columns as usize) as f32 * cell,
            (pair / columns as usize) as f32 * cell,
        ];
        for corner in lower {
            let corner = if index % 2 == 0 {
                corner
            } else {
                corner.map(|v| cell - v)
            };
            let [u, v] = [0, 1].map(|axis| (origin[axis] + corner[axis]).clamp(0.0, 1.0));
            uvs.push([u, 1.0 - v]); // v downwards
        }
    }
    let corners = |triangle: u32| [3 * triangle, 3 * triangle + 1, 3 * triangle + 2];
    Unwrap {
        triangles: (0..count as u32).map(corners).collect(),
        charts: count,
        method: Method::Pairs,
        uvs,
    }
}
