//! `Batch`: the examples that a loss is computed on.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

/// Examples ready for a model, and what is known about them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The examples, `[batch, numbers]`; an image is flattened `[c, h, w]`.
    pub x: Tensor<2>,
    /// What the encoder is given in place of x, if not x itself (denoising), `[batch, numbers]`.
    pub corrupted: Option<Tensor<2>>,
    /// The class of each example as a one-hot row, `[batch, classes]`, for models that use labels.
    pub labels: Option<Tensor<2>>,
    /// Examples in the data set that this batch is from.
    pub data_set_size: usize,
}

impl Batch {
    /// Makes a batch of examples of which nothing else is known; it is its own data set.
    pub fn new(x: Tensor<2>) -> Self {
        let [data_set_size, _] = x.dims();
        Self { x, corrupted: None, labels: None, data_set_size }
    }

    /// Returns the number of examples.
    pub fn size(&self) -> usize {
        let [size, _] = self.x.dims();
        size
    }

    /// Returns what the encoder is given, `[batch, numbers]`.
    pub fn encoder_input(&self) -> Tensor<2> {
        self.corrupted.as_ref().unwrap_or(&self.x).clone()
    }

    /// Returns some of its examples.
    pub fn part(&self, part: Range<usize>) -> Self {
        self.each(|t| t.narrow(0, part.start, part.len()))
    }

    /// Returns the same examples on `device`.
    pub fn to_device(&self, device: &Device) -> Self {
        self.each(|t| t.to_device(device))
    }

    fn each(&self, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self {
            x: f(self.x.clone()),
            corrupted: self.corrupted.clone().map(&f),
            labels: self.labels.clone().map(&f),
            data_set_size: self.data_set_size,
        }
    }
}
