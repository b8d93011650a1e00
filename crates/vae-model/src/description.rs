//! `VaeConfig` and `DataSpec`: the description of a model and of the data that it is for.

use serde::{Deserialize, Serialize};

use crate::check;
use crate::error::ConfigError;
use crate::likelihood::LikelihoodConfig;
use crate::network::NetworkConfig;
use crate::posterior::{self, PosteriorConfig};
use crate::prior::PriorConfig;

/// Largest number of values in one example.
pub const MAX_NUMBERS: usize = 1 << 24;
/// Largest number of label classes.
pub const MAX_CLASSES: usize = 1 << 12;
/// Largest number of weights of a model. Training needs memory for four times as many numbers.
pub const MAX_WEIGHTS: u128 = 1 << 28;

/// One choice on each axis of a model: the `[model]` table.
///
/// A model is built from a [`VaeSpec`](crate::VaeSpec), which checks these values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "VaeTable")]
pub struct VaeConfig {
    /// Latent dimensions.
    pub latent: usize,
    /// Additional input of encoder and decoder.
    pub condition: Condition,
    /// The distribution of initial weights.
    pub init: InitialWeights,
    /// The encoder's network.
    pub encoder: NetworkConfig,
    /// The decoder's network. If a table leaves it out, it mirrors the encoder.
    pub decoder: NetworkConfig,
    /// q(z|x).
    pub posterior: PosteriorConfig,
    /// p(z).
    pub prior: PriorConfig,
    /// p(x|z).
    pub likelihood: LikelihoodConfig,
}

/// A `[model]` table as it is read. Values may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename = "model")]
struct VaeTable {
    latent: usize,
    condition: Condition,
    init: InitialWeights,
    encoder: NetworkConfig,
    decoder: Option<NetworkConfig>,
    posterior: PosteriorConfig,
    prior: PriorConfig,
    likelihood: LikelihoodConfig,
}

impl Default for VaeTable {
    fn default() -> Self {
        Self {
            latent: 20,
            condition: Condition::default(),
            init: InitialWeights::default(),
            encoder: NetworkConfig::default(),
            decoder: None,
            posterior: PosteriorConfig::default(),
            prior: PriorConfig::default(),
            likelihood: LikelihoodConfig::default(),
        }
    }
}

impl From<VaeTable> for VaeConfig {
    fn from(table: VaeTable) -> Self {
        let VaeTable { latent, condition, init, encoder, decoder, posterior, prior, likelihood } =
            table;
        let decoder = decoder.unwrap_or_else(|| encoder.mirrored());
        Self { latent, condition, init, encoder, decoder, posterior, prior, likelihood }
    }
}

impl Default for VaeConfig {
    fn default() -> Self {
        VaeTable::default().into()
    }
}

/// Additional input of a part of the model. With the label y, encoder and decoder are q(z|x, y) and
/// p(x|z, y) (Sohn et al. 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// The class of the example, as a one-hot row.
    Label,
}

/// The distribution of the initial weights of linear layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitialWeights {
    /// Weights and biases uniform in +-1/sqrt(inputs), as in PyTorch's `nn.Linear` (Kaiming uniform with
    /// a = sqrt 5).
    #[default]
    Kaiming,
    /// Weights uniform in +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010), and biases of 0. The
    /// output bias of a decoder of black and white pixels starts at the logit of the training mean, as
    /// in Burda et al. (2016).
    Glorot,
}

/// The properties of the data that a model is built for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSpec {
    /// The shape of one example: `[c, h, w]` or `[d]`.
    pub shape: Vec<usize>,
    /// Number of label classes; 0 without labels.
    pub classes: usize,
}

impl DataSpec {
    /// Makes a description of examples of a shape, without labels.
    pub fn new(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), classes: 0 }
    }

    /// Returns the number of values in one example.
    pub fn numbers(&self) -> usize {
        self.shape.iter().product()
    }
}

impl VaeConfig {
    /// Checks every value. [`crate::compatibility::check_model`] also checks the choices against each
    /// other.
    ///
    /// # Errors
    /// For the first invalid value.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        check::range("model", "latent", self.latent, 1..=65_536)?;
        self.encoder.validate("model.encoder")?;
        self.decoder.validate("model.decoder")?;
        self.decoder.validate_decoder("model.decoder")?;
        self.posterior.validate("model.posterior", self.latent)?;
        self.prior.validate("model.prior")?;
        let networks = [&self.encoder, &self.decoder];
        let is_linear = networks.iter().all(|network| network.has_linear_layers_only());
        if self.init == InitialWeights::Glorot && !is_linear {
            let why =
                "\"glorot\" is for networks of linear layers (kind = \"mlp\"): use \"kaiming\"";
            return Err(ConfigError::new("model.init", why));
        }
        self.likelihood.validate("model.likelihood")
    }

    /// Returns the properties of the posterior.
    pub fn posterior_properties(&self) -> posterior::Properties {
        self.posterior.properties(self.latent)
    }

    /// Returns whether any part of the model depends on labels.
    pub fn uses_labels(&self) -> bool {
        self.conditions_networks() || self.prior.properties().uses_labels
    }

    /// Returns whether encoder and decoder depend on labels.
    pub fn conditions_networks(&self) -> bool {
        self.condition == Condition::Label
    }

    /// Returns the number of label classes that the model knows, for `data`; 0 if it uses no labels.
    pub fn known_classes(&self, data: &DataSpec) -> usize {
        if self.uses_labels() { data.classes } else { 0 }
    }

    /// Returns the number of inputs that encoder and decoder get as a condition, for `data`.
    pub fn condition_width(&self, data: &DataSpec) -> usize {
        match self.condition {
            Condition::None => 0,
            Condition::Label => data.classes,
        }
    }
}
