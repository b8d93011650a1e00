//! Likelihoods: the axis of p(x|z), and the distribution that the decoder's output gives (`Decoding`). A
//! new likelihood is a configuration, a line in `choice!` and an arm in each match.

mod bernoulli;
mod location;

pub use location::{GaussianConfig, LaplaceConfig, LogisticConfig, Output, Spread};

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;
use crate::noise::{Noise, normal_tensor, uniform_tensor};
use crate::ops::bernoulli_log_prob;

use location::{LOG_SPREAD, LocationSpread, LogSpread, validate_spread};

choice! {
    /// Which likelihood, with its settings.
    pub enum LikelihoodConfig {
        /// Independent Bernoulli pixels. A likelihood for binary x; on grey x its log-probability is the
        /// usual cross-entropy loss and nothing more.
        "bernoulli" => Bernoulli(BernoulliConfig),
        /// Independent pixels in [0, 1] with the density that a Bernoulli's formula has once it is
        /// normalized (Loaiza-Ganem and Cunningham 2019).
        "continuous-bernoulli" => ContinuousBernoulli(BernoulliConfig),
        /// Independent normal numbers.
        "gaussian" => Gaussian(GaussianConfig),
        /// Independent numbers of a Laplace distribution.
        "laplace" => Laplace(LaplaceConfig),
        /// Independent pixels of 256 levels.
        "discretized-logistic" => DiscretizedLogistic(LogisticConfig),
    }
}

impl Default for LikelihoodConfig {
    fn default() -> Self {
        Self::Bernoulli(BernoulliConfig {})
    }
}

/// The Bernoulli likelihoods have no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BernoulliConfig {}

impl LikelihoodConfig {
    /// Checks the settings found at `key`.
    pub fn validate(&self, key: &str) -> Result<(), ConfigError> {
        match self {
            Self::Bernoulli(_) | Self::ContinuousBernoulli(_) => Ok(()),
            Self::Gaussian(c) => {
                if c.squared_error && c.sigma != GaussianConfig::default().sigma {
                    let why =
                        "squared_error fixes sigma; leave sigma out or set squared_error = false";
                    return Err(ConfigError::new(format!("{key}.sigma"), why));
                }
                if c.squared_error && c.spread != Spread::Fixed {
                    let why =
                        "squared_error fixes sigma; leave spread out or set squared_error = false";
                    return Err(ConfigError::new(format!("{key}.spread"), why));
                }
                validate_spread(key, "sigma", c.sigma)
            }
            Self::Laplace(c) => validate_spread(key, "scale", c.scale),
            Self::DiscretizedLogistic(c) => {
                if c.output == Output::Identity {
                    let why = "256 levels need a range: use \"sigmoid\" for pixels in [0, 1] or \
                               \"tanh\" for pixels in [-1, 1]";
                    return Err(ConfigError::new(format!("{key}.output"), why));
                }
                validate_spread(key, "scale", c.scale)
            }
        }
    }

    /// The spread and its value or start; none for the Bernoulli likelihoods.
    fn spread(&self) -> Option<(Spread, f64)> {
        match self {
            Self::Bernoulli(_) | Self::ContinuousBernoulli(_) => None,
            Self::Gaussian(c) => Some((c.spread, c.sigma)),
            Self::Laplace(c) => Some((c.spread, c.scale)),
            Self::DiscretizedLogistic(c) => Some((c.spread, c.scale)),
        }
    }

    /// What is learned of it beside the decoder.
    pub(crate) fn init(&self, init: &Init<'_>) -> Likelihood {
        let log_spread = match self.spread() {
            Some((Spread::Global, start)) => Some(init.constant("log_spread", [1], start.ln())),
            _ => None,
        };
        Likelihood { log_spread }
    }

    /// How many decoder outputs one number of x takes.
    pub fn parameters(&self) -> usize {
        if self.has_pixel_spread() { 2 } else { 1 }
    }

