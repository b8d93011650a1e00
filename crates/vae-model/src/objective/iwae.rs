//! Importance-weighted bounds (Burda et al. 2016) and the estimators of their gradients.
//!
//! With m groups of k draws, L = 1/m sum_g log 1/k sum_i w_gi. All gradients are sums over the draws of the
//! gradient of log w, and the estimators differ in the weights alone: those of the decoder (and prior) and
//! those of the encoder. Where the two differ, log w is taken twice, once with a decoder that stands still and
//! once at draws that do, and one backward pass goes through both.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::{Loss, counts};
use crate::batch::Batch;
use crate::bound::log_weights;
use crate::error::ConfigError;
use crate::math::log_sum_exp;
use crate::noise::Noise;
use crate::prior::PriorConfig;
use crate::vae::{Vae, VaeConfig};

/// Settings of the importance-weighted bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IwaeConfig {
    /// Draws a point in each group: k.
    pub samples: usize,
    /// Groups, whose bounds are averaged: m (MIWAE(m, k), Rainforth et al. 2018).
    pub groups: usize,
    /// Which bound trains which part, where there are several groups.
    pub combination: Combination,
    /// Weight of the evidence lower bound of the same draws, the rest being that of the importance-weighted
    /// one (CIWAE, Rainforth et al. 2018).
    pub elbo_weight: f64,
    /// How the encoder's gradient is estimated.
    pub estimator: Estimator,
}

/// Which bound trains which part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combination {
    /// The average of the groups' bounds trains all.
    #[default]
    Miwae,
    /// The bound of all m k draws trains the decoder, the average of the groups' the encoder.
    Piwae,
}

/// How the encoder's gradient is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// By the gradient of the bound as it stands.
    #[default]
    Plain,
    /// Doubly reparameterized (Tucker et al. 2019): without the score of q, with squared weights.
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
    pub(super) fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
        let refuse = |name: &str, why: &str| Err(ConfigError::new(format!("{key}.{name}"), why));
        counts(key, 10_000, &[("samples", self.samples), ("groups", self.groups)])?;
        if !(0.0..=1.0).contains(&self.elbo_weight) {
            let why = format!("must be 0 to 1, not {}", self.elbo_weight);
            return refuse("elbo_weight", &why);
        }
        if !model.posterior.has_density() {
            let why = "importance weights need the density of q(z|x), which this posterior has not: \
                       use a gaussian posterior, or objective.kind = \"elbo\"";
            return refuse("kind", why);
        }
        let plain = self.estimator == Estimator::Plain && self.combination == Combination::Miwae;
        if self.elbo_weight > 0.0 && !plain {
            let why = "only estimator = \"plain\" with combination = \"miwae\" is mixed with the \
                       evidence lower bound: set elbo_weight = 0, or those";
            return refuse("elbo_weight", why);
        }
        if self.estimator == Estimator::Dreg && self.combination == Combination::Piwae {
            let why = "piwae has an encoder's gradient of its own: set combination = \"miwae\", or \
                       estimator = \"plain\"";
            return refuse("estimator", why);
        }
        if self.estimator == Estimator::Dreg && !model.posterior.is_plain_gaussian() {
            let why = "the doubly reparameterized gradient needs the density of q(z|x) at any z, \
                       which a flow has not: set model.posterior.flow_steps = 0, or estimator = \
                       \"plain\"";
            return refuse("estimator", why);
        }
        let split = self.estimator == Estimator::Dreg || self.combination == Combination::Piwae;
        if split && matches!(model.prior, PriorConfig::Hierarchical(_)) {
            let why = "it weights the gradients of encoder and decoder differently, and a hierarchical \
                       prior has parts of both: set estimator = \"plain\" and combination = \"miwae\", \
                       or another prior";
            return refuse("estimator", why);
        }
        if self.combination == Combination::Piwae && self.groups == 1 {
            let why = "the two bounds are one with a single group: set groups to 2 or more";
            return refuse("combination", why);
        }
        Ok(())
    }

    /// -log of the mean weight in nats for log-weights `[m k, batch]`: averaged over the groups and the
    /// images, `[1]`.
    fn negative_bound(&self, log_w: &Tensor<2>, groups: usize) -> Tensor<1> {
        let [draws, batch] = log_w.dims();
        let k = draws / groups;
        let log_w = log_w.clone().reshape([groups, k, batch]);
        log_sum_exp(log_w, 1).mean().neg().add_scalar((k as f64).ln())
    }

    pub(super) fn loss(&self, vae: &Vae, batch: &Batch, noise: &dyn Noise) -> Loss {
        let draws = self.samples * self.groups;
        let q = vae.encode_batch(batch);
        let plain = self.estimator == Estimator::Plain && self.combination == Combination::Miwae;
        if plain {
            let Some(log_w) = log_weights(vae, batch, &q, noise, draws) else {
                return no_density(batch);
            };
            let neg_elbo = log_w.clone().mean().neg();
            let bound = self.negative_bound(&log_w, self.groups);
            let total = bound.mul_scalar(1.0 - self.elbo_weight)
                + neg_elbo.clone().mul_scalar(self.elbo_weight);
            return Loss::new(total, vec![("neg_elbo", neg_elbo)]);
        }

        // The encoder's: through z alone (and log q), past a decoder and a prior that stand still.
        let frozen = vae.valid();
        let draw = q.draw(noise, draws);
        let log_q = match self.estimator {
            Estimator::Dreg => frozen.encode_batch(batch).log_prob(draw.z.clone()),
            Estimator::Plain => draw.log_q(),
        };
        let Some(log_q) = log_q else { return no_density(batch) };
        let joint = |vae: &Vae, z: Tensor<3>| {
            let log_prior = vae.prior(&batch.x.device()).log_prob(z.clone(), noise);
            let p = vae.decode_draws(z, batch.condition.as_ref());
            p.log_prob(batch.x.clone()) + log_prior
        };
        let through_z = joint(&frozen, draw.z.clone()) - log_q;
        let log_w = through_z.clone().inner();
        let [_, images] = log_w.dims();
        let grouped = log_w.clone().reshape([self.groups, self.samples, images]);
        let in_group = activation::softmax(grouped, 1).reshape([draws, images]);
        let share = 1.0 / self.groups as f64;
        let (encoder, decoder, value) = match self.combination {
            Combination::Miwae => (
                in_group.clone().square().mul_scalar(share),
                in_group.mul_scalar(share),
                self.negative_bound(&log_w, self.groups),
            ),
            Combination::Piwae => (
                in_group.mul_scalar(share),
                activation::softmax(log_w.clone(), 0),
                self.negative_bound(&log_w, 1),
            ),
        };
        // The decoder's and the prior's: at draws that stand still.
        let at_draws = joint(vae, draw.z.inner());
        let surrogate = (through_z * encoder + at_draws * decoder).sum_dim(0).mean().neg();
        // The value of the bound, with the gradient of the surrogate.
        let total = surrogate.clone() - surrogate.inner() + value;
        Loss::new(total, vec![("neg_elbo", log_w.mean().neg())])
    }
}

/// What validation keeps from happening: a bound of a posterior without density.
fn no_density(batch: &Batch) -> Loss {
    let nan = Tensor::zeros([1], &batch.x.device()).add_scalar(f64::NAN);
    Loss::new(nan, Vec::new())
}
