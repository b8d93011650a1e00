//! `TrainingData`: the data of a configuration's `[data]` table.

use std::sync::Arc;

use vae_data::rng::Stream;
use vae_data::{
    DataRecord, Environment, Examples, OpenedSource, Source, Split, Transform, hold_out,
};
use vae_model::{DataSpec, Support};

use super::config::ValidConfig;
use crate::error::TrainError;

/// Training and validation examples, and the transform to x.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// The training examples.
    pub train: Arc<Examples>,
    /// The validation examples, if there are any.
    pub validation: Option<Arc<Examples>>,
    /// The transform from stored values to x.
    pub transform: Arc<Transform>,
    /// Number of label classes of all training examples, before `data.limit`; 0 without labels.
    pub classes: usize,
    /// The identity of the data.
    pub record: DataRecord,
    /// The source, for loading other splits.
    pub resolved: OpenedSource,
}

impl TrainingData {
    /// Returns the properties that a model is built for.
    pub fn spec(&self) -> DataSpec {
        DataSpec { shape: self.train.shape.dims(), classes: self.classes }
    }

    /// Returns the support of x.
    pub fn support(&self) -> Support {
        vae_eval::support_of(&self.transform, &self.train)
    }
}

/// Loads the data of `config`.
///
/// # Errors
/// If the data cannot be read, or if they do not fit the configuration.
pub fn load(config: &ValidConfig, environment: &Environment) -> Result<TrainingData, TrainError> {
    let settings = config.data.source_settings();
    let opened = OpenedSource::open(&config.data.source, &settings, environment)?;
    read(opened, config, environment)
}

/// Loads training data from a source of the caller. `config.data.source` is ignored, the other
/// settings of `config.data` are used.
///
/// # Errors
/// The errors of [`load`].
pub fn load_from(
    config: &ValidConfig,
    source: Box<dyn Source>,
    environment: &Environment,
) -> Result<TrainingData, TrainError> {
    let settings = config.data.source_settings();
    let opened = OpenedSource::custom(source.into(), &settings, environment)?;
    read(opened, config, environment)
}

/// Reads the training split of a source with the settings of `config`.
fn read(
    resolved: OpenedSource,
    config: &ValidConfig,
    environment: &Environment,
) -> Result<TrainingData, TrainError> {
    let limit = config.data.limit.unwrap_or(usize::MAX);
    let (train, classes) = resolved.read_first(Split::Train, limit, environment)?;
    let (train, validation) = match config.data.validation {
        0 if config.data.own_validation => {
            // The error names sets without one.
            let validation = resolved.read(Split::Validation, environment)?;
            (train, Some(Arc::new(validation)))
        }
        0 => (train, None),
        n => {
            let stream = Stream::new(config.train.seed, "validation split");
            let (train, validation) = hold_out(train, n, stream)?;
            (train, Some(Arc::new(validation)))
        }
    };
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
