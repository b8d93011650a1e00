//! The data of a run: what a configuration's `[data]` table resolves to.

use std::sync::Arc;

use vae_data::rng::Stream;
use vae_data::source::{Options, Resolved};
use vae_data::{Examples, Part, Source, Transform, hold_out};
use vae_model::{Domain, MAX_NUMBERS};

use super::config::{DataConfig, TrainConfig};
use crate::error::TrainError;

pub use vae_eval::DataRecord;

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
    pub resolved: Resolved,
}

impl TrainingData {
    /// What its examples are like.
    pub fn domain(&self) -> Domain {
        Domain { input: self.train.shape.dims(), classes: self.classes }
    }
}

/// Finds out which set the source of `config` is.
///
/// # Errors
/// If there is none of that name, or it cannot be had.
pub fn resolve(config: &DataConfig, options: &Options) -> Result<Resolved, TrainError> {
    let source: Source = config.source.parse()?;
    Ok(source.resolve(options)?)
}

/// Loads what `config` trains on.
///
/// # Errors
/// If the data cannot be had or does not fit the configuration.
pub fn load(config: &TrainConfig, options: &Options) -> Result<TrainingData, TrainError> {
    let resolved = resolve(&config.data, options)?;
    let sized = config.data.size.is_some() || config.data.channels.is_some();
    if sized && !matches!(&resolved.source, Source::Path(path) if path.is_dir()) {
        return Err(TrainError::SizeOfNoFolder { data: resolved.name });
    }
    let mut train = resolved.load(Part::Train, options)?;
    let classes = train.class_count();
    if let Some(limit) = config.data.limit {
        train.truncate(limit);
    }
    let (train, validation) = match config.data.validation {
        0 => (train, None),
        n => {
            let stream = Stream::new(config.train.seed, "validation split");
            let (train, validation) = hold_out(train, n, stream)?;
            (train, Some(Arc::new(validation)))
        }
    };
    if train.shape.len() > MAX_NUMBERS {
        return Err(TrainError::Request(format!(
            "{}: an example of shape {} has more than {MAX_NUMBERS} numbers; for pictures set \
             data.size = [height, width]",
            resolved.name, train.shape
        )));
    }
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
    let record = DataRecord {
        source: resolved.source.to_string(),
        examples: train.len(),
        fingerprint: train.fingerprint(),
    };
    Ok(TrainingData {
        train: Arc::new(train),
        validation,
        transform: Arc::new(transform),
        classes,
        record,
        resolved,
    })
}
