//! Errors while a model is evaluated or used.

use vae_data::DataError;
use vae_model::FileError;
use vae_model::compatibility::Unusable;

/// An error of this crate. A message says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The request is not possible.
    #[error("{0}")]
    Request(String),
    /// The model cannot be used on these data or for this estimate.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// An error of the data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An error of a model file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The loss of a classifier is NaN or infinite.
    #[error("{term} is {value} at step {step}: lower the learning rate")]
    NotANumber {
        /// The step of the value.
        step: u64,
        /// The term of the loss.
        term: String,
        /// The value: NaN or infinity.
        value: f64,
    },
    /// A failure that is not an error of the request: a full disk, or NaN and infinity in results.
    #[error("{0}")]
    Failed(String),
}

impl EvalError {
    /// Returns whether the request or its input is wrong, and not the machine.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Request(_)
            | Self::Unusable(_)
            | Self::File(FileError::Malformed { .. } | FileError::HoldsClassifier { .. }) => true,
            Self::File(FileError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            Self::Data(error) => error.is_request(),
            Self::NotANumber { .. } | Self::Failed(_) => false,
        }
    }
}
