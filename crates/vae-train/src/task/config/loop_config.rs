//! The `[train]` table: settings of the training loop.

use serde::{Deserialize, Serialize};
use vae_model::{ConfigError, check};

use crate::backend;
use crate::learn::optimizer::OptimizerConfig;
use crate::learn::schedule::ScheduleConfig;

/// The `[train]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoopConfig {
    /// Total number of passes over the training data.
    pub epochs: u64,
    /// Largest total number of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Number of examples per batch.
    pub batch_size: usize,
    /// Copies of the model that process parts of each batch in parallel. 0 chooses a number for the
    /// machine, which the run then keeps. Results depend on it only by rounding. With `devices`, each
    /// device has one copy.
    pub replicas: usize,
    /// Devices that share each batch, as `--backend` names them. The first one also evaluates. Empty for the
    /// one of `--backend`. Results depend on them only by rounding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Largest norm of the gradient over all parameters; 0 for no clipping.
    pub clip_norm: f64,
    /// Decay per step of an exponential moving average of the model's weights, below 1; 0 for none. The average
    /// is validated, evaluated, sampled from and written. The optimizer does not use it. 0.999 averages over about
    /// the last 1,000 steps; early in training, over about the last ninth of the steps. Critics are not averaged.
    pub ema_decay: f64,
    /// Number of epochs without a better validation loss after which training stops; 0 for never.
    pub patience: u64,
    /// Number of steps between two readings of the loss: it is read back, logged, and checked for
    /// NaN and infinity.
    pub log_every: u64,
    /// Number of epochs between two checkpoints.
    pub checkpoint_every: u64,
    /// Number of epochs between two sheets of samples and reconstructions; 0 for none.
    pub sheet_every: u64,
    /// Whether a run gets event files for TensorBoard.
    pub tensorboard: bool,
    /// The optimizer of the model.
    pub optimizer: OptimizerConfig,
    /// The optimizer of the auxiliary networks, such as a critic. Without this setting, it has the
    /// settings of the model's optimizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critic_optimizer: Option<OptimizerConfig>,
    /// The learning-rate schedule.
    pub schedule: ScheduleConfig,
}

impl Default for LoopConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            max_steps: None,
            batch_size: 128,
            replicas: 0,
            devices: Vec::new(),
            seed: 0,
            clip_norm: 0.0,
            ema_decay: 0.0,
            patience: 0,
            log_every: 50,
            checkpoint_every: 1,
            sheet_every: 1,
            tensorboard: false,
            optimizer: OptimizerConfig::default(),
            critic_optimizer: None,
            schedule: ScheduleConfig::default(),
        }
    }
}

/// Largest number of replicas. It protects against typing errors.
const MAX_REPLICAS: usize = 256;
/// Largest number of devices. It protects against typing errors.
const MAX_DEVICES: usize = 64;

impl LoopConfig {
    /// Returns what is wrong with the devices.
    fn check_devices(&self) -> Result<(), String> {
        let names = &self.devices;
        match names.len() {
            0 => return Ok(()),
            1 => return Err("name at least two, or none and --backend".to_owned()),
            n if n > MAX_DEVICES => return Err(format!("must be at most {MAX_DEVICES}, not {n}")),
            _ => {}
        }
        for (i, name) in names.iter().enumerate() {
            if name.is_empty() || name == backend::AUTO {
                return Err(format!("`{name}` is no device: name one as --backend does"));
            }
            if names[..i].contains(name) {
                return Err(format!("{name} is named twice"));
            }
        }
        Ok(())
    }

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
        self.check_devices().map_err(|why| ConfigError::new("train.devices", why))?;
        // TOML has no unsigned numbers of 64 bits.
        if i64::try_from(self.seed).is_err() {
            let why = format!("must be below 2^63, not {}", self.seed);
            return Err(ConfigError::new("train.seed", why));
        }
        check::not_negative("train", "clip_norm", self.clip_norm)?;
        check::fraction("train", "ema_decay", self.ema_decay)?;
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

    /// Returns the optimizer of the auxiliary networks.
    pub fn critic_optimizer(&self) -> &OptimizerConfig {
        self.critic_optimizer.as_ref().unwrap_or(&self.optimizer)
    }
}