    /// Whether the decoder gives a spread for each number of x.
    pub fn has_pixel_spread(&self) -> bool {
        matches!(self.spread(), Some((Spread::Pixel, _)))
    }

    /// Whether log p(x|z) is normalized over x: what is left out of a convention makes the sum a loss,
    /// not a likelihood. (A Bernoulli is one only on binary x: the data must tell.)
    pub fn is_normalized(&self) -> bool {
        !matches!(self, Self::Gaussian(c) if c.squared_error)
    }

    /// Whether p(x|z) is a probability, of pixels of so many levels; where not it is a density, which is no
    /// number to compare with a probability.
    pub fn is_probability(&self) -> bool {
        matches!(self, Self::Bernoulli(_) | Self::DiscretizedLogistic(_))
    }

    /// Whether it is a likelihood for x of zeros and ones only (and a loss for x between them).
    pub fn needs_binary(&self) -> bool {
        matches!(self, Self::Bernoulli(_))
    }

    /// Whether it is a likelihood for pixels of many levels only: black and white would drive a density
    /// between them without bound, or 256 levels to two.
    pub fn needs_grey(&self) -> bool {
        matches!(self, Self::ContinuousBernoulli(_) | Self::DiscretizedLogistic(_))
    }

    /// The lowest and highest number that the mean can reach.
    pub fn range(&self) -> (f64, f64) {
        match self {
            Self::Bernoulli(_) | Self::ContinuousBernoulli(_) => (0.0, 1.0),
            Self::Gaussian(c) => c.output.range(),
            Self::Laplace(c) => c.output.range(),
            Self::DiscretizedLogistic(c) => c.output.range(),
        }
    }
}

/// What is learned of a likelihood beside the decoder.
#[derive(Module, Debug)]
pub struct Likelihood {
    /// Logarithm of the spread that all numbers share, `[1]`, where it is learned so.
    log_spread: Option<Param<Tensor<1>>>,
}

impl Likelihood {
    pub(crate) fn log_spread(&self) -> Option<Tensor<1>> {
        self.log_spread.as_ref().map(Param::val)
    }
}

/// p(x|z) for rows of z: the decoder's output with the likelihood that reads it.
#[derive(Clone, Debug)]
pub struct Decoding {
    output: Tensor<2>,
    likelihood: LikelihoodConfig,
    log_spread: Option<Tensor<1>>,
}

impl Decoding {
    /// From the decoder's output, `[rows, parameters * numbers]`, the second parameter (a log-spread)
    /// behind all of the first, and the log-spread `[1]` that all numbers share, where it is learned so.
    pub fn new(
        output: Tensor<2>,
        likelihood: LikelihoodConfig,
        log_spread: Option<Tensor<1>>,
    ) -> Self {
        Self { output, likelihood, log_spread }
    }

    /// The first parameter of each number, before any output activation, `[rows, numbers]`.
    fn first(&self) -> Tensor<2> {
        let [rows, width] = self.output.dims();
        match self.likelihood.parameters() {
            1 => self.output.clone(),
            n => self.output.clone().slice([0..rows, 0..width / n]),
        }
    }

    /// The mean of x, `[rows, numbers]`. (Of a discretized logistic the location, which is its mean but
    /// for the ends of the range.)
    pub fn mean(&self) -> Tensor<2> {
        let output = self.first();
        match &self.likelihood {
            LikelihoodConfig::Bernoulli(_) => activation::sigmoid(output),
            LikelihoodConfig::ContinuousBernoulli(_) => bernoulli::continuous_mean(output),
            LikelihoodConfig::Gaussian(c) => c.output.forward(output),
            LikelihoodConfig::Laplace(c) => c.output.forward(output),
            LikelihoodConfig::DiscretizedLogistic(c) => c.output.forward(output),
        }
    }

