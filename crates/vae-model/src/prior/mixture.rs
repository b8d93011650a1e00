//! Mixtures of Gaussians with diagonal covariances: a fixed ring (Makhzani et al. 2016), or
//! learned.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::{Distribution, PlaneNeed, Prior, PriorFamily, Properties};
use crate::check;
use crate::description::{DataSpec, VaeConfig};
use crate::error::ConfigError;
use crate::init::Init;
use crate::math::{categorical, log_2_pi, log_sum_exp};
use crate::noise::{Noise, normal_tensor};
use crate::posterior::Gaussian;

/// Settings of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixtureConfig {
    /// Number of Gaussians.
    pub k: usize,
    /// Whether the components are fixed or learned.
    pub components: Components,
    /// Radius of the ring of means in the first two dimensions. For learned components: standard
    /// deviation of the initial means in every dimension.
    pub radius: f64,
    /// Standard deviation of each Gaussian in the ring's two dimensions (1 in the others). For
    /// learned components: initial standard deviation in every dimension.
    pub sigma: f64,
}

/// Whether the components of a mixture are fixed or learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Components {
    /// Fixed: equal weights, means evenly spaced on a circle in the first two dimensions.
    #[default]
    Ring,
    /// Learned weights, means and variances. Only a KL trains the weights; without a KL they stay
    /// equal.
    Learned,
}

impl Default for MixtureConfig {
    fn default() -> Self {
        Self { k: 10, components: Components::Ring, radius: 4.0, sigma: 0.5 }
    }
}

impl PriorFamily for MixtureConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::range(key, "k", self.k, 1..=10_000)?;
        check::not_negative(key, "radius", self.radius)?;
        check::positive(key, "sigma", self.sigma)
    }

    fn properties(&self) -> Properties {
        Properties {
            learned: self.components == Components::Learned,
            closed_form_kl: false,
            independent_dimensions: false,
            inference_network: false,
            uses_labels: false,
            mixes_posteriors: false,
            needs_plane: (self.components == Components::Ring).then_some(PlaneNeed {
                setting: "components",
                why: "a ring needs two dimensions: set model.latent to 2 or more, or components = \
                      \"learned\"",
            }),
        }
    }

    fn init(&self, init: &Init<'_>, model: &VaeConfig, _data: &DataSpec) -> Prior {
        let (init, latent) = (init.at("learned"), model.latent);
        let learned = (self.components == Components::Learned).then(|| LearnedMixture {
            logits: init.constant("logits", [self.k], 0.0),
            // A uniform distribution with this bound has standard deviation `radius`.
            mean: init.uniform("mean", [self.k, latent], self.radius * 3f64.sqrt()),
            log_var: init.constant("log_var", [self.k, latent], 2.0 * self.sigma.ln()),
        });
        Prior::Mixture(MixturePrior { learned, config: self.clone(), latent })
    }
}

/// A mixture prior: its settings, and its learned parameters if it has any.
#[derive(Module, Debug)]
pub struct MixturePrior {
    learned: Option<LearnedMixture>,
    #[module(skip)]
    config: MixtureConfig,
    #[module(skip)]
    latent: usize,
}

/// The parameters of a learned mixture.
#[derive(Module, Debug)]
pub struct LearnedMixture {
    /// Logarithms of the weights up to a constant, `[k]`.
    logits: Param<Tensor<1>>,
    /// `[k, latent]`.
    mean: Param<Tensor<2>>,
    /// `[k, latent]`.
    log_var: Param<Tensor<2>>,
}

impl MixturePrior {
    /// Returns the mixture with the current parameters.
    pub(super) fn mixture(&self, device: &Device) -> Mixture {
        match &self.learned {
            Some(p) => Mixture {
                log_weights: activation::log_softmax(p.logits.val(), 0),
                mean: p.mean.val(),
                log_var: p.log_var.val(),
            },
            None => self.ring(device),
        }
    }

