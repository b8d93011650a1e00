//! Likelihoods: the axis of p(x|z), and the distribution that the decoder's output gives (`Decoding`).

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::choice;
use crate::error::ConfigError;
use crate::noise::{Noise, normal_tensor, uniform_tensor};
use crate::ops::bernoulli_log_prob;

choice! {
    /// Which likelihood, with its settings.
    pub enum LikelihoodConfig {
        /// Independent Bernoulli pixels. A likelihood for binary x; on grey x its log-probability is the
        /// usual cross-entropy loss and nothing more.
        "bernoulli" => Bernoulli(BernoulliConfig),
        /// Independent normal numbers of one fixed sigma.
        "gaussian" => Gaussian(GaussianConfig),
    }
}

impl Default for LikelihoodConfig {
    fn default() -> Self {
        Self::Bernoulli(BernoulliConfig {})
    }
}

/// The Bernoulli likelihood has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BernoulliConfig {}

/// Settings of the Gaussian likelihood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianConfig {
    /// Standard deviation of every number, in the units that x is trained in.
    pub sigma: f64,
    /// The convention of a summed squared error: -log p(x|z) is sum (x - mean)^2, which is sigma^2 = 1/2
    /// without its constant D/2 log pi. Then `sigma` must be left alone.
    pub squared_error: bool,
    /// What turns the decoder's output into the mean.
    pub output: Output,
}

impl Default for GaussianConfig {
    fn default() -> Self {
        Self { sigma: 1.0, squared_error: false, output: Output::Identity }
    }
}

/// The output activation: the range of the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Any number.
    #[default]
    Identity,
    /// 0 to 1.
    Sigmoid,
    /// -1 to 1.
    Tanh,
}

impl Output {
    fn forward<const D: usize>(self, output: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => output,
            Self::Sigmoid => activation::sigmoid(output),
            Self::Tanh => output.tanh(),
        }
    }
}

impl LikelihoodConfig {
    /// Checks the settings found at `key`.
    pub fn validate(&self, key: &str) -> Result<(), ConfigError> {
        let Self::Gaussian(c) = self else { return Ok(()) };
        if !(c.sigma.is_finite() && c.sigma > 0.0) {
            let why = format!("must be a positive number, not {}", c.sigma);
            return Err(ConfigError::new(format!("{key}.sigma"), why));
        }
        if c.squared_error && c.sigma != GaussianConfig::default().sigma {
            let why = "squared_error fixes sigma; leave sigma out or set squared_error = false";
            return Err(ConfigError::new(format!("{key}.sigma"), why));
        }
        Ok(())
    }

    /// How many decoder outputs one number of x takes.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Bernoulli(_) | Self::Gaussian(_) => 1,
        }
    }

    /// Whether log p(x|z) is normalized over x: what is left out of a convention makes the sum a loss,
    /// not a likelihood. (A Bernoulli is one only on binary x: the data must tell.)
    pub fn is_normalized(&self) -> bool {
        match self {
            Self::Bernoulli(_) => true,
            Self::Gaussian(c) => !c.squared_error,
        }
    }

    /// Whether it is a likelihood for x of zeros and ones only (and a loss for x between them).
    pub fn needs_binary(&self) -> bool {
        matches!(self, Self::Bernoulli(_))
    }

    /// The lowest and highest number that the mean can reach.
    pub fn range(&self) -> (f64, f64) {
        match self {
            Self::Bernoulli(_) => (0.0, 1.0),
            Self::Gaussian(c) => match c.output {
                Output::Identity => (f64::NEG_INFINITY, f64::INFINITY),
                Output::Sigmoid => (0.0, 1.0),
                Output::Tanh => (-1.0, 1.0),
            },
        }
    }
}

/// p(x|z) for rows of z: the decoder's output with the likelihood that reads it.
#[derive(Clone, Debug)]
pub struct Decoding {
    output: Tensor<2>,
    likelihood: LikelihoodConfig,
}

impl Decoding {
    /// From the decoder's output, `[rows, parameters * numbers]`.
    pub fn new(output: Tensor<2>, likelihood: LikelihoodConfig) -> Self {
        Self { output, likelihood }
    }

    /// The mean of x, `[rows, numbers]`.
    pub fn mean(&self) -> Tensor<2> {
        let output = self.output.clone();
        match &self.likelihood {
            LikelihoodConfig::Bernoulli(_) => activation::sigmoid(output),
            LikelihoodConfig::Gaussian(c) => c.output.forward(output),
        }
    }

