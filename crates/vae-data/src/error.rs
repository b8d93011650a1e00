//! Errors of data.

use std::path::{Path, PathBuf};

/// An error of this crate. A message says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The request is not possible.
    #[error("{0}")]
    Request(String),
    /// The source does not use a setting that is given.
    #[error("{name}: {setting} is only for {readers}: leave it out, or choose such data")]
    UnreadSetting {
        /// The name of the source.
        name: String,
        /// The key of the setting.
        setting: &'static str,
        /// The kinds of source that use the setting.
        readers: String,
    },
    /// A file or folder has invalid content.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// A data set is not on this machine and cannot be downloaded.
    #[error("{0}")]
    Unavailable(String),
    /// The operating system returned an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl DataError {
    /// Makes the error of a file with invalid content.
    pub fn malformed(path: &Path, why: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), why: why.into() }
    }

    /// Makes the error of a failed operation on a file.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Returns whether the request or its input is wrong, and not the machine.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Request(_)
            | Self::UnreadSetting { .. }
            | Self::Malformed { .. }
            | Self::Unavailable(_) => true,
            // A missing or unreadable file is wrong input. A full disk is not.
            Self::Io { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::NotFound
                    | std::io::ErrorKind::PermissionDenied
                    | std::io::ErrorKind::IsADirectory
                    | std::io::ErrorKind::NotADirectory
            ),
        }
    }
}
