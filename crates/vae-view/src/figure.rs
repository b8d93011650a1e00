//! What plots share: a size, and a file.

use std::path::Path;

use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::ViewError;
use crate::file::{write_png, write_text};
use crate::theme::{FONT, Theme, ensure_font};

/// Around everything.
pub(crate) const MARGIN: u32 = 14;
/// Height of the title of a plot.
pub(crate) const TITLE: u32 = 44;
/// Height of a row of a legend.
pub(crate) const ROW: u32 = 26;
/// Sizes of text: titles, legends, and numbers.
pub(crate) const LARGE: u32 = 22;
pub(crate) const MEDIUM: u32 = 16;
pub(crate) const SMALL: u32 = 14;

/// A plot.
pub trait Figure {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);

    /// The colours.
    fn theme(&self) -> Theme;

    /// Draws on an area of [`Self::size`], which is filled with the background.
    ///
    /// # Errors
    /// If the drawing fails.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), ViewError>
    where
        B::ErrorType: 'static;
}

/// The formats of a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureFormat {
    /// Pixels.
    Png,
    /// Lines and text of any size.
    Svg,
}

impl FigureFormat {
    /// Returns the format that the name of a file says.
    ///
    /// # Errors
    /// If it says none.
    pub fn of(path: &Path) -> Result<Self, ViewError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            _ => Err(ViewError::Format { path: path.to_owned(), formats: ".png or .svg" }),
        }
    }
}

/// Writes a plot as `.png` or `.svg`, as the name of the file says.
///
/// # Errors
/// If the name says no format, or if the file cannot be written.
pub fn write_figure(figure: &impl Figure, path: &Path) -> Result<(), ViewError> {
    match FigureFormat::of(path)? {
        FigureFormat::Png => write_png(&draw_figure(figure)?, path),
        FigureFormat::Svg => write_text(&vector(figure)?, path),
    }
}

/// Returns a plot as pixels.
///
/// # Errors
/// If it cannot be drawn.
pub fn draw_figure(figure: &impl Figure) -> Result<RgbImage, ViewError> {
    let (width, height) = figure.size();
    let mut image = RgbImage::new(width, height);
    on_image(&mut image, |area| {
        area.fill(&figure.theme().background()).map_err(drawing)?;
        figure.draw(area)
    })?;
    Ok(image)
}

/// Returns a plot as the text of a `.svg` file.
fn vector(figure: &impl Figure) -> Result<String, ViewError> {
    ensure_font();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, figure.size()).into_drawing_area();
        area.fill(&figure.theme().background()).map_err(drawing)?;
        figure.draw(&area)?;
        area.present().map_err(drawing)?;
    }
    Ok(text)
}

/// Draws on an image.
pub(crate) fn on_image(
    image: &mut RgbImage,
    draw: impl FnOnce(&DrawingArea<BitMapBackend<'_>, Shift>) -> Result<(), ViewError>,
) -> Result<(), ViewError> {
    ensure_font();
    let size = image.dimensions();
    let area = BitMapBackend::with_buffer(image, size).into_drawing_area();
    draw(&area)?;
    area.present().map_err(drawing)
}

/// Draws the title of a plot, and returns the area below it, without margins.
pub(crate) fn below_title<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    title: &str,
    theme: Theme,
) -> Result<DrawingArea<B, Shift>, ViewError>
where
    B::ErrorType: 'static,
{
    let style = text(theme, LARGE, HPos::Left, VPos::Top);
    let at = (MARGIN as i32, (MARGIN + 4) as i32);
    area.draw_text(title, &style, at).map_err(drawing)?;
    Ok(area.margin(MARGIN, MARGIN, MARGIN, MARGIN).split_vertically(TITLE).1)
}

/// Makes an error of one of the drawing library.
pub(crate) fn drawing(error: impl std::fmt::Display) -> ViewError {
    ViewError::Draw(error.to_string())
}

/// Returns a style of text whose position is its `anchor`.
pub(crate) fn text(theme: Theme, size: u32, h: HPos, v: VPos) -> TextStyle<'static> {
    TextStyle {
        font: (FONT, size).into_font(),
        color: theme.ink().to_backend_color(),
        pos: Pos::new(h, v),
    }
}

/// Returns the width of a line of text, in pixels.
pub(crate) fn width_of(line: &str, size: u32) -> u32 {
    ensure_font();
    match (FONT, size).into_font().box_size(line) {
        Ok((width, _)) => width,
        // Without the font no text is drawn either.
        Err(_) => 0,
    }
}

/// Returns the text of a number on an axis of length `span`: four digits, or more if its neighbours
/// have the same four, and no zeros at its end.
pub(crate) fn tick(value: f64, span: f64) -> String {
    let size = value.abs();
    match size {
        _ if value == 0.0 => "0".to_owned(),
        1e6.. => format!("{}M", trimmed(value / 1e6, span / 1e6)),
        1e4.. => format!("{}k", trimmed(value / 1e3, span / 1e3)),
        1e-3.. => trimmed(value, span),
        _ => format!("{value:.1e}"),
    }
}

fn trimmed(value: f64, span: f64) -> String {
    // Digits after the point: more for a smaller number, and for numbers that are close to each other.
    // An axis has no more than some twenty numbers.
    let for_size = 3.0 - value.abs().log10().floor();
    let for_neighbours = -(span / 20.0).log10().floor();
    let digits = for_size.max(for_neighbours).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    // A true minus, as long as a plus.
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        let found: Vec<String> = [0.0, 0.25, -3.0, 105.5, 0.0015, 9000.0, 12_500.0, 2e6, 1e-5]
            .into_iter()
            .map(|value| tick(value, 100.0))
            .collect();
        assert_eq!(
            found,
            ["0", "0.25", "\u{2212}3", "105.5", "0.0015", "9000", "12.5k", "2M", "1.0e-5"]
        );
    }

    #[test]
    fn ticks_that_are_close_to_each_other_differ() {
        let found = [105.5, 105.5002, 105.5004].map(|value| tick(value, 0.0006));
        assert_eq!(found, ["105.5", "105.5002", "105.5004"]);
        let found = [1_234_000.0, 1_234_020.0].map(|value| tick(value, 60.0));
        assert_eq!(found, ["1.234M", "1.23402M"]);
    }

    #[test]
    fn text_has_a_width() {
        assert!(width_of("latent", 20) > width_of("l", 20));
        assert!(width_of("l", 20) > 0);
    }
}
