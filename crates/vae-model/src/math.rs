//! Small functions of tensors that several axes share.

use burn::tensor::{Tensor, activation};

/// log(2 pi).
pub(crate) fn log_2_pi() -> f64 {
    (2.0 * std::f64::consts::PI).ln()
}

/// log sum exp over dimension `dim`, which becomes 1 long; exact where all but one vanish.
pub(crate) fn log_sum_exp<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    // The largest is a constant: it cancels, in value and in slope.
    let largest = x.clone().inner().max_dim(dim);
    (x - largest.clone()).exp().sum_dim(dim).log() + largest
}

/// log(1 + exp x), stable: -log sigmoid(-x).
pub(crate) fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::log_sigmoid(x.neg()).neg()
}

/// log N(x; 0, I) of each row in nats: `[a, b, d]` to `[a, b]`.
pub(crate) fn log_standard_normal(x: Tensor<3>) -> Tensor<2> {
    let [_, _, d] = x.dims();
    let sum: Tensor<2> = x.square().sum_dim(2).squeeze_dim(2);
    sum.add_scalar(d as f64 * log_2_pi()).mul_scalar(-0.5)
}
