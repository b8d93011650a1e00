//! The standard normal prior N(0, I), and its label-conditional form: a learned Gaussian per class.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Context, Distribution, Mixture, Prior, PriorDistribution, PriorFamily, Properties};
use crate::description::{Condition, DataSpec, VaeConfig};
use crate::error::ConfigError;
use crate::init::Init;
use crate::math::log_2_pi;
use crate::noise::{Noise, normal_tensor};
use crate::ops::{kl_from_standard, log_standard_normal};
use crate::posterior::Gaussian;

/// Settings of the standard prior.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StandardConfig {
    /// With `label`, p(z|y) = N(z; m_y, diag v_y) with a learned mean and variance per class,
    /// initially N(0, I). It needs labelled data, whether or not encoder and decoder are
    /// conditional.
    pub condition: Condition,
}

impl PriorFamily for StandardConfig {
    fn validate(&self, _key: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn properties(&self) -> Properties {
        let by_label = self.condition == Condition::Label;
        Properties {
            learned: by_label,
            closed_form_kl: true,
            // They are independent given the label, but not in the mixture over all labels.
            independent_dimensions: !by_label,
            inference_network: false,
            uses_labels: by_label,
            mixes_posteriors: false,
            needs_plane: None,
        }
    }

    fn init(&self, init: &Init<'_>, model: &VaeConfig, data: &DataSpec) -> Prior {
        let by_label = (self.condition == Condition::Label).then(|| {
            let shape = [data.classes, model.latent];
            let init = init.at("by_label");
            LabelTable {
                mean: init.constant("mean", shape, 0.0),
                log_var: init.constant("log_var", shape, 0.0),
            }
        });
        Prior::Standard(Standard { by_label, latent: model.latent })
    }
}

/// N(0, I), or a learned Gaussian per class.
#[derive(Module, Debug)]
pub struct Standard {
    by_label: Option<LabelTable>,
    #[module(skip)]
    latent: usize,
}

/// The Gaussian of each class.
#[derive(Module, Debug)]
pub struct LabelTable {
    /// `[classes, latent]`.
    mean: Param<Tensor<2>>,
    /// `[classes, latent]`.
    log_var: Param<Tensor<2>>,
}

impl Standard {
    /// Returns p(z|y) if labels are known, otherwise p(z) = 1/classes sum_y p(z|y).
    pub(super) fn distribution(&self, context: &Context<'_>) -> PriorDistribution {
        match (&self.by_label, context.labels) {
            (None, _) => PriorDistribution::Standard(StandardNormal { latent: self.latent }),
            (Some(table), Some(labels)) => PriorDistribution::Label(LabelGaussian {
                mean: labels.clone().matmul(table.mean.val()),
                log_var: labels.clone().matmul(table.log_var.val()),
            }),
            (Some(table), None) => {
                PriorDistribution::Mixture(Mixture::equal(table.mean.val(), table.log_var.val()))
            }
        }
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
        Some(kl_from_standard(q.mean.clone(), q.log_var.clone()))
    }
}

/// A Gaussian with diagonal covariance for each example of a batch.
#[derive(Clone, Debug)]
pub struct LabelGaussian {
    /// Means, `[batch, latent]`.
    pub mean: Tensor<2>,
    /// Logarithms of the variances, `[batch, latent]`.
    pub log_var: Tensor<2>,
}

impl Distribution for LabelGaussian {
    fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        let [_, latent] = self.mean.dims();
        let eps = normal_tensor(noise, "prior", [1, n, latent], device).squeeze_dim::<2>(0);
        self.mean.clone() + self.log_var.clone().mul_scalar(0.5).exp() * eps
    }

    fn log_prob(&self, z: Tensor<3>, _noise: &dyn Noise) -> Tensor<2> {
        let [_, _, latent] = z.dims();
        let log_var = self.log_var.clone().unsqueeze::<3>();
        let squares =
            (z - self.mean.clone().unsqueeze::<3>()).square() * log_var.clone().neg().exp();
        let sum: Tensor<2> = (squares + log_var).sum_dim(2).squeeze_dim(2);
        sum.add_scalar(latent as f64 * log_2_pi()).mul_scalar(-0.5)
    }

    /// Returns 1/2 ((m_q - m_p)^2 / v_p + v_q / v_p - log(v_q / v_p) - 1).
    fn kl_from(&self, q: &Gaussian) -> Option<Tensor<2>> {
        let log_ratio = q.log_var.clone() - self.log_var.clone();
        let squares =
            (q.mean.clone() - self.mean.clone()).square() * self.log_var.clone().neg().exp();
        let sum = squares + log_ratio.clone().exp() - log_ratio;
        Some(sum.sub_scalar(1.0).mul_scalar(0.5))
    }
}
