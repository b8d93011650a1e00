//! Objectives: the axis of what is minimized. A new objective is a file here and a line in each match.

mod elbo;

pub use elbo::ElboConfig;

use burn::tensor::Tensor;

use crate::choice;
use crate::error::ConfigError;
use crate::noise::Noise;
use crate::vae::{Vae, VaeConfig};

choice! {
    /// Which objective, with its settings.
    pub enum ObjectiveConfig {
        /// The evidence lower bound and its weighted relatives.
        "elbo" => Elbo(ElboConfig),
    }
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self::Elbo(ElboConfig::default())
    }
}

/// What one evaluation of an objective gives.
#[derive(Clone, Debug)]
pub struct Loss {
    /// What is minimized: nats per image, averaged over the batch, `[1]`.
    pub total: Tensor<1>,
    /// Its parts and what else is worth a log, each `[1]`, in nats per image.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

impl Loss {
    /// The names of the values that [`Loss::values`] gives.
    pub fn names(&self) -> Vec<&'static str> {
        std::iter::once("loss").chain(self.terms.iter().map(|(name, _)| *name)).collect()
    }

    /// Total and terms in one tensor without gradient, so that one read brings them all to the host.
    pub fn values(&self) -> Tensor<1> {
        let all = std::iter::once(&self.total).chain(self.terms.iter().map(|(_, value)| value));
        Tensor::cat(all.map(|value| value.clone().inner()).collect(), 0)
    }
}

impl ObjectiveConfig {
    /// Checks the settings found at `key` and whether `model` can be trained so.
    pub fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
        match self {
            Self::Elbo(c) => c.validate(key, model),
        }
    }

    /// The loss of `vae` on x `[batch, numbers]`, `epoch` passes over the data after the start.
    pub fn loss(&self, vae: &Vae, x: Tensor<2>, noise: &dyn Noise, epoch: f64) -> Loss {
        match self {
            Self::Elbo(c) => c.loss(vae, x, noise, epoch),
        }
    }

    /// Whether the loss of a batch is no average over its images alone, so that a batch cannot be split
    /// and its shares averaged.
    pub fn couples_images(&self) -> bool {
        match self {
            Self::Elbo(c) => c.couples_images(),
        }
    }
}
