//! Evaluation of a model: evidence lower bound and its terms, active units, and importance-sampled
//! log-likelihood.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Serialize;
use vae_data::rng::Stream;
use vae_data::{Examples, Factors, ImageBatcher, Pixels, Transform};
use vae_model::divergence::{Kernel, mmd};
use vae_model::likelihood::Measure;
use vae_model::posterior::Gaussian;
use vae_model::{Batch, Networks, Noise, ObjectiveConfig, Role, Vae, VaeSpec};
use vae_model::{bound, compatibility};

use crate::aggregate::Posteriors;
use crate::annealed::{Annealing, CHAINS, MOST_STEPS};
use crate::calibration::{Coverage, Interval};
use crate::check::check_examples;
use crate::disentanglement::{self, Disentanglement};
use crate::error::EvalError;
use crate::fidelity::{Image, mse};
use crate::importance::{Estimate, Importance, steps};
use crate::labels::one_hot_of;
use crate::latent::ACTIVE;
use crate::noise::{KeyedNoise, Phase};
use crate::probe::Labelled;
use crate::statistics::{Mean, Moments, column_variances};
use crate::support::support_of;
use crate::team::Team;

/// Named averages over the examples in nats, in the order in which they are printed. `loss` is
/// first.
pub type Metrics = Vec<(String, f64)>;

/// Examples that are evaluated at once.
const CHUNK: usize = 500;
/// Most examples whose codes are compared with each other.
pub const COMPARED: usize = 2_000;

/// The scores of a model on a set of examples, in nats per example, averaged over the examples. A
/// score that does not exist for a model is `None`, which is null in JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of examples.
    pub images: usize,
    /// The negative evidence lower bound, reconstruction + KL, with one draw per example.
    pub neg_elbo: Option<f64>,
    /// -E log p(x|z).
    pub reconstruction: f64,
    /// KL(q(z|x) || p(z)).
    pub kl: Option<f64>,
    /// The KL of each latent dimension. `None` without a closed form.
    pub kl_per_dimension: Option<Vec<f64>>,
    /// The mutual information of x and z, KL(q(z|x) || q(z)), at most the logarithm of the number of
    /// examples. This and the next two are of q(z) = 1/N sum_n q(z|x_n) over 2,000 examples,
    /// chosen by the seed, with one draw of each; they exist for Gaussian posteriors.
    pub mutual_information: Option<f64>,
    /// The total correlation of the latent dimensions, KL(q(z) || prod_i q(z_i)) (Chen et al. 2018).
    pub total_correlation: Option<f64>,
    /// The sum of KL(q(z_i) || p(z_i)) over the dimensions. `None` unless the prior is N(0, I).
    pub dimension_wise_kl: Option<f64>,
    /// The rate of the code in nats, `kl` (Alemi et al. 2018).
    pub rate: Option<f64>,
    /// Its distortion in nats, `reconstruction`.
    pub distortion: f64,
    /// Squared difference per number of x between x and its reconstruction from the mean of q(z|x).
    pub mse: f64,
    /// Peak signal-to-noise ratio of these reconstructions in decibels, averaged over images.
    pub psnr: Option<f64>,
    /// Their structural similarity (Wang et al. 2004), for images of at least 11x11 pixels.
    pub ssim: Option<f64>,
    /// How many numbers of x lie in the central intervals of p(x|z), with one draw of z for each of 2,000
    /// examples. `None` for a likelihood without a spread, and for counts.
    pub calibration: Option<Vec<Interval>>,
    /// Number of latent dimensions whose posterior mean has a variance above 0.01 over the data.
    pub active_units: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// The squared maximum mean discrepancy between q(z) and p(z), with inverse multiquadratic
    /// kernels of bandwidth 1: one draw from q(z|x) for each of 2,000 examples, and
    /// equally many draws from p(z). The estimate is unbiased and may be negative. `None` with
    /// fewer than two examples, and for discrete codes, whose prior is not part of the model.
    pub aggregate_mmd: Option<f64>,
    /// The share of these 2,000 examples whose class is that of most of their five nearest
    /// neighbours among them, by the distance of the means of q(z|x). `None` without labels.
    pub knn_accuracy: Option<f64>,
    /// The share of half of these whose class a linear classifier reads off the mean of q(z|x), trained on
    /// the other half. `None` without labels.
    pub probe_accuracy: Option<f64>,
    /// Whether -reconstruction is a log-likelihood. It is not for a cross-entropy on grey pixels or
    /// a squared error without its constant.
    pub likelihood: bool,
    /// -log p(x), estimated by importance sampling.
    pub nll: Option<f64>,
    /// Standard error of `nll` over the examples.
    pub nll_stderr: Option<f64>,
    /// The smallest effective sample size of an example, from 1 to the number of importance samples.
    pub ess_min: Option<f64>,
    /// The median of the effective sample sizes. If it is near 1, a few weights outweigh all others, and
    /// `nll` is too high.
    pub ess_median: Option<f64>,
    /// The estimate with fewer importance samples: 1, 10, 100 and so on, and all.
    pub k_curve: Option<Vec<CurvePoint>>,
    /// `nll` in bits per number of x, or `neg_elbo` if `nll` was not estimated. `None` unless p(x|z) is
    /// a probability.
    pub bits_per_dim: Option<f64>,
    /// -log p(x) of each example, in the order of the examples. Empty if it was not estimated.
    #[serde(skip)]
    pub nll_each: Vec<f64>,
}

