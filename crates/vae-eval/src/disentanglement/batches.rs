//! Scores of batches that share the value of one factor: the FactorVAE score and the beta-VAE score.
//!
//! The papers generate new examples for each batch. Here, batches are drawn from the examples of a data set.

use vae_data::rng::{Sequence, Stream};

use super::Data;
use crate::probe::Labelled;
use crate::statistics::column_variances;

/// Examples or pairs of a batch, as in disentanglement_lib.
const BATCH: usize = 64;
/// Batches that train a classifier. The same number of other batches tests it.
const BATCHES: usize = 800;
/// Dimensions with a smaller standard deviation have collapsed to the prior and are left out, as in
/// disentanglement_lib.
const LEAST_DEVIATION: f64 = 0.05;

/// Draws batches.
pub struct Batches<'a> {
    data: &'a Data<'a>,
    /// The examples of each value of each factor.
    groups: Vec<Vec<Vec<usize>>>,
    /// For each factor, the examples whose value another example has too.
    shared: Vec<Vec<usize>>,
}

impl<'a> Batches<'a> {
    /// Groups the examples by value. `None` if all values of a factor differ.
    pub fn new(data: &'a Data) -> Option<Self> {
        let groups: Vec<Vec<Vec<usize>>> = data.factors.iter().map(|f| f.groups()).collect();
        let shared = |groups: &Vec<Vec<usize>>| -> Vec<usize> {
            groups.iter().filter(|group| group.len() > 1).flatten().copied().collect()
        };
        let shared: Vec<Vec<usize>> = groups.iter().map(shared).collect();
        (!shared.iter().any(Vec::is_empty)).then_some(Self { data, groups, shared })
    }

    /// Returns the test accuracy of a classifier that predicts which factor is fixed in a batch (Kim and
    /// Mnih 2018, "Disentangling by factorising", section 4). Its input is the dimension with the smallest
    /// variance in the batch, relative to the variance of all examples. It predicts the factor that this
    /// dimension had most often in training. 0 if all dimensions have collapsed.
    pub fn factor_vae_score(&self, stream: &Stream) -> f64 {
        let width = self.data.width;
        let all: Vec<f64> = column_variances(self.data.codes, width).collect();
        let active: Vec<usize> = (0..width).filter(|d| all[*d].sqrt() >= LEAST_DEVIATION).collect();
        let vote = |batch: usize| {
            let mut draws = stream.derive(batch as u64).sequence();
            let factor = below(&mut draws, self.data.factors.len());
            let mut group = self.group(factor, &mut draws).to_vec();
            let size = BATCH.min(group.len());
            for i in 0..size {
                let other = i + below(&mut draws, group.len() - i);
                group.swap(i, other);
            }
            let rows: Vec<f64> =
                group[..size].iter().flat_map(|i| self.data.row(*i)).copied().collect();
            let variances: Vec<f64> = column_variances(&rows, width).collect();
            let ratio = |d: usize| variances[d] / all[d];
            let least = active.iter().min_by(|a, b| ratio(**a).total_cmp(&ratio(**b)));
            least.map(|dimension| (*dimension, factor))
        };
        let mut votes = vec![vec![0; self.data.factors.len()]; width];
        (0..BATCHES).filter_map(vote).for_each(|(dimension, factor)| votes[dimension][factor] += 1);
        let is_right = |(dimension, factor): &(usize, usize)| {
            let most = votes[*dimension].iter().max();
            // If several factors have the most votes, the first is predicted.
            votes[*dimension].iter().position(|votes| Some(votes) == most) == Some(*factor)
        };
        let right = (BATCHES..2 * BATCHES).filter_map(vote).filter(is_right).count();
        right as f64 / BATCHES as f64
    }

    /// Returns the test accuracy of a linear classifier that predicts which factor is shared by the pairs of
    /// a batch (Higgins et al. 2017, "beta-VAE: learning basic visual concepts with a constrained variational
    /// framework", section 3). Its input is the mean absolute difference of the codes of the pairs.
    pub fn beta_vae_score(&self, stream: &Stream) -> Option<f64> {
        let width = self.data.width;
        let mut differences = Vec::with_capacity(2 * BATCHES * width);
        let mut labels = Vec::with_capacity(2 * BATCHES);
        for batch in 0..2 * BATCHES {
            let mut draws = stream.derive(batch as u64).sequence();
            let factor = below(&mut draws, self.data.factors.len());
            let mut sums = vec![0.0; width];
            for _ in 0..BATCH {
                let group = self.group(factor, &mut draws);
                let a = below(&mut draws, group.len());
                let b = (a + 1 + below(&mut draws, group.len() - 1)) % group.len();
                let pair = self.data.row(group[a]).iter().zip(self.data.row(group[b]));
                sums.iter_mut().zip(pair).for_each(|(sum, (a, b))| *sum += (a - b).abs());
            }
            differences.extend(sums.iter().map(|sum| (sum / BATCH as f64) as f32));
            labels.push(factor as u32);
        }
        Labelled { codes: &differences, width, labels: &labels }.probe_accuracy()
    }

    /// Draws an example and returns all examples with its value of a factor, at least two.
    fn group(&self, factor: usize, draws: &mut Sequence) -> &[usize] {
        let shared = &self.shared[factor];
        let example = shared[below(draws, shared.len())];
        &self.groups[factor][self.data.factors[factor].indexes[example]]
    }
}

/// Returns a uniform index below `n`.
fn below(draws: &mut Sequence, n: usize) -> usize {
    draws.below(n as u32) as usize
}
