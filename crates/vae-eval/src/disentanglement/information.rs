//! The mutual information of dimensions and factors, and the scores that use it: MIG and modularity.

use super::{Data, mean_gap};

/// Bins of equal width between the smallest and the largest number of a dimension, as in
/// disentanglement_lib.
const BINS: usize = 20;

/// Returns the mutual information of each binned dimension and each factor in nats, `[width][factors]`.
pub fn matrix(data: &Data) -> Vec<Vec<f64>> {
    let of_dimension = |d: usize| {
        let bins = bins(&data.column(d));
        let with = |levels: usize, values: &[usize]| mutual_information(&bins, values, levels);
        data.factors.iter().map(|f| with(f.levels.len(), &f.indexes)).collect()
    };
    (0..data.width).map(of_dimension).collect()
}

/// Returns the mutual information gap: the difference between the two largest mutual informations of a
/// factor over the entropy of the factor, averaged over the factors (Chen et al. 2018, "Isolating sources
/// of disentanglement in variational autoencoders", section 4.1).
///
/// The paper's mutual information is that of draws from q(z|x), which say nothing of x in a dimension that is
/// not `active`. disentanglement_lib counts the means of such a dimension like others.
pub fn mig(information: &[Vec<f64>], active: &[bool], data: &Data) -> f64 {
    let entropies: Vec<f64> = data
        .factors
        .iter()
        .map(|factor| {
            let share = |group: &Vec<usize>| group.len() as f64 / data.len() as f64;
            factor.groups().iter().map(share).map(|p| -p * p.ln()).sum()
        })
        .collect();
    mean_gap(data, |d, factor| match active[d] {
        true => information[d][factor] / entropies[factor],
        false => 0.0,
    })
}

/// Returns the modularity: 1 - sum_f I_f^2 / ((factors - 1) I_best^2) of a dimension, averaged over the
/// dimensions. I_f is the mutual information of the dimension and factor f. The sum is over all factors
/// except the best, which has the largest (Ridgeway and Mozer 2018, "Learning deep disentangled embeddings
/// with the F-statistic loss", section 3). A dimension with no mutual information counts 0, as in
/// disentanglement_lib.
pub fn modularity(information: &[Vec<f64>]) -> f64 {
    let of_dimension = |row: &Vec<f64>| {
        let largest = row.iter().fold(0.0, |a: f64, b| a.max(*b)).powi(2);
        if largest == 0.0 {
            return 0.0;
        }
        let others = row.iter().map(|mi| mi * mi).sum::<f64>() - largest;
        1.0 - others / (largest * (row.len() - 1) as f64)
    };
    information.iter().map(of_dimension).sum::<f64>() / information.len() as f64
}

/// Returns the bin of each number. The edges are those of NumPy's `histogram`, with the same rounding.
fn bins(column: &[f64]) -> Vec<usize> {
    let low = column.iter().copied().fold(f64::INFINITY, f64::min);
    let high = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let step = (high - low) / BINS as f64;
    // The first edge is left out: the number of edges at or below x is then the index of the bin.
    let edges: Vec<f64> = (1..BINS).map(|i| i as f64 * step + low).collect();
    column.iter().map(|x| edges.partition_point(|edge| edge <= x)).collect()
}

/// Returns the mutual information in nats of bins and the `levels` values of a factor. It is exactly
/// 0 if the two are independent in the data.
fn mutual_information(bins: &[usize], values: &[usize], levels: usize) -> f64 {
    let mut both = vec![0.0; BINS * levels];
    let (mut of_bin, mut of_value) = ([0.0; BINS], vec![0.0; levels]);
    for (bin, value) in bins.iter().zip(values) {
        both[bin * levels + value] += 1.0;
        of_bin[*bin] += 1.0;
        of_value[*value] += 1.0;
    }
    let n = bins.len() as f64;
    let cells = both.iter().enumerate().filter(|(_, count)| **count > 0.0);
    let sum: f64 = cells
        .map(|(i, count)| count * (count * n / (of_bin[i / levels] * of_value[i % levels])).ln())
        .sum();
    // Rounding can take 0 below 0.
    (sum / n).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_is_in_the_last_bin_and_a_constant_fills_one() {
        assert_eq!(bins(&[0.0, 0.99, 1.0, 19.0, 20.0]), [0, 0, 1, 19, 19]);
        assert_eq!(bins(&[3.0; 4]), [bins(&[3.0])[0]; 4]);
    }

    #[test]
    fn mutual_information_is_the_entropy_of_copies_and_0_if_independent() {
        let copied = mutual_information(&[0, 5, 0, 5], &[1, 0, 1, 0], 2);
        assert!((copied - std::f64::consts::LN_2).abs() < 1e-15);
        assert_eq!(mutual_information(&[0, 0, 7, 7, 7, 7], &[0, 1, 0, 1, 0, 1], 2), 0.0);
    }

    #[test]
    fn modularity_takes_the_squares_of_what_a_dimension_says_of_others() {
        // 1 - (1 + 0) / (4 * 2), 1 and 0.
        let found = modularity(&[vec![2.0, 1.0, 0.0], vec![0.0, 0.0, 0.1], vec![0.0; 3]]);
        assert!((found - (0.875 + 1.0 + 0.0) / 3.0).abs() < 1e-15);
    }
}
