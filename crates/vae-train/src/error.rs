//! Errors of training.

use std::path::PathBuf;

use vae_data::DataError;
use vae_eval::EvalError;
use vae_model::{ConfigError, FileError};

/// An error of this crate. A message says what is wrong and where, with the keys of the
/// configuration. Variants with fields let a program add its own advice, such as flags of a command
/// line.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration is invalid. `place` is the file and line, or the origin of the override.
    #[error("{place}: {error}")]
    Config {
        /// The position of the error.
        place: String,
        /// The error.
        error: ConfigError,
    },
    /// The request is not possible.
    #[error("{0}")]
    Request(String),
    /// An override does not have the form `KEY.PATH=VALUE`.
    #[error("{text}: expected KEY.PATH=VALUE, such as model.latent=10")]
    Override {
        /// The text of the override.
        text: String,
    },
    /// A batch is larger than the training data.
    #[error(
        "a batch of {batch_size} is larger than the data: {data} has {examples} training examples"
    )]
    BatchTooLarge {
        /// The configured number of examples per batch.
        batch_size: usize,
        /// The name of the data.
        data: String,
        /// Number of training examples.
        examples: usize,
    },
    /// Another process is training in the folder of the run.
    #[error("{}: another training is under way in this folder", folder.display())]
    Locked {
        /// The run's folder.
        folder: PathBuf,
    },
    /// A run cannot be resumed with another configuration.
    #[error(
        "cannot resume with a changed configuration: {key} is {is} but the run has {was}; only \
         epochs, max_steps and logging may change"
    )]
    Changed {
        /// The first key that differs.
        key: String,
        /// The value in the run.
        was: String,
        /// The value in the request.
        is: String,
    },
    /// A backend of this build finds no hardware to run on.
    #[error("{why}")]
    Backend {
        /// The name of the backend.
        name: &'static str,
        /// What is missing.
        why: String,
    },
    /// A server of devices does not accept this client.
    #[error(
        "{address}: the server {}",
        if *has_token { "does not accept this token" } else { "wants a token" }
    )]
    Unauthorized {
        /// Where the server is.
        address: String,
        /// Whether the client has a token.
        has_token: bool,
    },
    /// A server of devices that other machines can reach has no token.
    #[error("{host}: other machines can reach this address, so clients need a token")]
    NoToken {
        /// The address that it would listen on.
        host: std::net::IpAddr,
    },
    /// An error while a model is evaluated or used.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// An error of the data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An error of a model file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Training diverged: the loss is NaN or infinite.
    #[error(
        "{term} is {value} at step {step}: training stopped and the last good checkpoint is kept; \
         lower train.optimizer.learning_rate or set train.clip_norm"
    )]
    NotANumber {
        /// The step of the value.
        step: u64,
        /// The term of the loss.
        term: String,
        /// The value: NaN or infinity.
        value: f64,
    },
    /// A failure of the machine: a full disk, a missing permission, a missing backend.
    #[error("{0}")]
    Failed(String),
}

impl TrainError {
    /// Returns whether the request or its input is wrong, and not the machine.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Config { .. }
            | Self::Request(_)
            | Self::Override { .. }
            | Self::BatchTooLarge { .. }
            | Self::Locked { .. }
            | Self::Changed { .. }
            | Self::Unauthorized { .. }
            | Self::NoToken { .. } => true,
            Self::Eval(error) => error.is_request(),
            Self::Data(error) => error.is_request(),
            Self::File(FileError::Malformed { .. } | FileError::HoldsClassifier { .. }) => true,
            Self::File(FileError::Io { source, .. }) => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            Self::NotANumber { .. } | Self::Backend { .. } | Self::Failed(_) => false,
        }
    }

    /// Returns the error of a failed operation on a file of a run.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Failed(format!("{}: {source}", path.display()))
    }
}
