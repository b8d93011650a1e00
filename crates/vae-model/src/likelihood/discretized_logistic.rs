//! The discretized logistic likelihood of pixels with 256 levels (Salimans et al. 2017).

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

#[cfg(feature = "flex")]
use super::spread::LOG_SPREAD;
use super::spread::{self, LogSpread, Output, Spread};
use super::{LikelihoodFamily, Measure, Parameters, Properties};
use crate::check;
use crate::error::ConfigError;
use crate::noise::Noise;
#[cfg(feature = "flex")]
use crate::ops::{Squash, is_on_host, logistic_log_prob};
use crate::support::Support;

/// Settings of the discretized logistic likelihood. The mass of one of 256 levels is the mass of a
/// logistic distribution between the midpoints to the neighbouring levels. The lowest and the
/// highest level also get the tails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogisticConfig {
    /// Scale of every number, in units of the preprocessed x. The initial scale if `spread` is
    /// learned.
    pub scale: f64,
    /// Whether the scale is fixed or learned.
    pub spread: Spread,
    /// Activation that maps the decoder's output to the location. It also determines the range of
    /// x: `sigmoid` for pixels in [0, 1], `tanh` for pixels in [-1, 1].
    pub output: Output,
}

impl Default for LogisticConfig {
    fn default() -> Self {
        Self { scale: 0.1, spread: Spread::Global, output: Output::Sigmoid }
    }
}

impl LogisticConfig {
    /// Returns the logarithm of the mass of each number's level, `[k, batch, numbers]`.
    ///
    /// With a = (x + h - m) / s and b = (x - h - m) / s the mass is sigmoid(a) - sigmoid(b) =
    /// sigmoid(a) sigmoid(-b) (1 - exp(b - a)). Each factor is stable, and a - b = 2 h / s.
    fn at(&self, location: Tensor<3>, log_spread: &LogSpread, x: Tensor<3>) -> Tensor<3> {
        let (low, high) = self.output.range();
        let half = 0.5 * (high - low) / 255.0;
        // x is repeated for the k draws of the location.
        let x = x.expand(location.dims());
        let from = x.clone() - location;
        let below = activation::log_sigmoid(log_spread.divide(from.clone().add_scalar(half)));
        let above = activation::log_sigmoid(log_spread.divide(from.sub_scalar(half)).neg());
        // log(1 - exp(-w)) = log(2 t / (1 + t)) with t = tanh(w / 2), without cancellation for
        // small w.
        let t = log_spread.divide(x.ones_like().mul_scalar(half)).tanh();
        let between = t.clone().mul_scalar(2.0).log() - t.add_scalar(1.0).log();
        let lowest = x.clone().lower_elem(low + half);
        let highest = x.greater_elem(high - half);
        (below.clone() + above.clone() + between)
            .mask_where(lowest, below)
            .mask_where(highest, above)
    }
}

