//! `Vae`: encoder + posterior + prior + decoder + likelihood (+ condition), one choice on each
//! axis.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::batch::Batch;
use crate::compatibility;
use crate::description::{DataSpec, InitialWeights, VaeConfig};
use crate::error::ConfigError;
use crate::init::{Init, Stored, build_stored, count_weights};
use crate::likelihood::{Likelihood, LikelihoodDistribution};
use crate::multiplications::{Multiplications, weights_of_matrices};
use crate::network::{Decoder, Encoder, concat_condition};
use crate::noise::Noise;
use crate::posterior::{CodeSpace, CodebookUpdate, Posterior, PosteriorDistribution};
use crate::prior::{Context, Prior, PriorDistribution};

/// A model configuration, checked by itself and against the data.
///
/// Models are built only from it.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeSpec {
    config: VaeConfig,
    data: DataSpec,
}

impl VaeSpec {
    /// Checks a configuration for data with the shape and classes of `data`.
    ///
    /// # Errors
    /// For the first invalid value, or if the model cannot read the data.
    pub fn new(config: VaeConfig, data: DataSpec) -> Result<Self, ConfigError> {
        compatibility::check_model(&config)?;
        compatibility::check_shape(&config, &data)?;
        Ok(Self { config, data })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Returns the properties of the data.
    pub fn data(&self) -> &DataSpec {
        &self.data
    }

    /// Returns the number of weights of the model. It is the same for every `device`.
    pub fn count_weights(&self, device: &Device) -> u128 {
        count_weights(device, |init| self.build(init))
    }

    /// Makes the model with initial weights from `noise`, on `device`. Training needs an autodiff
    /// device.
    pub fn init(&self, noise: &dyn Noise, device: &Device) -> Vae {
        self.build(&Init::drawn(noise, device).with(self.config.init))
    }

    /// Makes the model with stored parameters, by path, on `device`.
    ///
    /// # Errors
    /// Names the first parameter that is missing, unknown or of another shape.
    pub fn load(
        &self,
        parameters: BTreeMap<String, Stored>,
        device: &Device,
    ) -> Result<Vae, String> {
        build_stored(parameters, device, |init| self.build(init))
    }

    /// Makes the model with weights from `init`.
    pub(crate) fn build(&self, init: &Init<'_>) -> Vae {
        let Self { config, data } = self;
        let condition = config.condition_width(data);
        let (encoder, features) =
            config.encoder.encoder(&init.at("encoder"), &data.shape, condition);
        Vae {
            encoder,
            posterior: config.posterior.init(&init.at("posterior"), features, config.latent),
            prior: config.prior.init(&init.at("prior"), config, data),
            decoder: config.decoder.decoder(
                &init.at("decoder"),
                config.latent + condition,
                &data.shape,
                config.likelihood.properties().outputs,
            ),
            likelihood: config.likelihood.init(&init.at("likelihood"), data.numbers()),
            spec: self.clone(),
        }
    }
}

/// A variational autoencoder (or, with a point posterior, an autoencoder).
#[derive(Module, Debug)]
pub struct Vae {
    encoder: Encoder,
    posterior: Posterior,
    prior: Prior,
    decoder: Decoder,
    likelihood: Likelihood,
    #[module(skip)]
    spec: VaeSpec,
}

impl Vae {
    /// Returns the model with the output bias of its decoder at the mean of the data, for likelihoods whose
    /// training starts there and configurations that ask for it: see [`InitialWeights::Glorot`]. `mean` returns
    /// the mean of each number of x.
    pub fn starting_at(self, mean: impl FnOnce() -> Vec<f64>) -> Self {
        let family = self.config().likelihood.clone();
        if self.config().init != InitialWeights::Glorot || family.output_of_mean(0.5).is_none() {
            return self;
        }
        let outputs = mean().into_iter().filter_map(|mean| family.output_of_mean(mean));
        let outputs = outputs.map(|output| output as f32).collect();
        Self { decoder: self.decoder.with_output_bias(outputs), ..self }
    }

    /// Returns the specification that the model was built from.
    pub fn spec(&self) -> &VaeSpec {
        &self.spec
    }

    /// Returns the configuration that the model was built from.
    pub fn config(&self) -> &VaeConfig {
        &self.spec.config
    }

    /// Returns the shape of one example: `[c, h, w]` or `[d]`.
    pub fn shape(&self) -> &[usize] {
        &self.spec.data.shape
    }

    /// Returns the number of values in one example.
    pub fn numbers(&self) -> usize {
        self.spec.data.numbers()
    }

