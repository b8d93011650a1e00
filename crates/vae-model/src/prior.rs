//! Priors: the axis of p(z).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::choice;
use crate::noise::{Noise, normal_tensor};

choice! {
    /// Which prior, with its settings.
    pub enum PriorConfig {
        /// N(0, I).
        "standard" => Standard(StandardConfig),
    }
}

impl Default for PriorConfig {
    fn default() -> Self {
        Self::Standard(StandardConfig {})
    }
}

/// The standard normal prior has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardConfig {}

impl PriorConfig {
    /// The prior over `latent` dimensions.
    pub fn init(&self, latent: usize) -> Prior {
        match self {
            Self::Standard(_) => Prior::Standard(Standard { latent }),
        }
    }
}

/// p(z).
#[derive(Module, Debug)]
pub enum Prior {
    /// N(0, I).
    Standard(Standard),
}

/// N(0, I): nothing to learn.
#[derive(Module, Debug)]
pub struct Standard {
    #[module(skip)]
    latent: usize,
}

impl Prior {
    /// `n` draws, `[n, latent]`.
    pub fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        match self {
            Self::Standard(p) => {
                normal_tensor(noise, "prior", [1, n, p.latent], device).squeeze_dim(0)
            }
        }
    }

    /// log p(z) in nats for z `[k, batch, latent]`, as `[k, batch]`.
    pub fn log_prob(&self, z: Tensor<3>) -> Tensor<2> {
        match self {
            Self::Standard(p) => {
                let constant = p.latent as f64 * (2.0 * std::f64::consts::PI).ln();
                let sum: Tensor<2> = z.square().sum_dim(2).squeeze_dim(2);
                sum.add_scalar(constant).mul_scalar(-0.5)
            }
        }
    }
}
