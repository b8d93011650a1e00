//! Sheets: tiles of images, or of vectors as curves, with labels of rows and columns.

use std::path::Path;

use image::{Rgb, RgbImage};
use plotters::style::text_anchor::{HPos, VPos};

use crate::error::ViewError;
use crate::figure::{SMALL, drawing, on_image, text, width_of};
use crate::file::write_png;
use crate::theme::{Theme, rgb};

/// Pixels between tiles.
const GAP: u32 = 2;
/// Images with sides below this are enlarged by a whole factor.
const MIN_TILE: u32 = 48;
/// Height and width of the tile of a vector.
const CURVE: (u32, u32) = (64, 128);
/// Most pixels of the tiles of a picture: 1 GiB as tiles, and as much as a sheet.
const MOST: usize = 1 << 28;
/// Around a sheet with text.
const MARGIN: u32 = 12;
/// Height of the title, and of the labels of columns.
const TITLE: u32 = 38;
const HEADER: u32 = 24;
/// Size of the title.
const LARGE: u32 = 20;

/// A sheet that is being built: tiles of one shape, row by row.
#[derive(Clone, Debug)]
pub struct Sheet {
    dims: Vec<usize>,
    columns: usize,
    tiles: Vec<RgbImage>,
    range: (f32, f32),
    theme: Theme,
    title: Option<String>,
    row_labels: Vec<String>,
    column_labels: Vec<String>,
}

impl Sheet {
    /// Starts a sheet of examples of shape `dims`: `[c, h, w]` in [0, 1], or `[d]`.
    pub fn new(dims: &[usize], columns: usize) -> Self {
        Self {
            dims: dims.to_vec(),
            columns,
            tiles: Vec::new(),
            range: (-1.0, 1.0),
            theme: Theme::Dark,
            title: None,
            row_labels: Vec::new(),
            column_labels: Vec::new(),
        }
    }

    /// Sets the colours. They start as dark.
    #[must_use]
    pub fn theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// Sets a line of text above the sheet.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }

    /// Sets a text left of each row.
    #[must_use]
    pub fn row_labels(mut self, labels: Vec<String>) -> Self {
        self.row_labels = labels;
        self
    }

    /// Sets a text above each column.
    #[must_use]
    pub fn column_labels(mut self, labels: Vec<String>) -> Self {
        self.column_labels = labels;
        self
    }

    /// Checks that sheets of `tiles` examples of shape `dims` in all fit into memory.
    ///
    /// # Errors
    /// If they do not.
    pub fn check(dims: &[usize], tiles: usize) -> Result<(), ViewError> {
        let (width, height) = match *dims {
            [_, height, width] => {
                let factor = factor(height, width) as usize;
                (width.saturating_mul(factor), height.saturating_mul(factor))
            }
            _ => (CURVE.1 as usize, CURVE.0 as usize),
        };
        let most = MOST / width.saturating_mul(height).max(1);
        if tiles > most { Err(ViewError::TooLarge { tiles, most }) } else { Ok(()) }
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
                self.tiles.push(RgbImage::from_pixel(w, h, rgb(self.theme.background())));
            }
        }
    }

    /// Writes the sheet as a PNG. Returns its width and height in pixels.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(u32, u32), ViewError> {
        let sheet = self.draw()?;
        write_png(&sheet, path)?;
        Ok(sheet.dimensions())
    }

    /// Returns the sheet as pixels.
    ///
    /// # Errors
    /// If its text cannot be drawn.
    pub fn draw(&self) -> Result<RgbImage, ViewError> {
        let (w, h) = self.tiles.first().map_or((1, 1), RgbImage::dimensions);
        let columns = self.columns.clamp(1, self.tiles.len().max(1)) as u32;
        let rows = (self.tiles.len() as u32).div_ceil(columns);
        let size = |n: u32, tile: u32| GAP + n * (tile + GAP);
        let labels = self.row_labels.iter().map(|label| width_of(label, SMALL)).max();
        let labels = labels.map_or(0, |width| width + MARGIN);
        let header = if self.column_labels.is_empty() { 0 } else { HEADER };
        let (title, titled) = match &self.title {
            Some(title) => (TITLE, width_of(title, LARGE)),
            None => (0, 0),
        };
        let margin = if title + labels + header > 0 { MARGIN } else { 0 };
        // Where the tiles begin.
        let (left, top) = (margin + labels, margin + title + header);
        let width = (left + size(columns, w)).max(margin + titled) + margin;
        let height = top + size(rows, h) + margin;
        let mut sheet = RgbImage::from_pixel(width, height, rgb(self.theme.background()));
        let place =
            |column: u32, row: u32| (left + GAP + column * (w + GAP), top + GAP + row * (h + GAP));
        for (i, tile) in self.tiles.iter().enumerate() {
            let (x, y) = place(i as u32 % columns, i as u32 / columns);
            image::imageops::replace(&mut sheet, tile, i64::from(x), i64::from(y));
        }
        if margin == 0 {
            return Ok(sheet);
        }
        on_image(&mut sheet, |area| {
            if let Some(title) = &self.title {
                let style = text(self.theme, LARGE, HPos::Left, VPos::Top);
                let at = (margin as i32, margin as i32);
                area.draw_text(title, &style, at).map_err(drawing)?;
            }
            let style = text(self.theme, SMALL, HPos::Center, VPos::Bottom);
            for (column, label) in (0..columns).zip(&self.column_labels) {
                let (x, _) = place(column, 0);
                let at = ((x + w / 2) as i32, top as i32 - 4);
                area.draw_text(label, &style, at).map_err(drawing)?;
            }
            let style = text(self.theme, SMALL, HPos::Right, VPos::Center);
            for (row, label) in (0..rows).zip(&self.row_labels) {
                let (_, y) = place(0, row);
                let at = (left as i32 - 8, (y + h / 2) as i32);
                area.draw_text(label, &style, at).map_err(drawing)?;
            }
            Ok(())
        })?;
        Ok(sheet)
    }
}

