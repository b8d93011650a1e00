//! How well classes can be read off codes: by nearest neighbours, and by a linear classifier.

use rayon::prelude::*;
use vae_data::rng::Stream;

/// Neighbours that vote.
pub(crate) const NEIGHBOURS: usize = 5;
/// Steps of gradient descent of the linear classifier.
const STEPS: usize = 300;
/// Most classes of the linear classifier.
const MOST_CLASSES: usize = 200;
/// Weight of the squared weights in its loss.
const DECAY: f64 = 1e-4;

/// Codes with classes.
#[derive(Clone, Debug)]
pub(crate) struct Labelled<'a> {
    /// Rows of `width` numbers.
    pub codes: &'a [f32],
    /// Numbers of a code.
    pub width: usize,
    /// The class of each.
    pub labels: &'a [u32],
}

impl Labelled<'_> {
    /// Returns the share of codes whose class is that of most of their five nearest neighbours among the
    /// others, by Euclidean distance; the nearest of the classes with most votes wins. `None` with fewer
    /// than two codes.
    pub fn knn_accuracy(&self) -> Option<f64> {
        let n = self.labels.len();
        if n < 2 {
            return None;
        }
        let row = |i: usize| &self.codes[i * self.width..][..self.width];
        let is_right = |i: usize| {
            let distance = |j: usize| -> f64 {
                let differences = row(i).iter().zip(row(j)).map(|(a, b)| f64::from(a - b));
                differences.map(|d| d * d).sum()
            };
            let mut others: Vec<(f64, usize)> =
                (0..n).filter(|j| *j != i).map(|j| (distance(j), j)).collect();
            let k = NEIGHBOURS.min(others.len());
            let by_distance =
                |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            others.select_nth_unstable_by(k - 1, by_distance);
            others.truncate(k);
            others.sort_by(by_distance);
            let votes =
                |class: u32| others.iter().filter(|(_, j)| self.labels[*j] == class).count();
            let mut winner = self.labels[others[0].1];
            for (_, j) in &others {
                let class = self.labels[*j];
                if votes(class) > votes(winner) {
                    winner = class;
                }
            }
            winner == self.labels[i]
        };
        let right = (0..n).into_par_iter().filter(|i| is_right(*i)).count();
        Some(right as f64 / n as f64)
    }

    /// Returns the share of a random half of the codes whose class a linear classifier says that was
    /// trained on the other half: multinomial logistic regression on standardized numbers. `None` with fewer
    /// than four codes, or more than 200 classes.
    pub fn probe_accuracy(&self) -> Option<f64> {
        let mut classes: Vec<u32> = self.labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        if self.labels.len() < 4 || classes.len() > MOST_CLASSES {
            return None;
        }
        // In random order: data may have an order of its own.
        let order = Stream::new(0, "halves of a probe").permutation(self.labels.len());
        let (first, second) = order.split_at(order.len() / 2);
        let part = |indices: &[u32]| -> (Vec<f32>, Vec<usize>) {
            let row = |i: &u32| &self.codes[*i as usize * self.width..][..self.width];
            let class = |i: &u32| classes.partition_point(|c| *c < self.labels[*i as usize]);
            (indices.iter().flat_map(row).copied().collect(), indices.iter().map(class).collect())
        };
        let ((train, train_labels), (test, test_labels)) = (part(first), part(second));
        let scales = scales(&train, self.width);
        let rows = standardized(&train, &scales);
        let weights = fit(&rows, self.width + 1, &train_labels, classes.len());
        let is_right = |(row, label): (&[f64], &usize)| {
            let scores = logits(row, &weights);
            let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            best == Some(*label)
        };
        let rows = standardized(&test, &scales);
        let rows = rows.chunks_exact(self.width + 1).zip(&test_labels);
        Some(rows.filter(|pair| is_right(*pair)).count() as f64 / test_labels.len() as f64)
    }
}

/// Returns mean and standard deviation of each column; 1 for a constant.
fn scales(codes: &[f32], width: usize) -> Vec<(f64, f64)> {
    let column = |j: usize| codes.iter().skip(j).step_by(width).map(|x| f64::from(*x));
    let n = (codes.len() / width) as f64;
    let scale = |j: usize| {
        let mean = column(j).sum::<f64>() / n;
        let variance = column(j).map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
    };
    (0..width).map(scale).collect()
}

