//! What can go wrong with a model: its configuration, or the file it is read from.

use std::path::PathBuf;

/// A configuration that cannot be used: which key, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}{message}", if key.is_empty() { String::new() } else { format!("{key}: ") })]
pub struct ConfigError {
    /// The key or table, such as `model.prior.kind`; empty if the text itself is malformed.
    pub key: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl ConfigError {
    /// Makes an error about the value of `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// A model file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file holds a classifier, and a model was to be read.
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
        /// What is wrong with it.
        why: String,
    },
}
