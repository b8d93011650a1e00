//! Colours and the font of all pictures.

use std::sync::OnceLock;

use image::Rgb;
use plotters::style::{FontStyle, RGBColor, register_font};

/// The name under which the font is registered. In a `.svg` file the reader's program chooses a font
/// of this kind.
pub(crate) const FONT: &str = "sans-serif";

/// A set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark ink on white.
    #[default]
    Light,
    /// Light ink on dark grey.
    Dark,
}

/// Colours that readers with any kind of colour vision can tell apart (Okabe and Ito 2008).
const SERIES: [[u8; 3]; 7] = [
    [0, 114, 178],
    [230, 159, 0],
    [0, 158, 115],
    [213, 94, 0],
    [86, 180, 233],
    [204, 121, 167],
    // Okabe and Ito's yellow is too pale on white.
    [186, 170, 20],
];

/// How many series have colours of their own.
pub(crate) const COLORS: usize = SERIES.len();

impl Theme {
    /// The colour behind everything.
    pub(crate) fn background(self) -> RGBColor {
        match self {
            Self::Light => RGBColor(255, 255, 255),
            Self::Dark => RGBColor(40, 44, 52),
        }
    }

    /// The colour of text and axes.
    pub(crate) fn ink(self) -> RGBColor {
        match self {
            Self::Light => RGBColor(34, 34, 34),
            Self::Dark => RGBColor(225, 228, 232),
        }
    }

    /// The colour of lines in the background.
    pub(crate) fn grid(self) -> RGBColor {
        match self {
            Self::Light => RGBColor(226, 226, 226),
            Self::Dark => RGBColor(70, 76, 86),
        }
    }

    /// The colour of a series. From [`COLORS`] on they repeat.
    pub(crate) fn series(self, i: usize) -> RGBColor {
        let [r, g, b] = SERIES[i % COLORS];
        match self {
            Self::Light => RGBColor(r, g, b),
            // A little lighter, so that dark blue is seen on dark grey.
            Self::Dark => {
                let lighter = |c: u8| c + (255 - c) / 4;
                RGBColor(lighter(r), lighter(g), lighter(b))
            }
        }
    }
}

/// Returns a colour for a raster image.
pub(crate) fn rgb(RGBColor(r, g, b): RGBColor) -> Rgb<u8> {
    Rgb([r, g, b])
}

/// Makes the font known. Every picture calls it before it draws text.
pub(crate) fn ensure_font() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let font = include_bytes!("../fonts/OpenSans-Regular.ttf");
        if register_font(FONT, FontStyle::Normal, font).is_err() {
            unreachable!("the font is part of the program, and a test draws with it");
        }
    });
}
