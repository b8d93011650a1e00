//! N(0, I).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::math::log_standard_normal;
use crate::noise::{Noise, normal_tensor};

/// The standard normal prior has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardConfig {}

/// N(0, I): nothing to learn.
#[derive(Module, Debug)]
pub struct Standard {
    #[module(skip)]
    latent: usize,
}

impl Standard {
    /// Over `latent` dimensions.
    pub fn new(latent: usize) -> Self {
        Self { latent }
    }

    pub(super) fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        normal_tensor(noise, "prior", [1, n, self.latent], device).squeeze_dim(0)
    }

    pub(super) fn log_prob(z: Tensor<3>) -> Tensor<2> {
        log_standard_normal(z)
    }
}
