//! Posteriors: the axis of q(z|x). The heads on the encoder's features, and the distribution that they
//! give for one batch (`Encoding`).

mod iaf;
mod vq;

pub use iaf::IafStep;
pub use vq::{Codebook, CodebookUpdate, Vq, VqConfig, VqEncoding};

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;
use crate::math::log_2_pi;
use crate::network::{Features, Head};
use crate::noise::{Noise, normal_tensor};

choice! {
    /// Which posterior, with its settings.
    pub enum PosteriorConfig {
        /// One point per example: an autoencoder.
        "point" => Point(PointConfig),
        /// A Gaussian with diagonal covariance, followed by flow steps if wished.
        "gaussian" => Gaussian(GaussianConfig),
        /// Discrete codes from a codebook (van den Oord et al. 2017).
        "vq" => Vq(VqConfig),
    }
}

impl Default for PosteriorConfig {
    fn default() -> Self {
        Self::Gaussian(GaussianConfig::default())
    }
}

/// The point posterior has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointConfig {}

/// Settings of the Gaussian posterior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianConfig {
    /// Steps of inverse autoregressive flow after the Gaussian draw; 0 for a plain Gaussian.
    pub flow_steps: usize,
    /// Hidden units of each step's network.
    pub flow_hidden: usize,
    /// Log-variances are held between these two, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_var_range: Option<(f64, f64)>,
}

impl Default for GaussianConfig {
    fn default() -> Self {
        Self { flow_steps: 0, flow_hidden: 128, log_var_range: None }
    }
}

impl PosteriorConfig {
    /// Whether it is a Gaussian whose density can be evaluated at any z.
    pub fn is_plain_gaussian(&self) -> bool {
        matches!(self, Self::Gaussian(GaussianConfig { flow_steps: 0, .. }))
    }

    /// Whether q(z|x) has a density, and so a KL and importance weights.
    pub fn has_density(&self) -> bool {
        match self {
            Self::Point(_) | Self::Vq(_) => false,
            Self::Gaussian(_) => true,
        }
    }

    pub(crate) fn validate(&self, key: &str, latent: usize) -> Result<(), ConfigError> {
        let c = match self {
            Self::Point(_) => return Ok(()),
            Self::Vq(c) => return c.validate(key, latent),
            Self::Gaussian(c) => c,
        };
        if c.flow_steps > 64 {
            let why = format!("must be 0 to 64, not {}", c.flow_steps);
            return Err(ConfigError::new(format!("{key}.flow_steps"), why));
        }
        if !(1..=4096).contains(&c.flow_hidden) {
            let why = format!("must be 1 to 4096, not {}", c.flow_hidden);
            return Err(ConfigError::new(format!("{key}.flow_hidden"), why));
        }
        if let Some((low, high)) = c.log_var_range
            && !(low.is_finite() && high.is_finite() && low < high)
        {
            let why = format!("must be two numbers, the lower first, not [{low}, {high}]");
            return Err(ConfigError::new(format!("{key}.log_var_range"), why));
        }
        Ok(())
    }

    /// The heads from `features` to `latent` dimensions.
    pub fn init(&self, init: &Init<'_>, features: Features, latent: usize) -> Posterior {
        let head = |name: &str, width| Head::new(&init.at(name), features, width);
        match self {
            Self::Point(_) => Posterior::Point(PointHeads { mean: head("mean", latent) }),
            Self::Vq(c) => Posterior::Vq(c.init(init, features, latent)),
            Self::Gaussian(c) => {
                // The context of the flow is as wide as z.
                let step = |i| IafStep::new(&init.at("flow").at(i), latent, latent, c.flow_hidden);
                Posterior::Gaussian(GaussianHeads {
                    mean: head("mean", latent),
                    log_var: head("log_var", latent),
                    context: (c.flow_steps > 0).then(|| head("context", latent)),
                    flow: (0..c.flow_steps).map(step).collect(),
                    log_var_range: c.log_var_range,
                })
            }
        }
    }
}