/// An estimate of -log p(x) with `k` importance samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Importance samples per example.
    pub k: usize,
    /// The bound of Burda et al. (2016) with k samples, in nats, averaged over the examples and over
    /// disjoint groups of the draws. With k = 1 it is neg_elbo.
    pub nll: f64,
    /// Standard error of `nll` over the examples.
    pub nll_stderr: Option<f64>,
}

/// log p(x) by annealed importance sampling, in nats, over the examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Annealed {
    /// Distributions from p(z) to p(z) p(x|z).
    pub steps: usize,
    /// Chains per example.
    pub chains: usize,
    /// -log p(x), averaged over the examples.
    pub nll: f64,
    /// Standard error of `nll` over the examples.
    pub nll_stderr: Option<f64>,
    /// The smallest and the median effective sample size of an example, from 1 to the number of chains.
    pub ess: [f64; 2],
    /// -log p(x) of each example.
    pub nll_each: Vec<f64>,
}

/// Evaluates models on a set of examples.
#[derive(Clone, Debug)]
pub struct Evaluator {
    examples: Arc<Examples>,
    transform: Arc<Transform>,
    device: Device,
    seed: u64,
}

impl Evaluator {
    /// Makes an evaluator on `examples`, of which there must be at least one. `transform` makes x of
    /// their stored values. `seed` is for the draws of z and for stochastic pixels, which are drawn
    /// once.
    ///
    /// # Errors
    /// If there are no examples, or if the transform is for other values.
    pub fn new(
        examples: Arc<Examples>,
        transform: Arc<Transform>,
        device: Device,
        seed: u64,
    ) -> Result<Self, EvalError> {
        if examples.is_empty() {
            return Err(EvalError::Request("there are no examples to evaluate on".to_owned()));
        }
        transform.check(&examples)?;
        Ok(Self { examples, transform, device, seed })
    }

    /// Returns the examples.
    pub fn examples(&self) -> &Examples {
        &self.examples
    }

    /// Calls `f` with each chunk of examples, with labels if the model uses them, and with its
    /// noise.
    ///
    /// # Errors
    /// If the model cannot read the examples, or if it uses labels and they have none.
    fn each(&self, vae: &Vae, mut f: impl FnMut(Batch, KeyedNoise)) -> Result<(), EvalError> {
        check_examples(vae.spec(), &self.transform, &self.examples)?;
        let draws = Stream::new(self.seed, "stochastic pixels, evaluation");
        let batcher = ImageBatcher::new(self.examples.clone(), self.transform.clone(), draws);
        let mut first = 0;
        for batch in batcher.given(chunks(self.examples.len()), &self.device) {
            let mut noise = KeyedNoise::new(self.seed, Phase::Evaluate);
            noise.first_image = first;
            first += batch.indices.len() as u32;
            let (classes, indices) = (vae.classes(), &batch.indices);
            let labels = match classes {
                0 => None,
                _ => Some(one_hot_of(&self.examples, indices, classes, &self.device)?),
            };
            let data_set_size = self.examples.len();
            f(Batch { x: batch.x, corrupted: None, labels, data_set_size }, noise);
        }
        // The thread that gathers batches ends early only if it panics.
        if first as usize != self.examples.len() {
            let n = self.examples.len();
            return Err(EvalError::Failed(format!("only {first} of {n} examples were read")));
        }
        Ok(())
    }

