//! Priors: the axis of p(z). A `Prior` holds what is learned; with the rest of the model it gives, for one
//! step, a `Density`, which samples and has log p(z). A new prior is a file here and a line in each of the
//! enums below.

mod codes;
mod hierarchical;
mod mixture;
mod realnvp;
mod standard;
mod vamp;

pub use codes::CodePrior;
pub use hierarchical::{ConditionalGaussian, Hierarchical, HierarchicalConfig};
pub use mixture::{Components, Mixture, MixtureConfig, MixturePrior};
pub use realnvp::{RealNvp, RealNvpConfig};
pub use standard::{Standard, StandardConfig};
pub use vamp::{Vamp, VampConfig};

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;
use crate::noise::Noise;
use crate::vae::{Domain, VaeConfig};

choice! {
    /// Which prior, with its settings.
    pub enum PriorConfig {
        /// N(0, I).
        "standard" => Standard(StandardConfig),
        /// A mixture of Gaussians with diagonal covariances: a fixed ring, or learned.
        "mixture" => Mixture(MixtureConfig),
        /// The mixture of the posteriors of learned pseudo-inputs (Tomczak and Welling 2018).
        "vamp" => Vamp(VampConfig),
        /// N(0, I) seen through affine coupling layers (Dinh et al. 2017).
        "realnvp" => RealNvp(RealNvpConfig),
        /// A second stochastic level over z (Burda et al. 2016).
        "hierarchical" => Hierarchical(HierarchicalConfig),
    }
}

impl Default for PriorConfig {
    fn default() -> Self {
        Self::Standard(StandardConfig {})
    }
}

impl PriorConfig {
    /// Checks the settings found at `key` for a model of these choices.
    pub(crate) fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
        match self {
            Self::Standard(_) => Ok(()),
            Self::Mixture(c) => c.validate(key, model.latent),
            Self::Vamp(c) => c.validate(key, &model.posterior),
            Self::RealNvp(c) => c.validate(key, model.latent),
            Self::Hierarchical(c) => c.validate(key),
        }
    }

    /// Whether it has parameters that the objective has to train.
    pub fn is_learned(&self) -> bool {
        match self {
            Self::Standard(_) => false,
            Self::Mixture(c) => c.components == Components::Learned,
            Self::Vamp(_) | Self::RealNvp(_) | Self::Hierarchical(_) => true,
        }
    }

    /// The prior of a model of these choices.
    pub(crate) fn init(&self, init: &Init<'_>, model: &VaeConfig, domain: &Domain) -> Prior {
        let latent = model.latent;
        match self {
            Self::Standard(_) => Prior::Standard(Standard::new(latent)),
            Self::Mixture(c) => Prior::Mixture(c.init(init, latent)),
            Self::Vamp(c) => Prior::Vamp(c.init(init, model, domain)),
            Self::RealNvp(c) => Prior::RealNvp(c.init(init, latent)),
            Self::Hierarchical(c) => Prior::Hierarchical(c.init(init, latent)),
        }
    }
}

/// What is learned of a prior.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a model has one prior")]
pub enum Prior {
    /// See [`PriorConfig::Standard`].
    Standard(Standard),
    /// See [`PriorConfig::Mixture`].
    Mixture(MixturePrior),
    /// See [`PriorConfig::Vamp`].
    Vamp(Vamp),
    /// See [`PriorConfig::RealNvp`].
    RealNvp(RealNvp),
    /// See [`PriorConfig::Hierarchical`].
    Hierarchical(Hierarchical),
}

/// p(z), ready for one step.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a step has one density")]
pub enum Density {
    /// N(0, I).
    Standard(Standard),
    /// A mixture of diagonal Gaussians.
    Mixture(Mixture),
    /// A flow.
    RealNvp(RealNvp),
    /// A second level, which bounds its density from below.
    Hierarchical(Hierarchical),
}

impl Density {
    /// `n` draws, `[n, latent]`.
    pub fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        match self {
            Self::Standard(p) => p.sample(noise, n, device),
            Self::Mixture(p) => p.sample(noise, n),
            Self::RealNvp(p) => p.sample(noise, n, device),
            Self::Hierarchical(p) => p.sample(noise, n, device),
        }
    }

    /// log p(z) in nats for z `[k, batch, latent]`, as `[k, batch]`. Of a second level, which has draws of
    /// its own from `noise`, a random lower bound whose exponential is p(z) in expectation.
    pub fn log_prob(&self, z: Tensor<3>, noise: &dyn Noise) -> Tensor<2> {
        match self {
            Self::Standard(_) => Standard::log_prob(z),
            Self::Mixture(p) => p.log_prob(z),
            Self::RealNvp(p) => p.log_prob(z),
            Self::Hierarchical(p) => p.log_weight(z, noise),
        }
    }
}
