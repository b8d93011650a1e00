//! The negative binomial likelihood of counts, whose variance is above the mean.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::counts::{self, rate, stirling_tail};
use super::spread::{self, LOG_SPREAD, average};
use super::{LikelihoodFamily, Measure, Parameters, Properties, Shared};
use crate::error::ConfigError;
use crate::math::{log_2_pi, softplus};
use crate::noise::Noise;
use crate::support::Support;

/// Settings of the negative binomial likelihood with mean m = softplus(output) and inverse
/// dispersion r: Gamma(x + r) / (Gamma(r) x!) (r / (r + m))^r (m / (r + m))^x, of variance m + m^2
/// / r.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NegativeBinomialConfig {
    /// Which numbers of x share a learned inverse dispersion.
    pub dispersion: Dispersion,
    /// Initial inverse dispersion r. For large r the distribution approaches a Poisson
    /// distribution.
    pub inverse_dispersion: f64,
}

/// Which numbers of x share a dispersion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dispersion {
    /// All numbers of x share one.
    #[default]
    Global,
    /// Each number of x has its own.
    Feature,
}

impl Default for NegativeBinomialConfig {
    fn default() -> Self {
        Self { dispersion: Dispersion::Global, inverse_dispersion: 1.0 }
    }
}

/// Number of factors that are taken out of each Gamma function before Stirling's series is used.
const SHIFT: i32 = 7;

/// Returns log Gamma(x + r) - log Gamma(r) - log Gamma(x + 1), `[k, batch, numbers]`.
///
/// With Gamma(z) = Gamma(z + 7) / (z (z + 1) ... (z + 6)), A = x + r + 7, B = x + 8 and C = r + 7,
/// Stirling's series gives (B - 1/2) log(A / B) + (C - 1/2) log(A / C) - 7.5 log A + 8 - log(2 pi)
/// / 2 plus the tails of the series. No difference of large numbers remains.
fn log_binomial(x: Tensor<3>, r: Tensor<3>) -> Tensor<3> {
    let a = (x.clone() + r.clone()).add_scalar(f64::from(SHIFT));
    let b = x.clone().add_scalar(f64::from(SHIFT + 1));
    let c = r.clone().add_scalar(f64::from(SHIFT));
    let over_b = (r.clone().sub_scalar(1.0) / b.clone()).log1p();
    let over_c = (x.clone() / c.clone()).log1p();
    let stirling = b.clone().sub_scalar(0.5) * over_b + c.clone().sub_scalar(0.5) * over_c
        - a.clone().log().mul_scalar(f64::from(SHIFT) + 0.5);
    let stirling = stirling.add_scalar(f64::from(SHIFT) + 1.0 - 0.5 * log_2_pi());
    let tails = stirling_tail(a) - stirling_tail(b) - stirling_tail(c);
    let factor = |i: i32| {
        let up = x.clone().add_scalar(f64::from(i + 1)) * r.clone().add_scalar(f64::from(i));
        up / (x.clone() + r.clone()).add_scalar(f64::from(i))
    };
    let product = (1..SHIFT).map(factor).fold(factor(0), |product, factor| product * factor);
    stirling + tails + product.log()
}

impl NegativeBinomialConfig {
    /// Returns log r, `[1, 1, 1]` or `[1, 1, numbers]`.
    fn log_r(&self, p: &Parameters) -> Tensor<3> {
        match p.shared() {
            Some(log_r) => log_r.clamp(-LOG_SPREAD, LOG_SPREAD),
            None => {
                unreachable!("its properties declare a shared parameter, so every model has one")
            }
        }
    }

    /// Returns log p of each count for the logarithm of a mean.
    fn at(&self, p: &Parameters, log_mean: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        let log_r = self.log_r(p);
        let r = log_r.clone().exp();
        // log(r / (r + m)) = -softplus(log m - log r), and log(m / (r + m)) likewise.
        let ratio = log_mean - log_r;
        let shape = ratio.dims();
        let x = x.expand(shape);
        let (to_zero, to_count) = (softplus(ratio.clone()), softplus(ratio.neg()));
        log_binomial(x.clone(), r.clone().expand(shape)) - to_zero * r - x * to_count
    }
}

impl LikelihoodFamily for NegativeBinomialConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        spread::validate(key, "inverse_dispersion", self.inverse_dispersion)
    }

    fn properties(&self) -> Properties {
        Properties {
            support: Support::Counts,
            measure: Measure::Mass,
            outputs: 1,
            mean_range: (0.0, f64::INFINITY),
            shared: Some(Shared {
                per_number: self.dispersion == Dispersion::Feature,
                start: self.inverse_dispersion.ln(),
            }),
        }
    }

    fn mean(&self, p: &Parameters) -> Tensor<3> {
        rate(p.first()).0
    }

    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        self.at(p, rate(p.first()).1, x)
    }

    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        let mean = average(self.mean(p)).clamp_min(f64::from(f32::MIN_POSITIVE));
        self.at(p, mean.log(), x)
    }

    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3> {
        let of = [self.mean(p), self.log_r(p).exp()];
        counts::sample(p, p.uniform(noise), of, |[mean, r], u| {
            counts::negative_binomial(mean, r, u)
        })
    }
}
