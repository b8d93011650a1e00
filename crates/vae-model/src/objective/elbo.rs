//! The evidence lower bound: reconstruction + beta * KL, with warm-up and free bits.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::Loss;
use crate::bound::monte_carlo_kl;
use crate::divergence::kl_per_dimension;
use crate::error::ConfigError;
use crate::noise::Noise;
use crate::posterior::PosteriorConfig;
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
    /// Draws a point; their losses are averaged.
    pub samples: usize,
    /// Draws a point; their decodings are averaged before the loss (S-DEEP). Above 1 the loss bounds
    /// nothing and is never reported as `neg_elbo`.
    pub average_decodings: usize,
}

impl Default for ElboConfig {
    fn default() -> Self {
        Self { beta: 1.0, warmup_epochs: 0.0, free_bits: 0.0, samples: 1, average_decodings: 1 }
    }
}

impl ElboConfig {
    pub(super) fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
        let refuse = |name: &str, why: String| Err(ConfigError::new(format!("{key}.{name}"), why));
        for (name, value) in [
            ("beta", self.beta),
            ("warmup_epochs", self.warmup_epochs),
            ("free_bits", self.free_bits),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(name, format!("must be 0 or a positive number, not {value}"));
            }
        }
        for (name, value) in
            [("samples", self.samples), ("average_decodings", self.average_decodings)]
        {
            if !(1..=10_000).contains(&value) {
                return refuse(name, format!("must be 1 to 10000, not {value}"));
            }
        }
        if self.samples > 1 && self.average_decodings > 1 {
            let why = "averages decodings where `samples` averages losses; set one of them to 1";
            return refuse("average_decodings", why.to_owned());
        }
        let point = matches!(model.posterior, PosteriorConfig::Point(_));
        if point && self.samples.max(self.average_decodings) > 1 {
            let why = "a point posterior has only one draw; set samples and average_decodings to 1";
            return refuse("samples", why.to_owned());
        }
        if point && self.beta != 0.0 {
            let why = "a point posterior has no KL; set objective.beta = 0 (an autoencoder)";
            return refuse("beta", why.to_owned());
        }
        Ok(())
    }

    /// Free bits are a minimum of the KL averaged over the batch.
    pub(super) fn couples_images(&self) -> bool {
        self.free_bits > 0.0
    }

    /// Weight of the KL `epoch` passes after the start.
    pub fn weight(&self, epoch: f64) -> f64 {
        if self.warmup_epochs > 0.0 {
            self.beta * (epoch / self.warmup_epochs).min(1.0)
        } else {
            self.beta
        }
    }

    pub(super) fn loss(&self, vae: &Vae, x: Tensor<2>, noise: &dyn Noise, epoch: f64) -> Loss {
        let q = vae.encode(x.clone());
        let k = self.samples.max(self.average_decodings);
        let draw = q.draw(noise, k);
        let p = vae.decode_draws(draw.z.clone());
        let log_likelihood =
            if self.average_decodings > 1 { p.log_prob_of_average(x, k) } else { p.log_prob(x) };
        let reconstruction = log_likelihood.mean().neg();

        let (kl, free) = match kl_per_dimension(&q, vae.prior()) {
            Some(per_dimension) => {
                let means = per_dimension.mean_dim(0);
                let free =
                    (self.free_bits > 0.0).then(|| means.clone().clamp_min(self.free_bits).sum());
                (Some(means.sum()), free)
            }
            None => (monte_carlo_kl(&draw, vae.prior()).map(Tensor::mean), None),
        };

        let Some(kl) = kl else {
            return Loss {
                total: reconstruction.clone(),
                terms: vec![("reconstruction", reconstruction)],
            };
        };
        let weight = self.weight(epoch);
        let total = reconstruction.clone() + free.unwrap_or_else(|| kl.clone()).mul_scalar(weight);
        let mut terms = vec![("reconstruction", reconstruction.clone()), ("kl", kl.clone())];
        if self.average_decodings == 1 {
            terms.push(("neg_elbo", reconstruction.inner() + kl.inner()));
        }
        Loss { total, terms }
    }
}
