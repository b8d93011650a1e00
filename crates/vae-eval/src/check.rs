//! Checks of examples before a model reads them.

use vae_data::{Examples, Transform};
use vae_model::{DataSpec, VaeSpec, compatibility};

use crate::error::EvalError;

/// Checks that a model can encode and decode `examples`, whose x is made by `transform`.
///
/// # Errors
/// If the shape differs, if encoder and decoder need labels and there are none, if the model does
/// not know a class, if labels are missing for some examples, or if the transform is for other
/// values.
pub fn check_examples(
    model: &VaeSpec,
    transform: &Transform,
    examples: &Examples,
) -> Result<(), EvalError> {
    examples.check_labels()?;
    let labels = examples.labels.as_ref();
    let largest = labels.and_then(|labels| labels.iter().max()).copied();
    let shape = examples.shape.dims();
    compatibility::check_examples(model.config(), model.data(), &shape, labels.is_some(), largest)?;
    Ok(transform.check(examples)?)
}

/// Checks that a classifier built for `data` can read `examples`, whose x is made by `transform`. It
/// need not know their classes.
///
/// # Errors
/// If the shape differs, if labels are missing for some examples, or if the transform is for other
/// values.
pub(crate) fn check_values(
    data: &DataSpec,
    transform: &Transform,
    examples: &Examples,
) -> Result<(), EvalError> {
    examples.check_labels()?;
    compatibility::check_examples_shape(data, &examples.shape.dims())?;
    Ok(transform.check(examples)?)
}
