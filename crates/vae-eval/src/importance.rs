//! The log-likelihood of examples, estimated by importance sampling (Burda et al. 2016) in chunks
//! of draws and examples.

use vae_model::bound::log_weights;
use vae_model::posterior::PosteriorDistribution;
use vae_model::{Batch, Vae, is_on_host};

use crate::noise::KeyedNoise;
use crate::team::Team;

/// Number of rows of z that are decoded at once in host memory, if there are many draws. The outputs
/// of a decoder for so many rows stay in a core's cache.
const ROWS_ON_HOST: usize = 400;
/// The same on other devices, which need more work at once.
const ROWS: usize = 4_000;
/// Examples that are handled together if there are many draws: few, so that x stays in the cache.
const FEW: usize = 8;

/// An estimate of log p(x) by importance sampling.
pub(crate) struct Importance<'a> {
    /// Its members share the examples.
    pub team: &'a Team,
    /// A model whose q has a density.
    pub vae: &'a Vae,
    /// Draws per example.
    pub samples: usize,
}

impl Importance<'_> {
    /// Returns -log 1/K sum_k w_k of each x in nats, by a streaming log-sum-exp over chunks of
    /// draws and examples. `report` is called with the number of examples that are done.
    pub fn nll(
        &self,
        batch: &Batch,
        q: &PosteriorDistribution,
        noise: KeyedNoise,
        report: impl Fn(usize),
    ) -> Vec<f64> {
        let (size, samples) = (batch.size(), self.samples);
        let rows = if is_on_host(&batch.x.device()) { ROWS_ON_HOST } else { ROWS };
        let images = (rows / samples).max(FEW);
        let firsts: Vec<usize> = (0..size).step_by(images).collect();
        let mut nll = Vec::with_capacity(size);
        for firsts in firsts.chunks(self.team.size()) {
            let part = |&first: &usize| {
                let n = images.min(size - first);
                let (batch, q) = (batch.part(first..first + n), q.rows(first, n));
                Part { batch, q, noise: noise.from_image(first), samples, rows }
            };
            let parts: Vec<Part> = firsts.iter().map(part).collect();
            let vae = self.vae.clone();
            let found = self.team.on_each(parts.len(), move |i| parts[i].nll(&vae));
            nll.extend(found.into_iter().flatten());
            report(nll.len());
        }
        nll
    }
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
    /// Returns -log 1/K sum_k w_k of each example.
    fn nll(&self, vae: &Vae) -> Vec<f64> {
        let n = self.batch.size();
        let mut sums = vec![LogSum::default(); n];
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
                sums[i % n].add(value);
            }
        }
        sums.iter().map(|sum| (self.samples as f64).ln() - sum.value()).collect()
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
    fn a_streaming_log_sum_exp_equals_the_logarithm_of_the_sum() {
        let numbers = [-1000.0, -1003.5, -998.2, -2000.0, -998.2];
        let mut sum = LogSum::default();
        numbers.iter().for_each(|x| sum.add(*x));
        let shifted: f64 = numbers.iter().map(|x| (x + 998.0f64).exp()).sum();
        assert!((sum.value() - (shifted.ln() - 998.0)).abs() < 1e-12);
        assert_eq!(LogSum::default().value(), f64::NEG_INFINITY);
    }
}
