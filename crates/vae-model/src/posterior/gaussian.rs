//! The Gaussian posterior with diagonal covariance (Kingma and Welling 2014), alone or followed by
//! an inverse autoregressive flow (Kingma et al. 2016).

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{
    Density, Distribution, Draw, DrawDensity, IafStep, Posterior, PosteriorDistribution,
    PosteriorFamily, Properties,
};
use crate::check;
use crate::error::ConfigError;
use crate::init::Init;
use crate::math::log_2_pi;
use crate::network::{Features, Head};
use crate::noise::{Noise, normal_tensor};
use crate::ops::reparameterize;

/// Settings of the Gaussian posterior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianConfig {
    /// Steps of inverse autoregressive flow after the Gaussian draw; 0 for a plain Gaussian.
    pub flow_steps: usize,
    /// Hidden units of each step's network.
    pub flow_hidden: usize,
    /// Lower and upper bound of the log-variances. `None` for no clamping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_var_range: Option<(f64, f64)>,
}

impl Default for GaussianConfig {
    fn default() -> Self {
        Self { flow_steps: 0, flow_hidden: 128, log_var_range: None }
    }
}

impl PosteriorFamily for GaussianConfig {
    fn validate(&self, key: &str, _latent: usize) -> Result<(), ConfigError> {
        check::range(key, "flow_steps", self.flow_steps, 0..=64)?;
        check::range(key, "flow_hidden", self.flow_hidden, 1..=4096)?;
        if let Some((low, high)) = self.log_var_range
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            let why = format!("must be two finite numbers, the lower first, not [{low}, {high}]");
            return check::refuse(key, "log_var_range", why);
        }
        Ok(())
    }

    fn properties(&self, _latent: usize) -> Properties {
        let density = if self.flow_steps > 0 { Density::AtDraws } else { Density::Everywhere };
        Properties { density, codes: None }
    }

    fn init(&self, init: &Init<'_>, features: Features, latent: usize) -> Posterior {
        let head = |name: &str| Head::new(&init.at(name), features, latent);
        // The context of the flow is as wide as z.
        let step = |i| IafStep::new(&init.at("flow").at(i), latent, latent, self.flow_hidden);
        Posterior::Gaussian(GaussianHeads {
            mean: head("mean"),
            log_var: head("log_var"),
            context: (self.flow_steps > 0).then(|| head("context")),
            flow: (0..self.flow_steps).map(step).collect(),
            log_var_range: self.log_var_range,
        })
    }
}

/// The heads of a Gaussian posterior, and the steps of its flow.
#[derive(Module, Debug)]
pub struct GaussianHeads {
    mean: Head,
    log_var: Head,
    context: Option<Head>,
    flow: Vec<IafStep>,
    #[module(skip)]
    log_var_range: Option<(f64, f64)>,
}

impl GaussianHeads {
    pub(super) fn forward(&self, features: Tensor<2>) -> PosteriorDistribution {
        let log_var = self.log_var.forward(features.clone());
        let gaussian = Gaussian {
            mean: self.mean.forward(features.clone()),
            log_var: match self.log_var_range {
                Some((low, high)) => log_var.clamp(low, high),
                None => log_var,
            },
        };
        match &self.context {
            None => PosteriorDistribution::Gaussian(gaussian),
            Some(context) => PosteriorDistribution::Flow(Flow {
                start: gaussian,
                context: context.forward(features),
                steps: self.flow.clone(),
            }),
        }
    }
}

/// A diagonal Gaussian per example.
#[derive(Clone, Debug)]
pub struct Gaussian {
    /// Means, `[batch, latent]`.
    pub mean: Tensor<2>,
    /// Logarithms of the variances, `[batch, latent]`.
    pub log_var: Tensor<2>,
}

impl Gaussian {
    fn narrowed(&self, first: usize, n: usize) -> Self {
        Self {
            mean: self.mean.clone().narrow(0, first, n),
            log_var: self.log_var.clone().narrow(0, first, n),
        }
    }

