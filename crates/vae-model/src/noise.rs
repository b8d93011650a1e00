//! `Noise`: the source of random numbers, an argument of every function that needs them.

use burn::tensor::{Device, Tensor, TensorData};

/// A source of random numbers, keyed by their purpose.
///
/// The same purpose and position must give the same number, whatever was drawn before. A run is
/// then the same on every backend and for every chunk size. Shapes are `[draws, examples, width]`.
pub trait Noise {
    /// Returns independent standard normal numbers, row-major in `shape`.
    fn normal(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32>;

    /// Returns independent uniform numbers in [0, 1), row-major in `shape`.
    fn uniform(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32>;

    /// Returns a uniformly random permutation of `0..n`.
    fn permutation(&self, purpose: &str, n: usize) -> Vec<u32>;
}

/// Returns standard normal numbers as a tensor, `[draws, examples, width]`.
pub(crate) fn normal_tensor(
    noise: &dyn Noise,
    purpose: &str,
    shape: [usize; 3],
    device: &Device,
) -> Tensor<3> {
    Tensor::from_data(TensorData::new(noise.normal(purpose, shape), shape), device)
}

/// Returns uniform numbers in [0, 1) as a tensor, `[draws, examples, width]`.
pub(crate) fn uniform_tensor(
    noise: &dyn Noise,
    purpose: &str,
    shape: [usize; 3],
    device: &Device,
) -> Tensor<3> {
    Tensor::from_data(TensorData::new(noise.uniform(purpose, shape), shape), device)
}
