//! The standard normal prior N(0, I).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Context, Distribution, Prior, PriorDistribution, PriorFamily, Properties};
use crate::description::{DataSpec, VaeConfig};
use crate::error::ConfigError;
use crate::init::Init;
use crate::math::log_standard_normal;
use crate::noise::{Noise, normal_tensor};
use crate::posterior::Gaussian;

/// Settings of the standard prior.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StandardConfig {}

impl PriorFamily for StandardConfig {
    fn validate(&self, _key: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn properties(&self) -> Properties {
        Properties {
            learned: false,
            closed_form_kl: true,
            independent_dimensions: true,
            inference_network: false,
            uses_labels: false,
            mixes_posteriors: false,
            needs_plane: None,
        }
    }

    fn init(&self, _init: &Init<'_>, model: &VaeConfig, _data: &DataSpec) -> Prior {
        Prior::Standard(Standard { latent: model.latent })
    }
}

/// N(0, I).
#[derive(Module, Debug)]
pub struct Standard {
    #[module(skip)]
    latent: usize,
}

impl Standard {
    /// Returns p(z).
    pub(super) fn distribution(&self, _context: &Context<'_>) -> PriorDistribution {
        PriorDistribution::Standard(StandardNormal { latent: self.latent })
    }
}

/// N(0, I).
#[derive(Clone, Copy, Debug)]
pub struct StandardNormal {
    latent: usize,
}

impl StandardNormal {
    /// Makes N(0, I) over `latent` dimensions.
    pub fn new(latent: usize) -> Self {
        Self { latent }
    }
}

impl Distribution for StandardNormal {
    fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        normal_tensor(noise, "prior", [1, n, self.latent], device).squeeze_dim(0)
    }

    fn log_prob(&self, z: Tensor<3>, _noise: &dyn Noise) -> Tensor<2> {
        log_standard_normal(z)
    }

    /// Returns 1/2 (mean^2 + sigma^2 - log sigma^2 - 1) (Kingma and Welling 2014, appendix B).
    fn kl_from(&self, q: &Gaussian) -> Option<Tensor<2>> {
        let log_var = q.log_var.clone();
        let sum = q.mean.clone().square() + log_var.clone().exp() - log_var;
        Some(sum.sub_scalar(1.0).mul_scalar(0.5))
    }
}
