//! The network whose features tell how good samples are: a small classifier, trained on the data set
//! itself.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use vae_data::rng::Stream;
use vae_data::{DataRecord, Examples, OpenedSource, Pixels, Transform};
use vae_model::classifier::FeatureLayer;
use vae_model::network::{ConvConfig, MlpConfig, NetworkConfig};
use vae_model::{DataSpec, FileError, VaeConfig, VaeSpec};

use super::Quality;
use crate::classify::{Classification, Mode, SavedClassifier};
use crate::error::EvalError;
use crate::generate::Generator;
use crate::noise::{KeyedNoise, Phase};

/// Most examples, and samples, that are compared.
const MOST: usize = 10_000;
/// Images that go through the network at once.
const CHUNK: usize = 500;
/// Width of the features.
const WIDTH: usize = 64;
/// Steps of Adam, on batches of 100.
const STEPS: usize = 1_000;
const LEARNING_RATE: f64 = 1e-3;
/// The version of this network, part of its name. Increase it when a constant or the network changes.
const VERSION: u32 = 1;

/// A classifier of a data set, whose second-to-last layer gives the features.
#[derive(Clone, Debug)]
pub struct FeatureNetwork {
    /// The name: the data set, a hash of its training examples, the version of the network.
    pub name: String,
    saved: SavedClassifier,
    /// The device of the network, which need not be that of the model.
    device: Device,
}

impl FeatureNetwork {
    /// Returns the name of the network of these training examples.
    pub fn name(source: &OpenedSource, train: &Examples) -> String {
        let source = source.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let plain: String = source.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let short = |hash: String| hash.chars().take(8).collect::<String>();
        let labels = train.labels_fingerprint().map(short).unwrap_or_default();
        format!("{plain}-{}{labels}-v{VERSION}", short(train.fingerprint()))
    }

    /// Checks that a network can be trained on training examples of so many classes.
    ///
    /// # Errors
    /// If they are no images, or have fewer than two classes.
    pub fn check(train: &Examples, classes: usize) -> Result<(), EvalError> {
        let is_image = train.shape.dims().len() == 3;
        if is_image && train.labels.is_some() && classes > 1 {
            return Ok(());
        }
        Err(EvalError::Request(
            "the quality of samples is measured by the features of a classifier of the same data set, \
             so it needs images of two classes or more"
                .to_owned(),
        ))
    }

    /// Trains the network on all training examples, on `device`.
    ///
    /// # Errors
    /// The errors of [`Self::check`], and if the training diverges.
    pub fn train(
        source: &OpenedSource,
        train: &Arc<Examples>,
        device: &Device,
    ) -> Result<Self, EvalError> {
        Self::check(train, train.class_count())?;
        let data = DataSpec::new(&train.shape.dims());
        let spec = |encoder: NetworkConfig| {
            let decoder = MlpConfig { hidden: vec![WIDTH], ..MlpConfig::default() }.into();
            VaeSpec::new(VaeConfig { encoder, decoder, ..VaeConfig::default() }, data.clone())
        };
        let conv =
            ConvConfig { channels: vec![16, 32], hidden: vec![WIDTH], ..ConvConfig::default() };
        // Images of odd sizes cannot be halved.
        let mlp = MlpConfig { hidden: vec![256, WIDTH], ..MlpConfig::default() };
        let spec = spec(conv.into()).or_else(|_| spec(mlp.into()));
        let spec = spec.map_err(|e| EvalError::Request(e.to_string()))?;
        let task = Classification {
            vae: spec.init(&KeyedNoise::new(0, Phase::Init), device),
            transform: Arc::new(Transform::Pixels(Pixels::Grey)),
            device: device.clone(),
            train: Arc::clone(train),
            labels: None,
            features: FeatureLayer::Trunk,
            steps: STEPS,
            learning_rate: LEARNING_RATE,
        };
        let classifier = task.train(Mode::Scratch, 0)?;
        let saved = SavedClassifier {
            classifier,
            transform: Transform::Pixels(Pixels::Grey),
            data: DataRecord::of(source, train),
        };
        Ok(Self { name: Self::name(source, train), saved, device: device.clone() })
    }

