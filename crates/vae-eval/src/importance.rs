//! The log-likelihood of examples, estimated by importance sampling (Burda et al. 2016) in chunks
//! of draws and examples.

use vae_model::bound::log_weights;
use vae_model::posterior::PosteriorDistribution;
use vae_model::{Batch, Vae, is_on_host};

use crate::noise::KeyedNoise;
use crate::team::Team;

/// Number of rows of z that are decoded at once in host memory, if there are many draws. The outputs
/// of a decoder for so many rows stay in a core's cache.
pub(crate) const ROWS_ON_HOST: usize = 400;
/// The same on other devices, which need more work at once.
pub(crate) const ROWS: usize = 4_000;
/// Examples that are handled together if there are many draws: few, so that x stays in the cache.
const FEW: usize = 8;

/// What importance sampling says of one example.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// -log 1/K sum_k w_k, in nats.
    pub nll: f64,
    /// Effective sample size, (sum_k w_k)^2 / sum_k w_k^2, from 1 to K (Kong 1992).
    pub ess: f64,
    /// The same as `nll` with fewer draws, for each of [`steps`]: the average over disjoint groups of
    /// the draws.
    pub curve: Vec<f64>,
}

/// Returns the numbers of draws of a curve: the powers of 10 below `samples`, and `samples`.
pub(crate) fn steps(samples: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1usize), |k| k.checked_mul(10));
    powers.take_while(|k| *k < samples).chain([samples]).collect()
}

/// Importance sampling of log p(x).
pub(crate) struct Importance<'a> {
    /// Its members share the examples.
    pub team: &'a Team,
    /// A model whose q has a density.
    pub vae: &'a Vae,
    /// Draws per example.
    pub samples: usize,
}

impl Importance<'_> {
    /// Returns an estimate for each x, by a streaming log-sum-exp over chunks of draws and examples.
    /// `report` is called with the number of examples that are done.
    pub fn estimates(
        &self,
        batch: &Batch,
        q: &PosteriorDistribution,
        noise: KeyedNoise,
        report: impl Fn(usize),
    ) -> Vec<Estimate> {
        let (size, samples) = (batch.size(), self.samples);
        let rows = if is_on_host(&batch.x.device()) { ROWS_ON_HOST } else { ROWS };
        let images = (rows / samples).max(FEW);
        let part = |first, n| {
            let (batch, q) = (batch.part(first..first + n), q.rows(first, n));
            Part { batch, q, noise: noise.from_image(first), samples, rows }
        };
        let vae = self.vae.clone();
        in_parts(self.team, [size, images], part, move |part| part.estimates(&vae), report)
    }
}

/// Estimates `size` examples in parts of `images` examples, one for each member of the team at a time. `part`
/// makes a part from the index of its first example and its size. `report` is called with the number of
/// examples that are done.
pub(crate) fn in_parts<P: Send + Sync + 'static>(
    team: &Team,
    [size, images]: [usize; 2],
    part: impl Fn(usize, usize) -> P,
    estimate: impl Fn(&P) -> Vec<Estimate> + Clone + Send + Sync + 'static,
    report: impl Fn(usize),
) -> Vec<Estimate> {
    let firsts: Vec<usize> = (0..size).step_by(images).collect();
    let mut estimates = Vec::with_capacity(size);
    for firsts in firsts.chunks(team.size()) {
        let parts = firsts.iter().map(|first| part(*first, images.min(size - first)));
        let (parts, estimate): (Vec<P>, _) = (parts.collect(), estimate.clone());
        let found = team.on_each(parts.len(), move |i| estimate(&parts[i]));
        estimates.extend(found.into_iter().flatten());
        report(estimates.len());
    }
    estimates
}

/// Examples that a member handles together.
struct Part {
    batch: Batch,
    q: PosteriorDistribution,
    noise: KeyedNoise,
    samples: usize,
    /// Rows of z that are decoded at once.
    rows: usize,
}

impl Part {
    /// Returns an estimate for each example.
    fn estimates(&self, vae: &Vae) -> Vec<Estimate> {
        let n = self.batch.size();
        let mut weights = vec![Weights::new(self.samples); n];
        let draws = (self.rows / n).max(1);
        // A prior may be a mixture of posteriors, which takes as long as a chunk of draws.
        let prior = vae.prior(self.batch.labels.as_ref(), &self.batch.x.device());
        for first_draw in (0..self.samples).step_by(draws) {
            let k = draws.min(self.samples - first_draw);
            let mut noise = self.noise;
            noise.first_draw = first_draw as u32;
            let of = (&self.q, &prior);
            let Some(log_w) = log_weights(vae, &self.batch, of, &noise, k) else {
                unreachable!("a posterior without a density is refused before")
            };
            for (i, value) in log_w.into_data().iter::<f64>().enumerate() {
                weights[i % n].add(value);
            }
        }
        weights.into_iter().map(Weights::estimate).collect()
    }
}

/// The logarithms of an example's weights, which are added one by one.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// Of the squares of the weights.
    squares: LogSum,
    groups: Vec<Groups>,
}

/// Averages over disjoint groups of `size` draws.
#[derive(Clone, Debug)]
struct Groups {
    size: usize,
    current: LogSum,
    /// Draws in the current group.
    filled: usize,
    /// Sum of -log 1/size sum_k w_k over the groups that are full, and their number.
    sum: f64,
    full: usize,
    /// The logarithm of the sum of the weights in the newest full group.
    newest: f64,
}

