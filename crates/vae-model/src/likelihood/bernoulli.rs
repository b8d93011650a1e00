//! Bernoulli pixels, and the continuous Bernoulli of pixels in [0, 1].

use burn::tensor::{Tensor, activation};

/// x log p + (1 - x) log(1 - p) with p = sigmoid(l), of each number, on logits l: log sigmoid(l) -
/// (1 - x) l.
pub(super) fn cross_entropy<const D: usize>(logits: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
    activation::log_sigmoid(logits.clone()) + logits * x.sub_scalar(1.0)
}

/// Below this a series stands in for l / tanh(l / 2), whose numerator and denominator vanish.
const NEAR: f64 = 0.3;

/// log C of the continuous Bernoulli (Loaiza-Ganem and Cunningham 2019) of each number, on logits: with
/// lambda = sigmoid(l), C = 2 atanh(1 - 2 lambda) / (1 - 2 lambda) = l / tanh(l / 2).
pub(super) fn log_normalizer<const D: usize>(logits: Tensor<D>) -> Tensor<D> {
    // It is even in l. log(l / tanh(l/2)) = log l + log(1 + e^-l) - log(1 - e^-l).
    let near = logits.clone().abs().lower_elem(NEAR);
    let l = logits.clone().abs().clamp_min(NEAR);
    let tail = l.clone().neg().exp();
    let far = l.log() + tail.clone().add_scalar(1.0).log() - tail.neg().add_scalar(1.0).log();
    // log 2 + u^2/3 - 7 u^4/90 + 62 u^6/2835 with u = l/2; the next term is below 1e-8 here.
    let square = logits.mul_scalar(0.5).clamp(-NEAR, NEAR).square();
    let series = square.clone().mul_scalar(62.0 / 2835.0).sub_scalar(7.0 / 90.0) * square.clone();
    let series = (series.add_scalar(1.0 / 3.0) * square).add_scalar(std::f64::consts::LN_2);
    far.mask_where(near, series)
}

/// The mean of the continuous Bernoulli on logits: sigmoid(l) / tanh(l / 2) - 1 / l, which is 1/2 at 0.
pub(super) fn continuous_mean<const D: usize>(logits: Tensor<D>) -> Tensor<D> {
    let near = logits.clone().abs().lower_elem(NEAR);
    // Where the series stands in, any number that is not 0 will do.
    let safe = logits.clone().mask_fill(near.clone(), 1.0);
    let far =
        activation::sigmoid(safe.clone()) / safe.clone().mul_scalar(0.5).tanh() - safe.recip();
    let l = logits.clamp(-NEAR, NEAR);
    let square = l.clone().square();
    // 1/2 + l/12 - l^3/720 + l^5/30240.
    let slope = (square.clone().mul_scalar(1.0 / 30240.0).sub_scalar(1.0 / 720.0) * square)
        .add_scalar(1.0 / 12.0);
    far.mask_where(near, (slope * l).add_scalar(0.5))
}

/// The number in [0, 1] below which the continuous Bernoulli has mass u: log(1 + u (e^l - 1)) / l, or by
/// symmetry from the other side for positive l, so that nothing overflows.
pub(super) fn continuous_quantile<const D: usize>(logits: Tensor<D>, u: Tensor<D>) -> Tensor<D> {
    let positive = logits.clone().greater_elem(0.0);
    let u = u.clone().mask_where(positive.clone(), u.neg().add_scalar(1.0));
    let l = logits.abs().neg();
    let near = l.clone().greater_elem(-1e-3);
    let safe = l.mask_fill(near.clone(), -1.0);
    let far = (u.clone() * safe.clone().exp().sub_scalar(1.0)).add_scalar(1.0).log() / safe;
    let x = far.mask_where(near, u);
    x.clone().mask_where(positive, x.neg().add_scalar(1.0))
}
