//! Rasterization on slices, a thread a view.

use super::{CHANNELS, Faces, NEAREST, PLACE};
use rayon::prelude::*;

/// An edge this near to both centres, in square pixels, has no place between them.
const LEAST_AREA: f32 = 1e-6;

/// No triangle.
const NOTHING: u32 = u32::MAX;

type Point = [f32; 2];

/// A square texture.
pub(super) struct Texture<'a> {
    texels: &'a [[f32; 3]],
    side: usize,
}

/// The four texels around a place, and how far it is from the first to the others.
struct Around {
    texels: [usize; 4],
    right: f32,
    down: f32,
}

impl<'a> Texture<'a> {
    pub(super) fn new(values: &'a [f32], side: usize) -> Self {
        Self {
            texels: values.as_chunks().0,
            side,
        }
    }

    fn around(&self, uv: Point) -> Around {
        let [x, y] = uv.map(|v| v * self.side as f32 - 0.5);
        let last = self.side as f32 - 1.0;
        let index =
            |x: f32, y: f32| y.clamp(0.0, last) as usize * self.side + x.clamp(0.0, last) as usize;
        let (left, top) = (x.floor(), y.floor());
        Around {
            texels: [
                index(left, top),
                index(left + 1.0, top),
                index(left, top + 1.0),
                index(left + 1.0, top + 1.0),
            ],
            right: x - left,
            down: y - top,
        }
    }
}

impl Around {
    /// Of each texel.
    fn weights(&self) -> [f32; 4] {
        let (right, down) = (self.right, self.down);
        [
            (1.0 - right) * (1.0 - down),
            right * (1.0 - down),
            (1.0 - right) * down,
            right * down,
        ]
    }
}

/// Twice the area of a triangle; positive where its corners go clockwise on the screen.
fn cross(a: Point, b: Point, c: Point) -> f32 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// Adds `by · ∂cross/∂(a, b, c)` to three gradients.
fn add_cross_gradient([a, b, c]: [Point; 3], by: f32, gradients: [&mut [f32; PLACE]; 3]) {
    let of = |next: Point, last: Point| [by * (next[1] - last[1]), by * (last[0] - next[0])];
    for (gradient, [x, y]) in gradients.into_iter().zip([of(b, c), of(c, a), of(a, b)]) {
        gradient[0] += x;
        gradient[1] += y;
    }
}

/// What a pixel's centre shows.
struct Shown {
    /// Barycentric, in the image.
    weights: [f32; 3],
    /// The same, each over its depth, and their sum, one over the depth.
    shares: [f32; 3],
    nearness: f32,
}

/// A view while it is drawn.
struct View<'a> {
    /// In pixels.
    places: Vec<[f32; PLACE]>,
    faces: &'a Faces,
    size: usize,
    /// Of each pixel.
    triangles: Vec<u32>,
    nearness: Vec<f32>,
}

impl<'a> View<'a> {
    fn new(places: &[f32], faces: &'a Faces, size: usize) -> Self {
        let scale = size as f32;
        let places = places.as_chunks::<PLACE>().0;
        let mut view = Self {
            places: places
                .iter()
                .map(|[x, y, depth]| [x * scale, y * scale, *depth])
                .collect(),
            faces,
            size,
            triangles: vec![NOTHING; size * size],
            nearness: vec![0.0; size * size],
        };
        (0..faces.triangles.len()).for_each(|triangle| view.cover(triangle));
        view
    }

    fn corners(&self, triangle: usize) -> [Point; 3] {
        self.faces.triangles[triangle].map(|vertex| self.point(vertex))
    }

    fn point(&self, vertex: u32) -> Point {
        let [x, y, _] = self.places[vertex as usize];
        [x, y]
    }

    fn depths(&self, triangle: usize) -> [f32; 3] {
        self.faces.triangles[triangle].map(|vertex| self.places[vertex as usize][2])
    }

    fn center(&self, pixel: usize) -> Point {
        [pixel % self.size, pixel / self.size].map(|v| v as f32 + 0.5)
    }

