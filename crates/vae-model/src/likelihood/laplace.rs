//! The Laplace likelihood.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::spread::{self, LogSpread, Output, Spread};
use super::{LikelihoodFamily, Measure, Parameters, Properties};
use crate::error::ConfigError;
use crate::noise::Noise;
use crate::support::Support;

/// Settings of the Laplace likelihood, exp(-|x - location| / scale) / (2 scale).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaplaceConfig {
    /// Scale of every number, in units of the preprocessed x. The initial scale if `spread` is
    /// learned.
    pub scale: f64,
    /// Whether the scale is fixed or learned.
    pub spread: Spread,
    /// Activation that maps the decoder's output to the location.
    pub output: Output,
}

impl Default for LaplaceConfig {
    fn default() -> Self {
        Self { scale: 1.0, spread: Spread::Fixed, output: Output::Identity }
    }
}

/// Returns log p of each number for a location.
fn at(location: Tensor<3>, log_spread: &LogSpread, x: Tensor<3>) -> Tensor<3> {
    let scaled = log_spread.divide(x - location);
    log_spread.normalize(scaled.abs().neg(), std::f64::consts::LN_2)
}

impl LikelihoodFamily for LaplaceConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        spread::validate(key, "scale", self.scale)
    }

    fn properties(&self) -> Properties {
        Properties {
            support: Support::Reals,
            measure: Measure::Density,
            outputs: self.spread.outputs(),
            mean_range: self.output.range(),
            shared: self.spread.shared(self.scale),
        }
    }

    fn mean(&self, p: &Parameters) -> Tensor<3> {
        self.output.forward(p.first())
    }

    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        at(self.mean(p), &self.spread.of(p, self.scale), x)
    }

    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        at(spread::average(self.mean(p)), &self.spread.of(p, self.scale), x)
    }

    fn cdf(&self, p: &Parameters, x: Tensor<3>) -> Option<[Tensor<3>; 2]> {
        let scaled = self.spread.of(p, self.scale).divide(x - self.mean(p));
        let tail = scaled.clone().abs().neg().exp().mul_scalar(-0.5).add_scalar(0.5);
        let below = (scaled.sign() * tail).add_scalar(0.5);
        Some([below.clone(), below])
    }

    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3> {
        let u = p.uniform_inside(noise).sub_scalar(0.5);
        let size = u.clone().abs().mul_scalar(-2.0).add_scalar(1.0).log().neg();
        self.mean(p) + self.spread.of(p, self.scale).multiply(u.sign() * size)
    }
}
