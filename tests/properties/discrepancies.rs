//! The discrepancy of samples (MMD): unbiased, symmetric, larger where one side is shifted.

use vae_model::divergence::{Kernel, mmd};

use super::statistics::{Mean, normal};
use crate::common::host;

#[test]
fn the_discrepancy_of_samples_is_unbiased_symmetric_and_sees_a_shift() {
    for (kernel, bandwidth) in [(Kernel::Imq, 1.0), (Kernel::Gaussian, 0.7)] {
        let estimates = |shift: f64| -> Vec<f64> {
            (0..300)
                .map(|i| {
                    let a = normal(1_000 + i, [30, 3]);
                    let b = normal(2_000 + i, [40, 3]).add_scalar(shift);
                    let there = host(mmd(a.clone(), b.clone(), kernel, bandwidth))[0];
                    let back = host(mmd(b, a, kernel, bandwidth))[0];
                    // Of seven kernels, each at most 1.
                    assert!((there - back).abs() < 1e-5, "{kernel:?}: {there} {back}");
                    there
                })
                .collect()
        };
        let (same, shifted) = (Mean::of(&estimates(0.0)), Mean::of(&estimates(1.0)));
        same.assert_is(&format!("{kernel:?}"), Mean::exactly(0.0), 1e-6);
        assert!(shifted.value > 10.0 * (shifted.error + same.error), "{kernel:?}: {shifted:?}");
    }
}
