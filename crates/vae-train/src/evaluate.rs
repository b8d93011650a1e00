//! Judging a model: the bound and its terms, active units, and the importance-sampled likelihood.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use serde::Serialize;
use vae_data::rng::Stream;
use vae_data::{Examples, ImageBatcher, Transform};
use vae_model::bound::log_weights;
use vae_model::divergence::{Kernel, mmd};
use vae_model::objective::ElboConfig;
use vae_model::posterior::Encoding;
use vae_model::{Batch, Learnable, ObjectiveConfig, Player, Vae};

use crate::data::one_hot;
use crate::events::Metrics;
use crate::noise::{KeyedNoise, Phase};

/// Images that are judged at once.
const CHUNK: usize = 500;
/// Rows of z that are decoded at once when draws are many.
const ROWS: usize = 4_000;
/// Draws of q(z) that are compared with draws of p(z).
const AGGREGATE: usize = 2_000;
/// A unit is active if its posterior mean varies by more than this over the data (Burda et al. 2016).
const ACTIVE: f64 = 0.01;

/// What a model is worth on a set of examples. Nats per image, averaged; what does not exist for a
/// model is null.
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
    /// The squared maximum mean discrepancy between q(z), a draw each for the first 2,000 examples, and as
    /// many draws of p(z): unbiased, so it may be below 0; inverse multiquadratic kernels of bandwidth 1.
    /// Null with fewer than two examples, and for discrete codes, which have no p(z) of the model's.
    pub aggregate_mmd: Option<f64>,
    /// Whether -reconstruction is a log-likelihood; false for cross-entropy on grey pixels and for a
    /// squared error without its constant.
    pub likelihood: bool,
    /// -log p(x), importance-sampled.
    pub nll: Option<f64>,
    /// Standard error of `nll` over the images.
    pub nll_stderr: Option<f64>,
    /// -log p(x) of each image, in the order of the examples; empty where it was not estimated.
    #[serde(skip)]
    pub nll_each: Vec<f64>,
}

/// A mean and its standard error, in the unit of the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Of all numbers.
    pub value: f64,
    /// Of the value; `None` for fewer than two numbers.
    pub stderr: Option<f64>,
}

impl Mean {
    /// Of `numbers`; `None` if there are none.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        if numbers.is_empty() {
            return None;
        }
        let n = numbers.len() as f64;
        let value = numbers.iter().sum::<f64>() / n;
        let variance = numbers.iter().map(|v| (v - value).powi(2)).sum::<f64>() / (n - 1.0);
        Some(Self { value, stderr: (numbers.len() > 1).then(|| (variance / n).sqrt()) })
    }

    /// Of `a` less `b`, number by number: what is easy or hard for both cancels.
    pub fn of_differences(a: &[f64], b: &[f64]) -> Option<Self> {
        Self::of(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
    }
}

/// Examples to judge on, and how.
#[derive(Clone, Debug)]
pub struct Judge {
    /// The examples.
    pub examples: Arc<Examples>,
    /// How their values become x.
    pub transform: Arc<Transform>,
    /// Where to compute.
    pub device: Device,
    /// Seed of the draws, and of stochastic pixels, which are drawn once.
    pub seed: u64,
}

impl Judge {
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
            let condition = (classes > 0)
                .then(|| one_hot(&self.examples, &batch.indices, classes, &self.device));
            let data_set = self.examples.len();
            f(Batch { x: batch.x, seen: None, condition, data_set }, noise);
        }
    }

    /// The averages of the model's loss under an objective with all its weights at their full value.
    pub fn objective(&self, learnable: &Learnable, objective: &ObjectiveConfig) -> Metrics {
        let mut names = Vec::new();
        let mut sums: Vec<f64> = Vec::new();
        self.each(learnable.vae.classes(), |batch, noise| {
            let n = batch.size();
            let loss = objective.loss(Player::Model, learnable, &batch, &noise, f64::INFINITY);
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

    /// Judges `vae`; with `samples` above 0 by importance sampling too (Burda et al. 2016), where the
    /// posterior has a density.
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
            moments.add(q.mean());
            if codes.len() * CHUNK < AGGREGATE {
                codes.push(q.draw(&noise, 1).z.squeeze_dim(0));
            }
            if samples > 0 {
                nll.extend(importance_nll(vae, &batch, &q, noise, samples, report, nll.len()));
            }
        });
        let mean = Mean::of(&nll);
        Evaluation {
            images: self.examples.len(),
            neg_elbo: get("neg_elbo"),
            reconstruction: get("reconstruction").unwrap_or(f64::NAN),
            kl: get("kl"),
            active_units: moments.variances().filter(|v| *v > ACTIVE).count(),
            latent: vae.config().latent,
            aggregate_mmd: self.aggregate_mmd(vae, codes),
            likelihood: is_likelihood(vae, &self.transform, &self.examples),
            nll: mean.map(|mean| mean.value),
            nll_stderr: mean.and_then(|mean| mean.stderr),
            nll_each: nll,
        }
    }
}

