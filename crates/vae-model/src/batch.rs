//! `Batch`: what a loss is taken on.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

/// Examples ready for a model, and what is known about them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What is to be explained, `[batch, numbers]`; an image is flattened `[c, h, w]`.
    pub x: Tensor<2>,
    /// What the encoder sees in place of x, if not x itself (denoising), `[batch, numbers]`.
    pub seen: Option<Tensor<2>>,
    /// The class of each example as a one-hot row, `[batch, classes]`; read by conditional models only.
    pub condition: Option<Tensor<2>>,
    /// How many examples the data set has that this batch is of.
    pub data_set: usize,
}

impl Batch {
    /// Examples of which nothing else is known; the data set is taken to be this batch.
    pub fn new(x: Tensor<2>) -> Self {
        let [data_set, _] = x.dims();
        Self { x, seen: None, condition: None, data_set }
    }

    /// How many examples.
    pub fn size(&self) -> usize {
        let [size, _] = self.x.dims();
        size
    }

    /// What the encoder sees, `[batch, numbers]`.
    pub fn seen(&self) -> Tensor<2> {
        self.seen.as_ref().unwrap_or(&self.x).clone()
    }

    /// Some of its examples.
    pub fn part(&self, part: Range<usize>) -> Self {
        self.each(|t| t.narrow(0, part.start, part.len()))
    }

    /// The same examples on `device`.
    pub fn to_device(&self, device: &Device) -> Self {
        self.each(|t| t.to_device(device))
    }

    fn each(&self, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self {
            x: f(self.x.clone()),
            seen: self.seen.clone().map(&f),
            condition: self.condition.clone().map(&f),
            data_set: self.data_set,
        }
    }
}
