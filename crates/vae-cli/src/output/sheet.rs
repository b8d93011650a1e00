//! Writes `.png` sheets: tiles of images, or of vectors as curves.

use std::path::Path;

use anyhow::{Context, Result};
use image::{Rgb, RgbImage};

/// Pixels between tiles.
const GAP: u32 = 2;
/// Images with sides below this are enlarged by a whole factor.
const MIN_TILE: u32 = 48;
/// Height and width of the tile of a vector.
const CURVE: (u32, u32) = (64, 128);
const BACKGROUND: Rgb<u8> = Rgb([40, 44, 52]);

/// A sheet that is being built: tiles of one shape, row by row.
pub struct Sheet {
    dims: Vec<usize>,
    columns: usize,
    tiles: Vec<RgbImage>,
    range: (f32, f32),
}

impl Sheet {
    /// Starts a sheet of examples of shape `dims`: `[c, h, w]` in [0, 1], or `[d]`.
    pub fn new(dims: &[usize], columns: usize) -> Self {
        Self { dims: dims.to_vec(), columns, tiles: Vec::new(), range: (-1.0, 1.0) }
    }

    /// Starts a sheet of `n` tiles with about as many columns as rows.
    pub fn square(dims: &[usize], n: usize) -> Self {
        Self::new(dims, (n as f64).sqrt().ceil() as usize)
    }

    /// Extends the range of the curves to hold `values`. It starts as -1 to 1; images ignore it.
    /// Call it before [`Self::extend`].
    pub fn cover(&mut self, values: &[f32]) {
        for v in values.iter().filter(|v| v.is_finite()) {
            self.range = (self.range.0.min(*v), self.range.1.max(*v));
        }
    }

    /// Adds a tile per example in `values`, row-major.
    pub fn extend(&mut self, values: &[f32]) {
        let width: usize = self.dims.iter().product();
        for row in values.chunks(width) {
            let tile = match *self.dims {
                [channels, height, width] => image_tile(row, channels, height, width),
                _ => curve_tile(row, self.range),
            };
            self.tiles.push(tile);
        }
    }

    /// Fills the current row with empty tiles.
    pub fn fill_row(&mut self) {
        if let Some((w, h)) = self.tiles.first().map(RgbImage::dimensions) {
            while !self.tiles.len().is_multiple_of(self.columns.max(1)) {
                self.tiles.push(RgbImage::from_pixel(w, h, BACKGROUND));
            }
        }
    }

    /// Writes the sheet as a PNG.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.draw().save(path).with_context(|| path.display().to_string())
    }

    fn draw(&self) -> RgbImage {
        let (w, h) = self.tiles.first().map_or((1, 1), RgbImage::dimensions);
        let columns = self.columns.clamp(1, self.tiles.len().max(1)) as u32;
        let rows = (self.tiles.len() as u32).div_ceil(columns);
        let size = |n: u32, tile: u32| GAP + n * (tile + GAP);
        let mut sheet = RgbImage::from_pixel(size(columns, w), size(rows, h), BACKGROUND);
        for (i, tile) in self.tiles.iter().enumerate() {
            let (column, row) = (i as u32 % columns, i as u32 / columns);
            let (x, y) = (GAP + column * (w + GAP), GAP + row * (h + GAP));
            image::imageops::replace(&mut sheet, tile, i64::from(x), i64::from(y));
        }
        sheet
    }
}

/// Draws an image, enlarged to at least [`MIN_TILE`].
fn image_tile(row: &[f32], channels: usize, height: usize, width: usize) -> RgbImage {
    let byte = |v: f32| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    let factor = MIN_TILE.div_ceil(height.max(width).max(1) as u32).max(1);
    RgbImage::from_fn(width as u32 * factor, height as u32 * factor, |x, y| {
        let at = (y / factor) as usize * width + (x / factor) as usize;
        let channel = |c: usize| byte(row[(c % channels) * height * width + at]);
        if channels == 3 { Rgb([channel(0), channel(1), channel(2)]) } else { Rgb([channel(0); 3]) }
    })
}

/// Draws a vector as a curve over its index, light on dark, with a line at 0.
fn curve_tile(row: &[f32], (low, high): (f32, f32)) -> RgbImage {
    let (height, width) = CURVE;
    let y_of = |v: f32| (high - v.clamp(low, high)) / (high - low) * (height - 1) as f32;
    let mut tile = RgbImage::from_pixel(width, height, Rgb([0; 3]));
    for x in 0..width {
        tile.put_pixel(x, y_of(0.0).round() as u32, Rgb([60; 3]));
    }
    let value = |x: u32| {
        let at = x as f32 / (width - 1) as f32 * (row.len().max(1) - 1) as f32;
        let (i, t) = (at.floor() as usize, at.fract());
        let next = row[(i + 1).min(row.len() - 1)];
        row[i] + t * (next - row[i])
    };
    for x in 0..width {
        // All rows between this value and the next one, so that steep parts stay connected.
        let (a, b) = (y_of(value(x)), y_of(value((x + 1).min(width - 1))));
        let (top, bottom) = (a.min(b).round() as u32, a.max(b).round() as u32);
        for y in top..=bottom.min(height - 1) {
            tile.put_pixel(x, y, Rgb([235; 3]));
        }
    }
    tile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_holds_every_tile_in_its_place() {
        let mut sheet = Sheet::new(&[1, 1, 1], 2);
        sheet.extend(&[0.0, 1.0, 0.5]);
        let picture = sheet.draw();
        let side = MIN_TILE + GAP;
        assert_eq!(picture.dimensions(), (GAP + 2 * side, GAP + 2 * side));
        assert_eq!(picture.get_pixel(GAP, GAP), &Rgb([0; 3]));
        assert_eq!(picture.get_pixel(GAP + side, GAP), &Rgb([255; 3]));
        assert_eq!(picture.get_pixel(GAP, GAP + side), &Rgb([128; 3]));
        assert_eq!(picture.get_pixel(GAP + side, GAP + side), &BACKGROUND);
    }

    #[test]
    fn colours_keep_their_channels() {
        let tile = image_tile(&[1.0, 0.0, 0.5], 3, 1, 1);
        assert_eq!(tile.get_pixel(0, 0), &Rgb([255, 0, 128]));
    }

    #[test]
    fn a_curve_is_high_where_its_vector_is() {
        let tile = curve_tile(&[-1.0, 1.0], (-1.0, 1.0));
        assert_eq!(tile.get_pixel(0, CURVE.0 - 1), &Rgb([235; 3]));
        assert_eq!(tile.get_pixel(CURVE.1 - 1, 0), &Rgb([235; 3]));
        assert_eq!(tile.get_pixel(0, 0), &Rgb([0; 3]));
    }
}