    /// log p in nats of x `[batch, numbers]` under the average of the means of `k` draws a point (rows
    /// draw by draw): `[1, batch]`. The loss of S-DEEP; it bounds nothing. (Of a continuous Bernoulli the
    /// parameter is averaged.) Not for a spread that the decoder gives.
    pub fn log_prob_of_average(&self, x: Tensor<2>, k: usize) -> Tensor<2> {
        let [batch, numbers] = x.dims();
        let mean = match &self.likelihood {
            LikelihoodConfig::ContinuousBernoulli(_) => activation::sigmoid(self.output.clone()),
            _ => self.mean(),
        };
        let mean: Tensor<2> = mean.reshape([k, batch, numbers]).mean_dim(0).squeeze_dim(0);
        let per_number = match &self.likelihood {
            // The average of sigmoids has no logit at hand; the clamp keeps 0 log 0 out.
            LikelihoodConfig::Bernoulli(_) | LikelihoodConfig::ContinuousBernoulli(_) => {
                let p = mean.clamp(1e-6, 1.0 - 1e-6);
                let log_not_p = p.clone().neg().add_scalar(1.0).log();
                let logits = p.log() - log_not_p.clone();
                let cross_entropy = x * logits.clone() + log_not_p;
                match &self.likelihood {
                    LikelihoodConfig::Bernoulli(_) => cross_entropy,
                    _ => cross_entropy + bernoulli::log_normalizer(logits),
                }
            }
            _ => self.log_prob_at(mean, None, x),
        };
        per_number.sum_dim(1).transpose()
    }

