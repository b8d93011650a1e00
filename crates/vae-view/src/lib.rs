//! Pictures and plots of models and trainings: numbers in; PNG, SVG and GIF out.
//!
//! ```text
//! sheet      tiles of examples in rows, with labels    .png, or a frame of a .gif
//! curves     numbers over steps, one line per run      .png .svg
//! scatter    points in two dimensions, by class        .png .svg
//! animation  frames                                    .gif
//! compose    pictures beside and below each other      .png
//! report     all of it, of one run or several          .html
//! theme      colours and the font, for all of them
//! figure     what plots share: a size, and a format
//! file       files that are written as a whole
//! ```
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), vae_view::ViewError> {
//! use vae_view::{Line, Panel, Curves, Theme};
//!
//! let loss = Line { name: "run".into(), points: vec![(0.0, 9.0), (1.0, 4.0), (2.0, 3.0)], dashed: false };
//! let panels = vec![Panel { title: "loss".into(), lines: vec![loss], falls: true }];
//! let curves = Curves { title: "Training".into(), x_label: "step".into(), panels, theme: Theme::Light };
//! let path = std::env::temp_dir().join("vae-view-example.svg");
//! vae_view::write_figure(&curves, &path)?;
//! # std::fs::remove_file(path).ok();
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod animation;
mod compose;
mod curves;
mod error;
mod figure;
mod file;
mod report;
mod scatter;
mod sheet;
mod theme;

pub use animation::write_gif;
pub use compose::{Block, Page};
pub use curves::{Curves, Line, Panel};
pub use error::ViewError;
pub use figure::{Figure, FigureFormat, draw_figure, write_figure};
pub use report::{Better, Picture, Report, Row, RunReport, Warning};
pub use scatter::Scatter;
pub use sheet::{Sheet, read_sheet};
pub use theme::Theme;