/// The posterior's heads.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "tensors are handles, and a model has one posterior")]
pub enum Posterior {
    /// See [`PosteriorConfig::Point`].
    Point(PointHeads),
    /// See [`PosteriorConfig::Gaussian`].
    Gaussian(GaussianHeads),
    /// See [`PosteriorConfig::Vq`].
    Vq(Vq),
}

/// The one head of a point posterior.
#[derive(Module, Debug)]
pub struct PointHeads {
    mean: Head,
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

impl Posterior {
    /// q(z|x) from features `[batch, features]`.
    pub fn forward(&self, features: Tensor<2>) -> Encoding {
        match self {
            Self::Point(heads) => Encoding::Point { z: heads.mean.forward(features) },
            Self::Vq(vq) => Encoding::Vq(vq.forward(features)),
            Self::Gaussian(heads) => {
                let log_var = heads.log_var.forward(features.clone());
                let gaussian = Gaussian {
                    mean: heads.mean.forward(features.clone()),
                    log_var: match heads.log_var_range {
                        Some((low, high)) => log_var.clamp(low, high),
                        None => log_var,
                    },
                };
                match &heads.context {
                    None => Encoding::Gaussian(gaussian),
                    Some(context) => Encoding::Flow(Flow {
                        start: gaussian,
                        context: context.forward(features),
                        steps: heads.flow.clone(),
                    }),
                }
            }
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
    /// A Gaussian draw, then an inverse autoregressive flow.
    Flow(Flow),
    /// The nearest code of a codebook at each position.
    Vq(VqEncoding),
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
    fn rows(&self, first: usize, n: usize) -> Self {
        Self {
            mean: self.mean.clone().narrow(0, first, n),
            log_var: self.log_var.clone().narrow(0, first, n),
        }
    }

    /// z = mean + sigma eps and the eps behind it, `[k, batch, latent]` each.
    fn draw(&self, noise: &dyn Noise, k: usize) -> (Tensor<3>, Tensor<3>) {
        let [batch, latent] = self.mean.dims();
        let eps = normal_tensor(noise, "posterior", [k, batch, latent], &self.mean.device());
        let sigma = self.log_var.clone().mul_scalar(0.5).exp().unsqueeze::<3>();
        (self.mean.clone().unsqueeze::<3>() + sigma * eps.clone(), eps)
    }
}

/// A Gaussian and the flow that its draws go through.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What is drawn first.
    pub start: Gaussian,
    /// What the encoder tells every step, `[batch, context]`.
    pub context: Tensor<2>,
    /// The steps in their order; the dimensions are reversed between them.
    pub steps: Vec<IafStep>,
}

impl Flow {
    /// Rows of z after all steps, and the logarithm of the flow's determinant: `[rows, latent]` and
    /// `[rows, 1]`; the rows hold draws of the batch, draw by draw.
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

impl Encoding {
    /// The code of each example, `[batch, latent]`: the mean of q(z|x), for a flow where it takes the mean
    /// of the Gaussian that it starts from, for discrete codes their vectors.
    pub fn mean(&self) -> Tensor<2> {
        match self {
            Self::Point { z } => z.clone(),
            Self::Gaussian(q) => q.mean.clone(),
            Self::Flow(flow) => flow.forward(flow.start.mean.clone()).0,
            Self::Vq(q) => q.mean(),
        }
    }

    /// log q(z|x) in nats of any z `[k, batch, latent]`, each under its own example: `[k, batch]`. `None`
    /// where the density is known only at the draws (a flow), or not at all (a point, codes).
    pub fn log_prob(&self, z: Tensor<3>) -> Option<Tensor<2>> {
        let Self::Gaussian(q) = self else { return None };
        let [_, _, latent] = z.dims();
        let log_var = q.log_var.clone().unsqueeze::<3>();
        let squares = (z - q.mean.clone().unsqueeze::<3>()).square() * log_var.clone().neg().exp();
        let sum: Tensor<2> = (squares + log_var).sum_dim(2).squeeze_dim(2);
        Some(sum.add_scalar(latent as f64 * log_2_pi()).mul_scalar(-0.5))
    }

