//! Likelihoods p(x|z): one axis of a model. Each likelihood has its own file with all its
//! properties, and a line in the `choice!` below.

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
    /// A likelihood with its settings.
    pub enum LikelihoodConfig: LikelihoodFamily {
        /// Independent Bernoulli pixels.
        "bernoulli" => Bernoulli(BernoulliConfig),
        /// Independent pixels in [0, 1] with the Bernoulli formula, normalized as a density
        /// (Loaiza-Ganem and Cunningham 2019).
        "continuous-bernoulli" => ContinuousBernoulli(ContinuousBernoulliConfig),
        /// Independent Gaussian numbers.
        "gaussian" => Gaussian(GaussianConfig),
        /// Independent Laplace numbers.
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
    /// Checks the settings. `key` is the path of their table, for errors.
    ///
    /// # Errors
    /// For the first invalid value.
    fn validate(&self, key: &str) -> Result<(), ConfigError>;

    /// Returns the properties of the family that other modules use.
    fn properties(&self) -> Properties;

    /// Returns the mean of x, `[k, batch, numbers]`.
    fn mean(&self, p: &Parameters) -> Tensor<3>;

    /// Returns log p(x|z) of each number in nats, `[k, batch, numbers]`, for x
    /// `[1, batch, numbers]`.
    fn log_prob(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3>;

    /// Returns log p of each number in nats, `[1, batch, numbers]`, for x of the same shape. The
    /// decoded parameter (for most families the mean) is averaged over the `k` draws. Only for
    /// families with one output per number.
    fn log_prob_of_average(&self, p: &Parameters, x: Tensor<3>) -> Tensor<3>;

    /// Returns log p(x|z) in nats, summed over the numbers, `[k, batch]`, for x `[batch, numbers]`.
    /// A family with an operation for the sum replaces this.
    fn sum_log_prob(&self, p: Parameters, x: Tensor<2>) -> Tensor<2> {
        self.log_prob(&p, x.unsqueeze()).sum_dim(2).squeeze_dim(2)
    }

    /// Returns one sample of x per row, `[k, batch, numbers]`.
    fn sample(&self, p: &Parameters, noise: &dyn Noise) -> Tensor<3>;

    /// Returns P(X < x|z) and P(X <= x|z) of each number, `[k, batch, numbers]` each, for x
    /// `[1, batch, numbers]`. They differ for discrete numbers. `None` for families without a spread, and for
    /// counts.
    fn cdf(&self, _p: &Parameters, _x: Tensor<3>) -> Option<[Tensor<3>; 2]> {
        None
    }

    /// Returns the output of the decoder for a number whose mean is `mean`. `None` for families whose
    /// training does not start at the mean of the data.
    fn output_of_mean(&self, _mean: f64) -> Option<f64> {
        None
    }
}

/// Properties of a likelihood that other modules use.
#[derive(Clone, Debug, PartialEq)]
pub struct Properties {
    /// The set of numbers that it is a distribution over.
    pub support: Support,
    /// Whether log p(x|z) is that of a probability, of a density, or only a loss.
    pub measure: Measure,
    /// Decoder outputs per number of x.
    pub outputs: usize,
    /// The lowest and highest number that the mean can reach.
    pub mean_range: (f64, f64),
    /// Learned parameters that are not decoder outputs, if any.
    pub shared: Option<Shared>,
}

/// The meaning of log p(x|z).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The logarithm of a probability.
    Mass,
    /// The logarithm of a density, which cannot be compared with a probability.
    Density,
    /// A loss without its normalizing constant, not a log-likelihood.
    Loss,
}

/// Learned parameters of a likelihood that are not decoder outputs: logarithms of spreads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shared {
    /// Whether each number of x has its own parameter. If not, all numbers share one.
    pub per_number: bool,
    /// The initial value.
    pub start: f64,
}

impl LikelihoodConfig {
    /// Makes the learned parameters that are not decoder outputs, for examples of `numbers`
    /// numbers.
    pub(crate) fn init(&self, init: &Init<'_>, numbers: usize) -> Likelihood {
        let log_spread = self.properties().shared.map(|shared| {
            let len = if shared.per_number { numbers } else { 1 };
            init.constant("log_spread", [len], shared.start)
        });
        Likelihood { log_spread }
    }
}

/// Learned parameters of a likelihood that are not decoder outputs.
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
    /// Decoder outputs per number.
    per_number: usize,
    /// Learned logarithms of spreads that are not decoder outputs, `[1]` or `[numbers]`.
    shared: Option<Tensor<1>>,
}

