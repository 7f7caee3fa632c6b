//! Images on a surface: which texel shows what, and colours beyond the charts' borders.

use dreamfuse_core::Image;

/// Passes by which colours grow beyond a chart: so many texels, that no filter of a viewer meets what was not baked.
const PADDING: usize = 8;

/// Texels of a square image that triangles cover, by their texture coordinates.
///
/// # Shapes
/// Texture coordinates are in `[0, 1]`, v downwards as glTF has it; texel `i` is in column `i % size`.
pub struct Texels {
    pub size: usize,
    /// For each covered texel: its number, its triangle, and the barycentric coordinates of its centre there.
    pub covered: Vec<Texel>,
}

/// A texel of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Texel {
    pub index: u32,
    pub triangle: u32,
    pub weights: [f32; 3],
}

impl Texels {
    /// Those whose centres lie in a triangle. Triangles do not overlap; a centre on a common edge belongs to the first one.
    pub fn of(uvs: &[[f32; 2]], triangles: &[[u32; 3]], size: usize) -> Self {
        let mut owned = vec![false; size * size];
        let mut covered = Vec::new();
        for (triangle, corners) in (0..).zip(triangles) {
            let corners = corners.map(|corner| uvs[corner as usize].map(|v| v * size as f32));
            visit(corners, size, |index, weights| {
                if !std::mem::replace(&mut owned[index], true) {
                    let index = index as u32;
                    covered.push(Texel {
                        index,
                        triangle,
                        weights,
                    });
                }
            });
        }
        Self { size, covered }
    }

    /// An image of a colour for each covered texel, in their order, that is continued beyond the charts.
    pub fn image(&self, colors: &[[f32; 3]], background: [f32; 3]) -> Image {
        let mut image = Image::filled(self.size, self.size, background);
        let mut is_known = vec![false; self.size * self.size];
        for (texel, color) in self.covered.iter().zip(colors) {
            image.pixels[texel.index as usize] = *color;
            is_known[texel.index as usize] = true;
        }
        self.pad(&mut image, &mut is_known);
        image
    }

    fn pad(&self, image: &mut Image, is_known: &mut [bool]) {
        let mut edge: Vec<usize> = (0..is_known.len()).filter(|i| is_known[*i]).collect();
        for _ in 0..PADDING {
            let mut new = Vec::new();
            for index in edge.drain(..) {
                for near in neighbours(index, self.size) {
                    if !is_known[near] {
                        is_known[near] = true;
                        image.pixels[near] = image.pixels[index];
                        new.push(near);
                    }
                }
            }
            edge = new;
        }
    }
}

/// The texels beside, above and below.
fn neighbours(index: usize, size: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (index % size, index / size);
    let left = (x > 0).then(|| index - 1);
    let right = (x + 1 < size).then_some(index + 1);
    let above = (y > 0).then(|| index - size);
    let below = (y + 1 < size).then_some(index + size);
    [left, right, above, below].into_iter().flatten()
}

/// Calls `visit` with each texel whose centre is in a triangle, and its barycentric coordinates.
pub(crate) fn visit([a, b, c]: [[f32; 2]; 3], size: usize, mut visit: impl FnMut(usize, [f32; 3])) {
    let area = cross(a, b, c);
    if area == 0.0 || !area.is_finite() {
        return;
    }
    let range = |axis: usize| {
        let low = a[axis].min(b[axis]).min(c[axis]);
        let high = a[axis].max(b[axis]).max(c[axis]);
        let last = (high - 0.5).floor().min(size as f32 - 1.0);
        (low - 0.5).ceil().max(0.0) as usize..(last + 1.0).max(0.0) as usize
    };
    for y in range(1) {
        for x in range(0) {
            let at = [x as f32 + 0.5, y as f32 + 0.5];
            let weights = [cross(at, b, c), cross(a, at, c), cross(a, b, at)].map(|w| w / area);
            if weights.iter().all(|weight| *weight >= 0.0) {
                visit(y * size + x, weights);
            }
        }
    }
}

/// A texel's centre this near to an edge, as a part of the triangle, is not counted as covered.
const NEAR_EDGE: f32 = 1e-3;

