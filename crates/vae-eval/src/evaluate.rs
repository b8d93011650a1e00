//! Evaluation of a model: evidence lower bound and its terms, active units, and importance-sampled
//! log-likelihood.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use serde::Serialize;
use vae_data::rng::Stream;
use vae_data::{Examples, ImageBatcher, Transform};
use vae_model::compatibility;
use vae_model::divergence::{Kernel, mmd};
use vae_model::objective::ElboConfig;
use vae_model::{Batch, Networks, ObjectiveConfig, Role, Vae};

use crate::importance::importance_nll;
use crate::labels::one_hot;
use crate::noise::{KeyedNoise, Phase};
use crate::statistics::{Mean, Moments};
use crate::support::support_of;

/// Named averages over the examples in nats, in the order in which they are printed. `loss` is
/// first.
pub type Metrics = Vec<(String, f64)>;

/// Examples that are evaluated at once.
const CHUNK: usize = 500;
/// Number of draws from q(z) that are compared with draws from p(z).
const AGGREGATE: usize = 2_000;
/// A latent dimension is active if the variance of its posterior mean over the data is above this
/// (Burda et al. 2016).
const ACTIVE: f64 = 0.01;

/// The scores of a model on a set of examples, in nats per example, averaged over the examples. A
/// score that does not exist for a model is `None`, which is null in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of examples.
    pub images: usize,
    /// The negative evidence lower bound, reconstruction + KL, with one draw per example.
    pub neg_elbo: Option<f64>,
    /// -E log p(x|z).
    pub reconstruction: f64,
    /// KL(q(z|x) || p(z)).
    pub kl: Option<f64>,
    /// Number of latent dimensions whose posterior mean has a variance above 0.01 over the data.
    pub active_units: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// The squared maximum mean discrepancy between q(z) and p(z), with inverse multiquadratic
    /// kernels of bandwidth 1: one draw from q(z|x) for each of the first 2,000 examples, and
    /// equally many draws from p(z). The estimate is unbiased and may be negative. `None` with
    /// fewer than two examples, and for discrete codes, whose prior is not part of the model.
    pub aggregate_mmd: Option<f64>,
    /// Whether -reconstruction is a log-likelihood. It is not for a cross-entropy on grey pixels or
    /// a squared error without its constant.
    pub likelihood: bool,
    /// -log p(x), estimated by importance sampling.
    pub nll: Option<f64>,
    /// Standard error of `nll` over the examples.
    pub nll_stderr: Option<f64>,
    /// -log p(x) of each example, in the order of the examples. Empty if it was not estimated.
    #[serde(skip)]
    pub nll_each: Vec<f64>,
}

/// Evaluates models on a set of examples.
#[derive(Clone, Debug)]
pub struct Evaluator {
    /// The examples.
    pub examples: Arc<Examples>,
    /// The transform from stored values to x.
    pub transform: Arc<Transform>,
    /// The device.
    pub device: Device,
    /// Seed of the draws and of stochastic pixels. The pixels are drawn once.
    pub seed: u64,
}

impl Evaluator {
    /// Calls `f` with each chunk of examples, with labels if `classes` is above 0, and with its
    /// noise.
    fn each(&self, classes: usize, mut f: impl FnMut(Batch, KeyedNoise)) {
        let draws = Stream::new(self.seed, "stochastic pixels, evaluation");
        let batcher = ImageBatcher::new(self.examples.clone(), self.transform.clone(), draws);
        let order = (0..self.examples.len() as u32).collect();
        let mut first = 0;
        for batch in batcher.batches(order, CHUNK, &self.device) {
            let mut noise = KeyedNoise::new(self.seed, Phase::Evaluate);
            noise.first_image = first;
            first += batch.indices.len() as u32;
            let labels = (classes > 0)
                .then(|| one_hot(&self.examples, &batch.indices, classes, &self.device));
            let data_set_size = self.examples.len();
            f(Batch { x: batch.x, corrupted: None, labels, data_set_size }, noise);
        }
    }

