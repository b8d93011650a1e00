//! Two stochastic levels (Burda et al. 2016, section 5): p(z) = E_p(u) p(z|u) with a second latent
//! u and its inference network q(u|z).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Distribution, Prior, PriorFamily, Properties};
use crate::check;
use crate::description::{DataSpec, VaeConfig};
use crate::error::ConfigError;
use crate::init::Init;
use crate::math::log_2_pi;
use crate::network::{Activation, Features, Head, Mlp};
use crate::noise::{Noise, normal_tensor};
use crate::ops::log_standard_normal;
use crate::posterior::Gaussian;

/// Settings of the second level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HierarchicalConfig {
    /// Dimensions of the second level's latent u.
    pub latent: usize,
    /// Widths of the hidden layers from z to u. From u to z they are in reverse order.
    pub hidden: Vec<usize>,
    /// Activation after every hidden layer.
    pub activation: Activation,
}

impl Default for HierarchicalConfig {
    fn default() -> Self {
        Self { latent: 50, hidden: vec![100, 100], activation: Activation::Tanh }
    }
}

impl PriorFamily for HierarchicalConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::range(key, "latent", self.latent, 1..=65_536)?;
        check::widths(key, "hidden", &self.hidden, 0..=16, 1 << 14)
    }

    fn properties(&self) -> Properties {
        Properties {
            learned: true,
            closed_form_kl: false,
            independent_dimensions: false,
            inference_network: true,
            uses_labels: false,
            mixes_posteriors: false,
            needs_plane: None,
        }
    }

    fn init(&self, init: &Init<'_>, model: &VaeConfig, _data: &DataSpec) -> Prior {
        Prior::Hierarchical(self.second_level(init, model.latent))
    }
}

impl HierarchicalConfig {
    /// Makes the second level for z of `latent` dimensions.
    pub fn second_level(&self, init: &Init<'_>, latent: usize) -> Hierarchical {
        let backwards: Vec<usize> = self.hidden.iter().rev().copied().collect();
        let net = |name: &str, inputs, hidden: &[usize], outputs| {
            let init = init.at(name);
            let features = Features {
                width: hidden.last().copied().unwrap_or(inputs),
                head_depth: 1,
                activation: self.activation,
            };
            ConditionalGaussian {
                trunk: Mlp::new(&init.at("trunk"), inputs, hidden, self.activation),
                mean: Head::new(&init.at("mean"), features, outputs),
                log_var: Head::new(&init.at("log_var"), features, outputs),
            }
        };
        Hierarchical {
            inference: net("inference", latent, &self.hidden, self.latent),
            generation: net("generation", self.latent, &backwards, latent),
            inner: self.latent,
        }
    }
}

/// The second level: q(u|z) and p(z|u), diagonal Gaussians, and p(u) = N(0, I).
#[derive(Module, Debug)]
pub struct Hierarchical {
    inference: ConditionalGaussian,
    generation: ConditionalGaussian,
    #[module(skip)]
    inner: usize,
}

/// A diagonal Gaussian whose mean and log-variance are computed by an MLP.
#[derive(Module, Debug)]
pub struct ConditionalGaussian {
    trunk: Mlp,
    mean: Head,
    log_var: Head,
}

impl ConditionalGaussian {
    /// Returns mean and log-variance, `[rows, outputs]` each, for rows `[rows, inputs]`.
    fn forward(&self, given: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let features = self.trunk.forward(given);
        (self.mean.forward(features.clone()), self.log_var.forward(features))
    }
}

impl Distribution for Hierarchical {
    /// Returns log p(z|u) + log p(u) - log q(u|z) with one draw of u from q(u|z) per z. It is a
    /// random lower bound on log p(z). The expectation of its exponential is p(z).
    fn log_prob(&self, z: Tensor<3>, noise: &dyn Noise) -> Tensor<2> {
        let [k, batch, latent] = z.dims();
        let eps = normal_tensor(noise, "second level", [k, batch, self.inner], &z.device());
        let z = z.reshape([k * batch, latent]);
        let eps = eps.reshape([k * batch, self.inner]);
        let (mean, log_var) = self.inference.forward(z.clone());
        let u = mean + log_var.clone().mul_scalar(0.5).exp() * eps.clone();
        // u = mean + sigma eps, so the scaled squared distance of u under q is eps^2.
        let log_q = log_normal(eps.square(), log_var);
        let (mean, log_var) = self.generation.forward(u.clone());
        let squares = (z - mean).square() * log_var.clone().neg().exp();
        let log_p = log_normal(squares, log_var)
            + log_standard_normal(u.unsqueeze::<3>()).reshape([k * batch, 1]);
        (log_p - log_q).reshape([k, batch])
    }

    fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        let u = normal_tensor(noise, "second level", [1, n, self.inner], device);
        let (mean, log_var) = self.generation.forward(u.squeeze_dim(0));
        let [_, latent] = mean.dims();
        let eps = normal_tensor(noise, "prior", [1, n, latent], device).squeeze_dim::<2>(0);
        mean + log_var.mul_scalar(0.5).exp() * eps
    }

    fn kl_from(&self, _q: &Gaussian) -> Option<Tensor<2>> {
        None
    }
}

/// Returns the log-density of a diagonal Gaussian in nats, `[rows, 1]`, from scaled squared
/// distances and log-variances, `[rows, d]` each.
fn log_normal(squares: Tensor<2>, log_var: Tensor<2>) -> Tensor<2> {
    let [_, d] = squares.dims();
    (squares + log_var).sum_dim(1).add_scalar(d as f64 * log_2_pi()).mul_scalar(-0.5)
}