    /// Takes the pixels that a triangle covers before all others.
    fn cover(&mut self, triangle: usize) {
        let corners = self.corners(triangle);
        let is_before = |depth: &f32| *depth >= NEAREST;
        if !self.depths(triangle).iter().all(is_before) {
            return;
        }
        let range = |axis: usize| {
            let [a, b, c] = corners.map(|corner| corner[axis]);
            let (low, high) = (a.min(b).min(c), a.max(b).max(c));
            let last = (high - 0.5).floor().min(self.size as f32 - 1.0);
            (low - 0.5).ceil().max(0.0) as usize..(last + 1.0).max(0.0) as usize
        };
        let (columns, rows) = (range(0), range(1));
        for row in rows {
            for column in columns.clone() {
                let pixel = row * self.size + column;
                if let Some(shown) = self.shown(triangle, pixel)
                    && shown.nearness > self.nearness[pixel]
                {
                    self.nearness[pixel] = shown.nearness;
                    self.triangles[pixel] = triangle as u32;
                }
            }
        }
    }

    fn shown(&self, triangle: usize, pixel: usize) -> Option<Shown> {
        let ([a, b, c], center) = (self.corners(triangle), self.center(pixel));
        let area = cross(a, b, c);
        if area == 0.0 {
            return None;
        }
        let weights = [
            cross(center, b, c),
            cross(a, center, c),
            cross(a, b, center),
        ];
        let weights = weights.map(|weight| weight / area);
        let depths = self.depths(triangle);
        let shares: [f32; 3] = std::array::from_fn(|i| weights[i] / depths[i]);
        weights.iter().all(|weight| *weight >= 0.0).then(|| Shown {
            weights,
            shares,
            nearness: shares.iter().sum(),
        })
    }

    /// A pixel's triangle, with what it shows there.
    fn at(&self, pixel: usize) -> Option<(usize, Shown)> {
        let triangle = self.triangles[pixel];
        (triangle != NOTHING).then(|| {
            let triangle = triangle as usize;
            let shown = self.shown(triangle, pixel).expect("it covers the pixel");
            (triangle, shown)
        })
    }

    fn uv(&self, triangle: usize, shown: &Shown) -> Point {
        let uvs = self.faces.uvs[triangle];
        let sum = |axis: usize| (0..3).map(|i| shown.shares[i] * uvs[i][axis]).sum::<f32>();
        [sum(0) / shown.nearness, sum(1) / shown.nearness]
    }

    /// Colours with coverage, before silhouettes are blended.
    fn colors(&self, texture: &Texture) -> Vec<[f32; CHANNELS]> {
        let color = |pixel: usize| {
            let Some((triangle, shown)) = self.at(pixel) else {
                return [0.0; CHANNELS];
            };
            let around = texture.around(self.uv(triangle, &shown));
            let mut color = [0.0, 0.0, 0.0, 1.0];
            for (texel, weight) in around.texels.into_iter().zip(around.weights()) {
                for (sum, value) in color.iter_mut().zip(texture.texels[texel]) {
                    *sum += weight * value;
                }
            }
            color
        };
        (0..self.size * self.size).map(color).collect()
    }

    /// Calls `blend` for each silhouette between two pixels' centres.
    fn silhouettes(&self, mut blend: impl FnMut(Silhouette)) {
        for first in 0..self.size * self.size {
            let right = (first % self.size + 1 < self.size).then(|| first + 1);
            let below = (first + self.size < self.size * self.size).then(|| first + self.size);
            for second in [right, below].into_iter().flatten() {
                if self.triangles[first] != self.triangles[second] {
                    let is_first = self.nearness[first] > self.nearness[second];
                    let pair = if is_first {
                        [first, second]
                    } else {
                        [second, first]
                    };
                    self.silhouette(pair).into_iter().for_each(&mut blend);
                }
            }
        }
    }

    /// Where the nearer pixel's triangle ends on the way to the other one, if that is a silhouette.
    fn silhouette(&self, [near, far]: [usize; 2]) -> Option<Silhouette> {
        let triangle = self.triangles[near] as usize;
        let (corners, centers) = (self.corners(triangle), [near, far].map(|p| self.center(p)));
        let side = cross(corners[0], corners[1], corners[2]).signum();
        let mut end: Option<Silhouette> = None;
        for edge in 0..3 {
            let (a, b) = (corners[edge], corners[(edge + 1) % 3]);
            let [inside, outside] = centers.map(|center| side * cross(a, b, center));
            // The near centre is inside: what says otherwise is rounding.
            let inside = inside.max(0.0);
            let t = inside / (inside - outside);
            if outside < -LEAST_AREA && end.as_ref().is_none_or(|end| t < end.t) {
                end = Some(Silhouette {
                    pixels: [near, far],
                    triangle,
                    edge,
                    areas: [inside, outside].map(|area| side * area),
                    t,
                });
            }
        }
        end.filter(|end| {
            let (a, b) = (corners[end.edge], corners[(end.edge + 1) % 3]);
            let across = self.faces.across[triangle][end.edge];
            across.is_none_or(|vertex| side * cross(a, b, self.point(vertex)) > 0.0)
        })
    }
}

