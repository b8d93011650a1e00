//! DCI: disentanglement, completeness and informativeness (Eastwood and Williams 2018, "A framework for the
//! quantitative evaluation of disentangled representations").

use rayon::prelude::*;
use vae_data::rng::Stream;

use super::forest::Forest;
use super::{Data, Factor};

/// The three scores. A forest of decision trees predicts each factor from the codes. The importance of a
/// dimension is the entropy that its splits remove, as a share of what all splits remove. Eastwood and
/// Williams use a forest too; disentanglement_lib uses gradient boosted trees.
pub struct Dci {
    /// 1 - the entropy, to the base of the factors, of a dimension's importance for the factors; averaged
    /// over the dimensions, weighted by their importance.
    pub disentanglement: f64,
    /// 1 - the entropy, to the base of the dimensions, of their importance for a factor; averaged over the
    /// factors, weighted by the importance.
    pub completeness: f64,
    /// The accuracy on test examples, averaged over the factors.
    pub informativeness: f64,
}

impl Dci {
    /// Returns the scores. A random half of the examples trains, the other tests.
    pub fn of(data: &Data, stream: &Stream) -> Self {
        let order: Vec<usize> =
            stream.permutation(data.len()).into_iter().map(|i| i as usize).collect();
        let (train, test) = order.split_at(order.len() / 2);
        let forest = Forest::new(data, train);
        let of_factor = |(j, factor): (usize, &Factor)| {
            let stream = stream.derive(j as u64);
            forest.fit(&factor.indexes, factor.levels.len(), test, &stream)
        };
        let fits: Vec<(Vec<f64>, f64)> =
            data.factors.par_iter().enumerate().map(of_factor).collect();
        let of_factors: Vec<Vec<f64>> =
            fits.iter().map(|(importance, _)| shares(importance)).collect();
        let of_dimensions: Vec<Vec<f64>> =
            (0..data.width).map(|d| of_factors.iter().map(|row| row[d]).collect()).collect();
        Self {
            disentanglement: concentration(&of_dimensions),
            completeness: concentration(&of_factors),
            informativeness: fits.iter().map(|(_, accuracy)| accuracy).sum::<f64>()
                / fits.len() as f64,
        }
    }
}

/// Returns numbers that sum to 1. Zeros stay zeros.
fn shares(numbers: &[f64]) -> Vec<f64> {
    let sum: f64 = numbers.iter().sum();
    numbers.iter().map(|x| if sum > 0.0 { x / sum } else { 0.0 }).collect()
}

/// Returns 1 - the entropy of a row, to the base of its length, averaged over the rows, weighted by their
/// sums. 0 if all numbers are 0.
fn concentration(rows: &[Vec<f64>]) -> f64 {
    let weights = shares(&rows.iter().map(|row| row.iter().sum()).collect::<Vec<f64>>());
    let of_row = |row: &Vec<f64>| {
        let positive = shares(row).into_iter().filter(|p| *p > 0.0);
        1.0 + positive.map(|p| p * p.ln()).sum::<f64>() / (row.len() as f64).ln()
    };
    rows.iter().zip(weights).map(|(row, weight)| weight * of_row(row)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concentration_is_one_minus_the_weighted_entropy() {
        assert_eq!(concentration(&[vec![0.0, 2.0], vec![1.0, 0.0], vec![0.0; 2]]), 1.0);
        assert_eq!(concentration(&[vec![0.5; 4], vec![3.0; 4]]), 0.0);
        assert_eq!(concentration(&vec![vec![0.0; 2]; 3]), 0.0);
        // The entropy is log 2 of log 4 with weight 3/4, and 0 with weight 1/4.
        let found = concentration(&[vec![1.5, 1.5, 0.0, 0.0], vec![1.0, 0.0, 0.0, 0.0]]);
        assert!((found - (0.75 * 0.5 + 0.25)).abs() < 1e-15);
    }
}
