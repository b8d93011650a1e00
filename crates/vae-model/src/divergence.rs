//! The maximum mean discrepancy between samples, and its kernels.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// A positive definite kernel of the squared distance of two points of `latent` dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kernel {
    /// Inverse multiquadratic, sum_s C_s / (C_s + d^2) with C_s = 2 latent bandwidth^2 s over seven
    /// scales s from 0.1 to 10 (Tolstikhin et al. 2018).
    #[default]
    Imq,
    /// exp(-d^2 / (2 latent bandwidth^2)) (Zhao et al. 2019).
    Gaussian,
}

impl Kernel {
    /// Returns the kernel's values for squared distances `[a, b]` between points of `latent`
    /// dimensions, `[a, b]`.
    fn of(self, squares: Tensor<2>, latent: usize, bandwidth: f64) -> Tensor<2> {
        let unit = 2.0 * latent as f64 * bandwidth * bandwidth;
        match self {
            Self::Imq => {
                let scales = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0].map(|s| s * unit);
                let of = |c: f64| squares.clone().add_scalar(c).recip().mul_scalar(c);
                let first = of(scales[0]);
                scales[1..].iter().fold(first, |sum, c| sum + of(*c))
            }
            Self::Gaussian => squares.mul_scalar(-1.0 / unit).exp(),
        }
    }
}

/// Returns the unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012,
/// lemma 6) between the distributions of the samples `a` `[n, latent]` and `b` `[m, latent]`,
/// `[1]`. It has no unit and may be negative. n and m must be at least 2.
pub fn mmd(a: Tensor<2>, b: Tensor<2>, kernel: Kernel, bandwidth: f64) -> Tensor<1> {
    let ([n, latent], [m, _]) = (a.dims(), b.dims());
    // Within one sample. The diagonal, where the distance is 0, is left out.
    let device = a.device();
    let within = |x: &Tensor<2>, n: usize| {
        let others = Tensor::<2>::eye(n, &device.clone().inner()).neg().add_scalar(1.0);
        let k = kernel.of(squared_distances(x.clone(), x.clone()), latent, bandwidth);
        (k * others).sum().mul_scalar(1.0 / (n * n.saturating_sub(1).max(1)) as f64)
    };
    let between = kernel.of(squared_distances(a.clone(), b.clone()), latent, bandwidth);
    let between = between.sum().mul_scalar(2.0 / (n * m) as f64);
    within(&a, n) + within(&b, m) - between
}

/// Returns squared Euclidean distances between the rows of `a` `[n, d]` and `b` `[m, d]`, `[n, m]`.
fn squared_distances(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let norms = |x: &Tensor<2>| x.clone().square().sum_dim(1);
    let squares = norms(&a) + norms(&b).transpose();
    // Rounding may make a distance negative.
    (squares - a.matmul(b.transpose()).mul_scalar(2.0)).clamp_min(0.0)
}
