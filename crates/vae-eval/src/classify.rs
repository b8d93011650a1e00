//! Classifiers from few labels: a linear probe on a trained encoder, a fine-tuned encoder, or the
//! same network trained from scratch.

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use vae_data::rng::Stream;
use vae_data::{DataRecord, Examples, Transform};
use vae_model::classifier::{ClassifierSpec, FeatureLayer, cross_entropy};
use vae_model::{Classifier, FileError, ModelFile, Vae};

use crate::check::check_values;
use crate::error::EvalError;
use crate::labels::one_hot_of;
use crate::noise::{KeyedNoise, Phase};
use crate::record::{fits, json, parsed};

/// Examples that are classified at once.
const CHUNK: usize = 1_000;
/// The largest batch of a step.
const BATCH: usize = 100;

/// Which weights are trained, and their initial values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Trains the linear layer. The trained encoder is frozen.
    Probe,
    /// Trains the linear layer and the trained encoder.
    FineTune,
    /// Trains the same network from random initial weights.
    Scratch,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Probe, Self::FineTune, Self::Scratch];

    /// Returns the name of the mode.
    pub fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::FineTune => "fine-tune",
            Self::Scratch => "scratch",
        }
    }
}

/// The settings for training and evaluating classifiers.
#[derive(Clone, Debug)]
pub struct Classification {
    /// The trained model.
    pub vae: Vae,
    /// The transform from stored values to x.
    pub transform: Arc<Transform>,
    /// The device, without autodiff.
    pub device: Device,
    /// Labelled examples, or those that training chooses from.
    pub train: Arc<Examples>,
    /// Number of training examples per class. `None`: all examples are used.
    pub labels: Option<usize>,
    /// Which features the linear layer reads.
    pub features: FeatureLayer,
    /// Number of steps of Adam.
    pub steps: usize,
    /// Learning rate of Adam.
    pub learning_rate: f64,
}

impl Classification {
    /// Returns the configuration of the classifier.
    ///
    /// # Errors
    /// If the model cannot read the examples, if there are no labels, if a class has too few
    /// examples, or if the encoder needs the label.
    pub fn spec(&self) -> Result<ClassifierSpec, EvalError> {
        check_values(self.vae.spec().data(), &self.transform, &self.train)?;
        let Some(labels) = &self.train.labels else {
            let why = "a classifier needs labelled data, and these data have no labels";
            return Err(EvalError::Request(why.to_owned()));
        };
        let classes = self.train.class_count();
        let spec = ClassifierSpec::new(self.vae.spec(), self.features, classes)
            .map_err(|e| EvalError::Request(e.to_string()))?;
        let fewest = (0..classes as u32)
            .map(|class| labels.iter().filter(|label| **label == class).count())
            .enumerate()
            .min_by_key(|(_, n)| *n);
        if let Some((class, n)) = fewest
            && let Some(wanted) = self.labels.filter(|wanted| n < *wanted)
        {
            return Err(EvalError::Request(format!(
                "class {class} has {n} training examples, fewer than the {wanted} requested"
            )));
        }
        Ok(spec)
    }

    /// Returns the indices of the training examples that a seed chooses: equally many per class,
    /// shuffled.
    fn chosen(&self, classes: usize, seed: u64) -> Vec<u32> {
        let Some(labels) = &self.train.labels else {
            unreachable!("examples without labels are refused before any are chosen")
        };
        let order = Stream::new(seed, "labelled examples").permutation(self.train.len());
        let Some(wanted) = self.labels else { return order };
        let mut left = vec![wanted; classes];
        let mut chosen = order;
        chosen.retain(|index| {
            let left = &mut left[labels[*index as usize] as usize];
            let wanted = *left > 0;
            *left = left.saturating_sub(1);
            wanted
        });
        chosen
    }

