//! Classes of examples: as numbers, and as one-hot rows for conditional models.

use burn::tensor::{Device, Tensor, TensorData};
use vae_data::Examples;

/// Returns the classes of the examples at `indices` as one-hot rows `[batch, classes]` on `device`.
/// A row is zero if the class is not known.
pub fn one_hot(examples: &Examples, indices: &[u32], classes: usize, device: &Device) -> Tensor<2> {
    let rows = examples.one_hot(indices, classes);
    Tensor::from_data(TensorData::new(rows, [indices.len(), classes]), device)
}

/// Returns the classes of the examples at `indices`. `None` if they are not known.
pub fn labels_of(examples: &Examples, indices: &[u32]) -> Option<Vec<u32>> {
    let labels = examples.labels.as_ref()?;
    Some(indices.iter().map(|i| labels[*i as usize]).collect())
}
