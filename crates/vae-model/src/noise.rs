//! Where randomness enters: models draw no random numbers, they are handed a source.

use burn::tensor::{Device, Tensor, TensorData};

/// A source of random numbers, addressed by what they are for.
///
/// The same purpose and position must give the same number, whatever else was drawn before: so a run
/// is the same on every backend and for every chunk size. Shapes are `[draws, images, width]`.
pub trait Noise {
    /// Independent standard normal numbers, row-major in `shape`.
    fn normal(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32>;

    /// Independent uniform numbers in [0, 1), row-major in `shape`.
    fn uniform(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32>;

    /// A uniformly random order of `0..n`.
    fn permutation(&self, purpose: &str, n: usize) -> Vec<u32>;
}

/// Standard normal numbers as a tensor, `[draws, images, width]`.
pub(crate) fn normal_tensor(
    noise: &dyn Noise,
    purpose: &str,
    shape: [usize; 3],
    device: &Device,
) -> Tensor<3> {
    Tensor::from_data(TensorData::new(noise.normal(purpose, shape), shape), device)
}

/// Uniform numbers as a tensor, `[draws, images, width]`.
pub(crate) fn uniform_tensor(
    noise: &dyn Noise,
    purpose: &str,
    shape: [usize; 3],
    device: &Device,
) -> Tensor<3> {
    Tensor::from_data(TensorData::new(noise.uniform(purpose, shape), shape), device)
}