impl Parameters {
    /// Returns the first output of each number, before any output activation,
    /// `[k, batch, numbers]`.
    fn first(&self) -> Tensor<3> {
        let [_, _, width] = self.outputs.dims();
        match self.per_number {
            1 => self.outputs.clone(),
            n => self.outputs.clone().narrow(2, 0, width / n),
        }
    }

    /// Returns the second output of each number, `[k, batch, numbers]`; `None` if there is one
    /// output.
    fn second(&self) -> Option<Tensor<3>> {
        let [_, _, width] = self.outputs.dims();
        let numbers = width / self.per_number;
        (self.per_number > 1).then(|| self.outputs.clone().narrow(2, numbers, numbers))
    }

    /// Returns the learned parameters that are not decoder outputs, `[1, 1, 1]` or
    /// `[1, 1, numbers]`.
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

/// p(x|z) for rows of z: a family of distributions, and the decoder's outputs.
#[derive(Clone, Debug)]
pub struct LikelihoodDistribution {
    /// `[rows, outputs * numbers]`.
    outputs: Tensor<2>,
    family: LikelihoodConfig,
    /// `[1]` or `[numbers]`.
    shared: Option<Tensor<1>>,
}

impl LikelihoodDistribution {
    /// Makes p(x|z) from the decoder's outputs, `[rows, outputs * numbers]`: the first output of
    /// all numbers, then the second (a log-spread) of all numbers. `shared` is a learned log-spread
    /// that is not a decoder output, `[1]` or `[numbers]`.
    pub fn new(outputs: Tensor<2>, family: LikelihoodConfig, shared: Option<Tensor<1>>) -> Self {
        Self { outputs, family, shared }
    }

    /// Returns the parameters, with the rows grouped into `k` draws per example.
    fn parameters(&self, k: usize) -> Parameters {
        self.clone().into_parameters(k)
    }

    /// Returns the parameters, as [`Self::parameters`]. The outputs are handed over, so that an
    /// operation may overwrite them.
    fn into_parameters(self, k: usize) -> Parameters {
        let [rows, width] = self.outputs.dims();
        Parameters {
            outputs: self.outputs.reshape([k, rows / k, width]),
            per_number: self.family.properties().outputs,
            shared: self.shared,
        }
    }

    /// Returns the mean of x, `[rows, numbers]`. For a discretized logistic it is the location,
    /// which differs from the mean near the ends of the range.
    pub fn mean(&self) -> Tensor<2> {
        self.family.mean(&self.parameters(1)).squeeze_dim(0)
    }

    /// Returns log p in nats, `[1, batch]`, of x `[batch, numbers]` for the average of the means of
    /// `k` draws per example. Rows are ordered draw by draw. The result is not a bound on log p(x).
    /// For a continuous Bernoulli the parameter is averaged.
    ///
    /// # Panics
    /// If the decoder also outputs a spread, which has no average.
    /// [`check_objective`](crate::compatibility::check_objective) refuses that.
    pub fn log_prob_of_average(&self, x: Tensor<2>, k: usize) -> Tensor<2> {
        assert_eq!(self.family.properties().outputs, 1, "the decoder outputs more than a mean");
        let each = self.family.log_prob_of_average(&self.parameters(k), x.unsqueeze());
        each.sum_dim(2).squeeze_dim(2)
    }

    /// Returns log p(x|z) in nats, `[k, batch]`, for x `[batch, numbers]`. The rows are k draws per
    /// example, ordered draw by draw.
    /// It consumes the distribution, so that the decoder's outputs can be overwritten.
    pub fn log_prob(self, x: Tensor<2>) -> Tensor<2> {
        let ([rows, _], [batch, _]) = (self.outputs.dims(), x.dims());
        let family = self.family.clone();
        family.sum_log_prob(self.into_parameters(rows / batch), x)
    }

    /// Returns P(X < x|z) and P(X <= x|z) of each number, `[rows, numbers]` each, for x `[rows, numbers]`:
    /// see [`LikelihoodFamily::cdf`].
    pub fn cdf(&self, x: Tensor<2>) -> Option<[Tensor<2>; 2]> {
        let both = self.family.cdf(&self.parameters(1), x.unsqueeze())?;
        Some(both.map(|below| below.squeeze_dim(0)))
    }

    /// Returns one sample of x per row, `[rows, numbers]`.
    pub fn sample(&self, noise: &dyn Noise) -> Tensor<2> {
        self.family.sample(&self.parameters(1), noise).squeeze_dim(0)
    }
}
