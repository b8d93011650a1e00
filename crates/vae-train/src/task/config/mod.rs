//! `TrainConfig`: the validated whole of what a TOML file, a preset and overrides resolve to. A
//! checkpoint carries it.

mod data_config;
mod loop_config;

use serde::Serialize;
use vae_data::Pixels;
use vae_eval::fitted::MOST_DIMENSIONS;
use vae_model::posterior::PosteriorConfig;
use vae_model::{ConfigError, ObjectiveConfig, VaeConfig};

pub use data_config::DataConfig;
pub use loop_config::LoopConfig;

pub use super::overrides::Override;

/// Everything that decides what is trained, on what, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrainConfig {
    /// The model: one choice on each axis.
    pub model: VaeConfig,
    /// What is minimized.
    pub objective: ObjectiveConfig,
    /// What is learned from.
    pub data: DataConfig,
    /// How learning runs.
    pub train: LoopConfig,
}

impl TrainConfig {
    /// Checks every value, and the axes against each other.
    ///
    /// # Errors
    /// For the first impossible value or combination.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.model.validate()?;
        self.objective.validate("objective", &self.model)?;
        self.train.validate()?;
        self.data.validate()?;
        let two_tone = matches!(self.data.pixels, Pixels::Binary | Pixels::Stochastic);
        if two_tone && self.objective.compares_images() {
            let why = "a critic on x would tell the decoder's grey means from black and white by \
                       that alone: use pixels = \"grey\"";
            return Err(ConfigError::new("data.pixels", why));
        }
        if two_tone && self.model.likelihood.needs_grey() {
            let why = "this likelihood is one of pixels of many levels, and these are black or \
                       white: use pixels = \"grey\", or a bernoulli likelihood";
            return Err(ConfigError::new("data.pixels", why));
        }
        let fitted = !self.objective.trains_prior(&self.model);
        let discrete = matches!(self.model.posterior, PosteriorConfig::Vq(_));
        if fitted && !discrete && self.model.latent > MOST_DIMENSIONS {
            let why = format!(
                "a prior is fitted on the codes of this model when training ends, in at most {} \
                 dimensions: use fewer, a gaussian posterior, or objective.kind = \"mmd\"",
                MOST_DIMENSIONS
            );
            return Err(ConfigError::new("model.latent", why));
        }
        if self.train.replicas > 1 && self.objective.couples_images(&self.model) {
            let why = "this objective looks at the images of a batch together, which needs one \
                       replica: leave replicas out or set it to 1";
            return Err(ConfigError::new("train.replicas", why));
        }
        let (low, high) = self.model.likelihood.range();
        if self.data.pixels == Pixels::Signed && low > -1.0 {
            let why = format!(
                "signed pixels lie in [-1, 1] but this likelihood's mean in [{low}, {high}]: \
                 use a gaussian likelihood with output = \"tanh\" or \"identity\", or other pixels"
            );
            return Err(ConfigError::new("data.pixels", why));
        }
        if self.train.patience > 0 && self.data.validation == 0 {
            let why = "early stopping needs a validation split: set data.validation too";
            return Err(ConfigError::new("train.patience", why));
        }
        Ok(())
    }

    /// Returns the whole configuration as TOML: every value, none left to a default.
    pub fn to_toml(&self) -> String {
        match toml::to_string(self) {
            Ok(text) => text,
            Err(why) => {
                unreachable!("plain values, then tables, always have a form in TOML: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::read::tests::{config, error};

    #[test]
    fn an_empty_text_is_the_default_and_survives_the_way_through_toml() {
        let default = config("", &[]);
        assert_eq!(default, TrainConfig::default());
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