    /// Returns the averages of the model's loss and its terms for an objective. Warm-up is over:
    /// all weights have their final value.
    ///
    /// # Errors
    /// If the objective does not fit the networks or needs more examples, or if the model cannot
    /// read the examples.
    pub fn objective(
        &self,
        networks: &Networks,
        objective: &ObjectiveConfig,
    ) -> Result<Metrics, EvalError> {
        let needs = objective.requirements();
        compatibility::check_objective(networks.vae.config(), &needs)
            .and_then(|()| {
                compatibility::check_batch(
                    &needs,
                    self.examples.len(),
                    "this evaluation",
                    "examples",
                )
            })
            .map_err(|e| EvalError::Request(e.to_string()))?;
        let (found, expected) = (networks.auxiliaries.len(), needs.auxiliaries.len());
        if found != expected {
            return Err(EvalError::Request(format!(
                "the objective has {expected} auxiliary networks, and {found} are given"
            )));
        }
        self.averages(networks, objective)
    }

    /// Returns what [`Self::objective`] returns, for an objective that fits the networks.
    fn averages(
        &self,
        networks: &Networks,
        objective: &ObjectiveConfig,
    ) -> Result<Metrics, EvalError> {
        let mut names = Vec::new();
        let mut sums: Vec<f64> = Vec::new();
        self.each(&networks.vae, |batch, noise| {
            let n = batch.size();
            let loss = objective.loss(Role::Model, networks, &batch, &noise, f64::INFINITY);
            let values = loss.values().into_data();
            names = loss.names();
            sums.resize(names.len(), 0.0);
            for (sum, value) in sums.iter_mut().zip(values.iter::<f64>()) {
                *sum += value * n as f64;
            }
        })?;
        let n = self.examples.len() as f64;
        Ok(names.into_iter().zip(sums).map(|(name, sum)| (name.to_owned(), sum / n)).collect())
    }

    /// Evaluates `vae`. With `samples` above 0, also estimates log p(x) by importance sampling
    /// (Burda et al. 2016).
    ///
    /// `report` is called with the number of examples that are done.
    ///
    /// # Errors
    /// The errors of [`Self::check`].
    pub fn evaluate(
        &self,
        vae: &Vae,
        samples: usize,
        report: &dyn Fn(usize),
    ) -> Result<Evaluation, EvalError> {
        self.check(vae, samples)?;
        let metrics = self.averages(&vae.clone().into(), &ObjectiveConfig::default())?;
        let get = |name: &str| metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value);

