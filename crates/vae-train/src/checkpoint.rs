//! Checkpoints: one file that holds a whole training, and what a finished model needs to be used.

use std::path::Path;

use burn::tensor::Device;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vae_data::Transform;
use vae_model::parameters::parameters;
use vae_model::{FileError, ModelFile, Vae};

use crate::config::TrainConfig;
use crate::data::DataRecord;
use crate::error::TrainError;
use crate::optimizer::OptimizerState;

/// How far a training has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Batches done of the epoch under way.
    pub batch: u64,
    /// Sums over the images of the epoch under way: loss and terms, by name.
    pub sums: Vec<(String, f64)>,
    /// Images in those sums.
    pub images: u64,
    /// The best validation loss so far.
    pub best: Option<f64>,
    /// The epoch that it was reached in.
    pub best_epoch: u64,
}

/// What a run was made with, for the record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The backend that was last trained on.
    pub backend: String,
    /// What that ran on.
    pub device: String,
    /// How many replicas shared each batch.
    pub replicas: usize,
    /// Version of the program.
    pub version: String,
    /// What was chosen in place of something asked for or left open, and why.
    pub note: Option<String>,
}

/// A trained model with everything that belongs to it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The model.
    pub vae: Vae,
    /// The configuration that it was trained with.
    pub config: TrainConfig,
    /// How stored values become x.
    pub transform: Transform,
    /// What it was trained on.
    pub data: DataRecord,
    /// How far training had come.
    pub progress: Progress,
    /// What it was trained with.
    pub run: RunRecord,
    /// State of the optimizer.
    pub optimizer: OptimizerState,
}

impl Checkpoint {
    /// Writes the file: whole or not at all.
    ///
    /// # Errors
    /// If a parameter is no number (the file is left as it was), or the system refuses.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let model = parameters(&self.vae);
        for (name, stored) in &model {
            if let Some(value) = stored.values.iter().find(|v| !v.is_finite()) {
                return Err(TrainError::NotANumber {
                    step: self.progress.step,
                    term: format!("parameter {name}"),
                    value: f64::from(*value),
                });
            }
        }
        let mut file = ModelFile::default();
        file.add_section("model", model);
        file.add_section("optimizer", self.optimizer.tensors.clone());
        let metadata = [
            ("config", self.config.to_toml()),
            ("input", json(&self.vae.input())?),
            ("transform", json(&self.transform)?),
            ("data", json(&self.data)?),
            ("progress", json(&self.progress)?),
            ("run", json(&self.run)?),
            ("optimizer", json(&self.optimizer.counters)?),
        ];
        file.metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
        file.write(path).map_err(|error| match error {
            // Not being able to write is the machine's failure even where a folder is not there.
            FileError::Io { path, source } => TrainError::io(&path, source),
            other => other.into(),
        })
    }

    /// Reads a checkpoint onto `device`.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or is of a newer format or another architecture.
    pub fn read(path: &Path, device: &Device) -> Result<Self, TrainError> {
        let file = ModelFile::read(path)?;
        let vae = file.model(path, device)?;
        let malformed = |why: String| FileError::Malformed { path: path.to_owned(), why };
        let text = |key: &str| {
            let found = file.metadata.get(key).map(String::as_str);
            found.ok_or_else(|| malformed(format!("no `{key}` in its metadata")))
        };
        fn parse<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, String> {
            serde_json::from_str(text).map_err(|e| format!("`{key}` in its metadata: {e}"))
        }
        let config = TrainConfig::from_toml("its configuration", text("config")?, &[])
            .map_err(|e| malformed(e.to_string()))?;
        let transform: Transform = parse("transform", text("transform")?).map_err(malformed)?;
        if let Transform::Affine { offset, unit } = &transform
            && !(offset.len() == unit.len() && (offset.is_empty() || offset.len() == vae.numbers()))
        {
            return Err(malformed("`transform` does not fit the model".into()).into());
        }
        Ok(Self {
            config,
            transform,
            data: parse("data", text("data")?).map_err(malformed)?,
            progress: parse("progress", text("progress")?).map_err(malformed)?,
            run: parse("run", text("run")?).map_err(malformed)?,
            optimizer: OptimizerState {
                tensors: file.section("optimizer"),
                counters: parse("optimizer", text("optimizer")?).map_err(malformed)?,
            },
            vae,
        })
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, TrainError> {
    serde_json::to_string(value).map_err(|e| TrainError::Failed(e.to_string()))
}
