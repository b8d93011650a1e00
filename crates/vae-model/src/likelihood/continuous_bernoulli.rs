//! The continuous Bernoulli likelihood of pixels in [0, 1], parameterized by logits (Loaiza-Ganem
//! and Cunningham 2019).

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::bernoulli::{at_average, cross_entropy};
use super::{LikelihoodFamily, Measure, Parameters, Properties};
use crate::error::ConfigError;
use crate::noise::Noise;
use crate::support::Support;

/// Settings of the continuous Bernoulli likelihood: none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContinuousBernoulliConfig {}

/// For |l| below this, a series replaces l / tanh(l / 2), which is 0 / 0 at l = 0.
const NEAR: f64 = 0.3;

/// Returns log C of each number for logits l. With lambda = sigmoid(l),
/// C = 2 atanh(1 - 2 lambda) / (1 - 2 lambda) = l / tanh(l / 2).
fn log_normalizer(logits: Tensor<3>) -> Tensor<3> {
    // C is even in l. For l > 0, log C = log l + log(1 + e^-l) - log(1 - e^-l).
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

/// Returns the mean of each number for logits l: sigmoid(l) / tanh(l / 2) - 1 / l, and 1/2 at l =
/// 0.
fn mean(logits: Tensor<3>) -> Tensor<3> {
    let near = logits.clone().abs().lower_elem(NEAR);
    // Logits near 0 are replaced by 1, because the series gives their result.
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

/// Returns the quantile of u, a number in [0, 1]: log(1 + u (e^l - 1)) / l. For positive l it is
/// computed by symmetry from -l, so that nothing overflows.
fn quantile(logits: Tensor<3>, u: Tensor<3>) -> Tensor<3> {
    let positive = logits.clone().greater_elem(0.0);
    let u = u.clone().mask_where(positive.clone(), u.neg().add_scalar(1.0));
    let l = logits.abs().neg();
    let near = l.clone().greater_elem(-1e-3);
    let safe = l.mask_fill(near.clone(), -1.0);
    let far = (u.clone() * safe.clone().exp().sub_scalar(1.0)).add_scalar(1.0).log() / safe;
    let x = far.mask_where(near, u);
    x.clone().mask_where(positive, x.neg().add_scalar(1.0))
}

impl LikelihoodFamily for ContinuousBernoulliConfig {
    fn validate(&self, _key: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn properties(&self) -> Properties {
        Properties {
            support: Support::UnitInterval,
            measure: Measure::Density,
            outputs: 1,
            mean_range: (0.0, 1.0),
            shared: None,
        }
    }

    fn mean(&self, p: &Parameters) -> Tensor<3> {
        mean(p.first())
    }

    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        cross_entropy(p.first(), x) + log_normalizer(p.first())
    }

    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        let (logits, cross_entropy) = at_average(p.first(), x);
        cross_entropy + log_normalizer(logits)
    }

    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3> {
        quantile(p.first(), p.uniform_inside(noise))
    }
}
