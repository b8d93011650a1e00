//! Checkpoints: one file that holds a whole training, and what a finished model needs to be used.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vae_data::{DataRecord, Transform};
use vae_eval::record::{fits, json, parsed};
use vae_eval::{FittedPrior, Metrics, PriorSource};
use vae_model::critic::Critic;
use vae_model::init::build_stored;
use vae_model::objective::Auxiliary;
use vae_model::parameters::parameters;
use vae_model::{FileError, ModelFile, Vae};

use super::optimizer::OptimizerState;
use crate::error::TrainError;
use crate::task::config::{TrainConfig, ValidConfig};

/// How far a training has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Batches done of the epoch under way.
    pub batch: u64,
    /// The model's loss and terms in the epoch under way.
    #[serde(flatten)]
    pub model: RunningAverage,
    /// Those of each auxiliary network, by its name.
    #[serde(flatten)]
    pub auxiliaries: BTreeMap<String, RunningAverage>,
    /// The best validation loss so far.
    pub best: Option<f64>,
    /// The epoch that it was reached in.
    pub best_epoch: u64,
}

/// Sums over the examples of the current epoch, on the way to averages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningAverage {
    /// Loss and terms, by name.
    pub sums: Vec<(String, f64)>,
    /// Images in those sums.
    pub images: u64,
}

impl RunningAverage {
    /// Averages over the images so far.
    pub fn averages(self) -> Metrics {
        let images = self.images.max(1) as f64;
        self.sums.into_iter().map(|(name, sum)| (name, sum / images)).collect()
    }
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
    /// The auxiliary networks of the objective.
    pub auxiliaries: Vec<Critic>,
    /// The prior fitted when training ended, for a model that was trained without one.
    pub fitted_prior: Option<FittedPrior>,
    /// The configuration that it was trained with.
    pub config: ValidConfig,
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
    /// States of the auxiliary networks' optimizers.
    pub auxiliary_optimizers: Vec<OptimizerState>,
}

/// Returns the section of a file that holds the state of an auxiliary network's optimizer.
fn optimizer_section(network: &Auxiliary) -> String {
    format!("{}_optimizer", network.name)
}

impl Checkpoint {
    /// Returns where readers draw z from: the prior fitted after training, or the model's own.
    pub fn prior_source(&self) -> PriorSource {
        self.fitted_prior.clone().map_or(PriorSource::Model, PriorSource::Fitted)
    }

    /// Writes the file: whole or not at all.
    ///
    /// # Errors
    /// If a parameter is NaN or infinite (the file is left as it was), or the system refuses.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let mut file = ModelFile::default();
        file.add_section("model", parameters(&self.vae));
        let specs = self.config.objective.requirements().auxiliaries;
        for (spec, network) in specs.iter().zip(&self.auxiliaries) {
            file.add_section(spec.name, parameters(network));
        }
        if let Some((name, value)) = file.tensors.iter().find_map(|(name, stored)| {
            stored.values.iter().find(|v| !v.is_finite()).map(|value| (name, *value))
        }) {
            return Err(TrainError::NotANumber {
                step: self.progress.step,
                term: format!("parameter {name}"),
                value: f64::from(value),
            });
        }
        let mut metadata = vec![
            ("config".to_owned(), self.config.to_toml()),
            ("input".to_owned(), json(&self.vae.shape())?),
            ("classes".to_owned(), self.vae.spec().data().classes.to_string()),
            ("transform".to_owned(), json(&self.transform)?),
            ("data".to_owned(), json(&self.data)?),
            ("progress".to_owned(), json(&self.progress)?),
            ("run".to_owned(), json(&self.run)?),
            ("optimizer".to_owned(), json(&self.optimizer.counters)?),
        ];
        file.add_section("optimizer", self.optimizer.tensors.clone());
        for (spec, state) in specs.iter().zip(&self.auxiliary_optimizers) {
            let section = optimizer_section(spec);
            file.add_section(&section, state.tensors.clone());
            metadata.push((section, json(&state.counters)?));
        }
        if let Some(fitted_prior) = &self.fitted_prior {
            file.add_section("sampler", fitted_prior.to_tensors());
        }
        file.metadata = metadata.into_iter().collect();
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
        let config = file.metadata.get("config");
        let config = config.ok_or_else(|| malformed("no `config` in its metadata".into()))?;
        let config = TrainConfig::from_toml("its configuration", config, &[])
            .map_err(|e| malformed(e.to_string()))?;
        let transform: Transform = parsed(&file, path, "transform")?;
        if !fits(&transform, vae.shape()) {
            return Err(malformed("`transform` does not fit the model".into()).into());
        }
        let (mut auxiliaries, mut auxiliary_optimizers) = (Vec::new(), Vec::new());
        for spec in config.objective.requirements().auxiliaries {
            let inputs = spec.input.width(vae.spec());
            let network = build_stored(file.section(spec.name), device, |init| {
                spec.network.init(init, inputs)
            });
            auxiliaries
                .push(network.map_err(|why| malformed(format!("its {}: {why}", spec.name)))?);
            let section = optimizer_section(&spec);
            auxiliary_optimizers.push(OptimizerState {
                counters: parsed(&file, path, &section)?,
                tensors: file.section(&section),
            });
        }
        let fitted_prior = FittedPrior::from_tensors(file.section("sampler"), &vae, device);
        let fitted_prior =
            fitted_prior.map_err(|why| malformed(format!("its fitted prior: {why}")))?;
        let mut progress: Progress = parsed(&file, path, "progress")?;
        // Former versions wrote one for a critic that was not there.
        progress.auxiliaries.retain(|_, average| average.images > 0);
        Ok(Self {
            auxiliaries,
            auxiliary_optimizers,
            fitted_prior,
            config,
            transform,
            data: parsed(&file, path, "data")?,
            progress,
            run: parsed(&file, path, "run")?,
            optimizer: OptimizerState {
                tensors: file.section("optimizer"),
                counters: parsed(&file, path, "optimizer")?,
            },
            vae,
        })
    }
}
