//! The data of a run: what a configuration's `[data]` table resolves to.

use std::sync::Arc;

use vae_data::rng::Stream;
use vae_data::{
    DataRecord, Environment, Examples, OpenedSource, Source, Split, Transform, hold_out,
};
use vae_model::{DataSpec, Support};

use super::config::ValidConfig;
use crate::error::TrainError;

/// Examples to train and validate on, and how they become x.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// What is learned from.
    pub train: Arc<Examples>,
    /// What is validated on, if anything.
    pub validation: Option<Arc<Examples>>,
    /// How stored values become x.
    pub transform: Arc<Transform>,
    /// How many classes its labels tell apart, before any limit; 0 without labels.
    pub classes: usize,
    /// Which data this is.
    pub record: DataRecord,
    /// Where it came from; more of it can be loaded from there.
    pub resolved: OpenedSource,
}

impl TrainingData {
    /// Returns what a model has to know of it.
    pub fn spec(&self) -> DataSpec {
        DataSpec { shape: self.train.shape.dims(), classes: self.classes }
    }

    /// Returns what numbers x can be.
    pub fn support(&self) -> Support {
        vae_eval::support_of(&self.transform, &self.train)
    }
}

/// Loads what `config` trains on.
///
/// # Errors
/// If the data cannot be had or does not fit the configuration.
pub fn load(config: &ValidConfig, environment: &Environment) -> Result<TrainingData, TrainError> {
    let settings = config.data.source_settings();
    let opened = OpenedSource::open(&config.data.source, &settings, environment)?;
    read(opened, config, environment)
}

/// Loads training data from a source of the caller's own. `config.data.source` is not read; all else
/// in `config.data` is.
///
/// # Errors
/// As [`load`].
pub fn load_from(
    config: &ValidConfig,
    source: Box<dyn Source>,
    environment: &Environment,
) -> Result<TrainingData, TrainError> {
    let settings = config.data.source_settings();
    let opened = OpenedSource::custom(source.into(), &settings, environment)?;
    read(opened, config, environment)
}

/// Reads the training split of a source, as `config` says.
fn read(
    resolved: OpenedSource,
    config: &ValidConfig,
    environment: &Environment,
) -> Result<TrainingData, TrainError> {
    let limit = config.data.limit.unwrap_or(usize::MAX);
    let (train, classes) = resolved.read_first(Split::Train, limit, environment)?;
    let (train, validation) = match config.data.validation {
        0 => (train, None),
        n => {
            let stream = Stream::new(config.train.seed, "validation split");
            let (train, validation) = hold_out(train, n, stream)?;
            (train, Some(Arc::new(validation)))
        }
    };
    if train.is_empty() {
        return Err(TrainError::Request(format!("{}: no training examples", resolved.name)));
    }
    if config.train.batch_size > train.len() {
        return Err(TrainError::BatchTooLarge {
            batch_size: config.train.batch_size,
            data: resolved.name,
            examples: train.len(),
        });
    }
    let transform = Transform::fit(&train, config.data.pixels, config.data.scale)?;
    let record = DataRecord::of(&resolved, &train);
    Ok(TrainingData {
        train: Arc::new(train),
        validation,
        transform: Arc::new(transform),
        classes,
        record,
        resolved,
    })
}
