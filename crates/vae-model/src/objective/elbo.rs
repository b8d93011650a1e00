//! The evidence lower bound: reconstruction + beta * KL, with warm-up, free bits, a capacity, and
//! the penalties of regularized autoencoders.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Loss, ObjectiveFamily, PriorMatching, Requirements, rise};
use crate::batch::Batch;
use crate::bound::Terms;
use crate::check;
use crate::error::ConfigError;
use crate::networks::{Networks, Role};
use crate::noise::Noise;

/// Settings of the evidence lower bound (Kingma and Welling 2014; beta: Higgins et al. 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElboConfig {
    /// Weight of the KL once warm-up is over.
    pub beta: f64,
    /// Epochs over which the weight rises linearly from 0 to `beta` (Bowman et al. 2016).
    pub warmup_epochs: f64,
    /// Lower limit in nats of the KL of each latent dimension, averaged over the batch: a smaller
    /// KL is replaced by it (Kingma et al. 2016, appendix C8).
    pub free_bits: f64,
    /// Target in nats of the KL, averaged over the batch: the loss has beta |KL - capacity| in
    /// place of beta KL (Burgess et al. 2018). 0 for the plain KL.
    pub capacity: f64,
    /// Epochs over which the capacity rises linearly from 0.
    pub capacity_epochs: f64,
    /// Draws of z per example; their losses are averaged.
    pub samples: usize,
    /// Draws of z per example. Their decoded means are averaged before the loss. If above 1, the
    /// loss is not a bound and is not logged as `neg_elbo`.
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
    /// Returns the weight of the KL. `epoch` is the number of passes over the data since the start.
    pub fn weight(&self, epoch: f64) -> f64 {
        self.beta * rise(epoch, self.warmup_epochs)
    }
}

impl ObjectiveFamily for ElboConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        for (name, value) in [
            ("beta", self.beta),
            ("warmup_epochs", self.warmup_epochs),
            ("free_bits", self.free_bits),
            ("capacity", self.capacity),
            ("capacity_epochs", self.capacity_epochs),
            ("latent_penalty", self.latent_penalty),
            ("decoder_penalty", self.decoder_penalty),
        ] {
            check::not_negative(key, name, value)?;
        }
        check::range(key, "samples", self.samples, 1..=10_000)?;
        check::range(key, "average_decodings", self.average_decodings, 1..=10_000)?;
        if self.samples > 1 && self.average_decodings > 1 {
            let why = "averages decoded means, and `samples` averages losses: set one of them to 1";
            return check::refuse(key, "average_decodings", why);
        }
        if self.free_bits > 0.0 && self.capacity > 0.0 {
            let why = "free_bits and capacity both change the KL: set one to 0";
            return check::refuse(key, "capacity", why);
        }
        Ok(())
    }

    fn requirements(&self) -> Requirements {
        let used = |name: &'static str, value: f64| (value > 0.0).then_some(name);
        Requirements {
            // Free bits and a capacity apply to the KL averaged over the batch.
            joint_batch: self.free_bits > 0.0 || self.capacity > 0.0,
            min_batch: 1,
            trains_encoder: true,
            leaves_prior: None,
            prior_matching: PriorMatching::Kl,
            kl: used("beta", self.beta)
                .or(used("warmup_epochs", self.warmup_epochs))
                .or(used("free_bits", self.free_bits))
                .or(used("capacity", self.capacity)),
            kl_weight: (self.beta > 0.0 && self.capacity == 0.0).then_some(self.beta),
            settled_after: self.warmup_epochs.max(self.capacity_epochs),
            kl_per_dimension: used("free_bits", self.free_bits),
            decomposes_kl: false,
            density: None,
            decodings: self.samples.max(self.average_decodings),
            several_draws: match (self.samples, self.average_decodings) {
                (2.., _) => Some("samples"),
                (_, 2..) => Some("average_decodings"),
                _ => None,
            },
            averages_decodings: (self.average_decodings > 1).then_some("average_decodings"),
            penalizes_codes: used("latent_penalty", self.latent_penalty),
            splits_gradients: None,
            compares_x: None,
            auxiliaries: Vec::new(),
        }
    }

    fn loss(
        &self,
        _role: Role,
        networks: &Networks,
        batch: &Batch,
        noise: &dyn Noise,
        epoch: f64,
    ) -> Loss {
        let vae = &networks.vae;
        let k = self.samples.max(self.average_decodings);
        let averaged = self.average_decodings > 1;
        let terms = Terms::new(vae, batch, noise, k, averaged);
        let mut named = terms.named();
        // With averaged decodings the loss is not a bound.
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

/// Returns the sum of the squares of all parameters, `[1]`; `None` if there are none.
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
