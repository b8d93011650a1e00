//! Errors of this crate.

use std::path::PathBuf;

/// Why a model was not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The model cannot be written in this format.
    #[error("{0}")]
    Request(String),
    /// A file or folder cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl ExportError {
    /// Returns whether the request is wrong, and not the machine.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Request(_) => true,
            Self::Io { .. } => false,
        }
    }
}
