//! Posteriors q(z|x): one axis of a model. Each posterior has its own file with all its properties,
//! a line in the `choice!` below and a variant in each of the two enums.

mod gaussian;
mod iaf;
mod point;
mod vq;

pub use gaussian::{Flow, Gaussian, GaussianConfig, GaussianHeads};
pub use iaf::IafStep;
pub use point::{Point, PointConfig, PointHeads};
pub use vq::{Codebook, CodebookUpdate, Vq, VqConfig, VqDistribution};

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;
use crate::network::Features;
use crate::noise::Noise;
use crate::ops::log_density_at_draw;

choice! {
    /// A posterior with its settings.
    pub enum PosteriorConfig: PosteriorFamily {
        /// One point per example: an autoencoder.
        "point" => Point(PointConfig),
        /// A Gaussian with diagonal covariance, optionally followed by flow steps.
        "gaussian" => Gaussian(GaussianConfig),
        /// Discrete codes from a codebook (van den Oord et al. 2017).
        "vq" => Vq(VqConfig),
    }
}

impl Default for PosteriorConfig {
    fn default() -> Self {
        GaussianConfig::default().into()
    }
}

/// A family of distributions q(z|x), with its settings.
pub trait PosteriorFamily: std::fmt::Debug {
    /// Checks the settings for `latent` dimensions. `key` is the path of their table, for errors.
    ///
    /// # Errors
    /// For the first invalid value.
    fn validate(&self, key: &str, latent: usize) -> Result<(), ConfigError>;

    /// Returns the properties of the family with `latent` dimensions that other modules use.
    fn properties(&self, latent: usize) -> Properties;

    /// Makes the heads from `features` to `latent` dimensions.
    fn init(&self, init: &Init<'_>, features: Features, latent: usize) -> Posterior;
}

/// Properties of a posterior that other modules use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Where the density is known.
    pub density: Density,
    /// The space of discrete codes, if z is made of them.
    pub codes: Option<CodeSpace>,
}

/// Where the density of q(z|x) is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Density {
    /// Nowhere: all mass is at one z, and there is no KL.
    None,
    /// At draws from q(z|x).
    AtDraws,
    /// At any z.
    Everywhere,
}

/// The space of discrete codes that z is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeSpace {
    /// Vectors in the codebook.
    pub num_embeddings: usize,
    /// Codes per example.
    pub positions: usize,
}

impl Properties {
    /// Returns whether q(z|x) has a density at its draws, and therefore a KL and importance
    /// weights.
    pub fn has_density(&self) -> bool {
        self.density != Density::None
    }

    /// Returns whether the density of q(z|x) is known at any z.
    pub fn has_density_everywhere(&self) -> bool {
        self.density == Density::Everywhere
    }
}

/// The posterior's heads.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a model has one posterior")]
pub enum Posterior {
    /// See [`PosteriorConfig::Point`].
    Point(PointHeads),
    /// See [`PosteriorConfig::Gaussian`].
    Gaussian(GaussianHeads),
    /// See [`PosteriorConfig::Vq`].
    Vq(Vq),
}

impl Posterior {
    /// Returns q(z|x) from features `[batch, features]`.
    pub fn forward(&self, features: Tensor<2>) -> PosteriorDistribution {
        match self {
            Self::Point(heads) => heads.forward(features),
            Self::Gaussian(heads) => heads.forward(features),
            Self::Vq(vq) => vq.forward(features),
        }
    }

    /// Returns the codebook, if z is made of discrete codes.
    pub fn codebook(&self) -> Option<&Vq> {
        match self {
            Self::Vq(vq) => Some(vq),
            Self::Point(_) | Self::Gaussian(_) => None,
        }
    }

    /// Returns the posterior after the codebook update of a step.
    pub(crate) fn apply_codebook_update(self, update: CodebookUpdate) -> Self {
        match self {
            Self::Vq(vq) => Self::Vq(vq.apply_update(update)),
            Self::Point(_) | Self::Gaussian(_) => {
                unreachable!("only draws of discrete codes come with a codebook update")
            }
        }
    }
}

/// q(z|x) for one batch.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a batch has one")]
pub enum PosteriorDistribution {
    /// All mass at one z per example.
    Point(Point),
    /// Independent normal dimensions.
    Gaussian(Gaussian),
    /// A Gaussian draw, then an inverse autoregressive flow.
    Flow(Flow),
    /// The nearest vector of a codebook at each position.
    Vq(VqDistribution),
}

/// Operations of q(z|x) for a batch.
pub trait Distribution {
    /// Returns one z per example, `[batch, latent]`: the mean. For a flow it is the flow of the
    /// mean of its Gaussian. For discrete codes it is their vectors.
    fn mean(&self) -> Tensor<2>;

    /// Returns log q(z|x) in nats, `[k, batch]`, of any z `[k, batch, latent]`, k per example.
    /// `None` if the density is not known everywhere.
    fn log_prob(&self, z: Tensor<3>) -> Option<Tensor<2>>;

    /// Returns q(z|x) of `n` examples, starting at `first`.
    fn rows(&self, first: usize, n: usize) -> PosteriorDistribution;

    /// Returns `k` reparameterized draws per example. Draws of a point and of discrete codes are
    /// equal.
    fn draw(&self, noise: &dyn Noise, k: usize) -> Draw;

    /// Returns the distribution if it is a Gaussian with diagonal covariance.
    fn gaussian(&self) -> Option<&Gaussian>;

    /// Returns the discrete codes, `[batch, positions]`, if z is made of them.
    fn codes(&self) -> Option<Tensor<2, Int>>;
}

impl std::ops::Deref for PosteriorDistribution {
    type Target = dyn Distribution;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Point(q) => q,
            Self::Gaussian(q) => q,
            Self::Flow(q) => q,
            Self::Vq(q) => q,
        }
    }
}

/// Draws from q(z|x).
#[derive(Clone, Debug)]
pub struct Draw {
    /// The draws, `[k, batch, latent]`.
    pub z: Tensor<3>,
    /// The terms of their density. `None` if q has no density.
    density: Option<DrawDensity>,
    /// A loss term of the posterior itself, if it has one.
    pub regularizer: Option<Regularizer>,
}

/// A loss term of a posterior, and the update of its codebook.
#[derive(Clone, Debug)]
pub struct Regularizer {
    /// Weighted sum of squared distances, averaged over the examples, `[1]`. It is added to a loss
    /// in nats.
    pub total: Tensor<1>,
    /// Values to log, `[1]` each, with their names.
    pub terms: Vec<(&'static str, Tensor<1>)>,
    /// Update of the codebook, which does not use the gradient.
    pub update: CodebookUpdate,
}

/// The terms of the density of draws.
#[derive(Clone, Debug)]
struct DrawDensity {
    /// Standard normal noise of the draws, `[k, batch, latent]`.
    eps: Tensor<3>,
    /// Logarithms of the Gaussian's variances, `[batch, latent]`.
    log_var: Tensor<2>,
    /// log |det| of the flow after the Gaussian, `[k, batch]`.
    log_det: Option<Tensor<2>>,
}

impl Draw {
    /// Returns log q(z|x) of each draw in nats, `[k, batch]`. `None` if q has no density.
    ///
    /// With z = mean + sigma eps it is -1/2 sum_d (log 2 pi + log_var_d + eps_d^2), minus log |det|
    /// of the flow.
    pub fn log_q(&self) -> Option<Tensor<2>> {
        let DrawDensity { eps, log_var, log_det } = self.density.clone()?;
        let start = log_density_at_draw(log_var, eps);
        Some(match log_det {
            Some(log_det) => start - log_det,
            None => start,
        })
    }
}
