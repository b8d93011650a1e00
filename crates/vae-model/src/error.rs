//! Errors of configurations and of model files.

use std::path::PathBuf;

/// An error in a configuration: the key and the reason.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}{message}", if key.is_empty() { String::new() } else { format!("{key}: ") })]
pub struct ConfigError {
    /// The key or table, such as `model.prior.kind`; empty if the text itself is malformed.
    pub key: String,
    /// The reason, and what would work.
    pub message: String,
}

impl ConfigError {
    /// Makes an error about the value of `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// An error while reading or writing a model file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system returned an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file has a classifier, not a model.
    #[error("{}: a classifier, not a model", path.display())]
    HoldsClassifier {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, of another kind or of a newer format.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}
