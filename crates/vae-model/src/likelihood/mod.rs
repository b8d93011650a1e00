//! Likelihoods: the axis of p(x|z). A likelihood is a file here, which holds all that is known of it,
//! and a line in the `choice!` below.

mod bernoulli;
mod continuous_bernoulli;
mod discretized_logistic;
mod gaussian;
mod laplace;
mod negative_binomial;
mod poisson;
mod spread;

mod counts;

pub use bernoulli::BernoulliConfig;
pub use continuous_bernoulli::ContinuousBernoulliConfig;
pub use discretized_logistic::LogisticConfig;
pub use gaussian::GaussianConfig;
pub use laplace::LaplaceConfig;
pub use negative_binomial::{Dispersion, NegativeBinomialConfig};
pub use poisson::PoissonConfig;
pub use spread::{Output, Spread};

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;
use crate::noise::{Noise, normal_tensor, uniform_tensor};
use crate::support::Support;

choice! {
    /// Which likelihood, with its settings.
    pub enum LikelihoodConfig: LikelihoodFamily {
        /// Independent Bernoulli pixels.
        "bernoulli" => Bernoulli(BernoulliConfig),
        /// Independent pixels in [0, 1] with the normalized density of the Bernoulli's formula
        /// (Loaiza-Ganem and Cunningham 2019).
        "continuous-bernoulli" => ContinuousBernoulli(ContinuousBernoulliConfig),
        /// Independent normal numbers.
        "gaussian" => Gaussian(GaussianConfig),
        /// Independent numbers of a Laplace distribution.
        "laplace" => Laplace(LaplaceConfig),
        /// Independent pixels of 256 levels (Salimans et al. 2017).
        "discretized-logistic" => DiscretizedLogistic(LogisticConfig),
        /// Independent Poisson counts.
        "poisson" => Poisson(PoissonConfig),
        /// Independent counts with a variance above their mean.
        "negative-binomial" => NegativeBinomial(NegativeBinomialConfig),
    }
}

impl Default for LikelihoodConfig {
    fn default() -> Self {
        BernoulliConfig {}.into()
    }
}

/// A family of distributions p(x|z) of independent numbers, with its settings.
pub trait LikelihoodFamily: std::fmt::Debug {
    /// Checks the settings found at `key`.
    ///
    /// # Errors
    /// For the first impossible value.
    fn validate(&self, key: &str) -> Result<(), ConfigError>;

    /// Returns what the rest of the program has to know of the family.
    fn properties(&self) -> Properties;

    /// Returns the mean of x, `[k, batch, numbers]`.
    fn mean(&self, p: &Parameters) -> Tensor<3>;

    /// Returns log p(x|z) of each number in nats, `[k, batch, numbers]`, for x `[1, batch, numbers]`.
    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3>;

    /// Returns log p of each number, `[1, batch, numbers]`, for x of the same shape, under the average
    /// over the `k` draws of the parameter that the decoder gives (its mean, for most families). Only
    /// for families with one output per number.
    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3>;

    /// Returns log p(x|z) summed over the numbers, `[k * batch, 1]`, of x `[batch, numbers]`, by an
    /// operation that does it in one pass over decoder outputs `[k * batch, numbers]`; `None` where
    /// there is none and [`Self::log_prob`] is summed.
    fn fused_log_prob(&self, outputs: &Tensor<2>, x: &Tensor<2>) -> Option<Tensor<2>>;

    /// Returns one draw of x for each row, `[k, batch, numbers]`.
    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3>;
}

/// What the rest of the program has to know of a likelihood.
#[derive(Clone, Debug, PartialEq)]
pub struct Properties {
    /// The numbers that it is a distribution over.
    pub support: Support,
    /// What its log p(x|z) is.
    pub measure: Measure,
    /// Decoder outputs per number of x.
    pub outputs: usize,
    /// The lowest and highest number that the mean can reach.
    pub mean_range: (f64, f64),
    /// The parameters that it learns beside the decoder, if any.
    pub shared: Option<Shared>,
}

/// What log p(x|z) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The logarithm of a probability.
    Mass,
    /// The logarithm of a density, which cannot be compared with a probability.
    Density,
    /// A loss whose constant is left out: no likelihood.
    Loss,
}

/// Parameters that a likelihood learns beside the decoder: logarithms of spreads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shared {
    /// Whether each number of x has its own; otherwise all share one.
    pub per_number: bool,
    /// The value that they start from.
    pub start: f64,
}

impl LikelihoodConfig {
    /// Makes what is learned beside the decoder, for examples of so many numbers.
    pub(crate) fn init(&self, init: &Init<'_>, numbers: usize) -> Likelihood {
        let log_spread = self.properties().shared.map(|shared| {
            let len = if shared.per_number { numbers } else { 1 };
            init.constant("log_spread", [len], shared.start)
        });
        Likelihood { log_spread }
    }
}

/// What is learned of a likelihood beside the decoder.
#[derive(Module, Debug)]
pub struct Likelihood {
    /// Logarithms of spreads, `[1]` or `[numbers]`: of standard deviations, scales or inverse
    /// dispersions.
    log_spread: Option<Param<Tensor<1>>>,
}

impl Likelihood {
    pub(crate) fn log_spread(&self) -> Option<Tensor<1>> {
        self.log_spread.as_ref().map(Param::val)
    }
}

