//! Classes as one-hot rows, for conditional models and classifiers.

use burn::tensor::{Device, Tensor, TensorData};
use vae_data::Examples;
use vae_model::compatibility::Unusable;

/// Returns `labels` as one-hot rows `[labels, classes]` on `device`.
///
/// # Errors
/// If a label is not below `classes`.
pub fn one_hot(labels: &[u32], classes: usize, device: &Device) -> Result<Tensor<2>, Unusable> {
    let mut rows = vec![0.0f32; labels.len() * classes];
    for (i, &label) in labels.iter().enumerate() {
        if label as usize >= classes {
            return Err(Unusable::UnknownClass { found: label as usize, known: classes });
        }
        rows[i * classes + label as usize] = 1.0;
    }
    Ok(Tensor::from_data(TensorData::new(rows, [labels.len(), classes]), device))
}

/// Returns the classes of the examples at `indices` as one-hot rows `[indices, classes]`.
///
/// # Errors
/// If the examples have no labels, or a label is not below `classes`.
pub fn one_hot_of(
    examples: &Examples,
    indices: &[u32],
    classes: usize,
    device: &Device,
) -> Result<Tensor<2>, Unusable> {
    let labels = examples.labels_at(indices).ok_or(Unusable::NoLabels)?;
    one_hot(&labels, classes, device)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_one_hot_and_an_unknown_one_is_an_error() {
        let device = Device::flex();
        let rows = one_hot(&[1, 0], 2, &device).unwrap().into_data();
        assert_eq!(rows.iter::<f32>().collect::<Vec<_>>(), [0.0, 1.0, 1.0, 0.0]);
        let unknown = one_hot(&[1, 2], 2, &device).unwrap_err();
        assert_eq!(unknown, Unusable::UnknownClass { found: 2, known: 2 });
    }
}
