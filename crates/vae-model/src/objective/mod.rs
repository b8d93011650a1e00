//! Objectives: the losses that training minimizes. Each objective has its own file with all its
//! properties, and a line in the `choice!` below.

mod adversarial;
mod elbo;
mod iwae;
mod mmd;
mod requirements;
mod tc;
mod vae_gan;

pub use adversarial::{AdversarialConfig, CriticLoss, Over};
pub use elbo::ElboConfig;
pub use iwae::{Combination, Estimator, IwaeConfig};
pub use mmd::MmdConfig;
pub use requirements::{Auxiliary, AuxiliaryInput, DensityNeed, PriorMatching, Requirements};
pub use tc::{TcConfig, TcEstimator, stratified, weighted};
pub use vae_gan::VaeGanConfig;

use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::choice;
use crate::error::ConfigError;
use crate::networks::{Networks, Role};
use crate::noise::Noise;
use crate::posterior::CodebookUpdate;

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

/// Returns the progress of a linear rise over `epochs` epochs, 0 to 1; 1 if `epochs` is 0.
fn rise(epoch: f64, epochs: f64) -> f64 {
    if epochs > 0.0 { (epoch / epochs).min(1.0) } else { 1.0 }
}