impl LikelihoodFamily for LogisticConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        if self.output == Output::Identity {
            let why = "the 256 levels need a finite range: use \"sigmoid\" for pixels in [0, 1] or \
                       \"tanh\" for pixels in [-1, 1]";
            return check::refuse(key, "output", why);
        }
        spread::validate(key, "scale", self.scale)
    }

    fn properties(&self) -> Properties {
        let (low, high) = self.output.range();
        Properties {
            support: Support::Levels { low, high },
            measure: Measure::Mass,
            outputs: self.spread.outputs(),
            mean_range: (low, high),
            shared: self.spread.shared(self.scale),
        }
    }

    fn mean(&self, p: &Parameters) -> Tensor<3> {
        self.output.forward(p.first())
    }

    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        self.at(self.mean(p), &self.spread.of(p, self.scale), x)
    }

    #[cfg(feature = "flex")]
    fn sum_log_prob(&self, p: Parameters, x: Tensor<2>) -> Tensor<2> {
        let device = p.outputs.device().inner();
        let squash = match self.output {
            Output::Sigmoid => Some(Squash::Sigmoid),
            Output::Tanh => Some(Squash::Tanh),
            Output::Identity => None,
        };
        let fixed = || Tensor::from_floats([self.scale.ln() as f32], &device);
        let log_scale = match self.spread {
            Spread::Fixed => Some(fixed()),
            Spread::Global => p.shared.clone().map(|log| log.clamp(-LOG_SPREAD, LOG_SPREAD)),
            Spread::Pixel => None,
        };
        match (squash, log_scale) {
            (Some(squash), Some(log_scale)) if is_on_host(&device) => {
                let [k, batch, numbers] = p.outputs.dims();
                let outputs = p.outputs.reshape([k * batch, numbers]);
                logistic_log_prob(outputs, log_scale, x, squash).reshape([k, batch])
            }
            _ => self.log_prob(&p, x.unsqueeze()).sum_dim(2).squeeze_dim(2),
        }
    }

    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        self.at(spread::average(self.mean(p)), &self.spread.of(p, self.scale), x)
    }

    fn cdf(&self, p: &Parameters, x: Tensor<3>) -> Option<[Tensor<3>; 2]> {
        let (low, high) = self.output.range();
        let half = 0.5 * (high - low) / 255.0;
        let spread = self.spread.of(p, self.scale);
        let from = x.clone() - self.mean(p);
        let [lowest, highest] = [x.clone().lower_elem(low + half), x.greater_elem(high - half)];
        // The bins at the ends are open.
        let below = activation::sigmoid(spread.divide(from.clone().sub_scalar(half)));
        let up_to = activation::sigmoid(spread.divide(from.add_scalar(half)));
        Some([below.mask_fill(lowest, 0.0), up_to.mask_fill(highest, 1.0)])
    }

    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3> {
        let u = p.uniform_inside(noise);
        let logistic = u.clone().log() - u.neg().add_scalar(1.0).log();
        let x = self.mean(p) + self.spread.of(p, self.scale).multiply(logistic);
        let (low, high) = self.output.range();
        let level = 255.0 / (high - low);
        let steps = x.clamp(low, high).sub_scalar(low).mul_scalar(level).round();
        steps.mul_scalar(1.0 / level).add_scalar(low)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;
    use crate::likelihood::LikelihoodDistribution;

    #[test]
    fn one_pass_gives_values_and_gradients_of_the_composition() {
        let device = Device::flex().autodiff();
        let (k, batch, numbers) = (2, 3, 53);
        for (output, low) in [(Output::Sigmoid, 0.0), (Output::Tanh, -1.0)] {
            for (spread, scale) in [
                (Spread::Fixed, 0.1),
                (Spread::Global, 0.1),
                (Spread::Global, 0.004),
                (Spread::Global, 2.0),
            ] {
                let config = LogisticConfig { scale, spread, output };
                // All levels, the lowest and the highest included.
                let levels = (0..batch * numbers).map(|i| (i * 37 % 256) as f32 / 255.0);
                let x: Vec<f32> = levels.map(|x| low + x * (1.0 - low)).collect();
                let x = Tensor::<2>::from_data(TensorData::new(x, [batch, numbers]), &device);
                let wave = |i: usize| 3.0 * (i as f32 * 0.37).sin();
                let outputs: Vec<f32> = (0..k * batch * numbers).map(wave).collect();
                let outputs = TensorData::new(outputs, [k * batch, numbers]);
                let weights = Tensor::<1>::from_floats([0.3, -1.2, 0.5, 2.0, 0.0, 1.0], &device);
                let all = |sum: &dyn Fn(Parameters, Tensor<2>) -> Tensor<2>| {
                    let outputs = Tensor::<2>::from_data(outputs.clone(), &device).require_grad();
                    let log = Tensor::<1>::from_floats([scale.ln() as f32], &device).require_grad();
                    let shared = (spread == Spread::Global).then(|| log.clone());
                    let p =
                        LikelihoodDistribution::new(outputs.clone(), config.clone().into(), shared);
                    let value = sum(p.parameters(k), x.clone());
                    let total = (value.clone() * weights.clone().reshape([k, batch])).sum();
                    let grads = total.backward();
                    let of_log = log.grad(&grads).map(Tensor::into_data);
                    let of_outputs = outputs.grad(&grads).map(Tensor::into_data);
                    (value.inner().into_data(), of_outputs, of_log)
                };
                let found = all(&|p, x| config.sum_log_prob(p, x));
                let expected =
                    all(&|p, x| config.log_prob(&p, x.unsqueeze()).sum_dim(2).squeeze_dim(2));
                // x - m, of rounding 6e-8, is divided by the scale, in both.
                let close = Tolerance::<f32>::rel_abs(2e-5, 2e-6 / scale as f32);
                found.0.assert_approx_eq(&expected.0, close);
                found.1.unwrap().assert_approx_eq(&expected.1.unwrap(), close);
                assert_eq!(found.2.is_some(), spread == Spread::Global);
                if let (Some(found), Some(expected)) = (found.2, expected.2) {
                    found.assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-4, 1e-3));
                }
            }
        }
    }
}
