//! The Bernoulli likelihood of black and white pixels, on logits.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::spread::average;
use super::{LikelihoodFamily, Measure, Parameters, Properties};
use crate::error::ConfigError;
use crate::noise::Noise;
use crate::ops::bernoulli_log_prob;
use crate::support::Support;

/// Settings of the Bernoulli likelihood: none. For x between 0 and 1 its log-probability is the
/// cross-entropy, which is a loss but not a log-likelihood.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BernoulliConfig {}

/// Returns x log p + (1 - x) log(1 - p) of each number with p = sigmoid(l) for logits l, computed
/// as log sigmoid(l) - (1 - x) l.
pub(super) fn cross_entropy(logits: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
    activation::log_sigmoid(logits.clone()) + logits * x.sub_scalar(1.0)
}

/// Returns the logit of the average of sigmoid(l) over `k` draws, and the cross-entropy of x for
/// that logit, `[1, batch, numbers]` each. The average is clamped to avoid 0 log 0.
pub(super) fn at_average(logits: Tensor<3>, x: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
    let p = average(activation::sigmoid(logits)).clamp(1e-6, 1.0 - 1e-6);
    let log_not_p = p.clone().neg().add_scalar(1.0).log();
    let logits = p.log() - log_not_p.clone();
    (logits.clone(), x * logits + log_not_p)
}

impl LikelihoodFamily for BernoulliConfig {
    fn validate(&self, _key: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn properties(&self) -> Properties {
        Properties {
            support: Support::Binary,
            measure: Measure::Mass,
            outputs: 1,
            mean_range: (0.0, 1.0),
            shared: None,
        }
    }

    fn mean(&self, p: &Parameters) -> Tensor<3> {
        activation::sigmoid(p.first())
    }

    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        cross_entropy(p.first(), x)
    }

    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        at_average(p.first(), x).1
    }

    fn sum_log_prob(&self, p: Parameters, x: Tensor<2>) -> Tensor<2> {
        let [k, batch, numbers] = p.outputs.dims();
        let logits = p.outputs.reshape([k * batch, numbers]);
        bernoulli_log_prob(logits, x).reshape([k, batch])
    }

    fn output_of_mean(&self, mean: f64) -> Option<f64> {
        /// Pixels that are black in every example have a logit all the same.
        const LEAST: f64 = 1e-3;
        let mean = mean.clamp(LEAST, 1.0 - LEAST);
        Some((mean / (1.0 - mean)).ln())
    }

    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3> {
        p.uniform(noise).lower(self.mean(p)).float()
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;
    use crate::likelihood::{LikelihoodConfig, LikelihoodDistribution};

    /// Returns log p(x) and the gradient of its weighted sum with respect to the logits.
    fn value_and_gradient(
        logits: &Tensor<2>,
        weights: &Tensor<2>,
        log_prob: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>) {
        let leaf = Tensor::from_inner(logits.clone()).require_grad();
        let value = log_prob(leaf.clone());
        let sum = (value.clone() * Tensor::from_inner(weights.clone())).sum();
        let gradient = leaf.grad(&sum.backward()).unwrap();
        (value.inner(), gradient)
    }

    #[test]
    fn the_fused_bernoulli_equals_the_composed_one() {
        let device = Device::flex();
        let (k, batch, numbers) = (3, 4, 50);
        let wave = |n: usize, scale: f32| {
            let values: Vec<f32> = (0..n).map(|i| scale * (i as f32 * 0.37).sin()).collect();
            Tensor::<1>::from_floats(values.as_slice(), &device)
        };
        let logits = wave(k * batch * numbers, 30.0).reshape([k * batch, numbers]);
        let x = wave(batch * numbers, 0.5).add_scalar(0.5).reshape([batch, numbers]);
        let weights = wave(k * batch, 2.0).reshape([k, batch]);
        let bernoulli = LikelihoodConfig::default();

        let (value, gradient) = value_and_gradient(&logits, &weights, |logits| {
            LikelihoodDistribution::new(logits, bernoulli.clone(), None).log_prob(x.clone())
        });
        let (composed_value, composed_gradient) = value_and_gradient(&logits, &weights, |logits| {
            let x = x.clone().unsqueeze::<3>();
            cross_entropy(logits.reshape([k, batch, numbers]), x).sum_dim(2).squeeze_dim(2)
        });
        let close = Tolerance::<f32>::rel_abs(1e-6, 1e-6);
        let value = value.into_data();
        value.assert_approx_eq(&composed_value.into_data(), close);
        gradient.into_data().assert_approx_eq(&composed_gradient.into_data(), close);

        let without_autodiff = LikelihoodDistribution::new(logits, bernoulli, None).log_prob(x);
        assert_eq!(without_autodiff.into_data(), value);
    }
}