impl Weights {
    /// Makes the sums for `samples` weights.
    pub fn new(samples: usize) -> Self {
        let groups = steps(samples).into_iter().map(|size| Groups {
            size,
            current: LogSum::default(),
            filled: 0,
            sum: 0.0,
            full: 0,
            newest: f64::NAN,
        });
        Self { squares: LogSum::default(), groups: groups.collect() }
    }

    /// Adds a weight by its logarithm.
    pub fn add(&mut self, log_w: f64) {
        self.squares.add(2.0 * log_w);
        self.groups.iter_mut().for_each(|groups| groups.add(log_w));
    }

    /// Returns the estimate, after the last draw.
    pub fn estimate(self) -> Estimate {
        let curve: Vec<f64> = self.groups.iter().map(|g| g.sum / g.full as f64).collect();
        // The last group has all draws.
        let Some((all, nll)) = self.groups.last().zip(curve.last()) else {
            unreachable!("a curve has at least one step")
        };
        let ess = (2.0 * all.newest - self.squares.value()).exp();
        Estimate { nll: *nll, ess, curve }
    }
}

impl Groups {
    fn add(&mut self, log_w: f64) {
        self.current.add(log_w);
        self.filled += 1;
        if self.filled == self.size {
            self.newest = std::mem::take(&mut self.current).value();
            self.sum += (self.size as f64).ln() - self.newest;
            self.full += 1;
            self.filled = 0;
        }
    }
}

/// A streaming log sum exp in double precision.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_the_powers_of_ten_and_its_end() {
        assert_eq!(steps(1), [1]);
        assert_eq!(steps(10), [1, 10]);
        assert_eq!(steps(5_000), [1, 10, 100, 1_000, 5_000]);
    }

    #[test]
    fn the_curve_is_of_disjoint_groups_and_the_effective_size_of_all_weights() {
        let log_w: Vec<f64> = (0..25).map(|i| f64::from((7 * i) % 11) - 400.0).collect();
        let mut weights = Weights::new(25);
        log_w.iter().for_each(|w| weights.add(*w));
        let found = weights.estimate();
        let nll = |group: &[f64]| {
            let sum: f64 = group.iter().map(|w| (w + 400.0).exp()).sum();
            400.0 - (sum / group.len() as f64).ln()
        };
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let expected = [
            mean(log_w.iter().map(|w| -w).collect()),
            // The last five draws fill no group of ten.
            mean(log_w[..20].chunks(10).map(nll).collect()),
            nll(&log_w),
        ];
        assert!(found.curve.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-10), "{found:?}");
        assert_eq!(found.nll, found.curve[2]);
        let w = || log_w.iter().map(|w| (w + 400.0).exp());
        let ess = w().sum::<f64>().powi(2) / w().map(|w| w * w).sum::<f64>();
        assert!((found.ess - ess).abs() < 1e-9, "{} {ess}", found.ess);
        // Equal weights: all of them count. One that outweighs all: one.
        let of = |log_w: &[f64]| {
            let mut weights = Weights::new(log_w.len());
            log_w.iter().for_each(|w| weights.add(*w));
            weights.estimate().ess
        };
        assert!((of(&[-900.0; 8]) - 8.0).abs() < 1e-9);
        assert!((of(&[-900.0, -900.0, 0.0]) - 1.0).abs() < 1e-9);
    }

    #[cfg(feature = "flex")]
    #[test]
    fn chunks_of_two_sizes_agree_on_every_example() {
        use burn::tensor::{Device, Tensor, TensorData};
        use vae_model::{DataSpec, VaeConfig, VaeSpec};

        use crate::noise::Phase;

        const N: usize = 9;
        let device = Device::flex();
        let data = DataSpec { shape: vec![1, 6, 6], classes: 0 };
        let spec = VaeSpec::new(VaeConfig::default(), data).unwrap();
        let vae = spec.init(&KeyedNoise::new(0, Phase::Init), &device);
        let x: Vec<f32> = (0..N * 36).map(|i| f32::from(i % 5 < 2)).collect();
        let x = Tensor::from_data(TensorData::new(x, [N, 36]), &device);
        let batch = Batch { x, corrupted: None, labels: None, data_set_size: N };
        let q = vae.encode_batch(&batch);
        let estimates = |rows| {
            let (batch, q, noise) =
                (batch.clone(), q.rows(0, N), KeyedNoise::new(3, Phase::Evaluate));
            Part { batch, q, noise, samples: 500, rows }.estimates(&vae)
        };
        let expected = estimates(ROWS);
        for rows in [ROWS_ON_HOST, 13] {
            for (a, b) in estimates(rows).iter().zip(&expected) {
                assert!((a.nll - b.nll).abs() < 1e-4, "{rows}: {a:?} {b:?}");
                assert!((a.ess - b.ess).abs() < 1e-3 * b.ess, "{rows}: {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_streaming_log_sum_exp_equals_the_logarithm_of_the_sum() {
        let numbers = [-1000.0, -1003.5, -998.2, -2000.0, -998.2];
        let mut sum = LogSum::default();
        numbers.iter().for_each(|x| sum.add(*x));
        let shifted: f64 = numbers.iter().map(|x| (x + 998.0f64).exp()).sum();
        assert!((sum.value() - (shifted.ln() - 998.0)).abs() < 1e-12);
        assert_eq!(LogSum::default().value(), f64::NEG_INFINITY);
    }
}
