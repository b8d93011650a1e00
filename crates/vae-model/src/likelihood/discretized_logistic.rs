//! The discretized logistic likelihood of pixels with 256 levels (Salimans et al. 2017).

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::spread::{self, LogSpread, Output, Spread};
use super::{LikelihoodFamily, Measure, Parameters, Properties};
use crate::check;
use crate::error::ConfigError;
use crate::noise::Noise;
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

    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3> {
        self.at(spread::average(self.mean(p)), &self.spread.of(p, self.scale), x)
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
