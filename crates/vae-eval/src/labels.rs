//! Classes of examples: as numbers, and as the one-hot rows that a conditional model takes.

use burn::tensor::{Device, Tensor, TensorData};
use vae_data::Examples;

/// The classes of the examples at `indices` as one-hot rows `[batch, classes]` on `device`; a row
/// of zeros where the class is not known.
pub fn one_hot(examples: &Examples, indices: &[u32], classes: usize, device: &Device) -> Tensor<2> {
    let mut rows = vec![0.0f32; indices.len() * classes];
    if let Some(labels) = &examples.labels {
        for (row, index) in rows.chunks_mut(classes.max(1)).zip(indices) {
            if let Some(cell) = row.get_mut(labels[*index as usize] as usize) {
                *cell = 1.0;
            }
        }
    }
    Tensor::from_data(TensorData::new(rows, [indices.len(), classes]), device)
}

/// The classes of the examples at `indices`, where they are known.
pub fn labels_of(examples: &Examples, indices: &[u32]) -> Option<Vec<u32>> {
    let labels = examples.labels.as_ref()?;
    Some(indices.iter().map(|i| labels[*i as usize]).collect())
}