        let team = if samples > 0 { Team::for_device(&self.device)? } else { Team::new(1)? };
        let importance = Importance { team: &team, vae, samples };
        let mut moments = Moments::default();
        let mut estimates: Vec<Estimate> = Vec::new();
        let mut codes: Vec<Tensor<2>> = Vec::new();
        let mut posteriors = Posteriors { width: vae.config().latent, ..Posteriors::default() };
        let mut kl_sums: Option<Vec<f64>> = Some(vec![0.0; vae.config().latent]);
        let image = image(vae.shape(), &self.transform);
        let (mut errors, mut similarities) = (Vec::new(), Vec::new());
        let mut coverage = Coverage::default();
        // Examples whose codes are compared with each other, and how many of them and of all are done.
        let mut chosen =
            Stream::new(self.seed, "examples to compare").permutation(self.examples.len());
        chosen.truncate(COMPARED);
        chosen.sort_unstable();
        let (mut next, mut done) = (0, 0);
        let mut some_means: Vec<f32> = Vec::new();
        self.each(vae, |batch, noise| {
            let q = vae.encode_batch(&batch);
            let means = q.mean();
            let [_, width] = means.dims();
            let decoded = vae.decode(means.clone(), batch.labels.as_ref()).mean();
            let (x, decoded) = (numbers(batch.x.clone()), numbers(decoded));
            let size = batch.size();
            let end = chosen.partition_point(|i| (*i as usize) < done + size);
            let rows: Vec<i64> =
                chosen[next..end].iter().map(|i| i64::from(*i) - done as i64).collect();
            (next, done) = (end, done + size);
            let rows = (!rows.is_empty()).then(|| {
                let count = rows.len();
                Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &self.device)
            });
            let chosen_of = |tensor: Tensor<2>| rows.clone().map(|rows| tensor.select(0, rows));
            if let Some(means) = chosen_of(means.clone()) {
                some_means.extend(numbers(means));
            }
            errors.extend(mse(&x, &decoded, vae.numbers()));
            similarities
                .extend(image.and_then(|image| image.ssim(&x, &decoded)).into_iter().flatten());
            moments.add(&means.into_data().iter::<f64>().collect::<Vec<_>>(), width);
            let prior = vae.prior(batch.labels.as_ref(), &self.device);
            let kl = q.gaussian().and_then(|q| prior.kl_from(q)).map(|kl| kl.sum_dim(0));
            kl_sums = kl_sums.take().zip(kl).map(|(sums, kl)| {
                sums.into_iter().zip(kl.into_data().iter::<f64>()).map(|(a, b)| a + b).collect()
            });
            let z: Tensor<2> = q.draw(&noise, 1).z.squeeze_dim(0);
            if let Some(z) = chosen_of(z) {
                let parts = q.gaussian().map(|q| [&q.mean, &q.log_var]);
                let parts = parts.and_then(|[m, v]| chosen_of(m.clone()).zip(chosen_of(v.clone())));
                if let Some((mean, log_var)) = parts {
                    posteriors.add(&Gaussian { mean, log_var }, z.clone());
                }
                let labels = batch.labels.clone().and_then(&chosen_of);
                let p = vae.decode(z.clone(), labels.as_ref());
                let both = chosen_of(batch.x.clone()).and_then(|x| p.cdf(x));
                if let Some([below, up_to]) = both.map(|both| both.map(Tensor::into_data)) {
                    let [rows, _] = z.dims();
                    let uniform = noise.uniform("calibration", [1, rows, vae.numbers()]);
                    coverage.add(below.iter::<f64>(), up_to.iter::<f64>(), uniform);
                }
                codes.push(z);
            }
            if samples > 0 {
                let before = estimates.len();
                estimates.extend(importance.estimates(&batch, &q, noise, |n| report(before + n)));
            }
        })?;
        let Some(reconstruction) = get("reconstruction") else {
            unreachable!("every bound has a reconstruction term")
        };
        let nll: Vec<f64> = estimates.iter().map(|estimate| estimate.nll).collect();
        let mean = Mean::of(&nll);
        let ess = sizes(&estimates);
        let numbers = vae.numbers() as f64;
        let in_bits = |nats: f64| nats / numbers / std::f64::consts::LN_2;
        let (neg_elbo, kl) = (get("neg_elbo"), get("kl"));
        let n = self.examples.len() as f64;
        let parts = posteriors.kl_parts();
        // N(0, I) is the prior with a closed form and nothing to learn.
        let prior = vae.config().prior.properties();
        let is_standard = prior.closed_form_kl && !prior.learned;
        let average = |values: &[f64]| Mean::of(values).map(|mean| mean.value);
        let width = vae.config().latent;
        let some_labels: Option<Vec<u32>> = self.examples.labels_at(&chosen);
        let labelled =
            some_labels.as_deref().map(|labels| Labelled { codes: &some_means, width, labels });
        let psnr: Option<Vec<f64>> =
            image.map(|image| errors.iter().map(|mse| image.psnr(*mse)).collect());
        Ok(Evaluation {
            images: self.examples.len(),
            neg_elbo,
            reconstruction,
            kl,
            kl_per_dimension: kl_sums.map(|sums| sums.into_iter().map(|sum| sum / n).collect()),
            mutual_information: parts.map(|parts| parts.mutual_information),
            total_correlation: parts.map(|parts| parts.total_correlation),
            dimension_wise_kl: parts.filter(|_| is_standard).map(|parts| parts.dimension_wise),
            rate: kl,
            distortion: reconstruction,
            mse: average(&errors).unwrap_or(f64::NAN),
            psnr: psnr.as_deref().and_then(average),
            ssim: average(&similarities),
            calibration: coverage.intervals(),
            active_units: moments.variances().filter(|v| *v > ACTIVE).count(),
            latent: vae.config().latent,
            aggregate_mmd: self.aggregate_mmd(vae, codes),
            knn_accuracy: labelled.as_ref().and_then(Labelled::knn_accuracy),
            probe_accuracy: labelled.as_ref().and_then(Labelled::probe_accuracy),
            likelihood: self.is_likelihood(vae),
            nll: mean.map(|mean| mean.value),
            nll_stderr: mean.and_then(|mean| mean.stderr),
            ess_min: ess.map(|[min, _]| min),
            ess_median: ess.map(|[_, median]| median),
            k_curve: (samples > 0).then(|| curve(&estimates, samples)),
            bits_per_dim: mean
                .map(|mean| mean.value)
                .or(neg_elbo)
                .filter(|_| self.is_probability(vae))
                .map(in_bits),
            nll_each: nll,
        })
    }

    /// Estimates log p(x) by annealed importance sampling from p(z) with Hamiltonian Monte Carlo through
    /// `steps` distributions, with 16 chains per example (Wu et al. 2017). It does not use q(z|x).
    ///
    /// `report` is called with the number of examples that are done.
    ///
    /// # Errors
    /// The errors of [`Self::check_annealing`].
    pub fn annealed(
        &self,
        vae: &Vae,
        steps: usize,
        report: &dyn Fn(usize),
    ) -> Result<Annealed, EvalError> {
        self.check_annealing(vae.spec(), steps)?;
        let team = Team::for_device(&self.device)?;
        let annealing = Annealing { team: &team, vae, steps };
        let mut estimates: Vec<Estimate> = Vec::new();
        self.each(vae, |batch, noise| {
            let before = estimates.len();
            estimates.extend(annealing.estimates(&batch, noise, |n| report(before + n)));
        })?;
        let nll: Vec<f64> = estimates.iter().map(|estimate| estimate.nll).collect();
        let Some((mean, sizes)) = Mean::of(&nll).zip(sizes(&estimates)) else {
            unreachable!("an evaluator has at least one example")
        };
        Ok(Annealed {
            steps,
            chains: CHAINS,
            nll: mean.value,
            nll_stderr: mean.stderr,
            ess: sizes,
            nll_each: nll,
        })
    }

    /// Checks that log p(x) can be estimated by annealed importance sampling.
    ///
    /// # Errors
    /// The errors of [`Self::check`], and if `steps` is 0 or above 100,000, if the prior has no density, or if p(x|z) is
    /// no likelihood.
    pub fn check_annealing(&self, spec: &VaeSpec, steps: usize) -> Result<(), EvalError> {
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(EvalError::Request(format!(
                "annealing takes 1 to {MOST_STEPS} steps, not {steps}"
            )));
        }
        self.check_spec(spec, 0)?;
        let support = support_of(&self.transform, &self.examples);
        Ok(compatibility::check_annealing(spec.config(), support)?)
    }

    /// Returns how the posterior means of all examples separate their generative factors. A factor of more
    /// than 64 values, or one in order with fewer than two examples for a value, is cut into 20 intervals of
    /// equal width. The mutual information gap is of active dimensions.
    ///
    /// # Errors
    /// The errors of [`Self::check_disentanglement`], and if a code is not finite.
    pub fn disentanglement(&self, vae: &Vae) -> Result<Disentanglement, EvalError> {
        self.check_disentanglement(vae.spec())?;
        let mut means: Vec<f64> = Vec::new();
        self.each(vae, |batch, _| {
            means.extend(vae.encode_batch(&batch).mean().into_data().iter::<f64>());
        })?;
        let width = vae.config().latent;
        // A code without a density is no mean of noisy draws, but what the decoder reads.
        let is_noisy = vae.config().posterior_properties().has_density();
        let active: Vec<bool> =
            column_variances(&means, width).map(|v| !is_noisy || v > ACTIVE).collect();
        let codes = disentanglement::Codes { rows: &means, width, active: &active };
        let scores = self.with_factors(|factors| Disentanglement::of(codes, factors, self.seed));
        scores.flatten().ok_or_else(|| {
            let why = "some codes are not finite: the training of this model diverged";
            EvalError::Failed(why.to_owned())
        })
    }

    /// Checks that models of a specification can read the examples, and that the scores of disentanglement
    /// exist for them.
    ///
    /// # Errors
    /// If not.
    pub fn check_disentanglement(&self, spec: &VaeSpec) -> Result<(), EvalError> {
        self.check_spec(spec, 0)?;
        let (n, width) = (self.examples.len(), spec.config().latent);
        if width < 2 {
            return Err(EvalError::Request(format!(
                "disentanglement needs two latent dimensions or more, not {width}"
            )));
        }
        match self.with_factors(|factors| Disentanglement::exists(n, width, factors)) {
            Some(true) => Ok(()),
            Some(false) => Err(EvalError::Request(format!(
                "disentanglement needs two factors that vary, and examples with the same value of each: \
                 evaluate more than {n} examples"
            ))),
            None => Err(EvalError::Request(
                "disentanglement needs data whose generative factors are known, such as sprites or digits"
                    .to_owned(),
            )),
        }
    }

    /// Calls `f` with the generative factors of the examples. `None` if they have none.
    fn with_factors<T>(&self, f: impl FnOnce(&disentanglement::Factors<'_>) -> T) -> Option<T> {
        let factors = self.examples.factors.as_ref()?;
        let ordered: Vec<bool> = factors.categories.iter().map(|is_one| !is_one).collect();
        Some(f(&disentanglement::Factors { values: &levels(factors), ordered: &ordered }))
    }

    /// Returns neg_elbo of each example in nats, in the order of the examples: their mean is that of
    /// [`Self::evaluate`]. `None` if q(z|x) has no density.
    ///
    /// # Errors
    /// The errors of [`Self::check`].
    pub fn neg_elbo_each(&self, vae: &Vae) -> Result<Option<Vec<f64>>, EvalError> {
        self.check(vae, 0)?;
        let mut all = Some(Vec::new());
        self.each(vae, |batch, noise| {
            let bounds = bound::neg_elbo_each(vae, &batch, &noise);
            all = all.take().zip(bounds).map(|(mut all, bounds)| {
                all.extend(bounds.into_data().iter::<f64>());
                all
            });
        })?;
        Ok(all)
    }

    /// Returns what [`Self::evaluate`] has in `nll_each`, without its other scores.
    ///
    /// # Errors
    /// The errors of [`Self::check`], and if `samples` is 0.
    pub fn nll_each(&self, vae: &Vae, samples: usize) -> Result<Vec<f64>, EvalError> {
        if samples == 0 {
            return Err(EvalError::Request("an estimate needs at least one sample".to_owned()));
        }
        self.check(vae, samples)?;
        let team = Team::for_device(&self.device)?;
        let importance = Importance { team: &team, vae, samples };
        let mut nll = Vec::new();
        self.each(vae, |batch, noise| {
            let q = vae.encode_batch(&batch);
            let estimates = importance.estimates(&batch, &q, noise, |_| {});
            nll.extend(estimates.into_iter().map(|estimate| estimate.nll));
        })?;
        Ok(nll)
    }

    /// Checks that a model can be evaluated on the examples, with `samples` importance samples.
    ///
    /// # Errors
    /// If the model cannot read the examples or uses labels that they do not have, if x is outside
    /// the support of its likelihood, or, with `samples` above 0, if log p(x) cannot be estimated.
    pub fn check(&self, vae: &Vae, samples: usize) -> Result<(), EvalError> {
        self.check_spec(vae.spec(), samples)
    }

    /// Checks the same of any model of a specification.
    ///
    /// # Errors
    /// The errors of [`Self::check`].
    pub fn check_spec(&self, spec: &VaeSpec, samples: usize) -> Result<(), EvalError> {
        check_examples(spec, &self.transform, &self.examples)?;
        let has_labels = self.examples.labels.is_some();
        let support = support_of(&self.transform, &self.examples);
        compatibility::check_evaluation(spec.config(), has_labels, support)?;
        if samples > 0 {
            compatibility::check_nll(spec.config(), support)?;
        }
        Ok(())
    }

    /// Returns whether log p(x|z) is a log-likelihood on these examples. If not, it is only a loss.
    pub fn is_likelihood(&self, vae: &Vae) -> bool {
        let support = support_of(&self.transform, &self.examples);
        compatibility::is_likelihood(&vae.config().likelihood, support)
    }

    /// Returns whether p(x|z) is the probability of discrete x on these examples, not a density.
    fn is_probability(&self, vae: &Vae) -> bool {
        let measure = vae.config().likelihood.properties().measure;
        self.is_likelihood(vae) && measure == Measure::Mass
    }

    /// Returns the squared maximum mean discrepancy between `codes`, draws from q(z), and draws
    /// from p(z).
    fn aggregate_mmd(&self, vae: &Vae, codes: Vec<Tensor<2>>) -> Option<f64> {
        if self.examples.len() < 2 || vae.code_space().is_some() {
            return None;
        }
        let n = self.examples.len().min(COMPARED);
        let codes = Tensor::cat(codes, 0);
        let noise = KeyedNoise::new(self.seed, Phase::Evaluate);
        let drawn = vae.prior(None, &self.device).sample(&noise, n, &self.device);
        let found = mmd(codes, drawn, Kernel::Imq, 1.0);
        found.into_data().iter::<f64>().next()
    }
}

