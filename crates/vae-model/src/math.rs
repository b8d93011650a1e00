//! Small functions of tensors and numbers, shared by several axes.

use burn::tensor::{Bool, Tensor, activation};

/// Returns log(2 pi).
pub(crate) fn log_2_pi() -> f64 {
    (2.0 * std::f64::consts::PI).ln()
}

/// Logarithm of the smallest weight beside a weight of 1 that counts: 6e-16, far below rounding.
///
/// Weights of importance samples differ by any factor. Gradients are proportional to them, and those
/// of the smallest would be numbers below 1e-38, which a processor handles a hundred times slower
/// than others.
const LOG_TINY: f64 = -35.0;

/// Returns log sum exp over dimension `dim`, which keeps length 1. Large and small x are safe. Terms
/// below [`LOG_TINY`] have no gradient.
pub(crate) fn log_sum_exp<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    // The maximum is treated as a constant. It cancels in the value and in the gradient.
    let largest = x.clone().inner().max_dim(dim);
    let difference = x - largest.clone();
    let tiny = is_tiny(difference.clone().inner());
    difference.mask_fill(tiny, LOG_TINY).exp().sum_dim(dim).log() + largest
}

/// Returns the weights exp(x) / sum exp(x) over dimension `dim`, without gradient. Those below
/// [`LOG_TINY`] of the largest are 0.
pub(crate) fn normalized_weights<const D: usize>(x: Tensor<D>, dim: usize) -> Tensor<D> {
    let x = x.inner();
    let tiny = is_tiny(x.clone() - x.clone().max_dim(dim));
    activation::softmax(x, dim).mask_fill(tiny, 0.0)
}

/// Returns which differences to the largest logarithm are below [`LOG_TINY`]. NaN is not.
fn is_tiny<const D: usize>(difference: Tensor<D>) -> Tensor<D, Bool> {
    difference.lower_elem(LOG_TINY)
}

/// Returns log(1 + exp x).
pub(crate) fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softplus(x, 1.0)
}

/// Returns the index of a category drawn by inversion with u in [0, 1): the first category whose
/// cumulative weight exceeds u * `total`. `total` is the sum of the `weights`.
///
/// If rounding makes u * `total` larger than the sum, the last category is drawn. `weights` must
/// not be empty.
pub fn categorical(weights: impl IntoIterator<Item = f64>, total: f64, u: f64) -> usize {
    let mut left = u * total;
    let mut last = 0;
    for (i, weight) in weights.into_iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
        last = i;
    }
    last
}

#[cfg(all(test, feature = "flex"))]
mod weight_tests {
    use burn::tensor::Device;

    use super::*;

    /// Logarithms that differ by more than f32 has exponents for.
    const LOGARITHMS: [f32; 6] = [-300.0, -100.5, -100.0, -190.0, -135.2, -134.8];

    fn host(tensor: Tensor<1>) -> Vec<f64> {
        tensor.into_data().iter().collect()
    }

    #[test]
    fn the_sum_is_exact_and_gradients_are_the_weights_or_zero_where_they_are_tiny() {
        let device = Device::flex().autodiff();
        let x = Tensor::<1>::from_floats(LOGARITHMS, &device).require_grad();
        let sum = log_sum_exp(x.clone(), 0);
        let exact: f64 = LOGARITHMS.iter().map(|x| f64::from(x + 100.0).exp()).sum();
        let found = host(sum.clone().inner())[0];
        assert!((found - (exact.ln() - 100.0)).abs() < 1e-5, "{found}");
        let gradient = host(x.grad(&sum.backward()).unwrap());
        let weights = host(normalized_weights(x, 0));
        for (i, log) in LOGARITHMS.iter().enumerate() {
            let weight = f64::from(log + 100.0).exp() / exact;
            let expected = if *log < -135.0 { 0.0 } else { weight };
            for found in [gradient[i], weights[i]] {
                assert!((found - expected).abs() <= 1e-6 * expected, "{log}: {found}");
            }
        }
    }

    #[test]
    fn nan_is_not_lost() {
        let x = Tensor::<1>::from_floats([0.0, f32::NAN, -90.0], &Device::flex());
        assert!(host(log_sum_exp(x, 0))[0].is_nan());
    }
}