    /// Returns the number of label classes; 0 for a model that uses no labels.
    pub fn classes(&self) -> usize {
        self.config().known_classes(&self.spec.data)
    }

    /// Returns how many multiplications an example needs.
    pub fn multiplications(&self) -> Multiplications {
        let [network, first_layer] = self.encoder.multiplications();
        Multiplications {
            encoder: network + weights_of_matrices(&self.posterior),
            first_layer,
            decoder: self.decoder.multiplications(),
        }
    }

    /// Returns the discrete codes of x `[batch, numbers]`, `[batch, positions]`. `None` for a model
    /// without discrete codes.
    pub fn codes(&self, x: Tensor<2>, labels: Option<&Tensor<2>>) -> Option<Tensor<2, Int>> {
        self.encode(x, labels).codes()
    }

    /// Returns z `[rows, latent]` of discrete codes `[rows, positions]`, which must be below the
    /// number of embeddings. `None` for a model without discrete codes.
    pub fn vectors(&self, codes: Tensor<2, Int>) -> Option<Tensor<2>> {
        self.posterior.codebook().map(|codebook| codebook.vectors(codes))
    }

    /// Returns the space of discrete codes. `None` for a model without discrete codes.
    pub fn code_space(&self) -> Option<CodeSpace> {
        self.config().posterior_properties().codes
    }

    /// Returns the model after the codebook update of a step.
    pub fn apply_codebook_update(self, update: CodebookUpdate) -> Self {
        Self { posterior: self.posterior.apply_codebook_update(update), ..self }
    }

    /// Returns the encoder's network and the posterior's heads, which compute q(z|x).
    pub(crate) fn inference(&self) -> (&Encoder, &Posterior) {
        (&self.encoder, &self.posterior)
    }

    /// Returns the decoder's network.
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Returns the condition of encoder and decoder, `[rows, classes]`: zeros if `labels` is
    /// `None`. `None` if the model has no condition. `like` is the input, for its rows and device.
    fn condition(&self, labels: Option<&Tensor<2>>, like: &Tensor<2>) -> Option<Tensor<2>> {
        let [rows, _] = like.dims();
        let width = self.config().condition_width(&self.spec.data);
        let unknown = || Tensor::zeros([rows, width], &like.device());
        (width > 0).then(|| labels.cloned().unwrap_or_else(unknown))
    }

    /// Returns q(z|x) of x `[batch, numbers]`. Only a conditional model reads `labels` `[batch,
    /// classes]`.
    pub fn encode(&self, x: Tensor<2>, labels: Option<&Tensor<2>>) -> PosteriorDistribution {
        let condition = self.condition(labels, &x);
        self.posterior.forward(self.encoder.forward(x, condition))
    }

    /// Returns q(z|x) of the encoder's input of a batch.
    pub fn encode_batch(&self, batch: &Batch) -> PosteriorDistribution {
        self.encode(batch.encoder_input(), batch.labels.as_ref())
    }

    /// Returns p(x|z) of z `[rows, latent]`. Only a conditional model reads `labels`
    /// `[rows, classes]`.
    pub fn decode(&self, z: Tensor<2>, labels: Option<&Tensor<2>>) -> LikelihoodDistribution {
        let condition = self.condition(labels, &z);
        let outputs = self.decoder.forward(concat_condition(z, condition));
        let family = self.config().likelihood.clone();
        LikelihoodDistribution::new(outputs, family, self.likelihood.log_spread())
    }

    /// Returns p(x|z) of k draws per example, z `[k, batch, latent]`, with the examples' labels
    /// `[batch, classes]`. Its rows are ordered draw by draw.
    pub fn decode_draws(&self, z: Tensor<3>, labels: Option<&Tensor<2>>) -> LikelihoodDistribution {
        let [k, batch, latent] = z.dims();
        let labels = labels.map(|c| if k == 1 { c.clone() } else { c.clone().repeat_dim(0, k) });
        self.decode(z.reshape([k * batch, latent]), labels.as_ref())
    }

    /// Returns p(z) with the current parameters; a VampPrior also runs the encoder. A
    /// label-conditional prior returns p(z|y) for labels `[batch, classes]`, and p(z) over all
    /// classes without labels.
    pub fn prior(&self, labels: Option<&Tensor<2>>, device: &Device) -> PriorDistribution {
        let encode = |x: Tensor<2>, labels: Option<&Tensor<2>>| self.encode(x, labels);
        self.prior.distribution(&Context { encode: &encode, labels, device })
    }
}