    /// Trains a classifier. In every mode, the same seed chooses the same examples.
    ///
    /// # Errors
    /// The errors of [`Self::spec`], or if training diverges (NaN or infinity).
    pub fn train(&self, mode: Mode, seed: u64) -> Result<Classifier, EvalError> {
        let config = self.spec()?;
        let chosen = self.chosen(config.data().classes, seed);
        let noise = KeyedNoise::new(seed, Phase::Init);
        let autodiff = self.device.clone().autodiff();
        let mut classifier = config.init(&noise, &autodiff);
        if mode != Mode::Scratch {
            let vae = self.vae.clone().train();
            classifier = classifier.with_encoder(&vae);
        }
        // PyTorch's epsilon; Burn's default is larger.
        let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        let mut value = f64::NAN;
        for step in 0..self.steps as u64 {
            let order = Stream::new(seed, "labelled batches").derive(step);
            let order = order.permutation(chosen.len());
            let batch: Vec<u32> =
                order.into_iter().take(BATCH).map(|i| chosen[i as usize]).collect();
            let x = x_of(&self.transform, &self.train, &batch, &self.device);
            let classes = one_hot_of(&self.train, &batch, config.data().classes, &self.device)?;
            let features = match mode {
                Mode::Probe => classifier.valid().features(x),
                Mode::FineTune | Mode::Scratch => classifier.features(x),
            };
            let loss = cross_entropy(classifier.logits(features), classes);
            if step + 1 == self.steps as u64 {
                value = loss.clone().into_data().iter::<f64>().sum();
            }
            let grads = GradientsParams::from_grads(loss.backward(), &classifier);
            classifier = optimizer.step(self.learning_rate, classifier, grads);
        }
        if self.steps > 0 && !value.is_finite() {
            let step = self.steps as u64;
            return Err(EvalError::NotANumber { step, term: "cross-entropy".to_owned(), value });
        }
        Ok(classifier.valid())
    }

    /// Returns the predicted class of each example.
    ///
    /// # Errors
    /// If the classifier cannot read the examples.
    pub fn classify(
        &self,
        classifier: &Classifier,
        examples: &Examples,
    ) -> Result<Vec<u32>, EvalError> {
        read(classifier, &self.transform, examples, &self.device)
    }
}

/// A classifier with the transform of its data, for use on other data.
#[derive(Clone, Debug)]
pub struct SavedClassifier {
    /// The classifier.
    pub classifier: Classifier,
    /// The transform from stored values to x.
    pub transform: Transform,
    /// The data that the classifier was trained on.
    pub data: DataRecord,
}

impl SavedClassifier {
    /// Writes the file atomically.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        let mut file = self.classifier.to_file();
        for (key, value) in [("transform", json(&self.transform)?), ("data", json(&self.data)?)] {
            file.metadata.insert(key.to_owned(), value);
        }
        file.write(path).map_err(|error| match error {
            // A failed write is never an error of the request, even if the folder is missing.
            FileError::Io { path, source } => {
                EvalError::Failed(format!("{}: {source}", path.display()))
            }
            other => other.into(),
        })
    }

    /// Reads the file onto `device`.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or holds no classifier.
    pub fn read(path: &Path, device: &Device) -> Result<Self, EvalError> {
        let file = ModelFile::read(path)?;
        let classifier = Classifier::from_file(&file, path, device)?;
        let transform: Transform = parsed(&file, path, "transform")?;
        if !fits(&transform, &classifier.spec().data().shape) {
            let why = "`transform` does not fit the classifier".to_owned();
            return Err(FileError::Malformed { path: path.to_owned(), why }.into());
        }
        Ok(Self { classifier, transform, data: parsed(&file, path, "data")? })
    }

    /// Returns the predicted class of each example.
    ///
    /// # Errors
    /// If the classifier cannot read the examples.
    pub fn classify(&self, examples: &Examples, device: &Device) -> Result<Vec<u32>, EvalError> {
        read(&self.classifier, &self.transform, examples, device)
    }
}

/// Returns the predicted class of each example.
fn read(
    classifier: &Classifier,
    transform: &Transform,
    examples: &Examples,
    device: &Device,
) -> Result<Vec<u32>, EvalError> {
    check_values(classifier.spec().data(), transform, examples)?;
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let mut read = Vec::with_capacity(indices.len());
    for part in indices.chunks(CHUNK) {
        let x = x_of(transform, examples, part, device);
        let logits = classifier.logits(classifier.features(x));
        read.extend(logits.argmax(1).into_data().iter::<i64>().map(|class| class as u32));
    }
    Ok(read)
}

/// Returns x of the examples at `indices`, `[indices, numbers]`.
fn x_of(transform: &Transform, examples: &Examples, indices: &[u32], device: &Device) -> Tensor<2> {
    let draws = Stream::new(0, "stochastic pixels, classification");
    let x = transform.gather(examples, indices, &draws);
    Tensor::from_data(TensorData::new(x, [indices.len(), examples.shape.len()]), device)
}

/// Returns the fraction of correct predictions `read`. `None` if the labels are not known or there
/// are no predictions.
pub fn accuracy(read: &[u32], examples: &Examples) -> Option<f64> {
    let labels = examples.labels.as_ref()?;
    if read.is_empty() {
        return None;
    }
    let right = read.iter().zip(labels).filter(|(a, b)| a == b).count();
    Some(right as f64 / read.len() as f64)
}
