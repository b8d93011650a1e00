//! `--show`: draws a written picture in the terminal.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;

use super::printer::Printer;
use crate::failure::request;

/// Whether to draw the picture in the terminal.
#[derive(Args, Clone, Copy, Debug)]
pub struct ShowArgs {
    /// Draw the written .png in the terminal too: with its graphics, or with half blocks where it has
    /// none.
    #[arg(long)]
    pub show: bool,
}

impl ShowArgs {
    /// Checks that there will be a picture, and a terminal to draw it in.
    ///
    /// # Errors
    /// If --show is given and one is missing.
    pub fn check(self, out: &Path, printer: &Printer) -> Result<()> {
        if !self.show {
            return Ok(());
        }
        if out.extension().is_none_or(|extension| extension != "png") {
            let path = out.display();
            return Err(request(format!("--show draws a .png, and --out is {path}")));
        }
        if printer.prints_json() {
            return Err(request("--show and --json both want stdout: leave one out"));
        }
        if !io::stdout().is_terminal() {
            return Err(request("--show needs a terminal, and stdout is none: leave it out"));
        }
        Ok(())
    }

    /// Draws the picture, if --show is given.
    ///
    /// # Errors
    /// If it cannot be read or drawn.
    pub fn draw(self, picture: &Path) -> Result<()> {
        if self.show {
            let name = || picture.display().to_string();
            let image = image::open(picture).with_context(name)?;
            let config = viuer::Config {
                absolute_offset: false,
                use_kitty: has_kitty_graphics(),
                ..viuer::Config::default()
            };
            viuer::print(&image, &config).with_context(name)?;
        }
        Ok(())
    }
}

/// Returns whether the terminal says that it has Kitty's graphics. The library would ask it, and wait
/// without end for the answer of one that does not know the question.
fn has_kitty_graphics() -> bool {
    let is = |variable: &str, names: &[&str]| {
        let value = std::env::var(variable).unwrap_or_default().to_lowercase();
        names.iter().any(|name| value.contains(name))
    };
    std::env::var_os("KITTY_WINDOW_ID").is_some()
        || is("TERM", &["kitty", "ghostty"])
        || is("TERM_PROGRAM", &["ghostty", "wezterm"])
}
