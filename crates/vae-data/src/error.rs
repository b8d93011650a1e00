//! What can go wrong between a data specification and its examples.

use std::path::{Path, PathBuf};

/// An error of this crate. Messages say what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The specification names nothing that can be read, or asks for what cannot be.
    #[error("{0}")]
    Request(String),
    /// A setting is given that the source does not read.
    #[error(
        "{name}: {setting} is only for the path of {readers}: leave it out, or choose such data"
    )]
    UnreadSetting {
        /// The name of the source.
        name: String,
        /// The key of the setting.
        setting: &'static str,
        /// The sorts of source that read it.
        readers: String,
    },
    /// A file or folder is there but its content is not what it must be.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it, and where.
        why: String,
    },
    /// A set is not on this machine and cannot be downloaded.
    #[error("{0}")]
    Unavailable(String),
    /// The operating system refused an operation.
    #[error("{}: {source}", path.display())]
    Io {
        /// On which file or folder.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
}

impl DataError {
    /// A file whose content is wrong.
    pub fn malformed(path: &Path, why: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), why: why.into() }
    }

    /// An operation on a file that the system refused.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Whether the request or its input was wrong, rather than the machine it runs on.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Request(_)
            | Self::UnreadSetting { .. }
            | Self::Malformed { .. }
            | Self::Unavailable(_) => true,
            // A file that is not there or may not be read is wrong input; a full disk is not.
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