/// Returns the rows with these means taken away, in these deviations, and a 1 at the end of each.
fn standardized(codes: &[f32], scales: &[(f64, f64)]) -> Vec<f64> {
    let row = |row: &[f32]| {
        let scaled = row.iter().zip(scales).map(|(x, (mean, s))| (f64::from(*x) - mean) / s);
        scaled.chain([1.0]).collect::<Vec<_>>()
    };
    codes.chunks_exact(scales.len()).flat_map(row).collect()
}

/// Returns the weights of each class: gradient descent with the momentum of Nesterov (1983).
fn fit(rows: &[f64], width: usize, labels: &[usize], classes: usize) -> Vec<Vec<f64>> {
    let n = labels.len() as f64;
    // The curvature of the loss is at most half the mean squared length of a row (Boehning 1992).
    let length = rows.iter().map(|x| x * x).sum::<f64>() / n;
    let rate = 1.0 / (0.5 * length + DECAY);
    let mut weights = vec![vec![0.0; width]; classes];
    let mut before = weights.clone();
    for step in 0..STEPS {
        let momentum = step as f64 / (step as f64 + 3.0);
        let ahead: Vec<Vec<f64>> = weights
            .iter()
            .zip(&before)
            .map(|(w, b)| w.iter().zip(b).map(|(w, b)| w + momentum * (w - b)).collect())
            .collect();
        let mut gradient: Vec<Vec<f64>> =
            ahead.iter().map(|w| w.iter().map(|w| DECAY * w).collect()).collect();
        for (row, label) in rows.chunks_exact(width).zip(labels) {
            let scores = logits(row, &ahead);
            let largest = scores.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let exps: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
            let total: f64 = exps.iter().sum();
            for (class, (sums, e)) in gradient.iter_mut().zip(&exps).enumerate() {
                let error = e / total - f64::from(u8::from(class == *label));
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += error * x / n);
            }
        }
        before = weights;
        weights = ahead
            .into_iter()
            .zip(&gradient)
            .map(|(w, g)| w.into_iter().zip(g).map(|(w, g)| w - rate * g).collect())
            .collect();
    }
    weights
}

fn logits(row: &[f64], weights: &[Vec<f64>]) -> Vec<f64> {
    weights.iter().map(|w| w.iter().zip(row).map(|(w, x)| w * x).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clouds of points whose centres are `apart` from each other.
    fn clouds(n: usize, apart: f32) -> (Vec<f32>, Vec<u32>) {
        let mut draws = Stream::new(0, "clouds").sequence();
        let centres = [[0.0, 0.0], [apart, 0.0], [0.0, apart]];
        let labels: Vec<u32> = (0..n).map(|_| draws.below(3)).collect();
        let point = |label: &u32| centres[*label as usize].map(|c| c + draws.normal());
        let codes = labels.iter().flat_map(point).collect();
        (codes, labels)
    }

    #[test]
    fn clouds_far_apart_are_told_apart_and_one_cloud_is_not() {
        for (apart, low, high) in [(12.0, 1.0, 1.0), (0.0, 0.25, 0.42)] {
            let (codes, labels) = clouds(600, apart);
            let labelled = Labelled { codes: &codes, width: 2, labels: &labels };
            for found in [labelled.knn_accuracy(), labelled.probe_accuracy()] {
                let found = found.unwrap();
                assert!((low..=high).contains(&found), "{apart}: {found}");
            }
        }
    }

    #[test]
    fn most_of_five_neighbours_win() {
        // All others are neighbours. Four points have class 0, so their class is found, and two class 1.
        let codes = [0.0, 0.1, 0.2, 0.9, 1.1, 1.0];
        let labelled = Labelled { codes: &codes, width: 1, labels: &[0, 0, 0, 1, 1, 0] };
        assert_eq!(labelled.knn_accuracy(), Some(4.0 / 6.0));
        let two = Labelled { codes: &codes[..2], width: 1, labels: &[3, 3] };
        assert_eq!((two.knn_accuracy(), two.probe_accuracy()), (Some(1.0), None));
    }

    #[test]
    fn a_line_separates_what_a_line_can() {
        let codes: Vec<f32> =
            (0..200).map(|i| i as f32 * if i / 2 % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let by_sign: Vec<u32> = codes.iter().map(|x| u32::from(*x > 0.0)).collect();
        let by_size: Vec<u32> = codes.iter().map(|x| u32::from(x.abs() > 100.0)).collect();
        let of =
            |labels: &[u32]| Labelled { codes: &codes, width: 1, labels }.probe_accuracy().unwrap();
        assert!(of(&by_sign) > 0.97, "{}", of(&by_sign));
        assert!(of(&by_size) < 0.8, "{}", of(&by_size));
    }
}