    /// log p in nats of x `[batch, numbers]` under the average of the means of `k` draws a point (rows
    /// draw by draw): `[1, batch]`. The loss of S-DEEP; it bounds nothing.
    pub fn log_prob_of_average(&self, x: Tensor<2>, k: usize) -> Tensor<2> {
        let [batch, numbers] = x.dims();
        let mean: Tensor<2> = self.mean().reshape([k, batch, numbers]).mean_dim(0).squeeze_dim(0);
        let per_number = match &self.likelihood {
            // The average of sigmoids has no logit at hand; the clamp keeps 0 log 0 out.
            LikelihoodConfig::Bernoulli(_) => {
                let p = mean.clamp(1e-6, 1.0 - 1e-6);
                let log_not_p = p.clone().neg().add_scalar(1.0).log();
                x.clone() * (p.log() - log_not_p.clone()) + log_not_p
            }
            LikelihoodConfig::Gaussian(c) => (mean - x).square().mul_scalar(-c.precision_half()),
        };
        per_number.sum_dim(1).add_scalar(self.constant(numbers)).transpose()
    }

    /// log p(x|z) in nats of x `[batch, numbers]` under each of the rows, which hold k draws of every
    /// example draw by draw: `[k, batch]`.
    pub fn log_prob(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, width] = self.output.dims();
        let [batch, numbers] = x.dims();
        let k = rows / batch;
        let sum = if let LikelihoodConfig::Bernoulli(_) = &self.likelihood
            && let Some(sum) = bernoulli_log_prob(&self.output, &x)
        {
            sum.reshape([k, batch])
        } else if k == 1 {
            self.log_prob_per_number(self.output.clone(), x).sum_dim(1).reshape([1, batch])
        } else {
            let output = self.output.clone().reshape([k, batch, width]);
            self.log_prob_per_number(output, x.unsqueeze()).sum_dim(2).squeeze_dim(2)
        };
        sum.add_scalar(self.constant(numbers))
    }

    /// log p of each number without its constant; x may have one draw where the output has k.
    fn log_prob_per_number<const D: usize>(&self, output: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        match &self.likelihood {
            // On logits l: x log sigmoid(l) + (1 - x) log(1 - sigmoid(l)) = log sigmoid(l) - (1 - x) l.
            LikelihoodConfig::Bernoulli(_) => {
                activation::log_sigmoid(output.clone()) + output * x.sub_scalar(1.0)
            }
            LikelihoodConfig::Gaussian(c) => {
                (c.output.forward(output) - x).square().mul_scalar(-c.precision_half())
            }
        }
    }

    /// The part of log p(x|z) that depends on neither x nor z, for all `numbers` together.
    fn constant(&self, numbers: usize) -> f64 {
        match &self.likelihood {
            LikelihoodConfig::Bernoulli(_) => 0.0,
            LikelihoodConfig::Gaussian(c) => numbers as f64 * c.log_normalizer(),
        }
    }

    /// One x a row drawn from p(x|z), `[rows, numbers]`.
    pub fn sample(&self, noise: &dyn Noise) -> Tensor<2> {
        let mean = self.mean();
        let [rows, numbers] = mean.dims();
        let device = mean.device();
        match &self.likelihood {
            LikelihoodConfig::Bernoulli(_) => {
                let u = uniform_tensor(noise, "likelihood", [1, rows, numbers], &device);
                u.squeeze_dim::<2>(0).lower(mean).float()
            }
            LikelihoodConfig::Gaussian(c) => {
                let eps = normal_tensor(noise, "likelihood", [1, rows, numbers], &device);
                let sigma = (0.5 / c.precision_half()).sqrt();
                mean + eps.squeeze_dim::<2>(0).mul_scalar(sigma)
            }
        }
    }
}

impl GaussianConfig {
    /// 1 / (2 sigma^2).
    fn precision_half(&self) -> f64 {
        if self.squared_error { 1.0 } else { 0.5 / (self.sigma * self.sigma) }
    }

    /// -log(sigma sqrt(2 pi)), or nothing in the squared-error convention.
    fn log_normalizer(&self) -> f64 {
        let log_2_pi = (2.0 * std::f64::consts::PI).ln();
        if self.squared_error { 0.0 } else { -0.5 * log_2_pi - self.sigma.ln() }
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
            Decoding::new(logits, bernoulli.clone()).log_prob(x.clone())
        });
        let (composed_value, composed_gradient) = value_and_gradient(&logits, &weights, |logits| {
            let x = x.clone().unsqueeze::<3>();
            let output = logits.clone().reshape([k, batch, numbers]);
            let decoding = Decoding::new(logits, bernoulli.clone());
            decoding.log_prob_per_number(output, x).sum_dim(2).squeeze_dim(2)
        });
        let close = Tolerance::<f32>::rel_abs(1e-6, 1e-6);
        let value = value.into_data();
        value.assert_approx_eq(&composed_value.into_data(), close);
        gradient.into_data().assert_approx_eq(&composed_gradient.into_data(), close);

        let without_autodiff = Decoding::new(logits, bernoulli).log_prob(x);
        assert_eq!(without_autodiff.into_data(), value);
    }
}
