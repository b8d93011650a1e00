//! SAP, the separated attribute predictability.

use super::{Data, Factor, mean_gap};

/// Returns the difference between the two largest scores of a factor, averaged over the factors (Kumar et
/// al. 2018, "Variational inference of disentangled latent concepts from unlabeled observations", section 3).
///
/// Each dimension has a score for each factor. For an ordered factor it is R^2 of a linear regression. For a
/// categorical factor it is the balanced accuracy of the nearest class mean on all examples; Kumar et al.
/// and disentanglement_lib use the test accuracy of a linear support vector machine.
pub fn sap(data: &Data) -> f64 {
    let columns: Vec<Vec<f64>> = (0..data.width).map(|d| data.column(d)).collect();
    mean_gap(data, |d, factor| {
        let (column, factor) = (&columns[d], &data.factors[factor]);
        if factor.ordered { r_squared(column, factor) } else { balanced_accuracy(column, factor) }
    })
}

/// Returns R^2 of the linear regression of a factor's values on a dimension. 0 for a dimension whose
/// variance is at most 1e-12, as in disentanglement_lib.
fn r_squared(column: &[f64], factor: &Factor) -> f64 {
    let n = column.len() as f64;
    let values: Vec<f64> =
        factor.indexes.iter().map(|index| f64::from(factor.levels[*index])).collect();
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / n;
    let (x_mean, y_mean) = (mean(column), mean(&values));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in column.iter().zip(&values) {
        let (x, y) = (x - x_mean, y - y_mean);
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    if xx / n > 1e-12 { xy * xy / (xx * yy) } else { 0.0 }
}

/// Returns the share of the examples of a value that are nearest to the mean of that value, averaged over
/// the values. If several means are equally near, the first is the nearest.
fn balanced_accuracy(column: &[f64], factor: &Factor) -> f64 {
    let groups = factor.groups();
    let mean =
        |group: &Vec<usize>| group.iter().map(|i| column[*i]).sum::<f64>() / group.len() as f64;
    let means: Vec<f64> = groups.iter().map(mean).collect();
    let nearest = |x: f64| {
        let distance = |value: usize| (x - means[value]).abs();
        (1..means.len()).fold(0, |best, v| if distance(v) < distance(best) { v } else { best })
    };
    let recall = |(value, group): (usize, &Vec<usize>)| {
        let right = group.iter().filter(|i| nearest(column[**i]) == value).count();
        right as f64 / group.len() as f64
    };
    groups.iter().enumerate().map(recall).sum::<f64>() / groups.len() as f64
}
