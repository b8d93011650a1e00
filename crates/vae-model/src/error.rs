//! What can go wrong with a model: its configuration, or the file it is read from.

use std::ops::Range;
use std::path::PathBuf;

/// A configuration that cannot be used: what is wrong and where it stands.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}{message}", if key.is_empty() { String::new() } else { format!("{key}: ") })]
pub struct ConfigError {
    /// The key or table, such as `model.prior.kind`; empty if the text itself is malformed.
    pub key: String,
    /// What is wrong with it and what would be right.
    pub message: String,
    /// The bytes of the text that are meant, where known.
    pub span: Option<Range<usize>>,
}

impl ConfigError {
    /// An error about the value of `key` as a whole, with no place in a text.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), span: None }
    }
}

/// A model file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system's answer.
    #[error("{}: {source}", path.display())]
    Io {
        /// On which file.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// The file is damaged, of another kind or of a newer format.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}
