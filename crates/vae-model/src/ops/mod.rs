//! Operations of our own: where a composition of Burn's is slow on one backend, the same mathematics in
//! one pass over host memory. Callers keep the composition for every other backend. Besides the table
//! of backends itself, this is the one place that names any.

mod bernoulli;

pub use bernoulli::bernoulli_log_prob;

use burn::tensor::{Device, Tensor};

/// Whether tensors on `device` lie in host memory, where a loop of our own may go over them.
fn is_on_host(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return *device == Device::flex();
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// A function of `at` `[rows, numbers]` whose value and gradient are known: the numbers are `value`
/// `[rows, 1]`, and what flows back to `at` is `gradient` `[rows, numbers]` times what flows in. The
/// last two carry no gradient themselves.
fn with_gradient(at: Tensor<2>, value: Tensor<2>, gradient: Tensor<2>) -> Tensor<2> {
    if !at.device().is_autodiff() {
        return value;
    }
    // The slope at this point of a linear function, which takes part with the value 0.
    let linear = (at * Tensor::from_inner(gradient)).sum_dim(1);
    Tensor::from_inner(value) + (linear.clone() - linear.detach())
}