    /// log p(x|z) in nats of x `[batch, numbers]` under each of the rows, which hold k draws of every
    /// example draw by draw: `[k, batch]`.
    pub fn log_prob(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, width] = self.output.dims();
        let [batch, _] = x.dims();
        let k = rows / batch;
        if let LikelihoodConfig::Bernoulli(_) = &self.likelihood
            && let Some(sum) = bernoulli_log_prob(&self.output, &x)
        {
            sum.reshape([k, batch])
        } else if k == 1 {
            self.log_prob_per_number(self.output.clone(), x).sum_dim(1).reshape([1, batch])
        } else {
            let output = self.output.clone().reshape([k, batch, width]);
            self.log_prob_per_number(output, x.unsqueeze()).sum_dim(2).squeeze_dim(2)
        }
    }

    /// log p of each number; x may have one draw where the output has k.
    fn log_prob_per_number<const D: usize>(&self, output: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        let (first, second) = match self.likelihood.parameters() {
            1 => (output, None),
            n => {
                let numbers = output.dims()[D - 1] / n;
                let second = output.clone().narrow(D - 1, numbers, numbers);
                (output.narrow(D - 1, 0, numbers), Some(second))
            }
        };
        match &self.likelihood {
            LikelihoodConfig::Bernoulli(_) => bernoulli::cross_entropy(first, x),
            LikelihoodConfig::ContinuousBernoulli(_) => {
                bernoulli::cross_entropy(first.clone(), x) + bernoulli::log_normalizer(first)
            }
            LikelihoodConfig::Gaussian(c) => self.log_prob_at(c.output.forward(first), second, x),
            LikelihoodConfig::Laplace(c) => self.log_prob_at(c.output.forward(first), second, x),
            LikelihoodConfig::DiscretizedLogistic(c) => {
                self.log_prob_at(c.output.forward(first), second, x)
            }
        }
    }

    /// log p of each number at a location, and the log-spread where the decoder gives it; for the
    /// Bernoulli likelihoods, which have no location, nothing.
    fn log_prob_at<const D: usize>(
        &self,
        location: Tensor<D>,
        log_spread: Option<Tensor<D>>,
        x: Tensor<D>,
    ) -> Tensor<D> {
        if let LikelihoodConfig::Gaussian(c) = &self.likelihood
            && c.squared_error
        {
            return (location - x).square().neg();
        }
        let at = LocationSpread { location, log_spread: self.log_spread(log_spread) };
        match &self.likelihood {
            LikelihoodConfig::Bernoulli(_) | LikelihoodConfig::ContinuousBernoulli(_) => {
                at.location.zeros_like()
            }
            LikelihoodConfig::Gaussian(_) => at.gaussian(x),
            LikelihoodConfig::Laplace(_) => at.laplace(x),
            LikelihoodConfig::DiscretizedLogistic(c) => {
                at.discretized_logistic(x, c.output.range())
            }
        }
    }

    /// The log-spread: of each number as the decoder gives it, the shared one, or the configured one.
    fn log_spread<const D: usize>(&self, of_numbers: Option<Tensor<D>>) -> LogSpread<D> {
        let shared = || self.log_spread.clone().map(|log| log.reshape([1; D]));
        match of_numbers.or_else(shared) {
            Some(log) => LogSpread::Learned(log.clamp(-LOG_SPREAD, LOG_SPREAD)),
            None => LogSpread::Fixed(self.likelihood.spread().map_or(0.0, |(_, s)| s.ln())),
        }
    }

    /// One x a row drawn from p(x|z), `[rows, numbers]`.
    pub fn sample(&self, noise: &dyn Noise) -> Tensor<2> {
        let mean = self.mean();
        let [rows, numbers] = mean.dims();
        let device = mean.device();
        let shape = [1, rows, numbers];
        let uniform = || uniform_tensor(noise, "likelihood", shape, &device).squeeze_dim::<2>(0);
        // Inside (0, 1), where logarithms of u and of 1 - u are numbers.
        let inside = || uniform().mul_scalar(1.0 - 1e-6).add_scalar(5e-7);
        let second = || {
            (self.likelihood.parameters() > 1)
                .then(|| self.output.clone().narrow(1, numbers, numbers))
        };
        match &self.likelihood {
            LikelihoodConfig::Bernoulli(_) => uniform().lower(mean).float(),
            LikelihoodConfig::ContinuousBernoulli(_) => {
                bernoulli::continuous_quantile(self.first(), inside())
            }
            LikelihoodConfig::Gaussian(c) => {
                let eps = normal_tensor(noise, "likelihood", shape, &device).squeeze_dim::<2>(0);
                if c.squared_error {
                    mean + eps.mul_scalar(0.5f64.sqrt())
                } else {
                    mean + self.log_spread(second()).multiply(eps)
                }
            }
            LikelihoodConfig::Laplace(_) => {
                let u = inside().sub_scalar(0.5);
                let size = u.clone().abs().mul_scalar(-2.0).add_scalar(1.0).log().neg();
                mean + self.log_spread(second()).multiply(u.sign() * size)
            }
            LikelihoodConfig::DiscretizedLogistic(c) => {
                let u = inside();
                let logistic = u.clone().log() - u.neg().add_scalar(1.0).log();
                let x = mean + self.log_spread(second()).multiply(logistic);
                let (low, high) = c.output.range();
                let level = 255.0 / (high - low);
                let steps = x.clamp(low, high).sub_scalar(low).mul_scalar(level).round();
                steps.mul_scalar(1.0 / level).add_scalar(low)
            }
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    /// log p(x) and the gradient of its weighted sum with respect to the logits.
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
    fn the_bernoulli_of_one_pass_is_the_composition() {
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
            Decoding::new(logits, bernoulli.clone(), None).log_prob(x.clone())
        });
        let (composed_value, composed_gradient) = value_and_gradient(&logits, &weights, |logits| {
            let x = x.clone().unsqueeze::<3>();
            let output = logits.clone().reshape([k, batch, numbers]);
            let decoding = Decoding::new(logits, bernoulli.clone(), None);
            decoding.log_prob_per_number(output, x).sum_dim(2).squeeze_dim(2)
        });
        let close = Tolerance::<f32>::rel_abs(1e-6, 1e-6);
        let value = value.into_data();
        value.assert_approx_eq(&composed_value.into_data(), close);
        gradient.into_data().assert_approx_eq(&composed_gradient.into_data(), close);

        let without_autodiff = Decoding::new(logits, bernoulli, None).log_prob(x);
        assert_eq!(without_autodiff.into_data(), value);
    }
}
