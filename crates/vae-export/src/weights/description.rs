//! `Description`: what the exported numbers mean. It is the `config.json` of a hub folder and the
//! entry `description` in the metadata of a safetensors file.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vae_data::{DataRecord, Transform};
use vae_train::{Checkpoint, Progress};

/// Everything that is needed to use exported weights without this program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The program that wrote the file, and its version.
    pub program: String,
    /// The shape of one example: `[c, h, w]` or `[d]`.
    pub input: Vec<usize>,
    /// Number of label classes that the data have; 0 without labels.
    pub classes: usize,
    /// The transform from stored values to x.
    pub transform: Transform,
    /// What z is drawn from: `model` (the prior of the configuration), `fitted` (the tensors
    /// `sampler.*`), or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// The configuration of the run, with every value.
    #[serde(default)]
    pub config: Value,
    /// The training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataRecord>,
    /// The progress of training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl Description {
    /// Describes the model of a checkpoint.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let prior = match &checkpoint.fitted_prior {
            Some(_) => Some("fitted"),
            None => checkpoint.config.matches_prior().then_some("model"),
        };
        let config = match toml::from_str(&checkpoint.config.to_toml()) {
            Ok(config) => config,
            Err(why) => unreachable!("a configuration is read as it is written: {why}"),
        };
        Self {
            program: format!("vae-cli {}", env!("CARGO_PKG_VERSION")),
            input: checkpoint.vae.shape().to_vec(),
            classes: checkpoint.vae.spec().data().classes,
            transform: checkpoint.transform.clone(),
            prior: prior.map(str::to_owned),
            config,
            data: Some(checkpoint.data.clone()),
            progress: Some(checkpoint.progress.clone()),
        }
    }

    /// Returns the description as JSON.
    pub fn to_json(&self) -> String {
        match serde_json::to_string_pretty(self) {
            Ok(text) => text,
            Err(why) => unreachable!("plain values can always be written as JSON: {why}"),
        }
    }
}