/// The parameters of p(x|z) for `k` draws of each example of a batch.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Decoder outputs, `[k, batch, outputs * numbers]`.
    outputs: Tensor<3>,
    /// Outputs per number.
    per_number: usize,
    /// Learned beside the decoder, `[1]` or `[numbers]`.
    shared: Option<Tensor<1>>,
}

impl Parameters {
    /// Returns the first output of each number, before any output activation, `[k, batch, numbers]`.
    fn first(&self) -> Tensor<3> {
        let [_, _, width] = self.outputs.dims();
        match self.per_number {
            1 => self.outputs.clone(),
            n => self.outputs.clone().narrow(2, 0, width / n),
        }
    }

    /// Returns the second output of each number, `[k, batch, numbers]`; `None` if there is one output.
    fn second(&self) -> Option<Tensor<3>> {
        let [_, _, width] = self.outputs.dims();
        let numbers = width / self.per_number;
        (self.per_number > 1).then(|| self.outputs.clone().narrow(2, numbers, numbers))
    }

    /// Returns what is learned beside the decoder, `[1, 1, 1]` or `[1, 1, numbers]`.
    fn shared(&self) -> Option<Tensor<3>> {
        self.shared.clone().map(|shared| {
            let [len] = shared.dims();
            shared.reshape([1, 1, len])
        })
    }

    /// Returns standard normal numbers, one for each number of each row.
    fn normal(&self, noise: &dyn Noise) -> Tensor<3> {
        self.drawn(noise, normal_tensor)
    }

    /// Returns uniform numbers in [0, 1), one for each number of each row.
    fn uniform(&self, noise: &dyn Noise) -> Tensor<3> {
        self.drawn(noise, uniform_tensor)
    }

    /// Returns uniform numbers inside (0, 1), where the logarithms of u and of 1 - u are finite.
    fn uniform_inside(&self, noise: &dyn Noise) -> Tensor<3> {
        self.uniform(noise).mul_scalar(1.0 - 1e-6).add_scalar(5e-7)
    }

    fn drawn(
        &self,
        noise: &dyn Noise,
        of: fn(&dyn Noise, &str, [usize; 3], &burn::tensor::Device) -> Tensor<3>,
    ) -> Tensor<3> {
        let [k, batch, width] = self.outputs.dims();
        let numbers = width / self.per_number;
        let drawn = of(noise, "likelihood", [1, k * batch, numbers], &self.outputs.device());
        drawn.reshape([k, batch, numbers])
    }
}

/// p(x|z) for rows of z: a family with the outputs of the decoder.
#[derive(Clone, Debug)]
pub struct LikelihoodDistribution {
    /// `[rows, outputs * numbers]`.
    outputs: Tensor<2>,
    family: LikelihoodConfig,
    /// `[1]` or `[numbers]`.
    shared: Option<Tensor<1>>,
}

impl LikelihoodDistribution {
    /// Makes it from the decoder's outputs, `[rows, outputs * numbers]`, where the second output of
    /// all numbers (a log-spread) lies behind the first, and from the log-spread `[1]` or `[numbers]`
    /// that is learned beside the decoder, where there is one.
    pub fn new(outputs: Tensor<2>, family: LikelihoodConfig, shared: Option<Tensor<1>>) -> Self {
        Self { outputs, family, shared }
    }

    /// Returns the parameters with rows read as `k` draws of each example.
    fn parameters(&self, k: usize) -> Parameters {
        let [rows, width] = self.outputs.dims();
        Parameters {
            outputs: self.outputs.clone().reshape([k, rows / k, width]),
            per_number: self.family.properties().outputs,
            shared: self.shared.clone(),
        }
    }

    /// Returns the mean of x, `[rows, numbers]`. (Of a discretized logistic the location, which is its
    /// mean except near the ends of the range.)
    pub fn mean(&self) -> Tensor<2> {
        self.family.mean(&self.parameters(1)).squeeze_dim(0)
    }

    /// Returns log p in nats of x `[batch, numbers]` under the average of the means of `k` draws per
    /// example, `[1, batch]`; rows go draw by draw. It is no bound on log p(x). (Of a continuous
    /// Bernoulli the parameter is averaged.) Only for families with one output per number.
    pub fn log_prob_of_average(&self, x: Tensor<2>, k: usize) -> Tensor<2> {
        let each = self.family.log_prob_of_average(&self.parameters(k), x.unsqueeze());
        each.sum_dim(2).squeeze_dim(2)
    }

    /// Returns log p(x|z) in nats of x `[batch, numbers]` under each of the rows, which hold k draws of
    /// every example draw by draw: `[k, batch]`.
    pub fn log_prob(&self, x: Tensor<2>) -> Tensor<2> {
        let ([rows, _], [batch, _]) = (self.outputs.dims(), x.dims());
        let k = rows / batch;
        match self.family.fused_log_prob(&self.outputs, &x) {
            Some(sum) => sum.reshape([k, batch]),
            None => {
                let each = self.family.log_prob(&self.parameters(k), x.unsqueeze());
                each.sum_dim(2).squeeze_dim(2)
            }
        }
    }

    /// Returns one draw of x for each row, `[rows, numbers]`.
    pub fn sample(&self, noise: &dyn Noise) -> Tensor<2> {
        self.family.sample(&self.parameters(1), noise).squeeze_dim(0)
    }
}
