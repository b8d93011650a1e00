//! Priors p(z): one axis of a model. Each prior has its own file with all its properties, a line in
//! the `choice!` below and a variant in `Prior`. `Prior` holds the learned parameters. In each step
//! it makes a `PriorDistribution`, which samples z and computes log p(z).

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
use crate::description::{DataSpec, VaeConfig};
use crate::error::ConfigError;
use crate::init::Init;
use crate::noise::Noise;
use crate::posterior::{Gaussian, PosteriorDistribution};

choice! {
    /// A prior with its settings.
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
    /// Checks the settings. `key` is the path of their table, for errors.
    ///
    /// # Errors
    /// For the first invalid value.
    fn validate(&self, key: &str) -> Result<(), ConfigError>;

    /// Returns the properties of the family that other modules use.
    fn properties(&self) -> Properties;

    /// Makes the prior of the model `model` for data with the shape and classes of `data`.
    fn init(&self, init: &Init<'_>, model: &VaeConfig, data: &DataSpec) -> Prior;
}

/// Properties of a prior that other modules use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Whether it has parameters that the objective must train.
    pub learned: bool,
    /// Whether KL(q || p) has a closed form per dimension for a Gaussian q with diagonal
    /// covariance.
    pub closed_form_kl: bool,
    /// Whether its dimensions are independent.
    pub independent_dimensions: bool,
    /// Whether it has its own inference network, which only the KL trains.
    pub inference_network: bool,
    /// Whether it depends on the label of the example.
    pub uses_labels: bool,
    /// Whether it is made of posteriors, whose density must then be known at any z.
    pub mixes_posteriors: bool,
    /// Why it needs two latent dimensions or more, if it does.
    pub needs_plane: Option<PlaneNeed>,
}

/// Why a prior needs two latent dimensions or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneNeed {
    /// The setting that needs them.
    pub setting: &'static str,
    /// The reason, and what to set.
    pub why: &'static str,
}

/// The learned parameters of a prior.
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

/// The inputs from which a prior makes its distribution.
pub struct Context<'a> {
    /// Returns q(z|x) of x `[rows, numbers]` under a condition `[rows, classes]`.
    pub encode: &'a dyn Fn(Tensor<2>, Option<&Tensor<2>>) -> PosteriorDistribution,
    /// The labels of the examples as one-hot rows, `[batch, classes]`, where they are known.
    pub labels: Option<&'a Tensor<2>>,
    /// The device of the distribution.
    pub device: &'a Device,
}

impl Prior {
    /// Returns p(z) with the current parameters.
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

/// p(z) with the current parameters.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a step has one")]
pub enum PriorDistribution {
    /// N(0, I).
    Standard(StandardNormal),
    /// A Gaussian for each example, given its label.
    Label(LabelGaussian),
    /// A mixture of diagonal Gaussians.
    Mixture(Mixture),
    /// A flow.
    RealNvp(RealNvp),
    /// A two-level prior, whose log p(z) is only bounded from below.
    Hierarchical(Hierarchical),
}

/// Operations of p(z).
pub trait Distribution {
    /// Returns `n` draws, `[n, latent]`. A label-conditional prior returns one draw per label, and
    /// `n` must be the number of labels.
    fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2>;

    /// Returns log p(z) in nats, `[k, batch]`, for z `[k, batch, latent]`. A two-level prior draws
    /// u from `noise` and returns a random lower bound; the expectation of its exponential is p(z).
    fn log_prob(&self, z: Tensor<3>, noise: &dyn Noise) -> Tensor<2>;

    /// Returns KL(q || p) in nats per example and dimension, `[batch, latent]`. `None` without a
    /// closed form.
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
