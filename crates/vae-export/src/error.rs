//! Errors of exports and imports.

use std::fmt;
use std::path::{Path, PathBuf};

use vae_train::TrainError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The operating system returned an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file is damaged, of another kind, or has content that is refused.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The tensors of a file are not those of the model.
    #[error(
        "{}: its tensors do not fit the model; rename them with a map of names, or change the \
         configuration{mismatch}",
        path.display()
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        mismatch: Mismatch,
    },
    /// The shape of an example is not known.
    #[error(
        "the shape of an example is not known: the file does not say it, and `{source_name}` \
         (data.source) is not one of the known data sets"
    )]
    UnknownShape {
        /// The specification of the data in the configuration.
        source_name: String,
    },
    /// The number of label classes of a model that uses labels is not known.
    #[error(
        "the model uses labels, and the number of classes is not known: the file does not say it, \
         and `{source_name}` (data.source) is not one of the known data sets with labels"
    )]
    UnknownClasses {
        /// The specification of the data in the configuration.
        source_name: String,
    },
    /// The request is not possible.
    #[error("{0}")]
    Request(String),
    /// An error of the configuration or of the model.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// All differences between the tensors of a file and those of a model. Each text names a tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Tensors of the model that the file lacks, with their shapes.
    pub missing: Vec<String>,
    /// Tensors of the file that the model lacks, with their shapes.
    pub extra: Vec<String>,
    /// Tensors of another shape, with both shapes.
    pub shapes: Vec<String>,
    /// Entries of a map of names that name no tensor of the file, or two for one tensor.
    pub map: Vec<String>,
}

impl Mismatch {
    /// Returns whether there is no difference.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, names) in [
            ("missing", &self.missing),
            ("not in the model", &self.extra),
            ("of another shape", &self.shapes),
            ("in the map of names", &self.map),
        ] {
            if !names.is_empty() {
                write!(f, "\n  {what}:")?;
            }
            for name in names {
                write!(f, "\n    {name}")?;
            }
        }
        Ok(())
    }
}

impl ExportError {
    /// Returns whether the request or its input is wrong, and not the machine.
    pub fn is_request(&self) -> bool {
        match self {
            Self::Malformed { .. }
            | Self::Mismatch { .. }
            | Self::UnknownShape { .. }
            | Self::UnknownClasses { .. }
            | Self::Request(_) => true,
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            Self::Train(error) => error.is_request(),
        }
    }

    pub(crate) fn malformed(path: &Path, why: impl fmt::Display) -> Self {
        Self::Malformed { path: path.to_owned(), why: why.to_string() }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}