/// Returns the index of each value of each factor, row-major.
fn levels(factors: &Factors) -> Vec<u32> {
    /// Most values of a factor that are all told apart.
    const MOST: usize = 64;
    const INTERVALS: f32 = 20.0;
    let width = factors.names.len();
    let mut indexes = vec![0; factors.values.len()];
    for j in 0..width {
        let column = || factors.values.iter().skip(j).step_by(width).copied();
        let mut distinct: Vec<f32> = column().collect();
        distinct.sort_by(f32::total_cmp);
        distinct.dedup();
        let (low, high) = (distinct[0], distinct[distinct.len() - 1]);
        // Of a few examples of a continuous factor, nearly every one has a value of its own.
        let are_shared =
            factors.categories[j] || 2 * distinct.len() <= factors.values.len() / width;
        let index = |value: f32| -> u32 {
            if distinct.len() <= MOST && are_shared {
                return distinct.partition_point(|other| *other < value) as u32;
            }
            let interval = INTERVALS * (value - low) / (high - low);
            // The highest value belongs to the last interval.
            interval.min(INTERVALS - 1.0) as u32
        };
        for (to, value) in indexes.iter_mut().skip(j).step_by(width).zip(column()) {
            *to = index(value);
        }
    }
    indexes
}

/// Returns the shape and the range of x, if it is an image.
fn image(shape: &[usize], transform: &Transform) -> Option<Image> {
    let range = match transform {
        Transform::Pixels(Pixels::Signed) => 2.0,
        Transform::Pixels(Pixels::Grey | Pixels::Binary | Pixels::Stochastic) => 1.0,
        Transform::Affine { .. } => return None,
    };
    Some(Image { shape: shape.try_into().ok()?, range })
}

