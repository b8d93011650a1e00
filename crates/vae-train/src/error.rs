//! What can go wrong between a request to train and a trained model.

use std::path::PathBuf;

use vae_data::DataError;
use vae_eval::EvalError;
use vae_model::{ConfigError, FileError};

/// An error of this crate. Messages say what is wrong and where, in words of the configuration; a
/// program that knows what its user can type may add advice of its own to the variants that have
/// fields.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration cannot be used. `place` is its file and line, or the
    /// origin of the value that stands above the file.
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
    /// A text is no `KEY.PATH=VALUE`.
    #[error("{text}: expected KEY.PATH=VALUE, such as model.latent=10")]
    Override {
        /// The text.
        text: String,
    },
    /// A batch is larger than the training data.
    #[error(
        "a batch of {batch_size} is larger than the data: {data} has {examples} training examples"
    )]
    BatchTooLarge {
        /// Examples a step, as configured.
        batch_size: usize,
        /// What the data is called.
        data: String,
        /// Training examples.
        examples: usize,
    },
    /// Another training holds the lock on a run.
    #[error("{}: another training is under way in this folder", folder.display())]
    Locked {
        /// The run's folder.
        folder: PathBuf,
    },
    /// A run cannot go on with another configuration.
    #[error(
        "cannot resume with a changed configuration: {key} is {is} but the run has {was}; only \
         epochs, max_steps and logging may change"
    )]
    Changed {
        /// The first key that differs.
        key: String,
        /// Its value in the run.
        was: String,
        /// Its value in the request.
        is: String,
    },
    /// A backend of this build finds nothing to run on.
    #[error("{why}")]
    Backend {
        /// Its name.
        name: &'static str,
        /// What it lacks.
        why: String,
    },
    /// Judging or using the model.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Training diverged: the loss is NaN or infinite.
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
    /// Returns whether the request or its input was wrong, rather than the machine it runs on.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Config { .. }
            | Self::Request(_)
            | Self::Override { .. }
            | Self::BatchTooLarge { .. }
            | Self::Locked { .. }
            | Self::Changed { .. } => true,
            Self::Eval(error) => error.is_request(),
            Self::Data(error) => error.is_request(),
            Self::File(FileError::Malformed { .. } | FileError::HoldsClassifier { .. }) => true,
            Self::File(FileError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            Self::NotANumber { .. } | Self::Backend { .. } | Self::Failed(_) => false,
        }
    }

    /// The error of an operation on a file of a run that the system refused.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Failed(format!("{}: {source}", path.display()))
    }
}
