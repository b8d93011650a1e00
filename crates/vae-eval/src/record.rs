//! What a model file keeps beside its weights: the data it was trained on, and values as JSON.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vae_data::Transform;
use vae_model::{FileError, ModelFile};

use crate::error::EvalError;

/// Which data a run was trained on: enough to load it again and to notice that it is other data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// What the source resolved to, as [`vae_data::Source`] parses it.
    pub source: String,
    /// Training examples, after limit and hold-out.
    pub examples: usize,
    /// The first bytes of a hash of the training values.
    pub fingerprint: String,
}

/// Reads the value that a file's metadata have under `key`.
///
/// # Errors
/// If there is none, or it is of another type.
pub fn parsed<T: DeserializeOwned>(
    file: &ModelFile,
    path: &Path,
    key: &str,
) -> Result<T, FileError> {
    let malformed = |why: String| FileError::Malformed { path: path.to_owned(), why };
    let text = file.metadata.get(key);
    let text = text.ok_or_else(|| malformed(format!("no `{key}` in its metadata")))?;
    serde_json::from_str(text).map_err(|e| malformed(format!("`{key}` in its metadata: {e}")))
}

/// Returns whether a transform is one of examples of so many numbers.
pub fn fits(transform: &Transform, numbers: usize) -> bool {
    match transform {
        Transform::Pixels(_) => true,
        Transform::Affine { offset, unit } => {
            offset.len() == unit.len() && (offset.is_empty() || offset.len() == numbers)
        }
    }
}

/// Writes a value as metadata keep it.
///
/// # Errors
/// If it has no form in JSON.
pub fn json<T: Serialize>(value: &T) -> Result<String, EvalError> {
    serde_json::to_string(value).map_err(|e| EvalError::Failed(e.to_string()))
}
