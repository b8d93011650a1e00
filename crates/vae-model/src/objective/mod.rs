//! Objectives: the axis of what is minimized. An objective is a file here, which holds all that is
//! known of it, and a line in the `choice!` below.

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
    /// Which objective, with its settings.
    pub enum ObjectiveConfig: ObjectiveFamily {
        /// The evidence lower bound and its weighted relatives.
        "elbo" => Elbo(ElboConfig),
        /// Importance-weighted bounds.
        "iwae" => Iwae(IwaeConfig),
        /// The bound with its KL decomposed: mutual information, total correlation, the rest.
        "tc" => Tc(TcConfig),
        /// The maximum mean discrepancy between q(z) and p(z), with or without the KL.
        "mmd" => Mmd(MmdConfig),
        /// A critic on z, x or both, with or without the bound's terms.
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
    /// Checks the settings found at `key`.
    ///
    /// # Errors
    /// For the first impossible value.
    fn validate(&self, key: &str) -> Result<(), ConfigError>;

    /// Returns what it requires of the model, the data and the training loop.
    fn requirements(&self) -> Requirements;

    /// Returns the loss of one network on a batch, `epoch` passes over the data after the start. Its
    /// gradient is meant for that network alone.
    fn loss(
        &self,
        role: Role,
        networks: &Networks,
        batch: &Batch,
        noise: &dyn Noise,
        epoch: f64,
    ) -> Loss;
}

/// What an objective requires of the model, the data and the training loop.
///
/// The rules that follow from it are in [`crate::compatibility`]. A field that names a setting names
/// the one that a user has to change.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements {
    /// Whether the loss is no average over the examples of a batch, so that a batch cannot be split.
    pub joint_batch: bool,
    /// Whether the encoder gets a gradient; where not, q(z|x) means nothing. (The decoder always does.)
    pub trains_encoder: bool,
    /// Whether the parameters of a learned prior get a gradient.
    pub trains_prior: bool,
    /// What makes the codes of the data match the prior.
    pub prior_matching: PriorMatching,
    /// The setting that weights the KL, if any is not 0.
    pub kl: Option<&'static str>,
    /// The setting that changes the KL of single dimensions, if it is used.
    pub kl_per_dimension: Option<&'static str>,
    /// Whether the KL is decomposed into parts that exist for independent dimensions only.
    pub decomposes_kl: bool,
    /// What it needs the density of q(z|x) for, if it does.
    pub density: Option<DensityNeed>,
    /// The setting that asks for several draws per example, if it does.
    pub several_draws: Option<&'static str>,
    /// The setting that averages decoded means over draws, if it is used.
    pub averages_decodings: Option<&'static str>,
    /// The setting that penalizes codes in place of a KL, if it is used.
    pub penalizes_codes: Option<&'static str>,
    /// The setting that weights the gradients of encoder and decoder differently, if it is used.
    pub splits_gradients: Option<&'static str>,
    /// The setting that lets a network compare x of the data with decoded means, if it is used.
    pub compares_x: Option<&'static str>,
    /// The networks that it trains beside the model, in the order of their steps.
    pub auxiliaries: Vec<Auxiliary>,
}

/// What makes the codes of the data match the prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorMatching {
    /// The KL, where q(z|x) has a density; otherwise nothing.
    Kl,
    /// A comparison of draws from q(z) and p(z).
    Draws,
}

/// What an objective needs the density of q(z|x) for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DensityNeed {
    /// The setting that asks for it.
    pub setting: &'static str,
    /// What is computed from it.
    pub purpose: &'static str,
    /// Where it must be known.
    pub at: Density,
    /// What would work with another posterior.
    pub instead: &'static str,
}

/// A network that an objective trains beside the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Auxiliary {
    /// Its name in files and logs.
    pub name: &'static str,
    /// Its architecture.
    pub network: CriticConfig,
    /// What it reads.
    pub input: AuxiliaryInput,
    /// Its steps before each step of the model.
    pub steps: usize,
    /// The bound that its weights are clipped to after each of its steps, if any.
    pub clip: Option<f64>,
}

impl Auxiliary {
    /// Returns the network after one of its steps, held to its constraint.
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
    /// The label, where the model is conditional.
    pub label: bool,
}

impl AuxiliaryInput {
    /// Returns the numbers in a row of it, for a model.
    pub fn width(self, model: &VaeSpec) -> usize {
        let (config, data) = (model.config(), model.data());
        let of = |read: bool, width: usize| if read { width } else { 0 };
        of(self.x, data.numbers())
            + of(self.z, config.latent)
            + of(self.label && config.condition == Condition::Label, data.classes)
    }
}

impl Requirements {
    /// Returns whether training makes codes of `model` match its prior; where not, a prior is fitted
    /// when training ends.
    pub fn matches_prior(&self, model: &VaeConfig) -> bool {
        match self.prior_matching {
            PriorMatching::Kl => model.posterior_properties().has_density(),
            PriorMatching::Draws => true,
        }
    }

    /// Returns whether a batch cannot be split into shares whose losses are averaged. (A codebook
    /// learns from the whole batch.)
    pub fn needs_whole_batch(&self, model: &VaeConfig) -> bool {
        self.joint_batch || model.posterior_properties().codes.is_some()
    }
}

/// What one evaluation of an objective gives.
#[derive(Clone, Debug)]
pub struct Loss {
    /// What is minimized: nats per example, averaged over the batch, `[1]`. (A Wasserstein critic's has
    /// the unit of its score.)
    pub total: Tensor<1>,
    /// Its parts and what else is worth a log, each `[1]`, in nats per example where they have a unit.
    pub terms: Vec<(&'static str, Tensor<1>)>,
    /// What the step changes beside what the gradient changes, in the model.
    pub update: Option<CodebookUpdate>,
}

impl Loss {
    /// Makes a loss that changes nothing but by its gradient.
    fn new(total: Tensor<1>, terms: Vec<(&'static str, Tensor<1>)>) -> Self {
        Self { total, terms, update: None }
    }

    /// Returns the names of the values that [`Loss::values`] gives.
    pub fn names(&self) -> Vec<&'static str> {
        std::iter::once("loss").chain(self.terms.iter().map(|(name, _)| *name)).collect()
    }

    /// Returns total and terms in one tensor without gradient, so that one read brings them all to the
    /// host.
    pub fn values(&self) -> Tensor<1> {
        let all = std::iter::once(&self.total).chain(self.terms.iter().map(|(_, value)| value));
        Tensor::cat(all.map(|value| value.clone().inner()).collect(), 0)
    }
}
