//! Pictures beside and below each other, with captions.

use std::path::Path;

use image::{RgbImage, imageops};
use plotters::style::text_anchor::{HPos, VPos};

use crate::error::ViewError;
use crate::figure::{LARGE, MEDIUM, TITLE, drawing, on_image, text};
use crate::file::write_png;
use crate::theme::{Theme, rgb};

/// Pixels between pictures, and around all.
const GAP: u32 = 24;
/// Height of a caption.
const CAPTION: u32 = 28;

/// A picture, or several.
#[derive(Clone, Debug)]
pub enum Block {
    /// A picture below its caption.
    Picture {
        /// The caption. None if it is empty.
        caption: String,
        /// The picture.
        image: RgbImage,
    },
    /// From left to right, in line at their upper edges.
    Row(Vec<Block>),
    /// From top to bottom, in line at their left edges.
    Column(Vec<Block>),
}

/// A page: a title, and blocks.
#[derive(Clone, Debug)]
pub struct Page {
    /// Above everything.
    pub title: String,
    /// What is on it.
    pub block: Block,
    /// The colours.
    pub theme: Theme,
}

/// A piece of the page and where it is.
enum Placed<'a> {
    Image(&'a RgbImage, u32, u32),
    Text(&'a str, u32, u32),
}

impl Block {
    /// Returns width and height.
    fn size(&self) -> (u32, u32) {
        let along = |sizes: &mut dyn Iterator<Item = (u32, u32)>| {
            sizes.fold((0, 0), |(sum, most), (length, across)| {
                (if sum == 0 { length } else { sum + GAP + length }, most.max(across))
            })
        };
        match self {
            Self::Picture { caption, image } => {
                (image.width(), image.height() + if caption.is_empty() { 0 } else { CAPTION })
            }
            Self::Row(blocks) => along(&mut blocks.iter().map(Self::size)),
            Self::Column(blocks) => {
                let (height, width) = along(
                    &mut blocks.iter().map(Self::size).map(|(width, height)| (height, width)),
                );
                (width, height)
            }
        }
    }

    /// Adds its pieces, with its upper left corner at (x, y).
    fn place<'a>(&'a self, x: u32, y: u32, to: &mut Vec<Placed<'a>>) {
        match self {
            Self::Picture { caption, image } => {
                let below = if caption.is_empty() { 0 } else { CAPTION };
                to.push(Placed::Text(caption, x, y));
                to.push(Placed::Image(image, x, y + below));
            }
            Self::Row(blocks) => {
                blocks.iter().fold(x, |x, block| {
                    block.place(x, y, to);
                    x + block.size().0 + GAP
                });
            }
            Self::Column(blocks) => {
                blocks.iter().fold(y, |y, block| {
                    block.place(x, y, to);
                    y + block.size().1 + GAP
                });
            }
        }
    }
}

impl Page {
    /// Returns the page as pixels.
    ///
    /// # Errors
    /// If its text cannot be drawn.
    pub fn draw(&self) -> Result<RgbImage, ViewError> {
        let (width, height) = self.block.size();
        let background = rgb(self.theme.background());
        let size = (width + 2 * GAP, height + TITLE + 2 * GAP);
        let mut page = RgbImage::from_pixel(size.0, size.1, background);
        let mut pieces = Vec::new();
        self.block.place(GAP, GAP + TITLE, &mut pieces);
        for piece in &pieces {
            if let Placed::Image(image, x, y) = piece {
                imageops::replace(&mut page, *image, i64::from(*x), i64::from(*y));
            }
        }
        on_image(&mut page, |area| {
            let write = |line: &str, size, x: u32, y: u32| {
                let style = text(self.theme, size, HPos::Left, VPos::Top);
                area.draw_text(line, &style, (x as i32, y as i32)).map_err(drawing)
            };
            write(&self.title, LARGE, GAP, GAP)?;
            for piece in &pieces {
                if let Placed::Text(line, x, y) = piece {
                    write(line, MEDIUM, *x, *y)?;
                }
            }
            Ok(())
        })?;
        Ok(page)
    }

    /// Writes the page as a PNG.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ViewError> {
        write_png(&self.draw()?, path)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn picture(caption: &str, width: u32, height: u32, grey: u8) -> Block {
        let image = RgbImage::from_pixel(width, height, Rgb([grey; 3]));
        Block::Picture { caption: caption.to_owned(), image }
    }

    #[test]
    fn pictures_lie_beside_and_below_each_other_and_do_not_overlap() {
        let block = Block::Row(vec![
            Block::Column(vec![picture("", 10, 20, 1), picture("b", 30, 40, 2)]),
            picture("", 50, 7, 3),
        ]);
        assert_eq!(block.size(), (30 + GAP + 50, 20 + GAP + CAPTION + 40));
        let page = Page { title: String::new(), block, theme: Theme::Light }.draw().unwrap();
        let count = |grey: u8| page.pixels().filter(|p| **p == Rgb([grey; 3])).count();
        assert_eq!([count(1), count(2), count(3)], [10 * 20, 30 * 40, 50 * 7]);
        assert_eq!(page.get_pixel(GAP + 30 + GAP, GAP + TITLE), &Rgb([3; 3]));
    }
}
