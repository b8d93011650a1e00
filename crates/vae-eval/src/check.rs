//! Checks of examples before a model reads them.

use vae_data::{Examples, Transform};
use vae_model::{DataSpec, VaeSpec, compatibility};

use crate::error::EvalError;

/// Checks that a model can encode and decode `examples`, whose x is made by `transform`.
///
/// # Errors
/// If the shape differs, if encoder and decoder need labels and there are none, if the model does
/// not know a class, or if the transform is for other values.
pub fn check_examples(
    model: &VaeSpec,
    transform: &Transform,
    examples: &Examples,
) -> Result<(), EvalError> {
    let labels = examples.labels.as_ref();
    let largest = labels.and_then(|labels| labels.iter().max()).copied();
    let shape = examples.shape.dims();
    compatibility::check_examples(model.config(), model.data(), &shape, labels.is_some(), largest)?;
    Ok(transform.check(examples)?)
}

/// Checks that a classifier of `data` can read `examples`, whose x is made by `transform`. Their
/// labels do not matter.
///
/// # Errors
/// If the shape differs, or if the transform is for other values.
pub(crate) fn check_values(
    data: &DataSpec,
    transform: &Transform,
    examples: &Examples,
) -> Result<(), EvalError> {
    compatibility::check_examples_shape(data, &examples.shape.dims())?;
    Ok(transform.check(examples)?)
}
