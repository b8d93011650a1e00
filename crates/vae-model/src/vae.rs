//! `Vae`: encoder + posterior + prior + decoder + likelihood (+ condition), one choice on each axis.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::config::Section;
use crate::error::ConfigError;
use crate::init::{Init, count_weights};
use crate::likelihood::{Decoding, Likelihood, LikelihoodConfig};
use crate::network::{Decoder, Encoder, NetworkConfig, beside};
use crate::noise::Noise;
use crate::posterior::{CodebookUpdate, Encoding, Posterior, PosteriorConfig};
use crate::prior::{Density, Mixture, Prior, PriorConfig};

/// One choice on each axis of a model: the `[model]` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VaeConfig {
    /// Latent dimensions.
    pub latent: usize,
    /// What encoder and decoder are told beside x and z.
    pub condition: Condition,
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

/// What encoder and decoder are told beside x and z: with y, all of q(z|x, y) and p(x|z, y) depend on it
/// (Sohn et al. 2015), and p(z) does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// The class of the example, as a one-hot row.
    Label,
}

/// What a model's examples are like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The shape of one example: `[c, h, w]` or `[d]`.
    pub input: Vec<usize>,
    /// How many classes the labels tell apart; 0 without labels.
    pub classes: usize,
}

impl Domain {
    /// Examples of a shape, without labels.
    pub fn new(input: &[usize]) -> Self {
        Self { input: input.to_vec(), classes: 0 }
    }

    /// Numbers in one example.
    pub fn numbers(&self) -> usize {
        self.input.iter().product()
    }
}

impl Default for VaeConfig {
    fn default() -> Self {
        let encoder = NetworkConfig::default();
        Self {
            latent: 20,
            condition: Condition::None,
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
            condition: section.value("condition")?.unwrap_or_default(),
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
        self.posterior.validate("model.posterior", self.latent)?;
        self.prior.validate("model.prior", self)?;
        self.likelihood.validate("model.likelihood")
    }

    /// Checks that the model can be built for examples like these.
    pub fn validate_domain(&self, domain: &Domain) -> Result<(), ConfigError> {
        self.encoder.validate_input("model.encoder", &domain.input)?;
        self.decoder.validate_input("model.decoder", &domain.input)?;
        if self.condition == Condition::Label && domain.classes < 2 {
            let why = "a condition on labels needs data of two or more classes, and this has no \
                       labels: choose other data, or set model.condition = \"none\"";
            return Err(ConfigError::new("model.condition", why));
        }
        if self.classes(domain) > MAX_CLASSES {
            let why = format!("{} classes are more than {MAX_CLASSES}", domain.classes);
            return Err(ConfigError::new("model.condition", why));
        }
        Ok(())
    }

    /// How many numbers the condition has for examples like these.
    pub fn classes(&self, domain: &Domain) -> usize {
        match self.condition {
            Condition::None => 0,
            Condition::Label => domain.classes,
        }
    }

    /// How many weights the model for examples like `domain` has; `device` may be any.
    pub fn weights(&self, domain: &Domain, device: &Device) -> u128 {
        count_weights(device, |init| self.build(domain, init))
    }

    /// The model for examples like `domain` with initial weights from `noise`, on `device`. Ask for an
    /// autodiff device to train it. The configuration must be valid for that domain.
    pub fn init(&self, domain: &Domain, noise: &dyn Noise, device: &Device) -> Vae {
        self.build(domain, &Init::drawn(noise, device))
    }

    /// The model with the weights that `init` gives.
    pub(crate) fn build(&self, domain: &Domain, init: &Init<'_>) -> Vae {
        let classes = self.classes(domain);
        let (encoder, features) = self.encoder.encoder(&init.at("encoder"), &domain.input, classes);
        Vae {
            encoder,
            posterior: self.posterior.init(&init.at("posterior"), features, self.latent),
            prior: self.prior.init(&init.at("prior"), self, domain),
            decoder: self.decoder.decoder(
                &init.at("decoder"),
                self.latent + classes,
                &domain.input,
                self.likelihood.parameters(),
            ),
            likelihood: self.likelihood.init(&init.at("likelihood")),
            config: self.clone(),
            domain: domain.clone(),
        }
    }
}

/// The most numbers that one example may have.
pub const MAX_NUMBERS: usize = 1 << 24;
/// The most classes that a condition may tell apart.
pub const MAX_CLASSES: usize = 1 << 12;
/// The most weights that a model may have; training needs room for four times as many.
pub const MAX_WEIGHTS: u128 = 1 << 28;

/// A variational autoencoder (or, with a point posterior, an autoencoder).
#[derive(Module, Debug)]
pub struct Vae {
    encoder: Encoder,
    posterior: Posterior,
    prior: Prior,
    decoder: Decoder,
    likelihood: Likelihood,
    #[module(skip)]
    config: VaeConfig,
    #[module(skip)]
    domain: Domain,
}

impl Vae {
    /// The configuration that built it.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// What its examples are like.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The shape of one example: `[c, h, w]` or `[d]`.
    pub fn input(&self) -> &[usize] {
        &self.domain.input
    }