    /// Returns the averages of the model's loss and its terms for an objective. Warm-up is over:
    /// all weights have their final value.
    pub fn objective(&self, networks: &Networks, objective: &ObjectiveConfig) -> Metrics {
        let mut names = Vec::new();
        let mut sums: Vec<f64> = Vec::new();
        self.each(networks.vae.classes(), |batch, noise| {
            let n = batch.size();
            let loss = objective.loss(Role::Model, networks, &batch, &noise, f64::INFINITY);
            let values = loss.values().into_data();
            names = loss.names();
            sums.resize(names.len(), 0.0);
            for (sum, value) in sums.iter_mut().zip(values.iter::<f64>()) {
                *sum += value * n as f64;
            }
        });
        let n = self.examples.len().max(1) as f64;
        names.into_iter().zip(sums).map(|(name, sum)| (name.to_owned(), sum / n)).collect()
    }

    /// Evaluates `vae`. With `samples` above 0, also estimates log p(x) by importance sampling
    /// (Burda et al. 2016), if the posterior has a density.
    ///
    /// `report` is called with the number of examples that are done.
    pub fn evaluate(&self, vae: &Vae, samples: usize, report: &dyn Fn(usize)) -> Evaluation {
        let plain = ObjectiveConfig::Elbo(ElboConfig::default());
        let metrics = self.objective(&vae.clone().into(), &plain);
        let get = |name: &str| metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value);

        let mut moments = Moments::default();
        let mut nll: Vec<f64> = Vec::new();
        let mut codes: Vec<Tensor<2>> = Vec::new();
        self.each(vae.classes(), |batch, noise| {
            let q = vae.encode_batch(&batch);
            let means = q.mean();
            let [_, width] = means.dims();
            moments.add(&means.into_data().iter::<f64>().collect::<Vec<_>>(), width);
            if codes.len() * CHUNK < AGGREGATE {
                codes.push(q.draw(&noise, 1).z.squeeze_dim(0));
            }
            if samples > 0 {
                nll.extend(importance_nll(vae, &batch, &q, noise, samples, report, nll.len()));
            }
        });
        let Some(reconstruction) = get("reconstruction") else {
            unreachable!("every bound has a reconstruction term")
        };
        let mean = Mean::of(&nll);
        Evaluation {
            images: self.examples.len(),
            neg_elbo: get("neg_elbo"),
            reconstruction,
            kl: get("kl"),
            active_units: moments.variances().filter(|v| *v > ACTIVE).count(),
            latent: vae.config().latent,
            aggregate_mmd: self.aggregate_mmd(vae, codes),
            likelihood: self.is_likelihood(vae),
            nll: mean.map(|mean| mean.value),
            nll_stderr: mean.and_then(|mean| mean.stderr),
            nll_each: nll,
        }
    }
}

impl Evaluator {
    /// Returns whether log p(x|z) is a log-likelihood on these examples. If not, it is only a loss.
    pub fn is_likelihood(&self, vae: &Vae) -> bool {
        let support = support_of(&self.transform, &self.examples);
        compatibility::is_likelihood(&vae.config().likelihood, support)
    }

    /// Returns the squared maximum mean discrepancy between `codes`, draws from q(z), and draws
    /// from p(z).
    fn aggregate_mmd(&self, vae: &Vae, codes: Vec<Tensor<2>>) -> Option<f64> {
        if self.examples.len() < 2 || vae.code_space().is_some() {
            return None;
        }
        let codes = Tensor::cat(codes, 0);
        let [n, _] = codes.dims();
        let noise = KeyedNoise::new(self.seed, Phase::Evaluate);
        let drawn = vae.prior(None, &self.device).sample(&noise, n, &self.device);
        let found = mmd(codes, drawn, Kernel::Imq, 1.0);
        found.into_data().iter::<f64>().next()
    }
}
