//! Posteriors: the axis of q(z|x). The heads on the encoder's features, and the distribution that they
//! give for one batch (`Encoding`).

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::choice;
use crate::init::Init;
use crate::network::{Features, Head};
use crate::noise::{Noise, normal_tensor};

choice! {
    /// Which posterior, with its settings.
    pub enum PosteriorConfig {
        /// One point per example: an autoencoder.
        "point" => Point(PointConfig),
        /// A Gaussian with diagonal covariance.
        "gaussian" => Gaussian(GaussianConfig),
    }
}

impl Default for PosteriorConfig {
    fn default() -> Self {
        Self::Gaussian(GaussianConfig {})
    }
}

/// The point posterior has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointConfig {}

/// The diagonal Gaussian posterior has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianConfig {}

impl PosteriorConfig {
    /// The heads from `features` to `latent` dimensions.
    pub fn init(&self, init: &Init<'_>, features: Features, latent: usize) -> Posterior {
        match self {
            Self::Point(_) => {
                Posterior::Point(PointHeads { mean: Head::new(&init.at("mean"), features, latent) })
            }
            Self::Gaussian(_) => Posterior::Gaussian(GaussianHeads {
                mean: Head::new(&init.at("mean"), features, latent),
                log_var: Head::new(&init.at("log_var"), features, latent),
            }),
        }
    }
}

/// The posterior's heads.
#[derive(Module, Debug)]
pub enum Posterior {
    /// See [`PosteriorConfig::Point`].
    Point(PointHeads),
    /// See [`PosteriorConfig::Gaussian`].
    Gaussian(GaussianHeads),
}

/// The one head of a point posterior.
#[derive(Module, Debug)]
pub struct PointHeads {
    mean: Head,
}

/// The heads of a Gaussian posterior.
#[derive(Module, Debug)]
pub struct GaussianHeads {
    mean: Head,
    log_var: Head,
}

impl Posterior {
    /// q(z|x) from features `[batch, features]`.
    pub fn forward(&self, features: Tensor<2>) -> Encoding {
        match self {
            Self::Point(heads) => Encoding::Point { z: heads.mean.forward(features) },
            Self::Gaussian(heads) => Encoding::Gaussian(Gaussian {
                mean: heads.mean.forward(features.clone()),
                log_var: heads.log_var.forward(features),
            }),
        }
    }
}

/// q(z|x) for one batch.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "tensors are handles, and one encoding exists a batch"
)]
pub enum Encoding {
    /// All mass on one z per example, `[batch, latent]`.
    Point {
        /// The point.
        z: Tensor<2>,
    },
    /// Independent normal dimensions.
    Gaussian(Gaussian),
}

/// A diagonal Gaussian per example.
#[derive(Clone, Debug)]
pub struct Gaussian {
    /// Means, `[batch, latent]`.
    pub mean: Tensor<2>,
    /// Logarithms of the variances, `[batch, latent]`.
    pub log_var: Tensor<2>,
}

impl Encoding {
    /// The mean of q(z|x), `[batch, latent]`.
    pub fn mean(&self) -> Tensor<2> {
        match self {
            Self::Point { z } => z.clone(),
            Self::Gaussian(q) => q.mean.clone(),
        }
    }

    /// q(z|x) of `n` of the examples, from `first` on.
    pub fn rows(&self, first: usize, n: usize) -> Self {
        let part = |t: &Tensor<2>| t.clone().narrow(0, first, n);
        match self {
            Self::Point { z } => Self::Point { z: part(z) },
            Self::Gaussian(q) => {
                Self::Gaussian(Gaussian { mean: part(&q.mean), log_var: part(&q.log_var) })
            }
        }
    }

    /// `k` reparameterized draws a point: z = mean + exp(log_var / 2) eps, eps ~ N(0, I) from `noise`
    /// (Kingma and Welling 2014, section 2.4).
    pub fn draw(&self, noise: &dyn Noise, k: usize) -> Draw {
        match self {
            Self::Point { z } => {
                Draw { z: z.clone().unsqueeze::<3>().repeat_dim(0, k), density: None }
            }
            Self::Gaussian(q) => {
                let [batch, latent] = q.mean.dims();
                let device = q.mean.device();
                let eps = normal_tensor(noise, "posterior", [k, batch, latent], &device);
                let sigma = q.log_var.clone().mul_scalar(0.5).exp().unsqueeze::<3>();
                let z = q.mean.clone().unsqueeze::<3>() + sigma * eps.clone();
                Draw { z, density: Some((eps, q.log_var.clone())) }
            }
        }
    }
}

/// Draws from q(z|x).
#[derive(Clone, Debug)]
pub struct Draw {
    /// The draws, `[k, batch, latent]`.
    pub z: Tensor<3>,
    /// Noise and log-variances behind them, where there is a density.
    density: Option<(Tensor<3>, Tensor<2>)>,
}

impl Draw {
    /// log q(z|x) of each draw in nats, `[k, batch]`; `None` where q has no density.
    ///
    /// With z = mean + sigma eps: -1/2 sum_d (log 2 pi + log_var_d + eps_d^2).
    pub fn log_q(&self) -> Option<Tensor<2>> {
        let (eps, log_var) = self.density.clone()?;
        let [_, _, latent] = eps.dims();
        let sum: Tensor<2> = (eps.square() + log_var.unsqueeze::<3>()).sum_dim(2).squeeze_dim(2);
        Some(sum.add_scalar(latent as f64 * (2.0 * std::f64::consts::PI).ln()).mul_scalar(-0.5))
    }
}
