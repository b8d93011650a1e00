//! From a checkpoint to a safetensors file in PyTorch's layout.
//!
//! Its metadata are:
//!
//! - `format`: `pt`, which says to other programs that the layout is PyTorch's
//! - `description`: a [`Description`] as JSON
//! - `config`: the configuration of the run as TOML

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, TensorView};
use vae_model::init::Stored;
use vae_model::parameters::parameters;
use vae_train::Checkpoint;

use super::{Description, FITTED, exported};
use crate::error::ExportError;

/// Returns the tensors of a checkpoint by their exported names: the parameters of the model, and
/// those of a fitted prior as `sampler.*`. The auxiliary networks of an objective are left out.
pub(super) fn tensors(checkpoint: &Checkpoint) -> BTreeMap<String, Stored> {
    let fitted = checkpoint.fitted_prior.iter().flat_map(|prior| prior.to_tensors());
    let fitted = fitted.map(|(name, stored)| (format!("{FITTED}.{name}"), stored));
    parameters(&checkpoint.vae)
        .into_iter()
        .chain(fitted)
        .map(|(path, stored)| {
            let place = exported(&path, stored.shape.len());
            let stored = place.layout(stored);
            (place.name, stored)
        })
        .collect()
}

/// Returns the bytes of a safetensors file with the model of a checkpoint.
///
/// # Errors
/// If the file would have more bytes than the format allows.
pub fn to_safetensors(checkpoint: &Checkpoint) -> Result<Vec<u8>, ExportError> {
    let metadata: HashMap<String, String> = [
        ("format", "pt".to_owned()),
        ("description", Description::of(checkpoint).to_json()),
        ("config", checkpoint.config.to_toml()),
    ]
    .map(|(key, text)| (key.to_owned(), text))
    .into();
    let tensors = tensors(checkpoint);
    let raw: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, stored)| {
            let bytes = stored.values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, &stored.shape, bytes)
        })
        .collect();
    let failed = |e: safetensors::SafeTensorError| {
        ExportError::Request(format!("the weights cannot be written as safetensors: {e}"))
    };
    let views = raw
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, (*shape).clone(), bytes).map(|view| (*name, view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    safetensors::serialize(views, Some(metadata)).map_err(failed)
}
