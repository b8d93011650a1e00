//! What can go wrong when a model is judged or used.

use vae_model::FileError;

/// An error of this crate. Messages say what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The request cannot be carried out as it stands.
    #[error("{0}")]
    Request(String),
    /// A model file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The loss of a classifier is NaN or infinite.
    #[error("{term} is {value} at step {step}: lower the learning rate")]
    NotANumber {
        /// The step at which it was seen.
        step: u64,
        /// Which term of the loss.
        term: String,
        /// What it is: NaN or infinite.
        value: f64,
    },
    /// The work could not be done: no room on the disk, or numbers that are NaN or infinite.
    #[error("{0}")]
    Failed(String),
}

impl EvalError {
    /// Returns whether the request or its input was wrong, rather than the machine it runs on.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Request(_)
            | Self::File(FileError::Malformed { .. } | FileError::HoldsClassifier { .. }) => true,
            Self::File(FileError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            Self::NotANumber { .. } | Self::Failed(_) => false,
        }
    }
}