    /// Reads the network `name` from the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or is that of other data.
    pub fn read(
        path: &Path,
        name: String,
        train: &Examples,
        device: &Device,
    ) -> Result<Self, EvalError> {
        let saved = SavedClassifier::read(path, device)?;
        if saved.data.fingerprint != train.fingerprint() {
            let why = "it is the classifier of other data".to_owned();
            return Err(FileError::Malformed { path: path.to_owned(), why }.into());
        }
        Ok(Self { name, saved, device: device.clone() })
    }

    /// Writes the network to the file at `path`, atomically.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        self.saved.write(path)
    }

    /// Returns how many samples are compared with `examples`.
    pub fn compared(examples: &Examples) -> usize {
        examples.len().min(MOST)
    }

    /// Checks that there are enough examples to compare samples with.
    ///
    /// # Errors
    /// If there are fewer than five.
    pub fn check_compared(examples: &Examples) -> Result<(), EvalError> {
        Quality::check(Self::compared(examples))
    }

    /// Says why distances of `n` samples to `n` examples are not to be believed. `None` if they are.
    pub fn doubt(n: usize) -> Option<String> {
        (n < 10 * WIDTH).then(|| {
            format!(
                "a covariance of {WIDTH} features from {n} examples is noise for the most part, so \
                 frechet_distance is too high: compare {} or more",
                10 * WIDTH
            )
        })
    }

    /// Compares n samples of a model with n examples, n at most 10,000. Samples are means of p(x|z), as in
    /// pictures.
    ///
    /// # Errors
    /// If the model cannot sample, or its images have another shape than those of the network.
    pub fn quality(
        &self,
        generator: &Generator,
        examples: &Examples,
    ) -> Result<Quality, EvalError> {
        let n = Self::compared(examples);
        let shape = &self.saved.classifier.spec().data().shape;
        if generator.vae.shape() != shape.as_slice() {
            return Err(EvalError::Request(format!(
                "the classifier {} reads images of shape {shape:?}, and the model makes {:?}",
                self.name,
                generator.vae.shape()
            )));
        }
        // A folder is sorted by class.
        let stream = Stream::new(generator.seed, "examples to compare with samples");
        let mut chosen = stream.permutation(examples.len());
        chosen.truncate(n);
        // A conditional model gets the classes of the examples.
        let labels = examples.labels_at(&chosen).filter(|_| generator.vae.classes() > 0);
        let samples = generator.sample(n, labels.as_deref(), false)?;
        // What the model was trained on, in [0, 1].
        let transform = generator.transform.without_draws();
        let mut real = transform.gather(examples, &chosen, &Stream::new(0, "none"));
        transform.to_data_range(&mut real);
        let [mut real, mut made] = [real, samples].map(|x| self.features(&x));
        // Features have no unit: those of the examples get a root mean square of 1.
        let square: f64 = real.iter().map(|x| f64::from(*x).powi(2)).sum();
        let size = (square / real.len() as f64).sqrt().max(f64::MIN_POSITIVE);
        real.iter_mut().chain(&mut made).for_each(|x| *x = (f64::from(*x) / size) as f32);
        Quality::of(&real, &made, WIDTH, &self.device)
    }

    /// Returns the features of images, rows of [`WIDTH`] numbers.
    fn features(&self, x: &[f32]) -> Vec<f32> {
        let numbers = self.saved.classifier.spec().data().numbers();
        let of = |part: &[f32]| {
            let data = TensorData::new(part.to_vec(), [part.len() / numbers, numbers]);
            let features = self.saved.classifier.features(Tensor::from_data(data, &self.device));
            features.into_data().iter::<f32>().collect::<Vec<f32>>()
        };
        x.chunks(CHUNK * numbers).flat_map(of).collect()
    }
}
