//! The `[train]` table: how learning runs.

use serde::{Deserialize, Serialize};
use vae_model::{ConfigError, check};

use crate::learn::optimizer::OptimizerConfig;
use crate::learn::schedule::ScheduleConfig;

/// The `[train]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoopConfig {
    /// Passes over the training data, in all.
    pub epochs: u64,
    /// Steps in all, if that comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Examples a step.
    pub batch_size: usize,
    /// Copies of the model that share each batch, working at the same time; 0 chooses what suits
    /// the machine, and a run then keeps that number. Results depend on it by rounding only.
    pub replicas: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Largest joint norm of the gradients; 0 for no clipping.
    pub clip_norm: f64,
    /// Epochs without a better validation loss after which training stops; 0 for never.
    pub patience: u64,
    /// Steps between two readings of the loss: it is read back, logged, and checked to be a number.
    pub log_every: u64,
    /// Epochs between two checkpoints.
    pub checkpoint_every: u64,
    /// Epochs between two sheets of samples and reconstructions; 0 for none.
    pub sheet_every: u64,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The optimizer of the objective's auxiliary networks (its critic), where it has any; left out,
    /// one like the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critic_optimizer: Option<OptimizerConfig>,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
}

impl Default for LoopConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            max_steps: None,
            batch_size: 128,
            replicas: 0,
            seed: 0,
            clip_norm: 0.0,
            patience: 0,
            log_every: 50,
            checkpoint_every: 1,
            sheet_every: 1,
            optimizer: OptimizerConfig::default(),
            critic_optimizer: None,
            schedule: ScheduleConfig::default(),
        }
    }
}

/// Largest number of replicas: more are a typing error.
const MAX_REPLICAS: usize = 256;

impl LoopConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value) in [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size as u64),
            ("log_every", self.log_every),
            ("checkpoint_every", self.checkpoint_every),
            ("max_steps", self.max_steps.unwrap_or(1)),
        ] {
            check::at_least_one("train", name, value)?;
        }
        check::at_most("train", "epochs", self.epochs, 10_000_000)?;
        check::at_most("train", "replicas", self.replicas, MAX_REPLICAS)?;
        // TOML has no unsigned numbers of 64 bits.
        if i64::try_from(self.seed).is_err() {
            let why = format!("must be below 2^63, not {}", self.seed);
            return Err(ConfigError::new("train.seed", why));
        }
        check::not_negative("train", "clip_norm", self.clip_norm)?;
        self.optimizer.validate("train.optimizer")?;
        self.schedule.validate("train.schedule", self.optimizer.learning_rate())?;
        match &self.critic_optimizer {
            Some(optimizer) => {
                optimizer.validate("train.critic_optimizer")?;
                self.schedule.validate("train.schedule", optimizer.learning_rate())
            }
            None => Ok(()),
        }
    }

    /// Returns the optimizer of the objective's auxiliary networks.
    pub fn critic_optimizer(&self) -> &OptimizerConfig {
        self.critic_optimizer.as_ref().unwrap_or(&self.optimizer)
    }
}
