//! Objectives: the losses that training minimizes. Each objective has its own file with all its
//! properties, and a line in the `choice!` below.

mod adversarial;
mod elbo;
mod iwae;
mod mmd;
mod tc;
mod vae_gan;

pub use adversarial::{AdversarialConfig, CriticLoss, Over};
pub use elbo::ElboConfig;
pub use iwae::{Combination, Estimator, IwaeConfig};
pub use mmd::MmdConfig;
pub use tc::{TcConfig, TcEstimator, stratified};
pub use vae_gan::VaeGanConfig;

use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::choice;
use crate::critic::{Critic, CriticConfig};
use crate::error::ConfigError;
use crate::networks::{Networks, Role};
use crate::noise::Noise;
use crate::posterior::{CodebookUpdate, Density};
use crate::vae::{Condition, VaeConfig, VaeSpec};

choice! {
    /// An objective with its settings.
    pub enum ObjectiveConfig: ObjectiveFamily {
        /// The evidence lower bound and its weighted variants.
        "elbo" => Elbo(ElboConfig),
        /// Importance-weighted bounds.
        "iwae" => Iwae(IwaeConfig),
        /// The evidence lower bound with its KL decomposed into mutual information, total
        /// correlation and dimension-wise KL.
        "tc" => Tc(TcConfig),
        /// The maximum mean discrepancy between q(z) and p(z), with or without the KL.
        "mmd" => Mmd(MmdConfig),
        /// A critic on z, x or both, with or without the terms of the evidence lower bound.
        "adversarial" => Adversarial(AdversarialConfig),
        /// Reconstruction in the features of a discriminator on x (Larsen et al. 2016).
        "vae-gan" => VaeGan(VaeGanConfig),
    }
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        ElboConfig::default().into()
    }
}

/// A family of losses, with its settings.
pub trait ObjectiveFamily: std::fmt::Debug {
    /// Checks the settings. `key` is the path of their table, for errors.
    ///
    /// # Errors
    /// For the first invalid value.
    fn validate(&self, key: &str) -> Result<(), ConfigError>;

    /// Returns the requirements on the model, the data and the training loop.
    fn requirements(&self) -> Requirements;

    /// Returns the loss of the network `role` on a batch. Its gradient must update only that
    /// network. `epoch` is the number of passes over the data since the start.
    fn loss(
        &self,
        role: Role,
        networks: &Networks,
        batch: &Batch,
        noise: &dyn Noise,
        epoch: f64,
    ) -> Loss;
}

/// Requirements of an objective on the model, the data and the training loop.
///
/// The rules that use them are in [`crate::compatibility`]. A field that holds a name holds the
/// name of the setting to change, for errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements {
    /// Whether the loss is not an average over the examples of a batch, so that a batch cannot be
    /// split.
    pub joint_batch: bool,
    /// Whether the encoder gets a gradient. If not, q(z|x) is meaningless. The decoder always gets
    /// one.
    pub trains_encoder: bool,
    /// The setting by which a learned prior is left without a gradient, if it is.
    pub leaves_prior: Option<&'static str>,
    /// How training matches the latents of the data to the prior.
    pub prior_matching: PriorMatching,
    /// The setting that gives the KL a weight above 0, if there is one.
    pub kl: Option<&'static str>,
    /// The setting that changes the KL of single dimensions, if it is used.
    pub kl_per_dimension: Option<&'static str>,
    /// Whether the KL is decomposed into parts that exist for independent dimensions only.
    pub decomposes_kl: bool,
    /// Why the density of q(z|x) is needed, if it is.
    pub density: Option<DensityNeed>,
    /// The setting that asks for several draws per example, if it is used.
    pub several_draws: Option<&'static str>,
    /// The setting that averages decoded means over draws, if it is used.
    pub averages_decodings: Option<&'static str>,
    /// The setting that penalizes codes in place of a KL, if it is used.
    pub penalizes_codes: Option<&'static str>,
    /// The setting that weights the gradients of encoder and decoder differently, if it is used.
    pub splits_gradients: Option<&'static str>,
    /// The setting that lets a network compare x of the data with decoded means, if it is used.
    pub compares_x: Option<&'static str>,
    /// The auxiliary networks, in the order of their steps.
    pub auxiliaries: Vec<Auxiliary>,
}

