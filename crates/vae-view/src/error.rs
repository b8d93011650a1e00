//! Errors of this crate.

use std::path::PathBuf;

/// Why a picture was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The file cannot be written.
    #[error("{path}: {why}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system or of the encoder.
        why: String,
    },
    /// The picture cannot be read.
    #[error("{path}: {why}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system or of the decoder.
        why: String,
    },
    /// The name of the file says no format of this kind of picture.
    #[error("{path}: the name must end in {formats}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Possible endings.
        formats: &'static str,
    },
    /// The picture does not fit into memory.
    #[error("a picture of {tiles} tiles does not fit into memory: ask for at most {most}")]
    TooLarge {
        /// Tiles, of all frames.
        tiles: usize,
        /// Tiles that fit.
        most: usize,
    },
    /// The picture cannot be drawn.
    #[error("the picture cannot be drawn: {0}")]
    Draw(String),
}
