//! Importance-weighted bounds (Burda et al. 2016) and the estimators of their gradients.
//!
//! With m groups of k draws, L = 1/m sum_g log 1/k sum_i w_gi. All gradients are weighted sums over
//! the draws of the gradient of log w. The estimators differ only in the weights, one set for the
//! encoder and one for decoder and prior. If the two sets differ, log w is computed twice, once
//! with a frozen decoder and once at frozen draws. One backward pass covers both.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{DensityNeed, Loss, ObjectiveFamily, PriorMatching, Requirements};
use crate::batch::Batch;
use crate::bound::log_weights;
use crate::check;
use crate::error::ConfigError;
use crate::math::{log_sum_exp, normalized_weights};
use crate::networks::{Networks, Role};
use crate::noise::Noise;
use crate::posterior::Density;
use crate::vae::Vae;

/// Settings of the importance-weighted bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IwaeConfig {
    /// Draws of z per example in each group, k.
    pub samples: usize,
    /// Number of groups, m, whose bounds are averaged (MIWAE(m, k), Rainforth et al. 2018).
    pub groups: usize,
    /// Which bound trains encoder and decoder if there are several groups.
    pub combination: Combination,
    /// Weight of the evidence lower bound of the same draws. The importance-weighted bound has the
    /// weight 1 - `elbo_weight` (CIWAE, Rainforth et al. 2018).
    pub elbo_weight: f64,
    /// How the encoder's gradient is estimated.
    pub estimator: Estimator,
}

/// Which bound trains encoder and decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combination {
    /// The average of the groups' bounds trains encoder and decoder.
    #[default]
    Miwae,
    /// The bound of all m k draws trains the decoder. The average of the groups' bounds trains the
    /// encoder (PIWAE, Rainforth et al. 2018).
    Piwae,
}

/// How the encoder's gradient is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// The gradient of the bound.
    #[default]
    Plain,
    /// The doubly reparameterized gradient (Tucker et al. 2019): without the score function of q,
    /// and with squared weights.
    Dreg,
}

impl Default for IwaeConfig {
    fn default() -> Self {
        Self {
            samples: 5,
            groups: 1,
            combination: Combination::Miwae,
            elbo_weight: 0.0,
            estimator: Estimator::Plain,
        }
    }
}

impl IwaeConfig {
    /// Returns the setting that gives encoder and decoder different weights, if one does.
    fn split_setting(&self) -> Option<&'static str> {
        match (self.estimator, self.combination) {
            (Estimator::Plain, Combination::Miwae) => None,
            (Estimator::Dreg, _) => Some("estimator"),
            (Estimator::Plain, Combination::Piwae) => Some("combination"),
        }
    }

    /// Returns -log of the mean weight in nats for log-weights `[m k, batch]`, averaged over the
    /// groups and the examples, `[1]`.
    fn negative_bound(&self, log_w: &Tensor<2>, groups: usize) -> Tensor<1> {
        let [draws, batch] = log_w.dims();
        let k = draws / groups;
        let log_w = log_w.clone().reshape([groups, k, batch]);
        log_sum_exp(log_w, 1).mean().neg().add_scalar((k as f64).ln())
    }
}

