//! Shared by the likelihoods with a location and a spread: output activations, and spreads that are
//! fixed, learned for all numbers, or outputs of the decoder.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{Parameters, Shared};
use crate::check;
use crate::error::ConfigError;

/// The output activation, which determines the range of the mean.
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
    /// Applies the activation to every element.
    pub(super) fn forward(self, output: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Identity => output,
            Self::Sigmoid => activation::sigmoid(output),
            Self::Tanh => output.tanh(),
        }
    }

    /// Returns the lowest and highest number that the mean can reach.
    pub(super) fn range(self) -> (f64, f64) {
        match self {
            Self::Identity => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Sigmoid => (0.0, 1.0),
            Self::Tanh => (-1.0, 1.0),
        }
    }
}

/// Where the spread of a likelihood (sigma, scale) comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// A fixed number.
    #[default]
    Fixed,
    /// One learned number for all of x (Rybkin et al. 2021).
    Global,
    /// One decoder output for each number of x.
    Pixel,
}

/// Learned log-spreads are clamped to +-7. Otherwise the density of a pixel that is always black
/// would grow without bound and dominate the loss.
pub(super) const LOG_SPREAD: f64 = 7.0;

impl Spread {
    /// Returns the number of decoder outputs per number of x.
    pub(super) fn outputs(self) -> usize {
        match self {
            Self::Fixed | Self::Global => 1,
            Self::Pixel => 2,
        }
    }

    /// Returns the learned parameters that are not decoder outputs, for the initial spread `start`.
    pub(super) fn shared(self, start: f64) -> Option<Shared> {
        match self {
            Self::Fixed | Self::Pixel => None,
            Self::Global => Some(Shared { per_number: false, start: start.ln() }),
        }
    }

    /// Returns the log-spread. `fixed` is the spread in the settings.
    pub(super) fn of(self, p: &Parameters, fixed: f64) -> LogSpread {
        match p.second().or_else(|| p.shared()) {
            Some(log) => LogSpread::Learned(log.clamp(-LOG_SPREAD, LOG_SPREAD)),
            None => LogSpread::Fixed(fixed.ln()),
        }
    }
}

/// A log-spread: a fixed number, or a tensor that broadcasts to `[k, batch, numbers]`.
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a loss has one spread")]
pub(super) enum LogSpread {
    Fixed(f64),
    Learned(Tensor<3>),
}

impl LogSpread {
    /// Returns t / spread.
    pub(super) fn divide(&self, t: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Fixed(log) => t.mul_scalar((-log).exp()),
            Self::Learned(log) => t * log.clone().neg().exp(),
        }
    }

    /// Returns t times the spread.
    pub(super) fn multiply(&self, t: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Fixed(log) => t.mul_scalar(log.exp()),
            Self::Learned(log) => t * log.clone().exp(),
        }
    }

    /// Returns t - log spread - constant.
    pub(super) fn normalize(&self, t: Tensor<3>, constant: f64) -> Tensor<3> {
        match self {
            Self::Fixed(log) => t.sub_scalar(log + constant),
            Self::Learned(log) => t.sub_scalar(constant) - log.clone(),
        }
    }
}

/// Checks the fixed or initial spread `name` of the table `key`.
pub(super) fn validate(key: &str, name: &str, value: f64) -> Result<(), ConfigError> {
    let (low, high) = ((-LOG_SPREAD).exp(), LOG_SPREAD.exp());
    if (low..=high).contains(&value) {
        return Ok(());
    }
    check::refuse(key, name, format!("must be {low:.4} to {high:.0}, not {value}"))
}

/// Returns the average of t `[k, batch, numbers]` over the `k` draws, `[1, batch, numbers]`.
pub(super) fn average(t: Tensor<3>) -> Tensor<3> {
    t.mean_dim(0)
}
