//! An image of an object whose background is known: a user's picture, cut out.

use crate::Image;
use crate::color::to_byte;
use crate::files::{FileError, read, write_atomically};
use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbaImage};
use std::io::Cursor;
use std::path::Path;

/// Sides of an image that is worth reading, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 16..=8192;

/// Distance of display-referred colours, of √3, up to which a pixel is background, and from which on it is none.
const BACKGROUND: [f32; 2] = [0.05, 0.14];

/// Share of the border that has to be of one colour.
const PLAIN_BORDER: f32 = 0.75;

/// Least share of the image that an object covers.
const LEAST_COVER: f32 = 0.005;

/// Share of the image's side that an object's box may have; another one is brought to [`FRAMED`].
const FRAMES: [f32; 2] = [0.4, 0.97];

/// Share of the side that a box of another size is brought to: about that of the built-in prior's objects.
const FRAMED: f32 = 0.75;

/// A square image of an object, and how much of each pixel it covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Cutout {
    /// Display-referred colours of the object, without the background's part.
    pub image: Image,
    /// In `[0, 1]`, row by row.
    pub opacity: Vec<f32>,
}

/// An image before it is cut out.
struct Picture {
    width: usize,
    height: usize,
    colors: Vec<[f32; 3]>,
    opacity: Vec<f32>,
}

impl Cutout {
    /// Reads a PNG or a JPEG, cut out by its alpha channel; without one, by a plain background, whose colour the border tells.
    ///
    /// # Errors
    /// When the file is no such image, is too large or too small, is animated, shows nothing, or has a background that
    /// is not plain. The message names the file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let bad = |reason: String| format!("{}: {reason}", path.display());
        let bytes = read(path).map_err(|error| error.to_string())?;
        let picture = Picture::decode(&bytes).map_err(bad)?;
        let picture = if picture.opacity.iter().any(|alpha| *alpha < 1.0) {
            picture
        } else {
            picture.cut_out().map_err(bad)?
        };
        picture.framed().map_err(bad)
    }

    /// Of a square image on black, in which the object's part of each pixel is all that is left.
    pub fn of_premultiplied(image: &Image, opacity: Vec<f32>) -> Self {
        let colors = image.pixels.iter().zip(&opacity);
        let whole = |(color, alpha): (&[f32; 3], &f32)| color.map(|value| value / alpha.max(1e-6));
        let pixels = colors.map(whole).collect();
        Self {
            image: Image::square(image.width, pixels),
            opacity,
        }
    }

    /// Writes a PNG with an alpha channel.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<(), FileError> {
        let side = self.image.width as u32;
        let pixels = self.image.pixels.iter().zip(&self.opacity);
        let bytes = pixels.flat_map(|([r, g, b], alpha)| [*r, *g, *b, *alpha].map(to_byte));
        let image = RgbaImage::from_raw(side, side, bytes.collect());
        let mut file = Cursor::new(Vec::new());
        image
            .expect("as many bytes as pixels")
            .write_to(&mut file, ImageFormat::Png)
            .expect("writing to memory");
        write_atomically(path, &file.into_inner())
    }

    /// With pixels averaged to a side of `size`.
    #[must_use]
    pub fn resized(&self, size: usize) -> Self {
        Picture {
            width: self.image.width,
            height: self.image.height,
            colors: self.image.pixels.clone(),
            opacity: self.opacity.clone(),
        }
        .window([0.0, 0.0], self.image.width as f32, size)
    }

    /// The image on a background of one colour.
    pub fn over(&self, background: [f32; 3]) -> Image {
        let pixels = self.image.pixels.iter().zip(&self.opacity);
        let blend = |(color, alpha): (&[f32; 3], &f32)| {
            std::array::from_fn(|i| background[i] + alpha * (color[i] - background[i]))
        };
        Image::square(self.image.width, pixels.map(blend).collect())
    }
}

