//! The log-likelihood of examples, estimated by importance sampling (Burda et al. 2016) in chunks
//! of draws and examples.

use vae_model::bound::log_weights;
use vae_model::posterior::PosteriorDistribution;
use vae_model::{Batch, Vae};

use crate::noise::KeyedNoise;

/// Number of rows of z that are decoded at once if there are many draws.
const ROWS: usize = 4_000;

/// Returns -log 1/K sum_k w_k of each x in nats, by a streaming log-sum-exp over chunks of draws
/// and examples. q must have a density. `report` is called with the number of examples that are
/// done, counted from `done`.
pub(crate) fn importance_nll(
    vae: &Vae,
    batch: &Batch,
    q: &PosteriorDistribution,
    noise: KeyedNoise,
    samples: usize,
    report: &dyn Fn(usize),
    done: usize,
) -> Vec<f64> {
    let size = batch.size();
    // Few examples and many draws per chunk, so that x stays in the cache.
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
                unreachable!("a posterior without a density is refused before")
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