/// Returns the numbers of a tensor, row-major.
fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Returns the smallest and the median effective sample size. The median is the mean of the two in the
/// middle if there is none. `None` if there are no estimates.
fn sizes(estimates: &[Estimate]) -> Option<[f64; 2]> {
    let mut sizes: Vec<f64> = estimates.iter().map(|estimate| estimate.ess).collect();
    sizes.sort_by(f64::total_cmp);
    let n = sizes.len();
    (n > 0).then(|| [sizes[0], (sizes[(n - 1) / 2] + sizes[n / 2]) / 2.0])
}

/// Returns the averages over the examples for each number of draws.
fn curve(estimates: &[Estimate], samples: usize) -> Vec<CurvePoint> {
    let point = |(i, k): (usize, usize)| {
        let of_each: Vec<f64> = estimates.iter().map(|estimate| estimate.curve[i]).collect();
        let Some(Mean { value, stderr }) = Mean::of(&of_each) else {
            unreachable!("an evaluator has at least one example")
        };
        CurvePoint { k, nll: value, nll_stderr: stderr }
    };
    steps(samples).into_iter().enumerate().map(point).collect()
}

/// Returns the indices of each chunk of n examples. A last chunk of one example would be too small
/// for terms that compare examples, so that example goes to the chunk before.
fn chunks(n: usize) -> Vec<Vec<u32>> {
    let all: Vec<u32> = (0..n as u32).collect();
    let mut chunks: Vec<Vec<u32>> = all.chunks(CHUNK).map(<[u32]>::to_vec).collect();
    if n % CHUNK == 1 && n > 1 {
        chunks.pop();
        if let Some(last) = chunks.last_mut() {
            last.push(n as u32 - 1);
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "flex")]
    #[test]
    fn what_cannot_be_evaluated_is_an_error_that_says_why() {
        use vae_data::{Pixels, Shape, Values};
        use vae_model::config::Choice;
        use vae_model::{DataSpec, VaeConfig, VaeSpec};

        let device = Device::flex();
        let model = |text: &str, classes| {
            let config: VaeConfig = toml::from_str(text).unwrap();
            let spec = VaeSpec::new(config, DataSpec { shape: vec![1, 4, 4], classes }).unwrap();
            spec.init(&KeyedNoise::new(0, Phase::Init), &device)
        };
        let images = |n: usize, width: usize| {
            let shape = Shape::Image { channels: 1, height: 4, width };
            Examples::new(shape, Values::Bytes(vec![0; n * 4 * width]))
        };
        let with = |examples: Examples, transform: Transform| {
            Evaluator::new(Arc::new(examples), Arc::new(transform), device.clone(), 0)
        };
        let pixels = || Transform::Pixels(Pixels::Binary);
        let vectors = Transform::Affine { offset: vec![], unit: vec![] };
        for (refused, word) in [
            (with(images(0, 4), pixels()).unwrap_err(), "no examples"),
            (with(images(2, 4), vectors).unwrap_err(), "images"),
        ] {
            assert!(refused.is_request() && refused.to_string().contains(word), "{refused}");
        }

        let plain = model("", 0);
        let labelled = |labels| Examples { labels: Some(labels), ..images(2, 4) };
        let conditional = "condition = \"label\"";
        let by_class = "[prior]\nkind = \"standard\"\ncondition = \"label\"";
        for (vae, examples, samples, word) in [
            (&plain, images(2, 5), 0, "shape"),
            (&model(conditional, 2), images(2, 4), 0, "no labels"),
            (&model(by_class, 2), images(2, 4), 0, "no labels"),
            (&model(conditional, 2), labelled(vec![0, 2]), 0, "class 2"),
            (&model("[likelihood]\nkind = \"poisson\"", 0), images(2, 4), 0, "counts"),
            (&model("[posterior]\nkind = \"point\"", 0), images(2, 4), 5, "no density"),
        ] {
            let evaluator = with(examples, pixels()).unwrap();
            let refused = evaluator.evaluate(vae, samples, &|_| {}).unwrap_err();
            assert!(refused.is_request() && refused.to_string().contains(word), "{refused}");
        }
        let evaluator = with(images(1, 4), pixels()).unwrap();
        assert!(evaluator.check_annealing(plain.spec(), MOST_STEPS).is_ok());
        for steps in [0, MOST_STEPS + 1] {
            let refused = evaluator.check_annealing(plain.spec(), steps).unwrap_err();
            let word = format!("not {steps}");
            assert!(refused.is_request() && refused.to_string().contains(&word), "{refused}");
        }
        let mmd = ObjectiveConfig::with_defaults("mmd").unwrap();
        let refused = evaluator.objective(&plain.clone().into(), &mmd).unwrap_err();
        assert!(refused.to_string().contains("at least 2"), "{refused}");
        let evaluator = with(images(2, 4), pixels()).unwrap();
        for (networks, kind, word) in [
            (plain.clone(), "adversarial", "auxiliary"),
            (model("[posterior]\nkind = \"point\"", 0), "tc", "posterior"),
        ] {
            let objective = ObjectiveConfig::with_defaults(kind).unwrap();
            let refused = evaluator.objective(&networks.into(), &objective).unwrap_err();
            assert!(refused.is_request() && refused.to_string().contains(word), "{refused}");
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn estimates_alone_are_those_of_an_evaluation() {
        use vae_data::{Pixels, Shape, Values};
        use vae_model::{DataSpec, VaeConfig, VaeSpec};

        let device = Device::flex();
        let data = DataSpec { shape: vec![1, 4, 4], classes: 0 };
        let spec = VaeSpec::new(VaeConfig::default(), data).unwrap();
        let vae = spec.init(&KeyedNoise::new(0, Phase::Init), &device);
        let bytes = (0..7 * 16).map(|i| if i % 3 == 0 { 255 } else { 0 }).collect();
        let shape = Shape::Image { channels: 1, height: 4, width: 4 };
        let examples = Examples::new(shape, Values::Bytes(bytes));
        let binary = Transform::Pixels(Pixels::Binary);
        let evaluator = Evaluator::new(Arc::new(examples), Arc::new(binary), device, 0).unwrap();
        let found = evaluator.nll_each(&vae, 5).unwrap();
        assert_eq!(found, evaluator.evaluate(&vae, 5, &|_| {}).unwrap().nll_each);
        assert_eq!(found.len(), 7);
        assert!(evaluator.nll_each(&vae, 0).unwrap_err().is_request());
        // With a KL in closed form, with one from the draw, and without any.
        for (table, has_bound) in [
            ("", true),
            ("[posterior]\nkind = \"gaussian\"\nflow_steps = 2", true),
            ("[posterior]\nkind = \"point\"", false),
        ] {
            let config: VaeConfig = toml::from_str(table).unwrap();
            let spec = VaeSpec::new(config, vae.spec().data().clone()).unwrap();
            let vae = spec.init(&KeyedNoise::new(0, Phase::Init), &Device::flex());
            let each = evaluator.neg_elbo_each(&vae).unwrap();
            let whole = evaluator.evaluate(&vae, 0, &|_| {}).unwrap().neg_elbo;
            assert_eq!((each.is_some(), whole.is_some()), (has_bound, has_bound), "{table}");
            let Some((each, whole)) = each.zip(whole) else { continue };
            let mean = Mean::of(&each).unwrap().value;
            assert!(each.len() == 7 && (mean - whole).abs() < 1e-5, "{table}: {mean}, {whole}");
        }
    }

    #[test]
    fn a_factor_has_the_ranks_of_its_values_or_intervals() {
        let mut values = Vec::new();
        for i in 0..100 {
            values.extend([[0.5, 2.0, 7.0][i % 3], i as f32]);
        }
        let names = vec!["rank".to_owned(), "interval".to_owned()];
        let found = levels(&Factors { names, categories: vec![false; 2], values });
        assert_eq!(found[..6], [0, 0, 1, 0, 2, 0]);
        // 0 to 99 in 20 intervals.
        assert_eq!((found[2 * 50 + 1], found[2 * 99 + 1]), (10, 19));
        // Forty values of forty examples are intervals too; twenty of them are ranks.
        let one = |values: Vec<f32>| {
            levels(&Factors { names: vec!["x".to_owned()], categories: vec![false], values })
        };
        assert_eq!(one((0..40).map(|i| i as f32).collect())[38..], [19, 19]);
        assert_eq!(one((0..40).map(|i| (i % 20) as f32).collect())[18..21], [18, 19, 0]);
    }

    #[test]
    fn every_example_is_in_one_chunk_and_none_is_alone() {
        for n in [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 2, 3 * CHUNK + 1] {
            let chunks = chunks(n);
            assert_eq!(chunks.concat(), (0..n as u32).collect::<Vec<_>>());
            assert!(chunks.iter().all(|chunk| n == 1 || chunk.len() > 1), "{n}");
        }
    }
}