impl Picture {
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| error.to_string())?;
        match reader.format() {
            Some(ImageFormat::Png) => {
                let decoder = PngDecoder::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
                check_sides(decoder.dimensions())?;
                if decoder.is_apng().map_err(|e| e.to_string())? {
                    return Err("expected a still image, got an animation".into());
                }
            }
            Some(ImageFormat::Jpeg) => {}
            Some(ImageFormat::Gif) => {
                return Err("expected a PNG or a JPEG, got a GIF".into());
            }
            _ => return Err("expected a PNG or a JPEG".into()),
        }
        let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
        check_sides(decoder.dimensions())?;
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) =
            (Some(*SIDES.end()), Some(*SIDES.end()));
        decoder.set_limits(limits).map_err(|e| e.to_string())?;
        // A telephone turns its photographs by a note.
        let turn = decoder.orientation().map_err(|e| e.to_string())?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
        image.apply_orientation(turn);
        Ok(Self::of(&image.to_rgba8()))
    }

    fn of(image: &RgbaImage) -> Self {
        let unit = |byte: u8| f32::from(byte) / 255.0;
        Self {
            width: image.width() as usize,
            height: image.height() as usize,
            colors: image
                .pixels()
                .map(|p| [p[0], p[1], p[2]].map(unit))
                .collect(),
            opacity: image.pixels().map(|p| unit(p[3])).collect(),
        }
    }

    /// With what is like the border's colour, and joined to the border, as background.
    fn cut_out(self) -> Result<Self, String> {
        let border = self.border();
        let background = median(border.iter().map(|i| self.colors[*i]));
        let [near, far] = BACKGROUND;
        let colors = self.colors.iter();
        let apart: Vec<f32> = colors.map(|color| distance(*color, background)).collect();
        let plain = border.iter().filter(|i| apart[**i] < far).count();
        if (plain as f32) < PLAIN_BORDER * border.len() as f32 {
            return Err(
                "expected a plain background; cut the object out and save it as a PNG with an alpha channel"
                    .into(),
            );
        }
        let is_background = self.reached(border, |i| apart[i] < far);
        let opacity = |(apart, is_background): (&f32, bool)| {
            if is_background {
                ((apart - near) / (far - near)).clamp(0.0, 1.0)
            } else {
                1.0
            }
        };
        let opacity: Vec<f32> = apart.iter().zip(is_background).map(opacity).collect();
        // What the background has to do with a pixel's colour is taken out of it.
        let unmixed = |(color, alpha): (&[f32; 3], &f32)| {
            let behind = background.map(|value| (1.0 - alpha) * value);
            std::array::from_fn(|c| ((color[c] - behind[c]) / alpha.max(0.1)).clamp(0.0, 1.0))
        };
        Ok(Self {
            colors: self.colors.iter().zip(&opacity).map(unmixed).collect(),
            opacity,
            ..self
        })
    }

    fn border(&self) -> Vec<usize> {
        let (width, height) = (self.width, self.height);
        let is_border = |i: &usize| {
            let (x, y) = (i % width, i / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        };
        (0..width * height).filter(is_border).collect()
    }

    /// Pixels of a kind that others of the kind join to those of `start`, and these.
    fn reached(&self, start: Vec<usize>, is_kind: impl Fn(usize) -> bool) -> Vec<bool> {
        let (width, height) = (self.width, self.height);
        let mut is_reached = vec![false; width * height];
        let mut next = start;
        while let Some(i) = next.pop() {
            if is_reached[i] || !is_kind(i) {
                continue;
            }
            is_reached[i] = true;
            let (x, y) = (i % width, i / width);
            let around = [
                (x > 0).then(|| i - 1),
                (x + 1 < width).then(|| i + 1),
                (y > 0).then(|| i - width),
                (y + 1 < height).then(|| i + width),
            ];
            next.extend(around.into_iter().flatten());
        }
        is_reached
    }

    /// Square, and with the object at a size that a prior knows.
    fn framed(self) -> Result<Cutout, String> {
        let (width, height) = (self.width, self.height);
        let covered: f32 = self.opacity.iter().sum::<f32>() / (width * height) as f32;
        if covered < LEAST_COVER {
            return Err("expected an object, but the image shows none".into());
        }
        if covered > 1.0 - LEAST_COVER {
            return Err(
                "expected a background around the object, but nothing is transparent".into(),
            );
        }
        // Half as opaque as the most opaque pixel: glass is an object too.
        let most = self.opacity.iter().copied().fold(0.0, f32::max);
        let inside = |i: &usize| self.opacity[*i] >= 0.5 * most;
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for i in (0..width * height).filter(inside) {
            for (axis, at) in [i % width, i / width].into_iter().enumerate() {
                low[axis] = low[axis].min(at as f32);
                high[axis] = high[axis].max(at as f32 + 1.0);
            }
        }
        let extent = (high[0] - low[0]).max(high[1] - low[1]).max(1.0);
        let side = width.max(height) as f32;
        let is_framed = width == height && (FRAMES[0]..=FRAMES[1]).contains(&(extent / side));
        let (side, center) = if is_framed {
            (side, [0.5 * width as f32, 0.5 * height as f32])
        } else {
            let middle = |axis: usize| 0.5 * (low[axis] + high[axis]);
            (extent / FRAMED, [middle(0), middle(1)])
        };
        let corner = center.map(|middle| middle - 0.5 * side);
        let size = (side.round() as usize).clamp(1, 1024);
        Ok(self.window(corner, side, size))
    }

    /// The square of `side` pixels from `corner`, averaged to `size × size`; nothing is beyond the image.
    fn window(&self, corner: [f32; 2], side: f32, size: usize) -> Cutout {
        let step = side / size as f32;
        // Enough samples that none of the image's pixels is passed over.
        let samples = (step.ceil() as usize).clamp(2, 64);
        let at = |index: usize, axis: usize, sample: usize| {
            let within = (sample as f32 + 0.5) / samples as f32;
            corner[axis] + step * (index as f32 + within)
        };
        let (mut pixels, mut opacity) = (Vec::new(), Vec::new());
        for index in 0..size * size {
            let (mut color, mut alpha) = ([0.0f32; 3], 0.0f32);
            for sample in 0..samples * samples {
                let x = at(index % size, 0, sample % samples).floor();
                let y = at(index / size, 1, sample / samples).floor();
                if x < 0.0 || y < 0.0 || x >= self.width as f32 || y >= self.height as f32 {
                    continue;
                }
                let i = y as usize * self.width + x as usize;
                alpha += self.opacity[i];
                (0..3).for_each(|c| color[c] += self.opacity[i] * self.colors[i][c]);
            }
            pixels.push(color.map(|sum| sum / alpha.max(1e-6)));
            opacity.push(alpha / (samples * samples) as f32);
        }
        Cutout {
            image: Image::square(size, pixels),
            opacity,
        }
    }
}