    /// Numbers in one example.
    pub fn numbers(&self) -> usize {
        self.domain.numbers()
    }

    /// How many classes its condition tells apart; 0 for a model without one.
    pub fn classes(&self) -> usize {
        self.config.classes(&self.domain)
    }

    /// The discrete codes of x `[batch, numbers]`, `[batch, positions]`; `None` for a model without any.
    pub fn codes(&self, x: Tensor<2>, condition: Option<&Tensor<2>>) -> Option<Tensor<2, Int>> {
        match self.encode(x, condition) {
            Encoding::Vq(q) => Some(q.codes()),
            _ => None,
        }
    }

    /// z of discrete codes `[rows, positions]`, each below the number that there are, `[rows, latent]`; `None`
    /// for a model without any.
    pub fn vectors(&self, codes: Tensor<2, Int>) -> Option<Tensor<2>> {
        match &self.posterior {
            Posterior::Vq(vq) => Some(vq.vectors(codes)),
            _ => None,
        }
    }

    /// How many discrete codes there are, and at how many positions; `None` for a model without any.
    pub fn code_space(&self) -> Option<(usize, usize)> {
        match &self.config.posterior {
            PosteriorConfig::Vq(c) => Some((c.codes, self.config.latent / c.width)),
            _ => None,
        }
    }

    /// The model after a step, with what its posterior wants changed beside what gradients change.
    pub fn absorb(self, update: CodebookUpdate) -> Self {
        let posterior = match self.posterior {
            Posterior::Vq(vq) => Posterior::Vq(vq.absorb(update)),
            other => other,
        };
        Self { posterior, ..self }
    }

    /// The parts that make q(z|x).
    pub(crate) fn inference(&self) -> (&Encoder, &Posterior) {
        (&self.encoder, &self.posterior)
    }

    /// The decoder's network.
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The condition as this model takes it: none if it has none, all zeros where none is given.
    fn condition(&self, given: Option<&Tensor<2>>, like: &Tensor<2>) -> Option<Tensor<2>> {
        let [rows, _] = like.dims();
        let unknown = || Tensor::zeros([rows, self.classes()], &like.device());
        (self.classes() > 0).then(|| given.cloned().unwrap_or_else(unknown))
    }

    /// q(z|x) of x `[batch, numbers]` under a condition `[batch, classes]`, which only a conditional
    /// model reads.
    pub fn encode(&self, x: Tensor<2>, condition: Option<&Tensor<2>>) -> Encoding {
        let condition = self.condition(condition, &x);
        self.posterior.forward(self.encoder.forward(x, condition))
    }

    /// q(z|x) of a batch, as the encoder sees it.
    pub fn encode_batch(&self, batch: &Batch) -> Encoding {
        self.encode(batch.seen(), batch.condition.as_ref())
    }

    /// p(x|z) of z `[rows, latent]` under a condition `[rows, classes]`, which only a conditional model
    /// reads.
    pub fn decode(&self, z: Tensor<2>, condition: Option<&Tensor<2>>) -> Decoding {
        let condition = self.condition(condition, &z);
        let output = self.decoder.forward(beside(z, condition));
        Decoding::new(output, self.config.likelihood.clone(), self.likelihood.log_spread())
    }

    /// p(x|z) of k draws of each example, z `[k, batch, latent]`, under the examples' condition `[batch,
    /// classes]`; its rows go draw by draw.
    pub fn decode_draws(&self, z: Tensor<3>, condition: Option<&Tensor<2>>) -> Decoding {
        let [k, batch, latent] = z.dims();
        let condition =
            condition.map(|c| if k == 1 { c.clone() } else { c.clone().repeat_dim(0, k) });
        self.decode(z.reshape([k * batch, latent]), condition.as_ref())
    }

    /// p(z), ready for one step; it may use the encoder.
    pub fn prior(&self, device: &Device) -> Density {
        match &self.prior {
            Prior::Standard(p) => Density::Standard(p.clone()),
            Prior::Mixture(p) => Density::Mixture(p.density(device)),
            Prior::RealNvp(p) => Density::RealNvp(p.clone()),
            Prior::Hierarchical(p) => Density::Hierarchical(p.clone()),
            Prior::Vamp(p) => {
                let (inputs, classes) = p.inputs();
                let (mean, log_var) = match self.encode(inputs, classes.as_ref()) {
                    Encoding::Gaussian(q) => (q.mean, q.log_var),
                    // Validation lets no other posterior in.
                    other => (other.mean(), other.mean().zeros_like()),
                };
                Density::Mixture(Mixture::equal(mean, log_var))
            }
        }
    }
}