    /// q(z|x) of `n` of the examples, from `first` on.
    pub fn rows(&self, first: usize, n: usize) -> Self {
        let part = |t: &Tensor<2>| t.clone().narrow(0, first, n);
        match self {
            Self::Point { z } => Self::Point { z: part(z) },
            Self::Gaussian(q) => Self::Gaussian(q.rows(first, n)),
            Self::Vq(q) => Self::Vq(q.rows(first, n)),
            Self::Flow(flow) => Self::Flow(Flow {
                start: flow.start.rows(first, n),
                context: part(&flow.context),
                steps: flow.steps.clone(),
            }),
        }
    }

    /// `k` reparameterized draws a point: z = mean + exp(log_var / 2) eps, eps ~ N(0, I) from `noise`
    /// (Kingma and Welling 2014, section 2.4), then the flow, if there is one. A point and codes have one
    /// draw only, which stands there `k` times.
    pub fn draw(&self, noise: &dyn Noise, k: usize) -> Draw {
        match self {
            Self::Point { z } => {
                let z = z.clone().unsqueeze::<3>().repeat_dim(0, k);
                Draw { z, density: None, regularizer: None }
            }
            Self::Gaussian(q) => {
                let (z, eps) = q.draw(noise, k);
                let log_var = q.log_var.clone();
                let density = Some(DrawDensity { eps, log_var, log_det: None });
                Draw { z, density, regularizer: None }
            }
            Self::Flow(flow) => {
                let (z, eps) = flow.start.draw(noise, k);
                let [k, batch, latent] = z.dims();
                let (z, log_det) = flow.forward(z.reshape([k * batch, latent]));
                let log_det = Some(log_det.reshape([k, batch]));
                let log_var = flow.start.log_var.clone();
                Draw {
                    z: z.reshape([k, batch, latent]),
                    density: Some(DrawDensity { eps, log_var, log_det }),
                    regularizer: None,
                }
            }
            Self::Vq(q) => q.draw(noise, k),
        }
    }
}

/// Draws from q(z|x).
#[derive(Clone, Debug)]
pub struct Draw {
    /// The draws, `[k, batch, latent]`.
    pub z: Tensor<3>,
    /// What their density is made of, where there is one.
    density: Option<DrawDensity>,
    /// What the posterior itself adds to the loss, as a KL would, where it does.
    pub regularizer: Option<Regularizer>,
}

/// What a posterior adds to the loss, and what it wants changed.
#[derive(Clone, Debug)]
pub struct Regularizer {
    /// The weighted sum, averaged over images, `[1]`: squared distances, which count as nats.
    pub total: Tensor<1>,
    /// Its parts and what else is worth a log, `[1]` each.
    pub terms: Vec<(&'static str, Tensor<1>)>,
    /// What changes a codebook without a gradient.
    pub update: CodebookUpdate,
}

/// What the density of draws is made of.
#[derive(Clone, Debug)]
struct DrawDensity {
    /// The noise behind them, `[k, batch, latent]`.
    eps: Tensor<3>,
    /// `[batch, latent]`.
    log_var: Tensor<2>,
    /// log |det| of the flow after the Gaussian, `[k, batch]`.
    log_det: Option<Tensor<2>>,
}

impl Draw {
    /// log q(z|x) of each draw in nats, `[k, batch]`; `None` where q has no density.
    ///
    /// With z = mean + sigma eps: -1/2 sum_d (log 2 pi + log_var_d + eps_d^2), less the flow's log |det|.
    pub fn log_q(&self) -> Option<Tensor<2>> {
        let DrawDensity { eps, log_var, log_det } = self.density.clone()?;
        let [_, _, latent] = eps.dims();
        let sum: Tensor<2> = (eps.square() + log_var.unsqueeze::<3>()).sum_dim(2).squeeze_dim(2);
        let start = sum.add_scalar(latent as f64 * log_2_pi()).mul_scalar(-0.5);
        Some(match log_det {
            Some(log_det) => start - log_det,
            None => start,
        })
    }
}
