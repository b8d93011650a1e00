//! Metadata of a model file: values as JSON, and the transform of the data.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vae_data::Transform;
use vae_model::{FileError, ModelFile};

use crate::error::EvalError;

/// Reads the value of `key` in the metadata of a file.
///
/// # Errors
/// If there is no value, or if it has another type.
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

/// Returns whether a transform can be applied to examples of this shape: `[c, h, w]` for images,
/// `[d]` for vectors.
pub fn fits(transform: &Transform, shape: &[usize]) -> bool {
    match (transform, shape) {
        (Transform::Pixels(_), [_, _, _]) => true,
        (Transform::Affine { offset, unit }, [len]) => {
            offset.len() == unit.len()
                && (offset.is_empty() || offset.len() == *len)
                && offset.iter().all(|v| v.is_finite())
                && unit.iter().all(|v| v.is_finite() && *v > 0.0)
        }
        (Transform::Pixels(_) | Transform::Affine { .. }, _) => false,
    }
}

/// Returns a value as JSON for the metadata.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn json<T: Serialize>(value: &T) -> Result<String, EvalError> {
    serde_json::to_string(value).map_err(|e| EvalError::Failed(e.to_string()))
}