/// How training matches the latents of the data to the prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorMatching {
    /// By the KL if q(z|x) has a density, otherwise not at all.
    Kl,
    /// By a comparison of draws from q(z) and p(z).
    Draws,
}

/// Why an objective needs the density of q(z|x).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DensityNeed {
    /// The setting that needs the density.
    pub setting: &'static str,
    /// What is computed from the density.
    pub purpose: &'static str,
    /// Where the density must be known.
    pub at: Density,
    /// The setting that works without the density.
    pub instead: &'static str,
}

/// An auxiliary network that an objective trains together with the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Auxiliary {
    /// The network's name in files and logs.
    pub name: &'static str,
    /// The network's architecture.
    pub network: CriticConfig,
    /// What the network reads.
    pub input: AuxiliaryInput,
    /// Number of steps of the network before each step of the model.
    pub steps: usize,
    /// The bound that the weights are clipped to after each step of the network, if any.
    pub clip: Option<f64>,
}

impl Auxiliary {
    /// Returns the network with its weights clipped, if they have a bound. Called after each of its
    /// steps.
    pub fn constrain(&self, network: Critic) -> Critic {
        match self.clip {
            Some(bound) => network.clipped(bound),
            None => network,
        }
    }
}

/// What an auxiliary network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuxiliaryInput {
    /// x.
    pub x: bool,
    /// z.
    pub z: bool,
    /// The label, if encoder and decoder are conditional on it.
    pub label: bool,
}

impl AuxiliaryInput {
    /// Returns the number of inputs per row, for a model.
    pub fn width(self, model: &VaeSpec) -> usize {
        let (config, data) = (model.config(), model.data());
        let of = |read: bool, width: usize| if read { width } else { 0 };
        of(self.x, data.numbers())
            + of(self.z, config.latent)
            + of(self.label && config.condition == Condition::Label, data.classes)
    }
}

impl Requirements {
    /// Returns whether training matches the latents of `model` to its prior. If not, a prior is
    /// fitted after training.
    pub fn matches_prior(&self, model: &VaeConfig) -> bool {
        match self.prior_matching {
            PriorMatching::Kl => model.posterior_properties().has_density(),
            PriorMatching::Draws => true,
        }
    }

    /// Returns whether a batch cannot be split into parts whose losses are averaged. A codebook
    /// also needs the whole batch.
    pub fn needs_whole_batch(&self, model: &VaeConfig) -> bool {
        self.joint_batch || model.posterior_properties().codes.is_some()
    }
}

/// The result of one evaluation of an objective.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The loss to minimize in nats per example, averaged over the batch, `[1]`. The loss of a
    /// Wasserstein critic has the unit of its score.
    pub total: Tensor<1>,
    /// Values to log, `[1]` each, with their names: parts of the loss in nats per example, and
    /// other statistics.
    pub terms: Vec<(&'static str, Tensor<1>)>,
    /// An update of the codebook that does not use the gradient, if the model has one.
    pub update: Option<CodebookUpdate>,
}

impl Loss {
    /// Makes a loss without an update of a codebook.
    fn new(total: Tensor<1>, terms: Vec<(&'static str, Tensor<1>)>) -> Self {
        Self { total, terms, update: None }
    }

    /// Returns the names of the values that [`Loss::values`] returns.
    pub fn names(&self) -> Vec<&'static str> {
        std::iter::once("loss").chain(self.terms.iter().map(|(name, _)| *name)).collect()
    }

    /// Returns total and terms in one tensor, `[1 + terms]`, without gradient. A single read then
    /// copies them to the host.
    pub fn values(&self) -> Tensor<1> {
        let all = std::iter::once(&self.total).chain(self.terms.iter().map(|(_, value)| value));
        Tensor::cat(all.map(|value| value.clone().inner()).collect(), 0)
    }
}