fn check_sides((width, height): (u32, u32)) -> Result<(), String> {
    if SIDES.contains(&width) && SIDES.contains(&height) {
        return Ok(());
    }
    let (least, most) = (SIDES.start(), SIDES.end());
    Err(format!(
        "expected sides from {least} to {most} pixels, got {width} × {height}"
    ))
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f32>().sqrt()
}

/// Channel by channel.
fn median(colors: impl Iterator<Item = [f32; 3]>) -> [f32; 3] {
    let colors: Vec<[f32; 3]> = colors.collect();
    std::array::from_fn(|channel| {
        let mut values: Vec<f32> = colors.iter().map(|color| color[channel]).collect();
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    /// Writes a red disc of `radius` around `center` and reads it.
    fn disc(
        [width, height]: [u32; 2],
        center: [f32; 2],
        radius: f32,
        background: [u8; 4],
        encode: impl Fn(RgbaImage) -> DynamicImage,
    ) -> Result<Cutout, String> {
        let image = RgbaImage::from_fn(width, height, |x, y| {
            let [dx, dy] = [x as f32 + 0.5 - center[0], y as f32 + 0.5 - center[1]];
            Rgba(if dx.hypot(dy) < radius {
                [200, 30, 20, 255]
            } else {
                background
            })
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        encode(image)
            .save_with_format(&path, ImageFormat::Png)
            .unwrap();
        Cutout::load(&path)
    }

    fn covered(cutout: &Cutout) -> f32 {
        cutout.opacity.iter().sum::<f32>() / cutout.opacity.len() as f32
    }

    #[test]
    fn alpha_and_a_plain_background_cut_the_same() {
        let area = std::f32::consts::PI * 0.09;
        let by_alpha = disc([64; 2], [32.0; 2], 19.2, [0; 4], DynamicImage::from).unwrap();
        let by_color = disc([64; 2], [32.0; 2], 19.2, [240, 240, 250, 255], |image| {
            DynamicImage::from(image).to_rgb8().into()
        });
        for cutout in [by_alpha, by_color.unwrap()] {
            assert!(
                (covered(&cutout) - area).abs() < 0.01,
                "{}",
                covered(&cutout)
            );
            let small = cutout.resized(32);
            assert!((covered(&small) - area).abs() < 0.01);
            let middle = small.over([0.0; 3]).pixels[32 * 16 + 16];
            assert!(distance(middle, [200.0, 30.0, 20.0].map(|v: f32| v / 255.0)) < 1e-4);
        }
    }

    #[test]
    fn an_object_that_is_small_and_aside_comes_to_the_middle() {
        let aside = disc([200, 80], [150.0, 40.0], 15.0, [0; 4], DynamicImage::from).unwrap();
        let radius = 0.5 * FRAMED;
        assert!((covered(&aside) - std::f32::consts::PI * radius * radius).abs() < 0.02);
        let size = aside.image.width;
        let mean: f32 = (0..size * size)
            .map(|i| aside.opacity[i] * ((i % size) as f32 + 0.5))
            .sum::<f32>()
            / aside.opacity.iter().sum::<f32>();
        assert!((mean / size as f32 - 0.5).abs() < 0.01);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let first = disc([64; 2], [32.0; 2], 20.0, [0; 4], DynamicImage::from).unwrap();
        first.save_png(&path).unwrap();
        let again = Cutout::load(&path).unwrap();
        let apart = first
            .opacity
            .iter()
            .zip(&again.opacity)
            .map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 0.01);
        let on_black = Cutout::of_premultiplied(&first.over([0.0; 3]), first.opacity.clone());
        let [a, b] = [&first, &on_black].map(|cutout| cutout.over([0.3; 3]).pixels[64 * 13 + 32]);
        assert!(distance(a, b) < 1e-3);
    }

    #[test]
    fn sixteen_bits_are_read() {
        let deep = disc([64; 2], [32.0; 2], 20.0, [0; 4], |image| {
            DynamicImage::from(image).into_rgba16().into()
        });
        assert!((covered(&deep.unwrap()) - 0.306).abs() < 0.01);
    }

    #[test]
    fn what_shows_no_object_is_named() {
        let message = |result: Result<Cutout, String>| result.unwrap_err();
        let nothing = disc([64; 2], [32.0; 2], 0.0, [0; 4], DynamicImage::from);
        assert!(message(nothing).contains("shows none"));
        let full = disc([64; 2], [32.0; 2], 99.0, [0; 4], DynamicImage::from);
        assert!(message(full).contains("shows none"));
        let small = disc([8; 2], [4.0; 2], 2.0, [0; 4], DynamicImage::from);
        assert!(message(small).contains("got 8 × 8"));
        let stripes = disc([64; 2], [32.0; 2], 9.0, [0, 0, 0, 255], |mut image| {
            let pixels = image.enumerate_pixels_mut();
            pixels.for_each(|(x, _, pixel)| pixel[1] = if x / 8 % 2 == 0 { 250 } else { 0 });
            image.into()
        });
        assert!(message(stripes).contains("plain background"));
    }

    #[test]
    fn files_that_are_no_image_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let message = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Cutout::load(&path).unwrap_err()
        };
        assert!(message(b"a squirrel").contains("expected a PNG or a JPEG"));
        assert!(message(b"").contains("expected a PNG or a JPEG"));
        let whole = Image::filled(32, 32, [0.5; 3]).to_png();
        assert!(message(&whole[..40]).contains("a.png: "));
        // The header alone says 20,000 × 20,000 (its checksum is at 29).
        let mut huge = whole;
        huge[16..20].copy_from_slice(&20_000u32.to_be_bytes());
        huge[20..24].copy_from_slice(&20_000u32.to_be_bytes());
        let sum = crc(&huge[12..29]);
        huge[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(
            message(&huge).contains("got 20000 × 20000"),
            "{}",
            message(&huge)
        );
    }

    /// The checksum of a PNG's chunks.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
            })
        })
    }
}
