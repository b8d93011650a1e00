//! `Batch`: the examples that a loss is computed on.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

/// A batch of examples, with optional corrupted inputs and labels.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The examples, `[batch, numbers]`; an image is flattened `[c, h, w]`.
    pub x: Tensor<2>,
    /// Input of the encoder in place of `x`, for denoising, `[batch, numbers]`. `None`: `x` itself.
    pub corrupted: Option<Tensor<2>>,
    /// The class of each example as a one-hot row, `[batch, classes]`, for models that use labels.
    pub labels: Option<Tensor<2>>,
    /// Number of examples in the data set that the batch comes from.
    pub data_set_size: usize,
}

impl Batch {
    /// Makes a batch without corruption and labels. The data set size is the batch size.
    pub fn new(x: Tensor<2>) -> Self {
        let [data_set_size, _] = x.dims();
        Self { x, corrupted: None, labels: None, data_set_size }
    }

    /// Returns the number of examples.
    pub fn size(&self) -> usize {
        let [size, _] = self.x.dims();
        size
    }

    /// Returns the encoder's input, `[batch, numbers]`: `corrupted` if there is one, else `x`.
    pub fn encoder_input(&self) -> Tensor<2> {
        self.corrupted.as_ref().unwrap_or(&self.x).clone()
    }

    /// Returns the examples with the indices `part`.
    pub fn part(&self, part: Range<usize>) -> Self {
        self.map_tensors(|t| t.narrow(0, part.start, part.len()))
    }

    /// Returns the same examples on `device`.
    pub fn to_device(&self, device: &Device) -> Self {
        self.map_tensors(|t| t.to_device(device))
    }

    /// Returns the same examples, on a device without gradients, as constants of its device with
    /// gradients.
    pub fn with_gradients(&self) -> Self {
        self.map_tensors(Tensor::from_inner)
    }

    fn map_tensors(&self, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self {
            x: f(self.x.clone()),
            corrupted: self.corrupted.clone().map(&f),
            labels: self.labels.clone().map(&f),
            data_set_size: self.data_set_size,
        }
    }
}
