//! Checkpoints: a file with the complete state of training, which is also the file of the trained
//! model.

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

/// The progress of training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of finished steps.
    pub step: u64,
    /// Number of finished epochs.
    pub epoch: u64,
    /// Number of finished batches of the current epoch.
    pub batch: u64,
    /// Loss and terms of the model in the current epoch.
    #[serde(flatten)]
    pub model: RunningAverage,
    /// Losses and terms of the auxiliary networks in the current epoch, by the networks' names.
    #[serde(flatten)]
    pub auxiliaries: BTreeMap<String, RunningAverage>,
    /// The best validation loss so far.
    pub best: Option<f64>,
    /// The epoch with the best validation loss.
    pub best_epoch: u64,
}

/// Sums over the examples of the current epoch, for averages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningAverage {
    /// Sums of loss and terms, with their names.
    pub sums: Vec<(String, f64)>,
    /// Number of examples in the sums.
    pub images: u64,
}

impl RunningAverage {
    /// Returns the averages over the examples so far.
    pub fn averages(self) -> Metrics {
        let images = self.images.max(1) as f64;
        self.sums.into_iter().map(|(name, sum)| (name, sum / images)).collect()
    }
}

/// Backend, hardware and version of a run, for the record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The backend of the last training.
    pub backend: String,
    /// The hardware of the last training.
    pub device: String,
    /// Number of replicas.
    pub replicas: usize,
    /// Version of the program.
    pub version: String,
    /// An automatic choice and its reason, if there was one.
    pub note: Option<String>,
    /// The file that the weights were imported from. Nothing is known then of an optimizer, and of
    /// data and training only what that file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
    /// Whether the state of the optimizer was left out; see [`Checkpoint::strip`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stripped: bool,
}

/// The complete state of training.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The model. With `train.ema_decay` it has the average weights.
    pub vae: Vae,
    /// The model that training goes on with, if `vae` has the average of its weights. A stripped or
    /// imported checkpoint has none.
    pub trained: Option<Vae>,
    /// The auxiliary networks of the objective.
    pub auxiliaries: Vec<Critic>,
    /// The prior that was fitted after training, for a model that is trained without a prior.
    pub fitted_prior: Option<FittedPrior>,
    /// The configuration of the run.
    pub config: ValidConfig,
    /// The transform from stored values to x.
    pub transform: Transform,
    /// The training data.
    pub data: DataRecord,
    /// The progress of training.
    pub progress: Progress,
    /// Backend, hardware and version of the run.
    pub run: RunRecord,
    /// State of the model's optimizer.
    pub optimizer: OptimizerState,
    /// States of the auxiliary networks' optimizers.
    pub auxiliary_optimizers: Vec<OptimizerState>,
}

/// The section with the weights that the optimizer changes, if the section `model` has their average.
const TRAINED: &str = "trained";

/// Returns the name of the section with the state of an auxiliary network's optimizer.
fn optimizer_section(network: &Auxiliary) -> String {
    format!("{}_optimizer", network.name)
}

/// Returns the distribution to draw z from; see [`Checkpoint::prior_source`].
pub(super) fn prior_source(
    config: &ValidConfig,
    fitted: Option<&FittedPrior>,
) -> Option<PriorSource> {
    match fitted {
        Some(fitted) => Some(PriorSource::Fitted(fitted.clone())),
        None => config.matches_prior().then_some(PriorSource::Model),
    }
}

impl Checkpoint {
    /// Returns the distribution to draw z from: the prior that was fitted after training, or the
    /// model's prior if training matched it. `None` if a prior is still to be fitted, or could not
    /// be fitted.
    pub fn prior_source(&self) -> Option<PriorSource> {
        prior_source(&self.config, self.fitted_prior.as_ref())
    }

    /// Returns the model that training goes on with.
    pub fn to_train(&self) -> &Vae {
        self.trained.as_ref().unwrap_or(&self.vae)
    }

    /// Returns whether `vae` has an average of weights that are not there.
    fn lacks_trained(&self) -> bool {
        self.config.train.ema_decay > 0.0 && self.trained.is_none()
    }

    /// Leaves out what only training needs: the state of the optimizers, and the weights beside their average.
    /// With Adam, what is left is a third as large, or a quarter with `train.ema_decay`.
    pub fn strip(&mut self) {
        self.trained = None;
        self.optimizer.tensors.clear();
        self.auxiliary_optimizers.iter_mut().for_each(|state| state.tensors.clear());
        self.run.stripped = true;
    }