/// Times that each texel is looked at, on average, before counting ends: by then it is known that many overlap.
const MOST_VISITS: usize = 64;

/// Texels whose centres lie within more than one triangle; of very many, a part.
pub fn overlapping_texels(uvs: &[[f32; 2]], triangles: &[[u32; 3]], size: usize) -> usize {
    overlapping_triangles(uvs, triangles, size).len()
}

/// For each such texel the triangle that comes to it second.
pub(crate) fn overlapping_triangles(
    uvs: &[[f32; 2]],
    triangles: &[[u32; 3]],
    size: usize,
) -> Vec<usize> {
    let mut owned = vec![false; size * size];
    let mut found = Vec::new();
    let mut visits = 0;
    for (triangle, corners) in triangles.iter().enumerate() {
        if visits > MOST_VISITS * size * size {
            break;
        }
        let corners = corners.map(|corner| uvs[corner as usize].map(|v| v * size as f32));
        visit(corners, size, |index, weights| {
            visits += 1;
            let is_inside = weights.iter().all(|weight| *weight > NEAR_EDGE);
            if is_inside && std::mem::replace(&mut owned[index], true) {
                found.push(triangle);
            }
        });
    }
    found
}

/// Twice the signed area.
pub(crate) fn cross(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> f32 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// The colour at texture coordinates, between the four nearest texels; beyond the border that of the border.
pub fn sample(image: &Image, [u, v]: [f32; 2]) -> [f32; 3] {
    let place = |t: f32, side: usize| {
        let at = (t * side as f32 - 0.5).clamp(0.0, side as f32 - 1.0);
        let low = at.floor() as usize;
        (low, (low + 1).min(side - 1), at - at.floor())
    };
    let (x0, x1, fx) = place(u, image.width);
    let (y0, y1, fy) = place(v, image.height);
    let at = |x: usize, y: usize| image.pixels[y * image.width + x];
    let blend = |a: [f32; 3], b: [f32; 3], part: f32| -> [f32; 3] {
        std::array::from_fn(|i| a[i] + part * (b[i] - a[i]))
    };
    blend(
        blend(at(x0, y0), at(x1, y0), fx),
        blend(at(x0, y1), at(x1, y1), fx),
        fy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lower left and upper right halves of the middle of an image.
    const UVS: [[f32; 2]; 4] = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]];

    #[test]
    fn texels_of_two_halves_are_those_of_the_square_once_each() {
        let texels = Texels::of(&UVS, &[[0, 1, 2], [0, 2, 3]], 32);
        assert_eq!(texels.covered.len(), 16 * 16);
        let mut indices: Vec<u32> = texels.covered.iter().map(|texel| texel.index).collect();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), 16 * 16);
        for texel in &texels.covered {
            let corners = [[0, 1, 2], [0, 2, 3]][texel.triangle as usize];
            let at = |axis: usize| {
                (0..3)
                    .map(|i| texel.weights[i] * UVS[corners[i]][axis])
                    .sum::<f32>()
            };
            let expected = [texel.index % 32, texel.index / 32].map(|v| (v as f32 + 0.5) / 32.0);
            assert!((at(0) - expected[0]).abs() < 1e-5 && (at(1) - expected[1]).abs() < 1e-5);
        }
    }

    #[test]
    fn what_was_baked_is_sampled_and_its_colours_go_on_beyond_it() {
        let texels = Texels::of(&UVS, &[[0, 1, 2], [0, 2, 3]], 64);
        let color = |texel: &Texel| [(texel.index % 64) as f32 / 64.0, 0.5, 0.0];
        let colors: Vec<[f32; 3]> = texels.covered.iter().map(color).collect();
        let image = texels.image(&colors, [1.0, 0.0, 1.0]);
        let [red, green, _] = sample(&image, [0.5, 0.4]);
        assert!(
            (red - (0.5 - 0.5 / 64.0)).abs() < 1e-3 && green == 0.5,
            "{red}"
        );
        let beside = sample(&image, [0.75 + 6.0 / 64.0, 0.5]);
        assert!((beside[0] - 47.0 / 64.0).abs() < 1e-3, "{beside:?}");
        assert_eq!(sample(&image, [0.01, 0.01]), [1.0, 0.0, 1.0]);
    }
}
