//! What can go wrong between a request to train and a trained model.

use vae_data::DataError;
use vae_model::{ConfigError, FileError};

/// An error of this crate. Messages say what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration cannot be used. `place` is its file and line, or the flag.
    #[error("{place}: {error}")]
    Config {
        /// Where it stands.
        place: String,
        /// What is wrong.
        error: ConfigError,
    },
    /// The request cannot be carried out as it stands.
    #[error("{0}")]
    Request(String),
    /// Data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The loss is no number any more.
    #[error(
        "{term} is {value} at step {step}: training stopped and the last good checkpoint is kept; \
         lower train.optimizer.learning_rate or set train.clip_norm"
    )]
    NotANumber {
        /// The first step at which it was seen.
        step: u64,
        /// Which term of the loss.
        term: String,
        /// What it is: NaN or infinite.
        value: f64,
    },
    /// The machine cannot do it: no adapter, no room, no permission.
    #[error("{0}")]
    Failed(String),
}

impl TrainError {
    /// Whether the request or its input was wrong, rather than the machine it runs on.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Config { .. } | Self::Request(_) => true,
            Self::Data(error) => error.is_request(),
            Self::File(FileError::Malformed { .. }) => true,
            Self::File(FileError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            Self::NotANumber { .. } | Self::Failed(_) => false,
        }
    }

    /// An operation on a file of a run that the system refused.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Failed(format!("{}: {source}", path.display()))
    }
}
