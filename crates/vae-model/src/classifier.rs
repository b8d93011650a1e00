//! `Classifier`: the encoder of a trained model, and a linear layer on its features.

use std::path::Path;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::compatibility;
use crate::description::{DataSpec, VaeConfig};
use crate::error::{ConfigError, FileError};
use crate::file::ModelFile;
use crate::init::{Init, build_stored};
use crate::network::{Encoder, Features};
use crate::noise::Noise;
use crate::ops::dense;
use crate::parameters::parameters;
use crate::posterior::Posterior;
use crate::vae::{Vae, VaeSpec};

/// Which features of the encoder the linear layer reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureLayer {
    /// The mean of q(z|x).
    Latent,
    /// The encoder's last layer before the posterior's heads.
    #[default]
    Trunk,
}

/// A checked configuration of a classifier: model, features and number of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierSpec {
    /// The model whose encoder is used. `classes` of its data is the number of output classes.
    model: VaeSpec,
    /// Which features the linear layer reads.
    features: FeatureLayer,
}

/// An encoder followed by a linear layer.
#[derive(Module, Debug)]
pub struct Classifier {
    encoder: Encoder,
    posterior: Posterior,
    output: Linear,
    #[module(skip)]
    config: ClassifierSpec,
}

impl ClassifierSpec {
    /// Makes the configuration of a classifier with `classes` classes on the encoder of `model`.
    ///
    /// # Errors
    /// If there are fewer than two classes, if the encoder reads the label, or if the model cannot be
    /// built for data with these classes.
    pub fn new(
        model: &VaeSpec,
        features: FeatureLayer,
        classes: usize,
    ) -> Result<Self, ConfigError> {
        compatibility::check_classifier(model.config(), classes)?;
        let data = DataSpec { classes, ..model.data().clone() };
        Ok(Self { model: VaeSpec::new(model.config().clone(), data)?, features })
    }

    /// Returns the shape of one example and the number of classes.
    pub fn data(&self) -> &DataSpec {
        self.model.data()
    }

    /// Makes a classifier with initial weights from `noise`, on `device`.
    pub fn init(&self, noise: &dyn Noise, device: &Device) -> Classifier {
        self.build(&Init::drawn(noise, device))
    }

    fn build(&self, init: &Init<'_>) -> Classifier {
        let (model, data) = (self.model.config(), self.model.data());
        let (encoder, features) = model.encoder.encoder(&init.at("encoder"), &data.shape, 0);
        let width = self.width(&features);
        Classifier {
            encoder,
            posterior: model.posterior.init(&init.at("posterior"), features, model.latent),
            output: init.at("output").linear(width, data.classes),
            config: self.clone(),
        }
    }

    fn width(&self, features: &Features) -> usize {
        match self.features {
            FeatureLayer::Latent => self.model.config().latent,
            FeatureLayer::Trunk => features.width,
        }
    }
}

impl Classifier {
    /// Returns the configuration that the classifier was built from.
    pub fn spec(&self) -> &ClassifierSpec {
        &self.config
    }

    /// Returns the classifier with the encoder of `vae`, which must have the same architecture.
    pub fn with_encoder(self, vae: &Vae) -> Self {
        let (encoder, posterior) = vae.inference();
        Self { encoder: encoder.clone(), posterior: posterior.clone(), ..self }
    }

    /// Returns the features of x `[batch, numbers]` that the linear layer reads, `[batch, width]`.
    pub fn features(&self, x: Tensor<2>) -> Tensor<2> {
        let trunk = self.encoder.forward(x, None);
        match self.config.features {
            FeatureLayer::Latent => self.posterior.forward(trunk).mean(),
            FeatureLayer::Trunk => trunk,
        }
    }

    /// Returns unnormalized log-probabilities of the classes, `[batch, classes]`, for features
    /// `[batch, width]`.
    pub fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        dense(&self.output, features, None)
    }

    /// Returns the content of the classifier's file. Callers may add metadata.
    pub fn to_file(&self) -> ModelFile {
        let mut file = ModelFile::default();
        file.add_section("classifier", parameters(self));
        let config = model_table(self.config.model.config());
        let layer = match self.config.features {
            FeatureLayer::Latent => "latent",
            FeatureLayer::Trunk => "trunk",
        };
        let input = format!("{:?}", self.config.data().shape);
        file.metadata = [
            ("config", config),
            ("input", input),
            ("classes", self.config.data().classes.to_string()),
            ("classifier", layer.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        file
    }

    /// Returns the classifier in a file, on `device`. `path` appears in error messages.
    ///
    /// # Errors
    /// If the file holds no classifier, or if its parameters do not match its configuration.
    pub fn from_file(file: &ModelFile, path: &Path, device: &Device) -> Result<Self, FileError> {
        let malformed = |why: String| FileError::Malformed { path: path.to_owned(), why };
        let features = match file.metadata.get("classifier").map(String::as_str) {
            Some("latent") => FeatureLayer::Latent,
            Some("trunk") => FeatureLayer::Trunk,
            Some(other) => return Err(malformed(format!("a classifier on unknown `{other}`"))),
            None => return Err(malformed("a model, not a classifier".to_owned())),
        };
        let model = file.model_spec().map_err(malformed)?;
        let config = ClassifierSpec::new(&model, features, model.data().classes)
            .map_err(|why| malformed(why.to_string()))?;
        build_stored(file.section("classifier"), device, |init| config.build(init))
            .map_err(|why| malformed(format!("weights do not match the configuration: {why}")))
    }
}

/// Returns the TOML text of a configuration that has only the table `[model]`.
fn model_table(model: &VaeConfig) -> String {
    /// A configuration that has only the table `[model]`.
    #[derive(Serialize)]
    struct Whole<'a> {
        model: &'a VaeConfig,
    }
    match toml::to_string(&Whole { model }) {
        Ok(text) => text,
        Err(e) => unreachable!("plain values and tables of them always serialize: {e}"),
    }
}

/// Returns the cross-entropy in nats, averaged over the examples, `[1]`, of logits
/// `[batch, classes]` and one-hot classes `[batch, classes]`.
pub fn cross_entropy(logits: Tensor<2>, classes: Tensor<2>) -> Tensor<1> {
    (activation::log_softmax(logits, 1) * classes).sum_dim(1).mean().neg()
}

/// Reads a classifier from the file at `path` onto `device`.
///
/// # Errors
/// If the file cannot be read, is damaged, or holds no classifier.
pub fn load_classifier(path: impl AsRef<Path>, device: &Device) -> Result<Classifier, FileError> {
    let path = path.as_ref();
    Classifier::from_file(&ModelFile::read(path)?, path, device)
}
