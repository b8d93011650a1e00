//! The Poisson likelihood of counts.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::counts::{self, log_factorial_rest, rate};
use super::spread::average;
use super::{LikelihoodFamily, Measure, Parameters, Properties};
use crate::error::ConfigError;
use crate::noise::Noise;
use crate::support::Support;

/// Settings of the Poisson likelihood rate^x exp(-rate) / x! with rate = softplus(output): none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoissonConfig {}

/// Returns log p of each count for a rate: x log rate - rate - log x!.
///
/// With log x! = x log max(x, 1) - max(x, 1) + rest, the terms that are large in x cancel before
/// rounding.
fn at(rate: Tensor<3>, log_rate: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
    let at_least_one = x.clone().clamp_min(1.0);
    let rest = log_factorial_rest(x.clone());
    x * (log_rate - at_least_one.clone().log()) + (at_least_one - rate) - rest
}

impl LikelihoodFamily for PoissonConfig {
    fn validate(&self, _key: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn properties(&self) -> Properties {
        Properties {
            support: Support::Counts,
            measure: Measure::Mass,
            outputs: 1,
            mean_range: (0.0, f64::INFINITY),
            shared: None,
        }
    }

    fn mean(&self, p: &Parameters) -> Tensor<3> {
        rate(p.first()).0
    }

    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        let (rate, log_rate) = rate(p.first());
        at(rate, log_rate, x)
    }

    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        let rate = average(self.mean(p));
        at(rate.clone(), rate.clamp_min(f64::from(f32::MIN_POSITIVE)).log(), x)
    }

    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3> {
        counts::sample(p, p.uniform(noise), [self.mean(p)], |[mean], u| counts::poisson(mean, u))
    }
}