/// Reads a sheet that was written before.
///
/// # Errors
/// If the file is no picture.
pub fn read_sheet(path: &Path) -> Result<RgbImage, ViewError> {
    let failed = |why: String| ViewError::Read { path: path.to_owned(), why };
    Ok(image::open(path).map_err(|e| failed(e.to_string()))?.into_rgb8())
}

/// Returns by how much an image is enlarged.
fn factor(height: usize, width: usize) -> u32 {
    MIN_TILE.div_ceil(height.max(width).max(1) as u32).max(1)
}

/// Draws an image, enlarged to at least [`MIN_TILE`].
fn image_tile(row: &[f32], channels: usize, height: usize, width: usize) -> RgbImage {
    let byte = |v: f32| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    let factor = factor(height, width);
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
        let picture = sheet.draw().unwrap();
        let side = MIN_TILE + GAP;
        assert_eq!(picture.dimensions(), (GAP + 2 * side, GAP + 2 * side));
        assert_eq!(picture.get_pixel(GAP, GAP), &Rgb([0; 3]));
        assert_eq!(picture.get_pixel(GAP + side, GAP), &Rgb([255; 3]));
        assert_eq!(picture.get_pixel(GAP, GAP + side), &Rgb([128; 3]));
        assert_eq!(picture.get_pixel(GAP + side, GAP + side), &rgb(Theme::Dark.background()));
    }

    #[test]
    fn labels_move_the_tiles_and_leave_them_as_they_are() {
        let mut sheet = Sheet::new(&[1, 1, 1], 2)
            .theme(Theme::Light)
            .title("digits")
            .row_labels(vec!["z1".to_owned(), "z2".to_owned()])
            .column_labels(vec!["low".to_owned(), "high".to_owned()]);
        sheet.extend(&[0.0, 0.25, 0.5, 0.75]);
        let picture = sheet.draw().unwrap();
        let plain = Sheet { title: None, row_labels: vec![], column_labels: vec![], ..sheet };
        let plain = plain.draw().unwrap();
        let (left, top) =
            (picture.width() - plain.width() - MARGIN, picture.height() - plain.height() - MARGIN);
        assert_eq!(top, MARGIN + TITLE + HEADER);
        assert!(left > MARGIN);
        for (x, y, pixel) in plain.enumerate_pixels() {
            assert_eq!(picture.get_pixel(left + x, top + y), pixel, "{x} {y}");
        }
        let inked = |x: std::ops::Range<u32>, y: std::ops::Range<u32>| {
            let background = rgb(Theme::Light.background());
            let mut places = x.flat_map(|x| y.clone().map(move |y| (x, y)));
            places.any(|(x, y)| *picture.get_pixel(x, y) != background)
        };
        assert!(inked(0..picture.width(), 0..MARGIN + TITLE), "no title");
        assert!(inked(left..picture.width(), MARGIN + TITLE..top), "no labels of columns");
        assert!(inked(0..left, top..picture.height()), "no labels of rows");
    }

    #[test]
    fn a_sheet_that_does_not_fit_into_memory_is_refused() {
        assert!(Sheet::check(&[1, 28, 28], 10_000).is_ok());
        let error = Sheet::check(&[2], 1_000_000).unwrap_err();
        assert!(matches!(error, ViewError::TooLarge { tiles: 1_000_000, most: 32_768 }));
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
