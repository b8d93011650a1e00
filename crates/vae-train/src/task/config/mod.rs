//! `TrainConfig`: the configuration of model, objective, data and training. `ValidConfig` is a
//! checked one.

mod data_config;
mod loop_config;

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use vae_model::{ConfigError, ObjectiveConfig, VaeConfig, compatibility};

pub use data_config::DataConfig;
pub use loop_config::LoopConfig;

pub use super::overrides::Override;

/// The configuration of model, objective, data and training.
///
/// Its values are not checked. [`TrainConfig::validate`] returns a [`ValidConfig`], which all other
/// functions need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// The model: one choice on each axis.
    pub model: VaeConfig,
    /// The loss to minimize.
    pub objective: ObjectiveConfig,
    /// The training data.
    pub data: DataConfig,
    /// The training loop.
    pub train: LoopConfig,
}

/// A configuration whose values were checked, also against each other. Data, trainers and
/// checkpoints accept only this type. It dereferences to a [`TrainConfig`] and cannot be changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ValidConfig(TrainConfig);

impl Deref for ValidConfig {
    type Target = TrainConfig;

    fn deref(&self) -> &TrainConfig {
        &self.0
    }
}

impl ValidConfig {
    /// Returns the configuration, to change it and validate it again.
    pub fn into_inner(self) -> TrainConfig {
        self.0
    }

    /// Returns whether training matches the latents to the model's prior. If not, a prior is fitted
    /// after training.
    pub fn matches_prior(&self) -> bool {
        self.objective.requirements().matches_prior(&self.model)
    }

    /// Returns the configuration with another data source, such as the one that `auto` resolves to.
    pub fn with_source(mut self, source: &str) -> Self {
        source.clone_into(&mut self.0.data.source);
        self
    }

    /// Returns the configuration of a training on one device.
    pub fn on_one_device(self) -> Self {
        self.on_devices(Vec::new()).with_replicas(0)
    }

    /// Returns the configuration of a training on other devices.
    pub fn on_devices(mut self, devices: Vec<String>) -> Self {
        self.0.train.devices = devices;
        self
    }

    /// Returns the configuration with another number of replicas.
    pub(crate) fn with_replicas(mut self, replicas: usize) -> Self {
        self.0.train.replicas = replicas;
        self
    }
}

impl TrainConfig {
    /// Checks every value, and the choices on the axes against each other.
    ///
    /// # Errors
    /// For the first invalid value or combination.
    pub fn validate(mut self) -> Result<ValidConfig, ConfigError> {
        compatibility::check_model(&self.model)?;
        self.objective.validate("objective")?;
        let needs = self.objective.requirements();
        compatibility::check_objective(&self.model, &needs)?;
        self.train.validate()?;
        self.data.validate()?;
        if let Some(support) = vae_eval::support_of_pixels(self.data.pixels) {
            let likelihood = &self.model.likelihood;
            compatibility::check_support(likelihood, &needs, support, "data.pixels")?;
        }
        let devices = self.train.devices.len();
        let replicas = if devices == 0 { self.train.replicas } else { 1 };
        for (key, n) in [("train.replicas", replicas), ("train.devices", devices)] {
            compatibility::check_replicas(&self.model, &needs, n, key)?;
        }
        if self.train.patience > 0 && !self.data.has_validation() {
            let why = "early stopping needs a validation split: set data.validation or data.own_validation too";
            return Err(ConfigError::new("train.patience", why));
        }
        if needs.auxiliaries.is_empty() {
            // An override may have chosen another objective, so the setting is not needed.
            self.train.critic_optimizer = None;
        }
        self.data.source = self.data.source.trim().to_owned();
        Ok(ValidConfig(self))
    }

    /// Returns the complete configuration as TOML, including default values.
    pub fn to_toml(&self) -> String {
        match toml::to_string(self) {
            Ok(text) => text,
            Err(why) => {
                unreachable!("plain values and tables can always be written as TOML: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::read::tests::{config, error};

    #[test]
    fn an_empty_text_is_the_default_and_round_trips_through_toml() {
        let default = config("", &[]);
        assert_eq!(default, TrainConfig::default().validate().unwrap());
        assert_eq!(config(&default.to_toml(), &[]), default);
    }

    #[test]
    fn impossible_combinations_are_refused_with_what_would_work() {
        let message = error("", &["model.posterior.kind=point"]);
        assert!(message.contains("objective.beta = 0"), "{message}");
        let message = error("", &["data.pixels=signed"]);
        assert!(message.contains("tanh"), "{message}");
        let message = error("", &["train.patience=3"]);
        assert!(message.contains("data.validation"), "{message}");
    }
}