    /// Checks that training can continue from here.
    ///
    /// # Errors
    /// For imported weights and stripped checkpoints, which have no state of an optimizer.
    pub fn check_resumable(&self) -> Result<(), TrainError> {
        let why = match (&self.run.imported, self.run.stripped) {
            (Some(file), _) => format!("the weights were imported from {file}"),
            (None, true) => "the model was exported".to_owned(),
            (None, false) if self.lacks_trained() => {
                let why =
                    "cannot resume: the checkpoint has an average of weights, without the weights";
                return Err(TrainError::Request(why.to_owned()));
            }
            (None, false) => return Ok(()),
        };
        Err(TrainError::Request(format!(
            "cannot resume: {why}, without the state of an optimizer; commands that do not train can \
             use it"
        )))
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// If a parameter is NaN or infinite, or if the file cannot be written. An older file is then
    /// unchanged.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let mut file = ModelFile::default();
        file.add_section("model", parameters(&self.vae));
        if let Some(trained) = &self.trained {
            file.add_section(TRAINED, parameters(trained));
        }
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
            // A failed write is never an error of the request, even if the folder is missing.
            FileError::Io { path, source } => TrainError::io(&path, source),
            other => other.into(),
        })
    }

    /// Reads a checkpoint onto `device`.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, has a newer format, or if its parameters do not
    /// match its configuration.
    pub fn read(path: &Path, device: &Device) -> Result<Self, TrainError> {
        Self::of_file(&ModelFile::read(path)?, path, device)
    }

    /// Returns the checkpoint in `file`, on `device`. `path` appears in error messages.
    ///
    /// # Errors
    /// If the file holds no checkpoint, or if its parameters do not match its configuration.
    pub fn of_file(file: &ModelFile, path: &Path, device: &Device) -> Result<Self, TrainError> {
        let vae = file.model(path, device)?;
        let malformed = |why: String| FileError::Malformed { path: path.to_owned(), why };
        let config = file.metadata.get("config");
        let config = config.ok_or_else(|| malformed("no `config` in its metadata".into()))?;
        let config = TrainConfig::from_toml("its configuration", config, &[])
            .map_err(|e| malformed(e.to_string()))?;
        let transform: Transform = parsed(file, path, "transform")?;
        if !fits(&transform, vae.shape()) {
            return Err(malformed("`transform` does not fit the model".into()).into());
        }
        let (mut auxiliaries, mut auxiliary_optimizers) = (Vec::new(), Vec::new());
        for spec in config.objective.requirements().auxiliaries {
            let inputs = spec.input.width(vae.config(), vae.spec().data());
            let network = build_stored(file.section(spec.name), device, |init| {
                spec.network.init(init, inputs)
            });
            auxiliaries
                .push(network.map_err(|why| malformed(format!("its {}: {why}", spec.name)))?);
            let section = optimizer_section(&spec);
            auxiliary_optimizers.push(OptimizerState {
                counters: parsed(file, path, &section)?,
                tensors: file.section(&section),
            });
        }
        let run: RunRecord = parsed(file, path, "run")?;
        let trained = match file.section(TRAINED) {
            none if none.is_empty() => None,
            weights => Some(
                vae.spec()
                    .load(weights, device)
                    .map_err(|why| malformed(format!("the weights that were trained: {why}")))?,
            ),
        };
        let must = config.train.ema_decay > 0.0 && run.imported.is_none() && !run.stripped;
        if must != trained.is_some() {
            let why = match must {
                true => "`train.ema_decay` is set, and the file has no section `trained`",
                false => "it has a section `trained` that does not belong there",
            };
            return Err(malformed(why.into()).into());
        }
        let fitted_prior = FittedPrior::from_tensors(file.section("sampler"), &vae, device);
        let fitted_prior =
            fitted_prior.map_err(|why| malformed(format!("its fitted prior: {why}")))?;
        let mut progress: Progress = parsed(file, path, "progress")?;
        // Older versions wrote an average for a critic even if there was none.
        progress.auxiliaries.retain(|_, average| average.images > 0);
        Ok(Self {
            auxiliaries,
            auxiliary_optimizers,
            fitted_prior,
            config,
            transform,
            data: parsed(file, path, "data")?,
            progress,
            run,
            trained,
            optimizer: OptimizerState {
                tensors: file.section("optimizer"),
                counters: parsed(file, path, "optimizer")?,
            },
            vae,
        })
    }
}