/// An edge of what is nearer, between two pixels' centres.
struct Silhouette {
    /// The nearer one first.
    pixels: [usize; 2],
    triangle: usize,
    edge: usize,
    /// Of the edge with either centre.
    areas: [f32; 2],
    /// The part of the way to the edge.
    t: f32,
}

impl Silhouette {
    /// The pixel that the edge lies in, the other one, and the other's share.
    fn blended(&self) -> (usize, usize, f32) {
        let [near, far] = self.pixels;
        if self.t < 0.5 {
            (near, far, 0.5 - self.t)
        } else {
            (far, near, self.t - 0.5)
        }
    }
}

/// `[views, CHANNELS, size, size]`.
pub(super) fn forward(
    places: &[f32],
    texture: &Texture,
    faces: &Faces,
    [views, size]: [usize; 2],
) -> Vec<f32> {
    let of_view = |places: &[f32]| {
        let view = View::new(places, faces, size);
        let sharp = view.colors(texture);
        let mut colors = sharp.clone();
        view.silhouettes(|edge| {
            let (pixel, other, share) = edge.blended();
            for channel in 0..CHANNELS {
                colors[pixel][channel] += share * (sharp[other][channel] - sharp[pixel][channel]);
            }
        });
        let plane = |channel: usize| colors.iter().map(move |color| color[channel]);
        (0..CHANNELS).flat_map(plane).collect::<Vec<f32>>()
    };
    let parts = places.par_chunks_exact(places.len() / views).map(of_view);
    parts.collect::<Vec<_>>().concat()
}

/// Gradients of places and texture.
pub(super) fn backward(
    grad: &[f32],
    places: &[f32],
    texture: &Texture,
    faces: &Faces,
    [views, size]: [usize; 2],
    is_texture_tracked: bool,
) -> (Vec<f32>, Vec<f32>) {
    let each = (places.len() / views, CHANNELS * size * size);
    let parts = places
        .par_chunks_exact(each.0)
        .zip(grad.par_chunks_exact(each.1));
    let parts: Vec<ViewGradient> = parts
        .map(|(places, grad)| {
            let view = View::new(places, faces, size);
            ViewGradient::of(&view, grad, texture, is_texture_tracked)
        })
        .collect();
    let mut of_texture = vec![[0.0; 3]; texture.texels.len()];
    // In the order of the views, whatever the threads did.
    for (texel, by) in parts.iter().flat_map(|part| &part.texels) {
        for channel in 0..3 {
            of_texture[*texel][channel] += by[channel];
        }
    }
    let of_places = parts.iter().flat_map(|part| part.places.as_flattened());
    (
        of_places.copied().collect(),
        of_texture.as_flattened().to_vec(),
    )
}

/// The gradients of one view.
struct ViewGradient {
    /// Of each vertex.
    places: Vec<[f32; PLACE]>,
    /// Of texels, which may come again.
    texels: Vec<(usize, [f32; 3])>,
    is_texture_tracked: bool,
}

impl ViewGradient {
    fn of(view: &View, grad: &[f32], texture: &Texture, is_texture_tracked: bool) -> Self {
        let pixels = view.size * view.size;
        let outer: Vec<[f32; CHANNELS]> = (0..pixels)
            .map(|pixel| std::array::from_fn(|channel| grad[channel * pixels + pixel]))
            .collect();
        let mut gradient = Self {
            places: vec![[0.0; PLACE]; view.places.len()],
            texels: Vec::new(),
            is_texture_tracked,
        };
        let sharp = view.colors(texture);
        let mut inner = outer.clone();
        view.silhouettes(|edge| gradient.add_silhouette(view, &edge, &sharp, &outer, &mut inner));
        for (pixel, grad) in inner.iter().enumerate() {
            if let Some((triangle, shown)) = view.at(pixel) {
                gradient.add_pixel(view, (triangle, pixel), &shown, *grad, texture);
            }
        }
        // Places are in parts of the image.
        for place in &mut gradient.places {
            place[0] *= view.size as f32;
            place[1] *= view.size as f32;
        }
        gradient
    }

