//! Reconstruction + beta * KL + weight * MMD(q(z), p(z)): the Wasserstein autoencoder (beta 0; Tolstikhin et
//! al. 2018) and InfoVAE (Zhao et al. 2019).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Loss, codes_can_match_a_prior, draws_train_the_prior, kl_exists, not_negative};
use crate::batch::Batch;
use crate::bound::Terms;
use crate::divergence::{Kernel, mmd};
use crate::error::ConfigError;
use crate::noise::Noise;
use crate::vae::{Vae, VaeConfig};

/// Settings of the discrepancy between q(z) and p(z).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MmdConfig {
    /// Weight of the squared discrepancy (lambda in WAE, alpha + lambda - 1 in InfoVAE).
    pub weight: f64,
    /// Weight of the KL (1 - alpha in InfoVAE).
    pub beta: f64,
    /// The kernel.
    pub kernel: Kernel,
    /// Its width, in standard deviations of the prior.
    pub bandwidth: f64,
}

impl Default for MmdConfig {
    fn default() -> Self {
        Self { weight: 100.0, beta: 0.0, kernel: Kernel::Imq, bandwidth: 1.0 }
    }
}

impl MmdConfig {
    pub(super) fn validate(&self, key: &str, model: &VaeConfig) -> Result<(), ConfigError> {
        not_negative(key, &[("weight", self.weight), ("beta", self.beta)])?;
        if !(self.bandwidth.is_finite() && self.bandwidth > 0.0) {
            let why = format!("must be a positive number, not {}", self.bandwidth);
            return Err(ConfigError::new(format!("{key}.bandwidth"), why));
        }
        if self.weight == 0.0 {
            let why = "must be above 0; for the bound alone set objective.kind = \"elbo\"";
            return Err(ConfigError::new(format!("{key}.weight"), why));
        }
        codes_can_match_a_prior(key, model)?;
        draws_train_the_prior(key, self.beta, model)?;
        kl_exists(key, &[("beta", self.beta)], model)
    }

    pub(super) fn loss(&self, vae: &Vae, batch: &Batch, noise: &dyn Noise) -> Loss {
        let terms = Terms::new(vae, batch, noise, 1, false);
        let mut named = terms.named();
        let z: Tensor<2> = terms.draw.z.squeeze_dim(0);
        let from_prior = terms.prior.sample(noise, batch.size(), &batch.x.device());
        let discrepancy = mmd(z, from_prior, self.kernel, self.bandwidth);
        named.push(("mmd", discrepancy.clone()));
        let mut total = terms.reconstruction + discrepancy.mul_scalar(self.weight);
        if let Some(kl) = terms.kl.filter(|_| self.beta > 0.0) {
            total = total + kl.mul_scalar(self.beta);
        }
        Loss::new(total, named)
    }
}
