//! Images in memory, sheets of them, and the files that show them.

use crate::color::to_byte;
use crate::files::{FileError, write_atomically};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, ImageFormat, RgbImage, RgbaImage};
use std::io::{self, Cursor};
use std::path::Path;

/// A display-referred sRGB image, row by row from the top left.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<[f32; 3]>,
}

impl Image {
    /// An image of one colour.
    pub fn filled(width: usize, height: usize, color: [f32; 3]) -> Self {
        Self {
            width,
            height,
            pixels: vec![color; width * height],
        }
    }

    /// A square image of `size × size` pixels.
    ///
    /// # Panics
    /// When there are not `size²` pixels.
    pub fn square(size: usize, pixels: Vec<[f32; 3]>) -> Self {
        assert_eq!(pixels.len(), size * size, "expected {size} × {size} pixels");
        Self {
            width: size,
            height: size,
            pixels,
        }
    }

    /// From planes `[3, size, size]`, as tensors hold an image.
    pub fn from_planes(size: usize, planes: &[f32]) -> Self {
        let area = size * size;
        assert_eq!(planes.len(), 3 * area, "expected [3, {size}, {size}]");
        Self::square(
            size,
            (0..area)
                .map(|i| [planes[i], planes[area + i], planes[2 * area + i]])
                .collect(),
        )
    }

    /// Appends the image as planes `[3, height, width]`.
    pub fn push_planes(&self, planes: &mut Vec<f32>) {
        for channel in 0..3 {
            planes.extend(self.pixels.iter().map(|pixel| pixel[channel]));
        }
    }

    /// The image with each pixel repeated `factor` times in both directions.
    pub fn enlarged(&self, factor: usize) -> Self {
        let (width, height) = (self.width * factor, self.height * factor);
        let at = |i: usize| self.pixels[(i / width / factor) * self.width + (i % width) / factor];
        Self {
            width,
            height,
            pixels: (0..width * height).map(at).collect(),
        }
    }

    /// A sheet of images of equal size, `columns` in a row, with a margin between them.
    pub fn sheet(images: &[Self], columns: usize) -> Self {
        const MARGIN: usize = 2;
        let (cell_w, cell_h) = images
            .first()
            .map_or((1, 1), |p| (p.width + MARGIN, p.height + MARGIN));
        let columns = columns.clamp(1, images.len().max(1));
        let rows = images.len().div_ceil(columns).max(1);
        let mut sheet = Self::filled(columns * cell_w + MARGIN, rows * cell_h + MARGIN, [1.0; 3]);
        for (i, image) in images.iter().enumerate() {
            let (left, top) = (MARGIN + i % columns * cell_w, MARGIN + i / columns * cell_h);
            for (y, row) in image.pixels.chunks_exact(image.width).enumerate() {
                let start = (top + y) * sheet.width + left;
                sheet.pixels[start..start + image.width].copy_from_slice(row);
            }
        }
        sheet
    }

    fn to_rgb(&self) -> RgbImage {
        let bytes = self.pixels.iter().flatten().map(|&v| to_byte(v)).collect();
        RgbImage::from_raw(self.width as u32, self.height as u32, bytes)
            .expect("as many bytes as pixels")
    }

    /// The image as a PNG file's bytes.
    pub fn to_png(&self) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        self.to_rgb()
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("writing to memory");
        bytes.into_inner()
    }

    /// Writes the image as a PNG.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<(), FileError> {
        write_atomically(path, &self.to_png())
    }

    /// Reads a PNG.
    ///
    /// # Errors
    /// When the file cannot be read or is no image.
    pub fn load_png(path: &Path) -> Result<Self, FileError> {
        let bytes = crate::files::read(path)?;
        let decoded = image::load_from_memory_with_format(&bytes, ImageFormat::Png)
            .map_err(|e| FileError::Damaged {
                path: path.to_owned(),
                reason: e.to_string(),
            })?
            .to_rgb8();
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        let pixels = decoded
            .pixels()
            .map(|p| p.0.map(|b| f32::from(b) / 255.0))
            .collect();
        Ok(Self {
            width,
            height,
            pixels,
        })
    }
}

/// Writes an endlessly repeating GIF of frames of equal size.
///
/// # Errors
/// When the file cannot be written.
pub fn save_gif(frames: &[Image], frames_a_second: u32, path: &Path) -> Result<(), FileError> {
    let mut bytes = Vec::new();
    let encode = |bytes: &mut Vec<u8>| -> image::ImageResult<()> {
        let mut encoder = GifEncoder::new_with_speed(bytes, 10);
        encoder.set_repeat(Repeat::Infinite)?;
        let delay = Delay::from_numer_denom_ms(1000, frames_a_second);
        for frame in frames {
            let rgb = frame.to_rgb();
            let rgba = RgbaImage::from_fn(rgb.width(), rgb.height(), |x, y| {
                let [r, g, b] = rgb.get_pixel(x, y).0;
                [r, g, b, 255].into()
            });
            encoder.encode_frame(Frame::from_parts(rgba, 0, 0, delay))?;
        }
        Ok(())
    };
    encode(&mut bytes).map_err(|e| FileError::Write {
        path: path.to_owned(),
        source: io::Error::other(e),
    })?;
    write_atomically(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_pngs_keep_an_image() {
        let pixels = (0..16)
            .map(|i| [i as f32 / 15.0, 1.0 - i as f32 / 15.0, 0.2])
            .collect();
        let image = Image::square(4, pixels);
        let mut planes = Vec::new();
        image.push_planes(&mut planes);
        assert_eq!(Image::from_planes(4, &planes), image);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        image.save_png(&path).unwrap();
        let back = Image::load_png(&path).unwrap();
        let worst = back
            .pixels
            .iter()
            .flatten()
            .zip(image.pixels.iter().flatten())
            .map(|(a, b)| (a - b).abs());
        assert!(worst.fold(0.0, f32::max) <= 0.5 / 255.0 + 1e-6);
    }

    #[test]
    fn a_sheet_places_images_row_by_row() {
        let cell = |v: f32| Image::filled(3, 3, [v; 3]);
        let sheet = Image::sheet(&[cell(0.1), cell(0.2), cell(0.3)], 2);
        assert_eq!((sheet.width, sheet.height), (12, 12));
        assert_eq!(sheet.pixels[2 * 12 + 7], [0.2; 3]);
        assert_eq!(sheet.pixels[7 * 12 + 2], [0.3; 3]);
        assert_eq!(sheet.pixels[7 * 12 + 8], [1.0; 3]);
    }
}