    /// Returns z = mean + exp(log_var / 2) eps and eps ~ N(0, I) (Kingma and Welling 2014, section
    /// 2.4), `[k, batch, latent]` each.
    fn reparameterized(&self, noise: &dyn Noise, k: usize) -> (Tensor<3>, Tensor<3>) {
        let [batch, latent] = self.mean.dims();
        let eps = normal_tensor(noise, "posterior", [k, batch, latent], &self.mean.device());
        (reparameterize(self.mean.clone(), self.log_var.clone(), eps.clone()), eps)
    }
}

impl Distribution for Gaussian {
    fn mean(&self) -> Tensor<2> {
        self.mean.clone()
    }

    fn log_prob(&self, z: Tensor<3>) -> Option<Tensor<2>> {
        let [_, _, latent] = z.dims();
        let log_var = self.log_var.clone().unsqueeze::<3>();
        let squares =
            (z - self.mean.clone().unsqueeze::<3>()).square() * log_var.clone().neg().exp();
        let sum: Tensor<2> = (squares + log_var).sum_dim(2).squeeze_dim(2);
        Some(sum.add_scalar(latent as f64 * log_2_pi()).mul_scalar(-0.5))
    }

    fn rows(&self, first: usize, n: usize) -> PosteriorDistribution {
        PosteriorDistribution::Gaussian(self.narrowed(first, n))
    }

    fn draw(&self, noise: &dyn Noise, k: usize) -> Draw {
        let (z, eps) = self.reparameterized(noise, k);
        let log_var = self.log_var.clone();
        let density = Some(DrawDensity { eps, log_var, log_det: None });
        Draw { z, density, regularizer: None }
    }

    fn gaussian(&self) -> Option<&Gaussian> {
        Some(self)
    }

    fn codes(&self) -> Option<Tensor<2, Int>> {
        None
    }
}

/// A Gaussian followed by a flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The Gaussian before the flow.
    pub start: Gaussian,
    /// The encoder's context for every step, `[batch, context]`.
    pub context: Tensor<2>,
    /// The steps in order. The dimensions are reversed between them.
    pub steps: Vec<IafStep>,
}

impl Flow {
    /// Returns z after all steps, `[rows, latent]`, and log |det| of the flow, `[rows, 1]`. The
    /// rows are draws of the batch, ordered draw by draw.
    fn forward(&self, z: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let ([rows, _], [batch, _]) = (z.dims(), self.context.dims());
        let context = self.context.clone().repeat_dim(0, rows / batch);
        let start = (z.clone(), Tensor::zeros([rows, 1], &z.device()));
        self.steps.iter().enumerate().fold(start, |(z, log_det), (i, step)| {
            let z = if i == 0 { z } else { z.flip([1]) };
            let (z, own) = step.forward(z, context.clone());
            (z, log_det + own)
        })
    }
}

impl Distribution for Flow {
    fn mean(&self) -> Tensor<2> {
        self.forward(self.start.mean.clone()).0
    }

    fn log_prob(&self, _z: Tensor<3>) -> Option<Tensor<2>> {
        None
    }

    fn rows(&self, first: usize, n: usize) -> PosteriorDistribution {
        PosteriorDistribution::Flow(Self {
            start: self.start.narrowed(first, n),
            context: self.context.clone().narrow(0, first, n),
            steps: self.steps.clone(),
        })
    }

    fn draw(&self, noise: &dyn Noise, k: usize) -> Draw {
        let (z, eps) = self.start.reparameterized(noise, k);
        let [k, batch, latent] = z.dims();
        let (z, log_det) = self.forward(z.reshape([k * batch, latent]));
        let log_det = Some(log_det.reshape([k, batch]));
        let log_var = self.start.log_var.clone();
        Draw {
            z: z.reshape([k, batch, latent]),
            density: Some(DrawDensity { eps, log_var, log_det }),
            regularizer: None,
        }
    }

    fn gaussian(&self) -> Option<&Gaussian> {
        None
    }

    fn codes(&self) -> Option<Tensor<2, Int>> {
        None
    }
}
