//! Likelihoods with a location and a spread: Gaussian, Laplace, discretized logistic.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::math::log_2_pi;

/// Settings of the Gaussian likelihood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianConfig {
    /// Standard deviation of every number, in the units that x is trained in; where it is learned
    /// (`spread`), what it starts from.
    pub sigma: f64,
    /// What sigma is: this number, or learned.
    pub spread: Spread,
    /// The convention of a summed squared error: -log p(x|z) is sum (x - mean)^2, which is sigma^2 = 1/2
    /// without its constant D/2 log pi. Then `sigma` and `spread` must be left alone.
    pub squared_error: bool,
    /// What turns the decoder's output into the mean.
    pub output: Output,
}

impl Default for GaussianConfig {
    fn default() -> Self {
        Self { sigma: 1.0, spread: Spread::Fixed, squared_error: false, output: Output::Identity }
    }
}

/// Settings of the Laplace likelihood, exp(-|x - location| / scale) / (2 scale).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaplaceConfig {
    /// Scale of every number, in the units that x is trained in; where it is learned (`spread`), what it
    /// starts from.
    pub scale: f64,
    /// What the scale is: this number, or learned.
    pub spread: Spread,
    /// What turns the decoder's output into the location.
    pub output: Output,
}

impl Default for LaplaceConfig {
    fn default() -> Self {
        Self { scale: 1.0, spread: Spread::Fixed, output: Output::Identity }
    }
}

/// Settings of the discretized logistic likelihood (Salimans et al. 2017): the mass that a logistic
/// distribution has between the middles to the next of 256 levels; the outermost levels take all beyond.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogisticConfig {
    /// Scale of every number, in the units that x is trained in; where it is learned (`spread`), what it
    /// starts from.
    pub scale: f64,
    /// What the scale is: this number, or learned.
    pub spread: Spread,
    /// What turns the decoder's output into the location, and with it the range of x: `sigmoid` for
    /// pixels in [0, 1], `tanh` for pixels in [-1, 1].
    pub output: Output,
}

impl Default for LogisticConfig {
    fn default() -> Self {
        Self { scale: 0.1, spread: Spread::Global, output: Output::Sigmoid }
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
    pub(super) fn forward<const D: usize>(self, output: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => output,
            Self::Sigmoid => activation::sigmoid(output),
            Self::Tanh => output.tanh(),
        }
    }

    /// The lowest and highest number that the mean can reach.
    pub(super) fn range(self) -> (f64, f64) {
        match self {
            Self::Identity => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Sigmoid => (0.0, 1.0),
            Self::Tanh => (-1.0, 1.0),
        }
    }
}

/// What the spread of a likelihood (sigma, scale) is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// A given number.
    #[default]
    Fixed,
    /// One learned number for all of x (Rybkin et al. 2021).
    Global,
    /// The decoder gives one for each number of x.
    Pixel,
}

/// Learned spreads stay within exp(+-7): a pixel that is always black would take all weight with a
/// density that has no bound.
pub(super) const LOG_SPREAD: f64 = 7.0;

/// Where the numbers of x lie and how far they spread: `location` in the units of x, `log_spread` of one
/// shape with it or such that it broadcasts.
pub(super) struct LocationSpread<const D: usize> {
    pub(super) location: Tensor<D>,
    pub(super) log_spread: LogSpread<D>,
}

/// A spread that is known, or a tensor.
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a loss has one spread")]
pub(super) enum LogSpread<const D: usize> {
    Fixed(f64),
    Learned(Tensor<D>),
}

impl<const D: usize> LogSpread<D> {
    /// t / spread.
    fn divide(&self, t: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Fixed(log) => t.mul_scalar((-log).exp()),
            Self::Learned(log) => t * log.clone().neg().exp(),
        }
    }

    /// t times the spread.
    pub(super) fn multiply(&self, t: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Fixed(log) => t.mul_scalar(log.exp()),
            Self::Learned(log) => t * log.clone().exp(),
        }
    }

    /// t - log spread - constant.
    fn normalize(&self, t: Tensor<D>, constant: f64) -> Tensor<D> {
        match self {
            Self::Fixed(log) => t.sub_scalar(log + constant),
            Self::Learned(log) => t.sub_scalar(constant) - log.clone(),
        }
    }
}

impl<const D: usize> LocationSpread<D> {
    /// log N(x; location, spread^2) of each number.
    pub(super) fn gaussian(self, x: Tensor<D>) -> Tensor<D> {
        let scaled = self.log_spread.divide(x - self.location);
        self.log_spread.normalize(scaled.square().mul_scalar(-0.5), 0.5 * log_2_pi())
    }

    /// log of the Laplace density of each number.
    pub(super) fn laplace(self, x: Tensor<D>) -> Tensor<D> {
        let scaled = self.log_spread.divide(x - self.location);
        self.log_spread.normalize(scaled.abs().neg(), std::f64::consts::LN_2)
    }

    /// log of the mass of each number's level, of 256 between `low` and `high`.
    ///
    /// With a = (x + h - m) / s and b = (x - h - m) / s the mass is sigmoid(a) - sigmoid(b) = sigmoid(a)
    /// sigmoid(-b) (1 - exp(b - a)), of which each factor is stable, and a - b = 2 h / s.
    pub(super) fn discretized_logistic(self, x: Tensor<D>, (low, high): (f64, f64)) -> Tensor<D> {
        let half = 0.5 * (high - low) / 255.0;
        // One draw of x meets k of the location.
        let x = x.expand(self.location.dims());
        let from = x.clone() - self.location;
        let below = activation::log_sigmoid(self.log_spread.divide(from.clone().add_scalar(half)));
        let above = activation::log_sigmoid(self.log_spread.divide(from.sub_scalar(half)).neg());
        // log(1 - exp(-w)) by t = tanh(w / 2): exact where w is small and 1 - exp(-w) would cancel.
        let t = self.log_spread.divide(x.ones_like().mul_scalar(half)).tanh();
        let between = t.clone().mul_scalar(2.0).log() - t.add_scalar(1.0).log();
        let lowest = x.clone().lower_elem(low + half);
        let highest = x.greater_elem(high - half);
        (below.clone() + above.clone() + between)
            .mask_where(lowest, below)
            .mask_where(highest, above)
    }
}

/// Checks a spread's starting value found at `key`.
pub(super) fn validate_spread(key: &str, name: &str, value: f64) -> Result<(), ConfigError> {
    let (low, high) = ((-LOG_SPREAD).exp(), LOG_SPREAD.exp());
    if !(low..=high).contains(&value) {
        let why = format!("must be {low:.4} to {high:.0}, not {value}");
        return Err(ConfigError::new(format!("{key}.{name}"), why));
    }
    Ok(())
}
