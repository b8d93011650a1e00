//! The evidence lower bound: reconstruction + beta * KL, with warm-up, free bits, a capacity, and the
//! penalties of regularized autoencoders.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Loss, counts, kl_exists, not_negative};
use crate::batch::Batch;
use crate::bound::Terms;
use crate::error::ConfigError;
use crate::noise::Noise;
use crate::posterior::PosteriorConfig;
use crate::prior::PriorConfig;
use crate::vae::{Vae, VaeConfig};

/// Settings of the evidence lower bound (Kingma and Welling 2014; beta: Higgins et al. 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElboConfig {
    /// Weight of the KL once warm-up is over.
    pub beta: f64,
    /// Epochs over which the weight rises linearly from 0 to `beta` (Bowman et al. 2016).
    pub warmup_epochs: f64,
    /// Nats that each latent dimension may use freely: its KL, averaged over the batch, counts at least
    /// this much (Kingma et al. 2016, appendix C8).
    pub free_bits: f64,
    /// Nats that the KL, averaged over the batch, is drawn towards: the loss has beta |KL - capacity| in
    /// place of beta KL (Burgess et al. 2018); 0 for the plain KL.
    pub capacity: f64,
    /// Epochs over which the capacity rises linearly from 0.
    pub capacity_epochs: f64,
    /// Draws a point; their losses are averaged.
    pub samples: usize,
    /// Draws a point; their decodings are averaged before the loss (S-DEEP). Above 1 the loss bounds
    /// nothing and is never reported as `neg_elbo`.
    pub average_decodings: usize,
    /// Weight of |z|^2 / 2 of a point posterior (RAE, Ghosh et al. 2020).
    pub latent_penalty: f64,
    /// Weight of the sum of the squares of the decoder's weights (RAE-L2, Ghosh et al. 2020).
    pub decoder_penalty: f64,
}

impl Default for ElboConfig {
    fn default() -> Self {
        Self {
            beta: 1.0,
            warmup_epochs: 0.0,
            free_bits: 0.0,
            capacity: 0.0,
            capacity_epochs: 0.0,
            samples: 1,
            average_decodings: 1,
            latent_penalty: 0.0,
            decoder_penalty: 0.0,
        }
    }
}

impl ElboConfig {
    pub(super) fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
        let refuse = |name: &str, why: &str| Err(ConfigError::new(format!("{key}.{name}"), why));
        not_negative(
            key,
            &[
                ("beta", self.beta),
                ("warmup_epochs", self.warmup_epochs),
                ("free_bits", self.free_bits),
                ("capacity", self.capacity),
                ("capacity_epochs", self.capacity_epochs),
                ("latent_penalty", self.latent_penalty),
                ("decoder_penalty", self.decoder_penalty),
            ],
        )?;
        let samples = [("samples", self.samples), ("average_decodings", self.average_decodings)];
        counts(key, 10_000, &samples)?;
        if self.samples > 1 && self.average_decodings > 1 {
            let why = "averages decodings where `samples` averages losses; set one of them to 1";
            return refuse("average_decodings", why);
        }
        if self.average_decodings > 1 && model.likelihood.has_pixel_spread() {
            let why = "decodings with a spread of their own have no average that is of their kind: \
                       set model.likelihood.spread to \"fixed\" or \"global\"";
            return refuse("average_decodings", why);
        }
        if self.free_bits > 0.0 && self.capacity > 0.0 {
            return refuse("capacity", "free_bits and capacity both change the KL: set one to 0");
        }
        if !model.posterior.has_density() && self.samples.max(self.average_decodings) > 1 {
            let why = "this posterior has only one draw; set samples and average_decodings to 1";
            return refuse("samples", why);
        }
        let of_kl = [
            ("beta", self.beta),
            ("warmup_epochs", self.warmup_epochs),
            ("free_bits", self.free_bits),
            ("capacity", self.capacity),
        ];
        kl_exists(key, &of_kl, model)?;
        if self.free_bits > 0.0 && !kl_is_of_dimensions(model) {
            let why = "this KL is one number, not one of each dimension: use a gaussian posterior \
                       without flow steps and a standard prior, or capacity";
            return refuse("free_bits", why);
        }
        if self.latent_penalty > 0.0 && !matches!(model.posterior, PosteriorConfig::Point(_)) {
            let why = "it stands in place of the KL that a point posterior lacks: set \
                       model.posterior.kind = \"point\", or use beta";
            return refuse("latent_penalty", why);
        }
        Ok(())
    }

    /// Free bits and a capacity change the KL averaged over the batch.
    pub(super) fn couples_images(&self) -> bool {
        self.free_bits > 0.0 || self.capacity > 0.0
    }

    /// Weight of the KL `epoch` passes after the start.
    pub fn weight(&self, epoch: f64) -> f64 {
        self.beta * rise(epoch, self.warmup_epochs)
    }

    pub(super) fn loss(&self, vae: &Vae, batch: &Batch, noise: &dyn Noise, epoch: f64) -> Loss {
        let k = self.samples.max(self.average_decodings);
        let averaged = self.average_decodings > 1;
        let terms = Terms::new(vae, batch, noise, k, averaged);
        let mut named = terms.named();
        // The average of decodings bounds nothing.
        named.retain(|(name, _)| !(averaged && *name == "neg_elbo"));
        let mut total = terms.reconstruction;
        let mut update = None;
        if let Some(regularizer) = terms.draw.regularizer {
            total = total + regularizer.total;
            update = Some(regularizer.update);
        }
        if let Some(kl) = terms.kl {
            let counted = match terms.kl_per_dimension {
                Some(each) if self.free_bits > 0.0 => each.clamp_min(self.free_bits).sum(),
                _ if self.capacity > 0.0 => {
                    let capacity = self.capacity * rise(epoch, self.capacity_epochs);
                    kl.sub_scalar(capacity).abs()
                }
                _ => kl,
            };
            total = total + counted.mul_scalar(self.weight(epoch));
        }
        if self.latent_penalty > 0.0 {
            let squares = terms.draw.z.square().sum_dim(2).mean().mul_scalar(0.5);
            named.push(("latent_penalty", squares.clone()));
            total = total + squares.mul_scalar(self.latent_penalty);
        }
        if self.decoder_penalty > 0.0
            && let Some(squares) = sum_of_squares(vae.decoder())
        {
            named.push(("decoder_penalty", squares.clone()));
            total = total + squares.mul_scalar(self.decoder_penalty);
        }
        Loss { total, terms: named, update }
    }
}

/// Whether the KL is a sum over dimensions in closed form.
fn kl_is_of_dimensions(model: &VaeConfig) -> bool {
    model.posterior.is_plain_gaussian() && matches!(model.prior, PriorConfig::Standard(_))
}

/// How far a linear rise over so many epochs has come, 0 to 1.
fn rise(epoch: f64, epochs: f64) -> f64 {
    if epochs > 0.0 { (epoch / epochs).min(1.0) } else { 1.0 }
}

/// The sum of the squares of all parameters, `[1]`.
fn sum_of_squares<M: Module>(module: &M) -> Option<Tensor<1>> {
    struct Sum(Option<Tensor<1>>);
    impl ModuleVisitor for Sum {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let squares = param.val().square().sum();
            self.0 = Some(match self.0.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
    let mut sum = Sum(None);
    module.visit(&mut sum);
    sum.0
}
