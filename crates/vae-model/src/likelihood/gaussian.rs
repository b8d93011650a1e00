//! The Gaussian likelihood, and the summed squared error without its constant.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::spread::{self, LogSpread, Output, Spread};
use super::{LikelihoodFamily, Measure, Parameters, Properties};
use crate::check;
use crate::error::ConfigError;
use crate::math::log_2_pi;
use crate::noise::Noise;
use crate::support::Support;

/// Settings of the Gaussian likelihood N(x; mean, sigma^2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianConfig {
    /// Standard deviation of every number, in units of the preprocessed x. The initial standard
    /// deviation if `spread` is learned.
    pub sigma: f64,
    /// Whether sigma is fixed or learned.
    pub spread: Spread,
    /// Uses sum (x - mean)^2 as -log p(x|z): sigma^2 = 1/2 without the constant D/2 log pi. `sigma`
    /// and `spread` must then have their default values.
    pub squared_error: bool,
    /// Activation that maps the decoder's output to the mean.
    pub output: Output,
}

impl Default for GaussianConfig {
    fn default() -> Self {
        Self { sigma: 1.0, spread: Spread::Fixed, squared_error: false, output: Output::Identity }
    }
}

impl GaussianConfig {
    /// Returns log p of each number for a mean.
    fn at(&self, mean: Tensor<3>, log_spread: &LogSpread, x: Tensor<3>) -> Tensor<3> {
        if self.squared_error {
            return (mean - x).square().neg();
        }
        let scaled = log_spread.divide(x - mean);
        log_spread.normalize(scaled.square().mul_scalar(-0.5), 0.5 * log_2_pi())
    }
}

impl LikelihoodFamily for GaussianConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        let fixed = |name| {
            format!("squared_error fixes sigma; leave {name} out or set squared_error = false")
        };
        if self.squared_error && self.sigma != Self::default().sigma {
            return check::refuse(key, "sigma", fixed("sigma"));
        }
        if self.squared_error && self.spread != Spread::Fixed {
            return check::refuse(key, "spread", fixed("spread"));
        }
        spread::validate(key, "sigma", self.sigma)
    }

    fn properties(&self) -> Properties {
        Properties {
            support: Support::Reals,
            measure: if self.squared_error { Measure::Loss } else { Measure::Density },
            outputs: self.spread.outputs(),
            mean_range: self.output.range(),
            shared: self.spread.shared(self.sigma),
        }
    }

    fn mean(&self, p: &Parameters) -> Tensor<3> {
        self.output.forward(p.first())
    }

    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        self.at(self.mean(p), &self.spread.of(p, self.sigma), x)
    }

    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        self.at(spread::average(self.mean(p)), &self.spread.of(p, self.sigma), x)
    }

    fn cdf(&self, p: &Parameters, x: Tensor<3>) -> Option<[Tensor<3>; 2]> {
        if self.squared_error {
            return None;
        }
        let scaled = self.spread.of(p, self.sigma).divide(x - self.mean(p));
        let below = scaled.mul_scalar(0.5f64.sqrt()).erf().add_scalar(1.0).mul_scalar(0.5);
        Some([below.clone(), below])
    }

    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3> {
        let eps = p.normal(noise);
        if self.squared_error {
            self.mean(p) + eps.mul_scalar(0.5f64.sqrt())
        } else {
            self.mean(p) + self.spread.of(p, self.sigma).multiply(eps)
        }
    }
}
