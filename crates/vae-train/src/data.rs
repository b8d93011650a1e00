//! The data of a run: what a configuration's `[data]` table resolves to.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vae_data::rng::Stream;
use vae_data::source::{Options, Resolved};
use vae_data::{Examples, Part, Source, Transform, hold_out};

use vae_model::{Domain, MAX_NUMBERS};

use crate::config::{DataConfig, TrainConfig};
use crate::error::TrainError;

/// Which data a run was trained on: enough to load it again and to notice that it is other data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// What the source resolved to, as `--data` takes it.
    pub source: String,
    /// Training examples, after limit and hold-out.
    pub examples: usize,
    /// The first bytes of a hash of the training values.
    pub fingerprint: String,
}

/// Examples to train and validate on, and how they become x.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// What is learned from.
    pub train: Arc<Examples>,
    /// What is validated on, if anything.
    pub validation: Option<Arc<Examples>>,
    /// The road from values to x.
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

/// The classes of the examples at `indices` as one-hot rows `[batch, classes]` on `device`; a row of zeros
/// where the class is not known.
pub fn one_hot(examples: &Examples, indices: &[u32], classes: usize, device: &Device) -> Tensor<2> {
    let mut rows = vec![0.0f32; indices.len() * classes];
    if let Some(labels) = &examples.labels {
        for (row, index) in rows.chunks_mut(classes.max(1)).zip(indices) {
            if let Some(cell) = row.get_mut(labels[*index as usize] as usize) {
                *cell = 1.0;
            }
        }
    }
    Tensor::from_data(TensorData::new(rows, [indices.len(), classes]), device)
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
        return Err(TrainError::Request(format!(
            "{}: data.size and data.channels are for pictures of a folder: name one with --data DIR, or \
             leave them out",
            resolved.name
        )));
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
        return Err(TrainError::Request(format!(
            "a batch of {} is larger than the data: {} has {} training examples; set \
             --batch-size to at most that",
            config.train.batch_size,
            resolved.name,
            train.len()
        )));
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