impl Judge {
    /// How far draws from q(z) are from as many of p(z).
    fn aggregate_mmd(&self, vae: &Vae, codes: Vec<Tensor<2>>) -> Option<f64> {
        if self.examples.len() < 2 || vae.code_space().is_some() {
            return None;
        }
        let codes = Tensor::cat(codes, 0);
        let [n, _] = codes.dims();
        let noise = KeyedNoise::new(self.seed, Phase::Evaluate);
        let drawn = vae.prior(&self.device).sample(&noise, n, &self.device);
        let found = mmd(codes, drawn, Kernel::Imq, 1.0);
        found.into_data().iter::<f64>().next()
    }
}

/// Whether log p(x|z) of this model is a log-likelihood on these examples, seen through this transform.
pub fn is_likelihood(vae: &Vae, transform: &Transform, examples: &Examples) -> bool {
    let likelihood = &vae.config().likelihood;
    let is_binary = || transform.is_binary() || examples.is_binary();
    likelihood.is_normalized() && (!likelihood.needs_binary() || is_binary())
}

/// -log 1/K sum_k w_k of each x in nats, by a streaming log-sum-exp over chunks of draws and images.
fn importance_nll(
    vae: &Vae,
    batch: &Batch,
    q: &Encoding,
    noise: KeyedNoise,
    samples: usize,
    report: &dyn Fn(usize),
    done: usize,
) -> Vec<f64> {
    let size = batch.size();
    // Few images and many draws at a time: then each decoded row meets an x that is at hand.
    let images = size.min((ROWS / samples).max(8));
    let mut nll = Vec::with_capacity(size);
    for first in (0..size).step_by(images) {
        let n = images.min(size - first);
        let part = batch.part(first..first + n);
        let q = q.rows(first, n);
        let mut sums = vec![LogSum::default(); n];
        let draws = (ROWS / n).max(1);
        for first_draw in (0..samples).step_by(draws) {
            let k = draws.min(samples - first_draw);
            let mut noise = noise;
            noise.first_image += first as u32;
            noise.first_draw = first_draw as u32;
            let Some(log_w) = log_weights(vae, &part, &q, &noise, k) else {
                return Vec::new();
            };
            for (i, value) in log_w.into_data().iter::<f64>().enumerate() {
                sums[i % n].add(value);
            }
        }
        nll.extend(sums.iter().map(|sum| (samples as f64).ln() - sum.value()));
        report(done + nll.len());
    }
    nll
}

/// log sum exp of numbers that come one by one, in double precision.
#[derive(Clone, Debug)]
struct LogSum {
    largest: f64,
    /// Sum of exp(x - largest).
    scaled: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        Self { largest: f64::NEG_INFINITY, scaled: 0.0 }
    }
}

impl LogSum {
    fn add(&mut self, x: f64) {
        if x > self.largest {
            self.scaled = self.scaled * (self.largest - x).exp() + 1.0;
            self.largest = x;
        } else if x > f64::NEG_INFINITY {
            self.scaled += (x - self.largest).exp();
        } else if x.is_nan() {
            self.scaled = f64::NAN;
        }
    }

    fn value(&self) -> f64 {
        self.largest + self.scaled.ln()
    }
}

/// Sums over the data of each latent dimension and of its square.
#[derive(Default)]
struct Moments {
    n: f64,
    sums: Vec<(f64, f64)>,
}

impl Moments {
    fn add(&mut self, means: Tensor<2>) {
        let [n, latent] = means.dims();
        self.n += n as f64;
        self.sums.resize(latent, (0.0, 0.0));
        for (i, value) in means.into_data().iter::<f64>().enumerate() {
            let (sum, square) = &mut self.sums[i % latent];
            *sum += value;
            *square += value * value;
        }
    }

    fn variances(&self) -> impl Iterator<Item = f64> + '_ {
        self.sums.iter().map(|(sum, square)| square / self.n - (sum / self.n).powi(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streaming_log_sum_is_the_logarithm_of_the_sum() {
        let numbers = [-1000.0, -1003.5, -998.2, -2000.0, -998.2];
        let mut sum = LogSum::default();
        numbers.iter().for_each(|x| sum.add(*x));
        let shifted: f64 = numbers.iter().map(|x| (x + 998.0f64).exp()).sum();
        assert!((sum.value() - (shifted.ln() - 998.0)).abs() < 1e-12);
        assert_eq!(LogSum::default().value(), f64::NEG_INFINITY);
    }

    #[test]
    fn differences_of_pairs_have_the_error_of_what_differs() {
        let (a, b) = ([100.0, 7.0, 50.0], [99.0, 5.0, 47.0]);
        let found = Mean::of_differences(&a, &b).unwrap();
        // 1, 2 and 3: their variance is 1.
        assert!((found.value - 2.0).abs() < 1e-12);
        assert!((found.stderr.unwrap() - (1.0 / 3.0f64).sqrt()).abs() < 1e-12);
        assert_eq!(Mean::of(&[5.0]), Some(Mean { value: 5.0, stderr: None }));
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn moments_over_chunks_are_moments_over_all() {
        let device = crate::backend::Backend::open("auto").unwrap().device;
        let mut moments = Moments::default();
        moments.add(Tensor::from_data([[1.0, 5.0], [2.0, 5.0]], &device));
        moments.add(Tensor::from_data([[6.0, 5.0]], &device));
        let variances: Vec<f64> = moments.variances().collect();
        assert!((variances[0] - 14.0 / 3.0).abs() < 1e-12);
        assert!(variances[1].abs() < 1e-12);
    }
}
