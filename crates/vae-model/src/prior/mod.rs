//! Priors: the axis of p(z). A prior is a file here, which holds all that is known of it, a line in
//! the `choice!` below and a variant in `Prior`. `Prior` holds what is learned; with the rest of the
//! model it gives, for one step, a `PriorDistribution`, which samples and has log p(z).

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
pub use standard::{LabelGaussian, Standard, StandardConfig, StandardNormal};
pub use vamp::{Vamp, VampConfig};

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;
use crate::noise::Noise;
use crate::posterior::{Gaussian, PosteriorDistribution};
use crate::vae::{DataSpec, VaeConfig};

choice! {
    /// Which prior, with its settings.
    pub enum PriorConfig: PriorFamily {
        /// N(0, I), or a learned Gaussian per class.
        "standard" => Standard(StandardConfig),
        /// A mixture of Gaussians with diagonal covariances: a fixed ring, or learned.
        "mixture" => Mixture(MixtureConfig),
        /// The mixture of the posteriors of learned pseudo-inputs (Tomczak and Welling 2018).
        "vamp" => Vamp(VampConfig),
        /// N(0, I) transformed by affine coupling layers (Dinh et al. 2017).
        "realnvp" => RealNvp(RealNvpConfig),
        /// A second stochastic level over z (Burda et al. 2016).
        "hierarchical" => Hierarchical(HierarchicalConfig),
    }
}

impl Default for PriorConfig {
    fn default() -> Self {
        StandardConfig::default().into()
    }
}

/// A family of distributions p(z), with its settings.
pub trait PriorFamily: std::fmt::Debug {
    /// Checks the settings found at `key` for a model of these choices.
    ///
    /// # Errors
    /// For the first impossible value.
    fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError>;

    /// Returns what the rest of the program has to know of the family.
    fn properties(&self) -> Properties;

    /// Makes the prior of a model of these choices for data like `data`.
    fn init(&self, init: &Init<'_>, model: &VaeConfig, data: &DataSpec) -> Prior;
}

/// What the rest of the program has to know of a prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Whether it has parameters that the objective has to train.
    pub learned: bool,
    /// Whether the KL of a Gaussian with diagonal covariance from it has a closed form, one number
    /// per dimension.
    pub closed_form_kl: bool,
    /// Whether its dimensions are independent of each other.
    pub independent_dimensions: bool,
    /// Whether it has an inference network of its own, which learns from the KL alone.
    pub inference_network: bool,
    /// Whether it depends on the label of the example.
    pub uses_labels: bool,
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

/// What a prior may use to become a distribution.
pub struct Context<'a> {
    /// Returns q(z|x) of x `[rows, numbers]` under a condition `[rows, classes]`.
    pub encode: &'a dyn Fn(Tensor<2>, Option<&Tensor<2>>) -> PosteriorDistribution,
    /// The labels of the examples as one-hot rows, `[batch, classes]`, where they are known.
    pub labels: Option<&'a Tensor<2>>,
    /// Where to compute.
    pub device: &'a Device,
}

impl Prior {
    /// Returns p(z), ready for one step.
    pub fn distribution(&self, context: &Context<'_>) -> PriorDistribution {
        match self {
            Self::Standard(p) => p.distribution(context),
            Self::Mixture(p) => PriorDistribution::Mixture(p.mixture(context.device)),
            Self::Vamp(p) => PriorDistribution::Mixture(p.mixture(context)),
            Self::RealNvp(p) => PriorDistribution::RealNvp(p.clone()),
            Self::Hierarchical(p) => PriorDistribution::Hierarchical(p.clone()),
        }
    }
}

/// p(z), ready for one step.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a step has one")]
pub enum PriorDistribution {
    /// N(0, I).
    Standard(StandardNormal),
    /// A Gaussian for each example, by its label.
    Label(LabelGaussian),
    /// A mixture of diagonal Gaussians.
    Mixture(Mixture),
    /// A flow.
    RealNvp(RealNvp),
    /// A second level, which bounds its density from below.
    Hierarchical(Hierarchical),
}

/// What every p(z) can do.
pub trait Distribution {
    /// Returns `n` draws, `[n, latent]`. A distribution by labels has as many rows as there were
    /// labels, and gives one draw for each.
    fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2>;

    /// Returns log p(z) in nats for z `[k, batch, latent]`, as `[k, batch]`. For a second level, which
    /// takes draws of its own from `noise`, a random lower bound whose exponential is p(z) in
    /// expectation.
    fn log_prob(&self, z: Tensor<3>, noise: &dyn Noise) -> Tensor<2>;

    /// Returns KL(q || p) in nats of each example and dimension, `[batch, latent]`; `None` where it has
    /// no closed form.
    fn kl_from(&self, q: &Gaussian) -> Option<Tensor<2>>;
}

impl std::ops::Deref for PriorDistribution {
    type Target = dyn Distribution;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Standard(p) => p,
            Self::Label(p) => p,
            Self::Mixture(p) => p,
            Self::RealNvp(p) => p,
            Self::Hierarchical(p) => p,
        }
    }
}
