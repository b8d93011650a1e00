//! Reconstruction + beta * KL + weight * MMD(q(z), p(z)): the Wasserstein autoencoder (beta 0;
//! Tolstikhin et al. 2018) and InfoVAE (Zhao et al. 2019).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Loss, ObjectiveFamily, PriorMatching, Requirements};
use crate::batch::Batch;
use crate::bound::Terms;
use crate::check;
use crate::divergence::{Kernel, mmd};
use crate::error::ConfigError;
use crate::networks::{Networks, Role};
use crate::noise::Noise;

/// Settings of the objective with the maximum mean discrepancy between q(z) and p(z).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MmdConfig {
    /// Weight of the squared discrepancy (lambda in WAE, alpha + lambda - 1 in InfoVAE).
    pub weight: f64,
    /// Weight of the KL (1 - alpha in InfoVAE).
    pub beta: f64,
    /// The kernel.
    pub kernel: Kernel,
    /// Bandwidth of the kernel, in standard deviations of the prior N(0, I).
    pub bandwidth: f64,
}

impl Default for MmdConfig {
    fn default() -> Self {
        Self { weight: 100.0, beta: 0.0, kernel: Kernel::Imq, bandwidth: 1.0 }
    }
}

impl ObjectiveFamily for MmdConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::not_negative(key, "weight", self.weight)?;
        check::not_negative(key, "beta", self.beta)?;
        check::positive(key, "bandwidth", self.bandwidth)?;
        if self.weight == 0.0 {
            let why = "must be above 0; for no discrepancy set objective.kind = \"elbo\"";
            return check::refuse(key, "weight", why);
        }
        Ok(())
    }

    fn requirements(&self) -> Requirements {
        Requirements {
            joint_batch: true,
            min_batch: 2,
            trains_encoder: true,
            leaves_prior: None,
            prior_matching: PriorMatching::Draws,
            kl: (self.beta > 0.0).then_some("beta"),
            kl_weight: (self.beta > 0.0).then_some(self.beta),
            settled_after: 0.0,
            kl_per_dimension: None,
            decomposes_kl: false,
            density: None,
            decodings: 1,
            several_draws: None,
            averages_decodings: None,
            penalizes_codes: None,
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
        _epoch: f64,
    ) -> Loss {
        let vae = &networks.vae;
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