impl ObjectiveFamily for IwaeConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::range(key, "samples", self.samples, 1..=10_000)?;
        check::range(key, "groups", self.groups, 1..=10_000)?;
        check::range(key, "elbo_weight", self.elbo_weight, 0.0..=1.0)?;
        if self.elbo_weight > 0.0 && self.split_setting().is_some() {
            let why = "the evidence lower bound can be mixed in only with estimator = \"plain\" \
                       and combination = \"miwae\": set both, or elbo_weight = 0";
            return check::refuse(key, "elbo_weight", why);
        }
        if self.estimator == Estimator::Dreg && self.combination == Combination::Piwae {
            let why = "piwae defines the encoder's gradient itself: set combination = \"miwae\", \
                       or estimator = \"plain\"";
            return check::refuse(key, "estimator", why);
        }
        if self.combination == Combination::Piwae && self.groups == 1 {
            let why = "with a single group both bounds are the same: set groups to 2 or more";
            return check::refuse(key, "combination", why);
        }
        Ok(())
    }

    fn requirements(&self) -> Requirements {
        let density = match self.estimator {
            Estimator::Plain => DensityNeed {
                setting: "kind",
                purpose: "importance weights are computed from",
                at: Density::AtDraws,
                instead: "objective.kind = \"elbo\"",
            },
            Estimator::Dreg => DensityNeed {
                setting: "estimator",
                purpose: "the doubly reparameterized gradient is computed from",
                at: Density::Everywhere,
                instead: "estimator = \"plain\"",
            },
        };
        Requirements {
            joint_batch: false,
            min_batch: 1,
            trains_encoder: true,
            leaves_prior: None,
            prior_matching: PriorMatching::Kl,
            kl: None,
            kl_weight: Some(1.0),
            settled_after: 0.0,
            kl_per_dimension: None,
            decomposes_kl: false,
            density: Some(density),
            // The decoder runs once more at frozen draws.
            decodings: self.samples
                * self.groups
                * if self.split_setting().is_some() { 2 } else { 1 },
            several_draws: None,
            averages_decodings: None,
            penalizes_codes: None,
            splits_gradients: self.split_setting(),
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
        _epoch: f64,
    ) -> Loss {
        let vae = &networks.vae;
        let draws = self.samples * self.groups;
        let q = vae.encode_batch(batch);
        if self.split_setting().is_none() {
            let prior = vae.prior(batch.labels.as_ref(), &batch.x.device());
            let log_w = log_weights(vae, batch, (&q, &prior), noise, draws);
            let Some(log_w) = log_w else { no_density() };
            let neg_elbo = log_w.clone().mean().neg();
            let bound = self.negative_bound(&log_w, self.groups);
            let total = bound.mul_scalar(1.0 - self.elbo_weight)
                + neg_elbo.clone().mul_scalar(self.elbo_weight);
            return Loss::new(total, vec![("neg_elbo", neg_elbo)]);
        }

        // Encoder: gradient through z and log q only, with a frozen decoder and prior.
        let frozen = vae.valid();
        let draw = q.draw(noise, draws);
        let log_q = match self.estimator {
            Estimator::Dreg => frozen.encode_batch(batch).log_prob(draw.z.clone()),
            Estimator::Plain => draw.log_q(),
        };
        let Some(log_q) = log_q else { no_density() };
        let joint = |vae: &Vae, z: Tensor<3>| {
            let log_prior = vae.prior(batch.labels.as_ref(), &batch.x.device());
            let log_prior = log_prior.log_prob(z.clone(), noise);
            let p = vae.decode_draws(z, batch.labels.as_ref());
            p.log_prob(batch.x.clone()) + log_prior
        };
        let through_z = joint(&frozen, draw.z.clone()) - log_q;
        let log_w = through_z.clone().inner();
        let [_, images] = log_w.dims();
        let grouped = log_w.clone().reshape([self.groups, self.samples, images]);
        let in_group = normalized_weights(grouped, 1).reshape([draws, images]);
        let share = 1.0 / self.groups as f64;
        let (encoder, decoder, value) = match self.combination {
            Combination::Miwae => (
                in_group.clone().square().mul_scalar(share),
                in_group.mul_scalar(share),
                self.negative_bound(&log_w, self.groups),
            ),
            Combination::Piwae => (
                in_group.mul_scalar(share),
                normalized_weights(log_w.clone(), 0),
                self.negative_bound(&log_w, 1),
            ),
        };
        // Decoder and prior: gradient at frozen draws.
        let at_draws = joint(vae, draw.z.inner());
        let surrogate = (through_z * encoder + at_draws * decoder).sum_dim(0).mean().neg();
        // The value of the bound, with the gradient of the surrogate.
        let total = surrogate.clone() - surrogate.inner() + value;
        Loss::new(total, vec![("neg_elbo", log_w.mean().neg())])
    }
}

/// Panics because the posterior has no density, which validation excludes.
fn no_density() -> ! {
    unreachable!("validation accepts only posteriors with the density that the estimator needs")
}
