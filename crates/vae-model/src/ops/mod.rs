//! Operations of our own on host memory, where a composition of Burn's operations is slow on the
//! backend `flex`. Every other backend uses the composition. Apart from the table of backends, only
//! this module names a backend.

mod bernoulli;
mod convolution;
#[cfg(feature = "flex")]
mod flex;
mod group_norm;

pub use bernoulli::bernoulli_log_prob;
pub use convolution::{Size, convolve};
pub use group_norm::group_norm;

use burn::tensor::{Device, Tensor};

/// Returns whether tensors on `device` are in host memory, where a loop can read them.
fn is_on_host(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return *device == Device::flex();
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// Returns `value` `[rows, 1]` as a function of `at` `[rows, numbers]` whose gradient is known. The
/// backward pass multiplies the incoming gradient by `gradient` `[rows, numbers]`. `value` and
/// `gradient` have no gradient themselves.
fn with_gradient(at: Tensor<2>, value: Tensor<2>, gradient: Tensor<2>) -> Tensor<2> {
    if !at.device().is_autodiff() {
        return value;
    }
    // A linear function with this gradient is added, minus its own value.
    let linear = (at * Tensor::from_inner(gradient)).sum_dim(1);
    Tensor::from_inner(value) + (linear.clone() - linear.detach())
}