    fn add_silhouette(
        &mut self,
        view: &View,
        edge: &Silhouette,
        sharp: &[[f32; CHANNELS]],
        outer: &[[f32; CHANNELS]],
        inner: &mut [[f32; CHANNELS]],
    ) {
        let (pixel, other, share) = edge.blended();
        let mut by_share = 0.0;
        for channel in 0..CHANNELS {
            let grad = outer[pixel][channel];
            inner[other][channel] += share * grad;
            inner[pixel][channel] -= share * grad;
            by_share += grad * (sharp[other][channel] - sharp[pixel][channel]);
        }
        let by_t = if edge.t < 0.5 { -by_share } else { by_share };
        let [inside, outside] = edge.areas;
        let scale = by_t / (inside - outside).powi(2);
        let corners = view.faces.triangles[edge.triangle];
        let (from, to) = (corners[edge.edge], corners[(edge.edge + 1) % 3]);
        // t = inside / (inside − outside)
        for (pixel, by) in edge
            .pixels
            .into_iter()
            .zip([-outside * scale, inside * scale])
        {
            let points = [view.point(from), view.point(to), view.center(pixel)];
            let mut ends = [[0.0; PLACE]; 3];
            let [a, b, c] = &mut ends;
            add_cross_gradient(points, by, [a, b, c]);
            for (vertex, end) in [from, to].into_iter().zip(ends) {
                self.add_place(vertex, end);
            }
        }
    }

    fn add_place(&mut self, vertex: u32, by: [f32; PLACE]) {
        let place = &mut self.places[vertex as usize];
        for axis in 0..PLACE {
            place[axis] += by[axis];
        }
    }

    /// By way of the texture's coordinates.
    fn add_pixel(
        &mut self,
        view: &View,
        (triangle, pixel): (usize, usize),
        shown: &Shown,
        grad: [f32; CHANNELS],
        texture: &Texture,
    ) {
        let around = texture.around(view.uv(triangle, shown));
        let seen = around.texels.map(|texel| {
            let color = texture.texels[texel];
            (0..3)
                .map(|channel| grad[channel] * color[channel])
                .sum::<f32>()
        });
        if self.is_texture_tracked {
            let weighted = around.texels.into_iter().zip(around.weights());
            let of_texel = |(texel, weight): (usize, f32)| {
                (texel, std::array::from_fn(|channel| weight * grad[channel]))
            };
            self.texels.extend(weighted.map(of_texel));
        }
        let [near, right, below, beyond] = seen;
        let scale = texture.side as f32;
        let by_uv = [
            scale * ((1.0 - around.down) * (right - near) + around.down * (beyond - below)),
            scale * ((1.0 - around.right) * (below - near) + around.right * (beyond - right)),
        ];
        self.add_barycentric(view, (triangle, pixel), shown, by_uv);
    }

    /// Perspective: uv = Σ share · uv / Σ share, with a share of a corner's barycentric weight over its depth.
    fn add_barycentric(
        &mut self,
        view: &View,
        (triangle, pixel): (usize, usize),
        shown: &Shown,
        by_uv: Point,
    ) {
        let (uvs, depths) = (view.faces.uvs[triangle], view.depths(triangle));
        let along: [f32; 3] = std::array::from_fn(|i| by_uv[0] * uvs[i][0] + by_uv[1] * uvs[i][1]);
        let mean = (0..3).map(|i| shown.shares[i] * along[i]).sum::<f32>() / shown.nearness;
        let by_share = along.map(|along| (along - mean) / shown.nearness);
        let by_weight: [f32; 3] = std::array::from_fn(|i| by_share[i] / depths[i]);
        let ([a, b, c], center) = (view.corners(triangle), view.center(pixel));
        let area = cross(a, b, c);
        let by_area = -(0..3).map(|i| by_weight[i] * shown.weights[i]).sum::<f32>() / area;
        let mut ends = [[0.0; PLACE]; 3];
        let mut unused = [0.0; PLACE];
        let [of_a, of_b, of_c] = &mut ends;
        let by = by_weight.map(|by| by / area);
        add_cross_gradient([center, b, c], by[0], [&mut unused, of_b, of_c]);
        add_cross_gradient([a, center, c], by[1], [of_a, &mut unused, of_c]);
        add_cross_gradient([a, b, center], by[2], [of_a, of_b, &mut unused]);
        add_cross_gradient([a, b, c], by_area, [of_a, of_b, of_c]);
        for i in 0..3 {
            ends[i][2] = -by_share[i] * shown.shares[i] / depths[i];
            self.add_place(view.faces.triangles[triangle][i], ends[i]);
        }
    }
}
