//! Objectives: the axis of what is minimized. A new objective is a file here and a line in each match.

mod adversarial;
mod elbo;
mod iwae;
mod mmd;
mod tc;

pub use adversarial::{AdversarialConfig, CriticLoss, Over};
pub use elbo::ElboConfig;
pub use iwae::{Combination, Estimator, IwaeConfig};
pub use mmd::MmdConfig;
pub use tc::{TcConfig, TcEstimator, stratified};

use burn::tensor::Tensor;

use crate::batch::Batch;
use crate::choice;
use crate::critic::{Critic, CriticConfig};
use crate::error::ConfigError;
use crate::learnable::{Learnable, Player};
use crate::noise::Noise;
use crate::posterior::{CodebookUpdate, PosteriorConfig};
use crate::prior::PriorConfig;
use crate::vae::{Domain, VaeConfig};

choice! {
    /// Which objective, with its settings.
    pub enum ObjectiveConfig {
        /// The evidence lower bound and its weighted relatives.
        "elbo" => Elbo(ElboConfig),
        /// Importance-weighted bounds.
        "iwae" => Iwae(IwaeConfig),
        /// The bound with its KL taken apart: mutual information, total correlation, the rest.
        "tc" => Tc(TcConfig),
        /// The maximum mean discrepancy between q(z) and p(z) beside or in place of the KL.
        "mmd" => Mmd(MmdConfig),
        /// A critic on z, x or both beside or in place of the bound's terms.
        "adversarial" => Adversarial(AdversarialConfig),
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
    /// What is minimized: nats per image, averaged over the batch, `[1]`. (A Wasserstein critic's has the
    /// unit of its score.)
    pub total: Tensor<1>,
    /// Its parts and what else is worth a log, each `[1]`, in nats per image where they have a unit.
    pub terms: Vec<(&'static str, Tensor<1>)>,
    /// What the step is to change beside what the gradient changes, in the model.
    pub update: Option<CodebookUpdate>,
}

impl Loss {
    /// A loss that changes nothing but by its gradient.
    fn new(total: Tensor<1>, terms: Vec<(&'static str, Tensor<1>)>) -> Self {
        Self { total, terms, update: None }
    }

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
            Self::Iwae(c) => c.validate(key, model),
            Self::Tc(c) => c.validate(key, model),
            Self::Mmd(c) => c.validate(key, model),
            Self::Adversarial(c) => c.validate(key, model),
        }?;
        if !self.trains_prior(model) && model.prior != PriorConfig::default() {
            let why = "this training has no use for a prior, one is fitted when it ends: leave \
                       [model.prior] out, or take a gaussian posterior";
            return Err(ConfigError::new("model.prior.kind", why));
        }
        Ok(())
    }

    /// The loss of one player on a batch, `epoch` passes over the data after the start. Its gradient is
    /// meant for that player's part alone.
    pub fn loss(
        &self,
        player: Player,
        learnable: &Learnable,
        batch: &Batch,
        noise: &dyn Noise,
        epoch: f64,
    ) -> Loss {
        match self {
            Self::Elbo(c) => c.loss(&learnable.vae, batch, noise, epoch),
            Self::Iwae(c) => c.loss(&learnable.vae, batch, noise),
            Self::Tc(c) => c.loss(player, learnable, batch, noise),
            Self::Mmd(c) => c.loss(&learnable.vae, batch, noise),
            Self::Adversarial(c) => c.loss(player, learnable, batch, noise),
        }
    }

    /// The critic that it needs beside `model` on examples like `domain`, and the width of what that
    /// critic scores.
    pub fn critic(&self, model: &VaeConfig, domain: &Domain) -> Option<(&CriticConfig, usize)> {
        match self {
            Self::Elbo(_) | Self::Iwae(_) | Self::Mmd(_) => None,
            Self::Tc(c) => c.critic().map(|critic| (critic, model.latent)),
            Self::Adversarial(c) => Some((&c.critic, c.scored(model, domain))),
        }
    }

    /// Critic steps before each step of the model; 0 without a critic.
    pub fn critic_steps(&self) -> usize {
        match self {
            Self::Elbo(_) | Self::Iwae(_) | Self::Mmd(_) => 0,
            Self::Tc(c) => usize::from(c.critic().is_some()),
            Self::Adversarial(c) => c.critic_steps,
        }
    }

    /// What a critic must be held to after each of its steps.
    pub fn constrain(&self, critic: Critic) -> Critic {
        match self {
            Self::Adversarial(c) if c.loss == CriticLoss::WassersteinClip => critic.clipped(c.clip),
            _ => critic,
        }
    }

    /// Whether it trains the encoder; where not, q(z|x) means nothing.
    pub fn trains_encoder(&self) -> bool {
        match self {
            Self::Adversarial(c) => c.needs_encoder(),
            _ => true,
        }
    }

    /// Whether its critic sees x, next to what the decoder makes.
    pub fn compares_images(&self) -> bool {
        matches!(self, Self::Adversarial(c) if c.over != Over::Z)
    }

    /// Whether it trains z to be drawn from the prior. Where not, a prior is fitted when training ends.
    pub fn trains_prior(&self, model: &VaeConfig) -> bool {
        match self {
            Self::Elbo(_) | Self::Iwae(_) | Self::Tc(_) => model.posterior.has_density(),
            Self::Mmd(_) | Self::Adversarial(_) => true,
        }
    }

    /// Whether the loss of a batch is no average over its images alone, so that a batch cannot be split
    /// and its shares averaged.
    pub fn couples_images(&self, model: &VaeConfig) -> bool {
        match self {
            // A codebook learns from the whole batch.
            _ if matches!(model.posterior, PosteriorConfig::Vq(_)) => true,
            Self::Elbo(c) => c.couples_images(),
            Self::Iwae(_) | Self::Adversarial(_) => false,
            Self::Tc(_) | Self::Mmd(_) => true,
        }
    }
}

/// Refuses settings of the KL where there is none.
fn kl_exists(key: &str, of_kl: &[(&str, f64)], model: &VaeConfig) -> Result<(), ConfigError> {
    match of_kl.iter().find(|(_, value)| *value != 0.0) {
        Some((name, _)) if !model.posterior.has_density() => {
            let why = format!("a posterior without a density has no KL: set objective.{name} = 0");
            Err(ConfigError::new(format!("{key}.{name}"), why))
        }
        _ => Ok(()),
    }
}

/// Refuses codes that cannot be moved towards a prior by a gradient.
fn codes_can_match_a_prior(key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
    if !matches!(model.posterior, PosteriorConfig::Vq(_)) {
        return Ok(());
    }
    let why = "discrete codes get their prior when training ends, there is none to match while it goes \
               on: set objective.kind = \"elbo\" with beta = 0, or another posterior";
    Err(ConfigError::new(format!("{key}.kind"), why))
}

/// Refuses a prior that draws alone do not train, where nothing but draws does.
fn draws_train_the_prior(key: &str, beta: f64, model: &VaeConfig) -> Result<(), ConfigError> {
    if beta > 0.0 || !matches!(model.prior, PriorConfig::Hierarchical(_)) {
        return Ok(());
    }
    let why = "the inference network of a hierarchical prior learns from the KL alone: set beta above 0 \
               with a gaussian posterior, or use another prior";
    Err(ConfigError::new(format!("{key}.beta"), why))
}

/// Refuses a number that is below 0, or none.
fn not_negative(key: &str, values: &[(&str, f64)]) -> Result<(), ConfigError> {
    match values.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
        None => Ok(()),
        Some((name, value)) => {
            let why = format!("must be 0 or a positive number, not {value}");
            Err(ConfigError::new(format!("{key}.{name}"), why))
        }
    }
}

/// Refuses a count outside 1 to `most`.
fn counts(key: &str, most: usize, values: &[(&str, usize)]) -> Result<(), ConfigError> {
    match values.iter().find(|(_, v)| !(1..=most).contains(v)) {
        None => Ok(()),
        Some((name, value)) => {
            let why = format!("must be 1 to {most}, not {value}");
            Err(ConfigError::new(format!("{key}.{name}"), why))
        }
    }
}
