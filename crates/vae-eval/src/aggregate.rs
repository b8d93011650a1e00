//! The aggregate posterior q(z) = 1/N sum_n q(z|x_n) of Gaussian posteriors, and the parts of the KL that
//! it gives (Hoffman and Johnson 2016; Chen et al. 2018).

use burn::tensor::Tensor;
use rayon::prelude::*;
use vae_model::posterior::Gaussian;

/// Gaussian posteriors of N examples, and a draw from each, as rows of `width` numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Posteriors {
    /// Latent dimensions.
    pub width: usize,
    /// Means.
    pub means: Vec<f64>,
    /// Logarithms of the variances.
    pub log_vars: Vec<f64>,
    /// One draw of each.
    pub draws: Vec<f64>,
}

/// Parts of E KL(q(z|x) || p(z)), in nats per example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct KlParts {
    /// The mutual information of x and z, KL(q(z|x) || q(z)). At most log N.
    pub mutual_information: f64,
    /// The total correlation of the dimensions, KL(q(z) || prod_i q(z_i)).
    pub total_correlation: f64,
    /// The sum of KL(q(z_i) || N(0, 1)) over the dimensions: the rest of the KL, if the prior is N(0, I).
    pub dimension_wise: f64,
}

impl Posteriors {
    /// Adds the posteriors of examples, and a draw from each, `[batch, latent]`.
    pub fn add(&mut self, q: &Gaussian, draws: Tensor<2>) {
        let numbers = |tensor: Tensor<2>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
        self.means.extend(numbers(q.mean.clone()));
        self.log_vars.extend(numbers(q.log_var.clone()));
        self.draws.extend(numbers(draws));
    }

    /// Returns the parts of the KL by one draw for each example. The sums over the examples are exact.
    /// `None` if there are none.
    pub fn kl_parts(&self) -> Option<KlParts> {
        let n = self.means.len().checked_div(self.width)?;
        if n == 0 {
            return None;
        }
        let precisions: Vec<f64> = self.log_vars.iter().map(|v| (-v).exp()).collect();
        let log_2_pi = (2.0 * std::f64::consts::PI).ln();
        let constants: Vec<f64> = self.log_vars.iter().map(|v| -0.5 * (log_2_pi + v)).collect();
        // No density of a dimension is higher.
        let highest = (0..self.width).map(|d| {
            constants.iter().skip(d).step_by(self.width).fold(f64::NEG_INFINITY, |a, b| a.max(*b))
        });
        let highest: Vec<f64> = highest.collect();
        let log_n = (n as f64).ln();
        let of_draw = |i: usize| {
            let z = &self.draws[i * self.width..][..self.width];
            let mut of_each = Vec::with_capacity(n);
            let mut dimensions = vec![0.0; self.width];
            for j in 0..n {
                let from = j * self.width;
                let mut log_q = 0.0;
                for d in 0..self.width {
                    let difference = z[d] - self.means[from + d];
                    let log_density =
                        constants[from + d] - 0.5 * difference * difference * precisions[from + d];
                    log_q += log_density;
                    dimensions[d] += (log_density - highest[d]).exp();
                }
                of_each.push(log_q);
            }
            let largest = of_each.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let sum: f64 = of_each.iter().map(|log_q| (log_q - largest).exp()).sum();
            let aggregate = largest + sum.ln() - log_n;
            let product: f64 =
                dimensions.iter().zip(&highest).map(|(sum, h)| h + sum.ln() - log_n).sum();
            let prior: f64 = z.iter().map(|z| -0.5 * (log_2_pi + z * z)).sum();
            [of_each[i] - aggregate, aggregate - product, product - prior]
        };
        let parts: Vec<[f64; 3]> = (0..n).into_par_iter().map(of_draw).collect();
        let mean = |k: usize| parts.iter().map(|part| part[k]).sum::<f64>() / n as f64;
        Some(KlParts {
            mutual_information: mean(0),
            total_correlation: mean(1),
            dimension_wise: mean(2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vae_data::rng::Stream;

    /// Posteriors N(a_d x_d, s^2) of x ~ N(0, R), with a correlation of the first two dimensions.
    fn linear(n: usize, a: [f64; 3], s: f64, correlation: f64) -> Posteriors {
        let mut draws = Stream::new(0, "linear").sequence();
        let mut all = Posteriors { width: 3, ..Posteriors::default() };
        for _ in 0..n {
            let mut normal = || f64::from(draws.normal());
            let (x, y, w) = (normal(), normal(), normal());
            let y = correlation * x + (1.0 - correlation * correlation).sqrt() * y;
            for (a, x) in a.iter().zip([x, y, w]) {
                all.means.push(a * x);
                all.log_vars.push((s * s).ln());
                all.draws.push(a * x + s * normal());
            }
        }
        all
    }

    #[test]
    fn the_parts_of_gaussians_are_those_in_closed_form() {
        let (a, s, r): ([f64; 3], f64, f64) = ([0.9, 0.8, 0.0], 0.4, 0.6);
        let found = linear(4_000, a, s, r).kl_parts().unwrap();
        // q(z) is a Gaussian with these variances and this covariance.
        let variances = a.map(|a| a * a + s * s);
        let covariance = r * a[0] * a[1];
        let determinant = (variances[0] * variances[1] - covariance.powi(2)) * variances[2];
        let information = 0.5 * (determinant / s.powi(6)).ln();
        let correlation = 0.5 * (variances.iter().product::<f64>() / determinant).ln();
        let rest: f64 = variances.iter().map(|v| 0.5 * (v - 1.0 - v.ln())).sum();
        for (found, expected) in [
            (found.mutual_information, information),
            (found.total_correlation, correlation),
            (found.dimension_wise, rest),
        ] {
            assert!((found - expected).abs() < 0.04, "{found} {expected}");
        }
    }

    #[test]
    fn the_parts_sum_to_the_kl_of_the_draws() {
        let posteriors = linear(300, [1.5, 0.2, 1.0], 0.3, 0.5);
        let parts = posteriors.kl_parts().unwrap();
        let log_ratio = |i: usize| {
            let (z, mean) = (posteriors.draws[i], posteriors.means[i]);
            let v = posteriors.log_vars[i];
            0.5 * (z * z - (z - mean).powi(2) / v.exp() - v)
        };
        let kl = (0..900).map(log_ratio).sum::<f64>() / 300.0;
        let sum = parts.mutual_information + parts.total_correlation + parts.dimension_wise;
        assert!((sum - kl).abs() < 1e-9, "{sum} {kl}");
        assert!(parts.mutual_information <= 300f64.ln());
    }

    #[test]
    fn posteriors_that_say_nothing_share_no_information() {
        let same = Posteriors {
            width: 1,
            means: vec![0.0; 50],
            log_vars: vec![0.0; 50],
            draws: (0..50).map(|i| f64::from(i) / 25.0 - 1.0).collect(),
        };
        let parts = same.kl_parts().unwrap();
        assert!(parts.mutual_information.abs() < 1e-12 && parts.dimension_wise.abs() < 1e-12);
        assert!(Posteriors::default().kl_parts().is_none());
    }
}
