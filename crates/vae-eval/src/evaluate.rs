//! Evaluation of a model: the bound and its terms, active units, and the importance-sampled likelihood.

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

/// Named averages in nats per image, in the order in which they are shown; `loss` is the first.
pub type Metrics = Vec<(String, f64)>;

/// Examples that are evaluated at once.
const CHUNK: usize = 500;
/// Draws of q(z) that are compared with draws of p(z).
const AGGREGATE: usize = 2_000;
/// A unit is active if its posterior mean varies by more than this over the data (Burda et al.
/// 2016).
const ACTIVE: f64 = 0.01;

/// The scores of a model on a set of examples. Nats per image, averaged over images; a score that
/// does not exist for a model is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many examples.
    pub images: usize,
    /// Reconstruction + KL: the negative evidence lower bound, one draw an image.
    pub neg_elbo: Option<f64>,
    /// -E log p(x|z).
    pub reconstruction: f64,
    /// KL(q(z|x) || p(z)).
    pub kl: Option<f64>,
    /// Latent dimensions whose posterior mean varies over the data by more than 0.01.
    pub active_units: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// The squared maximum mean discrepancy between q(z), a draw each for the first 2,000 examples,
    /// and as many draws of p(z): unbiased, so it may be below 0; inverse multiquadratic kernels of
    /// bandwidth 1. Null with fewer than two examples, and for discrete codes, which have no p(z)
    /// of the model's.
    pub aggregate_mmd: Option<f64>,
    /// Whether -reconstruction is a log-likelihood; false for cross-entropy on grey pixels and for
    /// a squared error without its constant.
    pub likelihood: bool,
    /// -log p(x), importance-sampled.
    pub nll: Option<f64>,
    /// Standard error of `nll` over the images.
    pub nll_stderr: Option<f64>,
    /// -log p(x) of each image, in the order of the examples; empty where it was not estimated.
    #[serde(skip)]
    pub nll_each: Vec<f64>,
}

/// Evaluates models on given examples.
#[derive(Clone, Debug)]
pub struct Evaluator {
    /// The examples.
    pub examples: Arc<Examples>,
    /// How their values become x.
    pub transform: Arc<Transform>,
    /// Where to compute.
    pub device: Device,
    /// Seed of the draws, and of stochastic pixels, which are drawn once.
    pub seed: u64,
}

impl Evaluator {
    /// Calls `f` with each chunk, as a model of so many classes takes it, and the noise for it.
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

    /// Returns the averages of the model's loss under an objective with all its weights at their
    /// full value.
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

    /// Evaluates `vae`; with `samples` above 0 by importance sampling too (Burda et al. 2016),
    /// where the posterior has a density.
    ///
    /// `report` is told how many images are done.
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
    /// Returns whether log p(x|z) of a model is a log-likelihood on these examples, and not just a
    /// loss.
    pub fn is_likelihood(&self, vae: &Vae) -> bool {
        let support = support_of(&self.transform, &self.examples);
        compatibility::is_likelihood(&vae.config().likelihood, support)
    }

    /// Returns the squared distance between draws of q(z) and as many of p(z).
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
