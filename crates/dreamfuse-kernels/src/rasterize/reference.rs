//! Rasterization by its definition, in f64: every pixel asks every triangle.

use super::Faces;

/// A pixel: what covers it, how near that is (one over its depth), and its colour with the coverage.
struct Pixel {
    triangle: Option<usize>,
    nearness: f64,
    color: [f64; 4],
}

/// `[CHANNELS, size, size]` of one view; arguments as of [`rasterize`](super::rasterize()).
pub fn forward(places: &[f64], texture: &[f64], faces: &Faces, size: usize) -> Vec<f64> {
    let at = |vertex: u32| {
        let place = &places[3 * vertex as usize..][..3];
        [place[0] * size as f64, place[1] * size as f64, place[2]]
    };
    let center = |pixel: usize| [(pixel % size) as f64 + 0.5, (pixel / size) as f64 + 0.5];
    let pixels: Vec<Pixel> = (0..size * size)
        .map(|pixel| shown(center(pixel), &at, texture, faces))
        .collect();
    let mut colors: Vec<[f64; 4]> = pixels.iter().map(|pixel| pixel.color).collect();
    for first in 0..size * size {
        let right = (first % size + 1 < size).then(|| first + 1);
        let below = (first + size < size * size).then(|| first + size);
        for second in [right, below].into_iter().flatten() {
            if pixels[first].triangle == pixels[second].triangle {
                continue;
            }
            let is_first = pixels[first].nearness > pixels[second].nearness;
            let (near, far) = if is_first {
                (first, second)
            } else {
                (second, first)
            };
            let triangle = pixels[near].triangle.expect("what is nearer is something");
            let Some(t) = silhouette([center(near), center(far)], triangle, &at, faces) else {
                continue;
            };
            // The one that the edge lies in is blended.
            let (blended, other) = if t < 0.5 { (near, far) } else { (far, near) };
            let ends = pixels[other].color.iter().zip(pixels[blended].color);
            for (color, (to, from)) in colors[blended].iter_mut().zip(ends) {
                *color += (t - 0.5).abs() * (to - from);
            }
        }
    }
    (0..4)
        .flat_map(|channel| colors.iter().map(move |color| color[channel]))
        .collect()
}

fn cross(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

fn flat([x, y, _]: [f64; 3]) -> [f64; 2] {
    [x, y]
}

fn shown(center: [f64; 2], at: &dyn Fn(u32) -> [f64; 3], texture: &[f64], faces: &Faces) -> Pixel {
    let mut pixel = Pixel {
        triangle: None,
        nearness: 0.0,
        color: [0.0; 4],
    };
    for (index, corners) in faces.triangles.iter().enumerate() {
        let corners = corners.map(at);
        if corners
            .iter()
            .any(|corner| corner[2] < f64::from(super::NEAREST))
        {
            continue;
        }
        let [a, b, c] = corners.map(flat);
        let area = cross(a, b, c);
        let weights = [
            cross(center, b, c),
            cross(a, center, c),
            cross(a, b, center),
        ];
        let weights = weights.map(|weight| weight / area);
        if area == 0.0 || weights.iter().any(|weight| *weight < 0.0) {
            continue;
        }
        let shares: [f64; 3] = std::array::from_fn(|i| weights[i] / corners[i][2]);
        let nearness = shares.iter().sum::<f64>();
        if nearness > pixel.nearness {
            let uvs = faces.uvs[index];
            let uv = [0, 1].map(|axis| {
                (0..3)
                    .map(|i| shares[i] / nearness * f64::from(uvs[i][axis]))
                    .sum()
            });
            let [red, green, blue] = sample(texture, uv);
            pixel = Pixel {
                triangle: Some(index),
                nearness,
                color: [red, green, blue, 1.0],
            };
        }
    }
    pixel
}

/// Bilinear, with the border continued.
fn sample(texture: &[f64], uv: [f64; 2]) -> [f64; 3] {
    let side = (texture.len() / 3).isqrt();
    let [x, y] = uv.map(|v| v * side as f64 - 0.5);
    let texel = |column: f64, row: f64, channel: usize| {
        let [column, row] = [column, row].map(|v| v.clamp(0.0, side as f64 - 1.0) as usize);
        texture[3 * (row * side + column) + channel]
    };
    let (left, top) = (x.floor(), y.floor());
    let (right, down) = (x - left, y - top);
    [0, 1, 2].map(|channel| {
        let row = |row: f64| {
            (1.0 - right) * texel(left, row, channel) + right * texel(left + 1.0, row, channel)
        };
        (1.0 - down) * row(top) + down * row(top + 1.0)
    })
}

/// Where a triangle ends between two pixels' centres, as a part of the way, if it is a silhouette that it ends at.
fn silhouette(
    [near, far]: [[f64; 2]; 2],
    triangle: usize,
    at: &dyn Fn(u32) -> [f64; 3],
    faces: &Faces,
) -> Option<f64> {
    let corners = faces.triangles[triangle].map(|vertex| flat(at(vertex)));
    let side = cross(corners[0], corners[1], corners[2]).signum();
    let mut nearest: Option<(f64, usize)> = None;
    for edge in 0..3 {
        let (a, b) = (corners[edge], corners[(edge + 1) % 3]);
        let (inside, outside) = (side * cross(a, b, near), side * cross(a, b, far));
        if outside < 0.0 {
            let t = inside / (inside - outside);
            if nearest.is_none_or(|(other, _)| t < other) {
                nearest = Some((t, edge));
            }
        }
    }
    let (t, edge) = nearest?;
    let (a, b) = (corners[edge], corners[(edge + 1) % 3]);
    let is_end = faces.across[triangle][edge]
        .is_none_or(|vertex| side * cross(a, b, flat(at(vertex))) > 0.0);
    is_end.then_some(t)
}