    fn ring(&self, device: &Device) -> Mixture {
        let MixtureConfig { k, radius, sigma, .. } = self.config;
        let mut mean = vec![0.0f32; k * self.latent];
        let mut log_var = vec![0.0f32; k * self.latent];
        for i in 0..k {
            let angle = std::f64::consts::TAU * i as f64 / k as f64;
            for (d, at) in [angle.cos(), angle.sin()].into_iter().enumerate() {
                mean[i * self.latent + d] = (radius * at) as f32;
                log_var[i * self.latent + d] = (2.0 * sigma.ln()) as f32;
            }
        }
        let tensor = |values| Tensor::from_data(TensorData::new(values, [k, self.latent]), device);
        Mixture::equal(tensor(mean), tensor(log_var))
    }
}

/// A mixture of Gaussians with diagonal covariances.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Logarithms of the weights, `[k]`; the weights add up to 1.
    pub log_weights: Tensor<1>,
    /// Means, `[k, latent]`.
    pub mean: Tensor<2>,
    /// Logarithms of the variances, `[k, latent]`.
    pub log_var: Tensor<2>,
}

impl Mixture {
    /// Makes a mixture of equal weights from means and log-variances, `[k, latent]` each.
    pub fn equal(mean: Tensor<2>, log_var: Tensor<2>) -> Self {
        let [k, _] = mean.dims();
        let log_weights = Tensor::zeros([k], &mean.device()).sub_scalar((k as f64).ln());
        Self { log_weights, mean, log_var }
    }
}

impl Distribution for Mixture {
    /// Draws a component for each sample, then the sample from that component.
    fn sample(&self, noise: &dyn Noise, n: usize, _device: &Device) -> Tensor<2> {
        let device = self.mean.device();
        let [_, latent] = self.mean.dims();
        let weights: Vec<f64> = self.log_weights.to_data().iter::<f64>().map(f64::exp).collect();
        let total: f64 = weights.iter().sum();
        let chosen: Vec<i64> = noise
            .uniform("component of the prior", [1, n, 1])
            .into_iter()
            .map(|u| categorical(weights.iter().copied(), total, f64::from(u)) as i64)
            .collect();
        let chosen = Tensor::<1, Int>::from_data(TensorData::new(chosen, [n]), &device);
        let mean = self.mean.clone().select(0, chosen.clone());
        let sigma = self.log_var.clone().select(0, chosen).mul_scalar(0.5).exp();
        let eps = normal_tensor(noise, "prior", [1, n, latent], &device).squeeze_dim::<2>(0);
        mean + sigma * eps
    }

    /// Returns log sum_i w_i N(z; mean_i, var_i).
    ///
    /// The squared distances to all components are matrix products: sum_d (z_d - m_d)^2 / v_d =
    /// z^2 . 1/v - 2 z . m/v + m^2 . 1/v. The centre of the means is subtracted first, to reduce
    /// cancellation.
    fn log_prob(&self, z: Tensor<3>, _noise: &dyn Noise) -> Tensor<2> {
        let [draws, batch, latent] = z.dims();
        let centre = self.mean.clone().mean_dim(0);
        let z = z.reshape([draws * batch, latent]) - centre.clone();
        let mean = self.mean.clone() - centre;
        let precision = self.log_var.clone().neg().exp();
        let weighted = mean.clone() * precision.clone();
        let squares = z.clone().square().matmul(precision.transpose())
            - z.matmul(weighted.clone().transpose()).mul_scalar(2.0);
        // Terms that depend only on the component, `[1, k]`.
        let own = (self.log_var.clone() + mean * weighted).sum_dim(1).transpose();
        let constant = latent as f64 * log_2_pi();
        let log_normal = (squares + own).add_scalar(constant).mul_scalar(-0.5);
        let weighted = log_normal + self.log_weights.clone().unsqueeze::<2>();
        log_sum_exp(weighted, 1).reshape([draws, batch])
    }

    fn kl_from(&self, _q: &Gaussian) -> Option<Tensor<2>> {
        None
    }
}
