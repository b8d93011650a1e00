//! `Vae`: encoder + posterior + prior + decoder + likelihood, one choice on each axis.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::Serialize;

use crate::config::Section;
use crate::error::ConfigError;
use crate::init::{Init, count_weights};
use crate::likelihood::{Decoding, LikelihoodConfig};
use crate::network::{Decoder, Encoder, NetworkConfig};
use crate::noise::Noise;
use crate::posterior::{Encoding, Posterior, PosteriorConfig};
use crate::prior::{Prior, PriorConfig};

/// One choice on each axis of a model: the `[model]` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VaeConfig {
    /// Latent dimensions.
    pub latent: usize,
    /// The encoder's network.
    pub encoder: NetworkConfig,
    /// The decoder's network; left out, it mirrors the encoder.
    pub decoder: NetworkConfig,
    /// q(z|x).
    pub posterior: PosteriorConfig,
    /// p(z).
    pub prior: PriorConfig,
    /// p(x|z).
    pub likelihood: LikelihoodConfig,
}

impl Default for VaeConfig {
    fn default() -> Self {
        let encoder = NetworkConfig::default();
        Self {
            latent: 20,
            decoder: encoder.mirrored(),
            encoder,
            posterior: PosteriorConfig::default(),
            prior: PriorConfig::default(),
            likelihood: LikelihoodConfig::default(),
        }
    }
}

impl VaeConfig {
    /// Reads a `[model]` table; what it leaves out has its default. Values are not [validated](Self::validate).
    pub fn read(section: Option<Section<'_>>) -> Result<Self, ConfigError> {
        let Some(mut section) = section else { return Ok(Self::default()) };
        let encoder: NetworkConfig = section.choice("encoder")?;
        let decoder = section.choice_or("decoder", || encoder.mirrored())?;
        let config = Self {
            latent: section.value("latent")?.unwrap_or(Self::default().latent),
            encoder,
            decoder,
            posterior: section.choice("posterior")?,
            prior: section.choice("prior")?,
            likelihood: section.choice("likelihood")?,
        };
        section.finish()?;
        Ok(config)
    }

    /// Checks that every setting can be built.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=65_536).contains(&self.latent) {
            let why = format!("must be 1 to 65536, not {}", self.latent);
            return Err(ConfigError::new("model.latent", why));
        }
        self.encoder.validate("model.encoder")?;
        self.decoder.validate("model.decoder")?;
        self.decoder.validate_decoder("model.decoder")?;
        self.likelihood.validate("model.likelihood")
    }

    /// How many weights the model for examples of shape `input` has; `device` may be any.
    pub fn weights(&self, input: &[usize], device: &Device) -> u128 {
        count_weights(device, |init| self.build(input, init))
    }

    /// The model for examples of shape `input` (`[c, h, w]` or `[d]`) with initial weights from `noise`,
    /// on `device`. Ask for an autodiff device to train it.
    pub fn init(&self, input: &[usize], noise: &dyn Noise, device: &Device) -> Vae {
        self.build(input, &Init::drawn(noise, device))
    }

    /// The model with the weights that `init` gives.
    pub(crate) fn build(&self, input: &[usize], init: &Init<'_>) -> Vae {
        let numbers: usize = input.iter().product();
        let (encoder, features) = self.encoder.encoder(&init.at("encoder"), numbers);
        let outputs = numbers * self.likelihood.parameters();
        Vae {
            encoder,
            posterior: self.posterior.init(&init.at("posterior"), features, self.latent),
            prior: self.prior.init(self.latent),
            decoder: self.decoder.decoder(&init.at("decoder"), self.latent, outputs),
            config: self.clone(),
            input: input.to_vec(),
        }
    }
}

/// The most numbers that one example may have.
pub const MAX_NUMBERS: usize = 1 << 24;
/// The most weights that a model may have; training needs room for four times as many.
pub const MAX_WEIGHTS: u128 = 1 << 28;

/// A variational autoencoder (or, with a point posterior, an autoencoder).
#[derive(Module, Debug)]
pub struct Vae {
    encoder: Encoder,
    posterior: Posterior,
    prior: Prior,
    decoder: Decoder,
    #[module(skip)]
    config: VaeConfig,
    #[module(skip)]
    input: Vec<usize>,
}

impl Vae {
    /// The configuration that built it.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// The shape of one example: `[c, h, w]` or `[d]`.
    pub fn input(&self) -> &[usize] {
        &self.input
    }

    /// Numbers in one example.
    pub fn numbers(&self) -> usize {
        self.input.iter().product()
    }

    /// q(z|x) of x `[batch, numbers]`.
    pub fn encode(&self, x: Tensor<2>) -> Encoding {
        self.posterior.forward(self.encoder.forward(x))
    }

    /// p(x|z) of z `[rows, latent]`.
    pub fn decode(&self, z: Tensor<2>) -> Decoding {
        Decoding::new(self.decoder.forward(z), self.config.likelihood.clone())
    }

    /// p(x|z) of k draws of each example, z `[k, batch, latent]`; its rows go draw by draw.
    pub fn decode_draws(&self, z: Tensor<3>) -> Decoding {
        let [k, batch, latent] = z.dims();
        self.decode(z.reshape([k * batch, latent]))
    }

    /// p(z).
    pub fn prior(&self) -> &Prior {
        &self.prior
    }
}
