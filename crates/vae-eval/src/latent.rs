//! What the codes of data say of each latent dimension, and planes of the latent space.

use burn::tensor::linalg::svd;
use burn::tensor::{Device, Tensor, TensorData};
use vae_data::Examples;

use crate::check::check_examples;
use crate::error::EvalError;
use crate::generate::Generator;
use crate::labels::one_hot_of;
use crate::statistics::Moments;

/// A latent dimension is active if the variance of its posterior mean over the data is above this
/// (Burda et al. 2016).
pub(crate) const ACTIVE: f64 = 0.01;
/// Examples that are encoded at once.
const CHUNK: usize = 1_000;

/// Each latent dimension over a set of examples.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentSummary {
    /// Mean of the posterior means, `[latent]`.
    pub mean: Vec<f64>,
    /// Population variance of the posterior means, `[latent]`.
    pub variance: Vec<f64>,
    /// KL(q(z_i|x) || p(z_i)) in nats, averaged over the examples, `[latent]`. `None` without a closed
    /// form.
    pub kl: Option<Vec<f64>>,
}

impl LatentSummary {
    /// Returns the dimensions, those that say most about x first: by KL, or by variance if the KL is
    /// not known.
    pub fn order(&self) -> Vec<usize> {
        let by = self.kl.as_ref().unwrap_or(&self.variance);
        let mut order: Vec<usize> = (0..by.len()).collect();
        order.sort_by(|a, b| by[*b].total_cmp(&by[*a]));
        order
    }

    /// Returns the number of dimensions whose posterior mean has a variance above 0.01.
    pub fn active_units(&self) -> usize {
        self.variance.iter().filter(|variance| **variance > ACTIVE).count()
    }
}

/// Axes of the largest variance of a set of points (Pearson 1901).
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalAxes {
    /// Mean of the points, `[dimensions]`.
    pub mean: Vec<f64>,
    /// Unit vectors, those of the largest variance first, `[axes][dimensions]`. The largest component
    /// of each is positive.
    pub axes: Vec<Vec<f64>>,
    /// Population variance along each axis.
    pub variance: Vec<f64>,
    /// Population variance along all axes, those left out included.
    pub total_variance: f64,
}

impl PrincipalAxes {
    /// Returns the `count` first axes of `points`, rows of `width` numbers. `device` holds a small
    /// matrix.
    ///
    /// # Errors
    /// If there are no points, or if one is not finite.
    pub fn of(
        points: &[f32],
        width: usize,
        count: usize,
        device: &Device,
    ) -> Result<Self, EvalError> {
        let n = points.len() / width;
        if n == 0 {
            return Err(EvalError::Request("principal axes need at least one code".to_owned()));
        }
        if points.iter().any(|x| !x.is_finite()) {
            let why = "some codes are not finite: the training of this model diverged";
            return Err(EvalError::Failed(why.to_owned()));
        }
        let column = |i: usize| points.iter().skip(i).step_by(width).map(|x| f64::from(*x));
        let mean: Vec<f64> = (0..width).map(|i| column(i).sum::<f64>() / n as f64).collect();
        let mut covariance = vec![0.0f64; width * width];
        let mut centred = vec![0.0; width];
        for point in points.chunks_exact(width) {
            for ((to, x), mean) in centred.iter_mut().zip(point).zip(&mean) {
                *to = f64::from(*x) - mean;
            }
            for (row, x) in covariance.chunks_exact_mut(width).zip(&centred) {
                row.iter_mut().zip(&centred).for_each(|(sum, y)| *sum += x * y / n as f64);
            }
        }
        let total_variance = covariance.iter().step_by(width + 1).sum();
        // Numbers of any size, as f32.
        let unit = covariance.iter().fold(0.0f64, |a, x| a.max(x.abs())).max(f64::MIN_POSITIVE);
        let covariance: Vec<f32> = covariance.into_iter().map(|x| (x / unit) as f32).collect();
        let data = TensorData::new(covariance, [width, width]);
        // Of a symmetric matrix without negative eigenvalues, singular vectors are eigenvectors.
        const SWEEPS: usize = 100;
        let (_, values, vectors) = svd::<2, 1>(Tensor::from_data(data, device), SWEEPS);
        let values: Vec<f64> =
            values.into_data().iter::<f64>().take(count).map(|x| x * unit).collect();
        let vectors: Vec<f64> = vectors.into_data().iter::<f64>().collect();
        let axes = vectors.chunks_exact(width).take(count).map(|axis| {
            let largest = axis.iter().fold(0.0f64, |a, b| if b.abs() > a.abs() { *b } else { a });
            axis.iter().map(|x| x * largest.signum()).collect()
        });
        Ok(Self { mean, axes: axes.collect(), variance: values, total_variance })
    }

    /// Returns the coordinates of `points` along the axes, row-major.
    pub fn project(&self, points: &[f32]) -> Vec<f32> {
        let along = |point: &[f32], axis: &[f64]| {
            let terms = point.iter().zip(&self.mean).zip(axis);
            terms.map(|((x, mean), axis)| (f64::from(*x) - mean) * axis).sum::<f64>() as f32
        };
        points
            .chunks_exact(self.mean.len())
            .flat_map(|point| self.axes.iter().map(move |axis| along(point, axis)))
            .collect()
    }

    /// Returns the point with these coordinates.
    pub fn point(&self, coordinates: &[f64]) -> Vec<f32> {
        let mut point = self.mean.clone();
        for (axis, coordinate) in self.axes.iter().zip(coordinates) {
            point.iter_mut().zip(axis).for_each(|(x, axis)| *x += coordinate * axis);
        }
        point.into_iter().map(|x| x as f32).collect()
    }
}

impl Generator {
    /// Checks that z is a vector of numbers that vary on their own, not of discrete codes.
    ///
    /// # Errors
    /// If it is made of discrete codes.
    pub fn check_continuous(&self) -> Result<(), EvalError> {
        match self.vae.code_space() {
            None => Ok(()),
            Some(_) => Err(EvalError::Request(
                "z of this model is made of discrete codes, which have no values between: use sample, \
                 reconstruct or interpolate"
                    .to_owned(),
            )),
        }
    }

    /// Returns what the posteriors of `examples` say of each latent dimension.
    ///
    /// # Errors
    /// If the model cannot read the examples, or if there are none.
    pub fn latent_summary(&self, examples: &Examples) -> Result<LatentSummary, EvalError> {
        check_examples(self.vae.spec(), &self.transform, examples)?;
        if examples.is_empty() {
            return Err(EvalError::Request("there are no examples to encode".to_owned()));
        }
        let latent = self.vae.config().latent;
        let mut moments = Moments::default();
        let mut kl: Option<Vec<f64>> = Some(vec![0.0; latent]);
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        for part in indices.chunks(CHUNK) {
            let labels = match self.vae.classes() {
                0 => None,
                classes => Some(one_hot_of(examples, part, classes, &self.device)?),
            };
            let condition = self.known_condition(examples, part)?;
            let q = self.vae.encode(self.x(examples, part), condition.as_ref());
            let means: Vec<f64> = q.mean().into_data().iter::<f64>().collect();
            moments.add(&means, latent);
            let prior = self.vae.prior(labels.as_ref(), &self.device);
            let each = q.gaussian().and_then(|q| prior.kl_from(q)).map(|kl| kl.sum_dim(0));
            kl = kl.zip(each).map(|(mut sums, each)| {
                let each = each.into_data();
                sums.iter_mut().zip(each.iter::<f64>()).for_each(|(sum, kl)| *sum += kl);
                sums
            });
        }
        let n = examples.len() as f64;
        let kl = kl.map(|sums| sums.into_iter().map(|sum| sum / n).collect());
        Ok(LatentSummary {
            mean: moments.means().collect(),
            variance: moments.variances().collect(),
            kl,
        })
    }

    /// Returns z `[values, latent]`, row-major: that of `base`, with `values` in dimension
    /// `dimension`.
    ///
    /// # Errors
    /// If `base` is not one z, or has no such dimension.
    pub fn along(
        &self,
        base: &[f32],
        dimension: usize,
        values: &[f32],
    ) -> Result<Vec<f32>, EvalError> {
        let latent = self.vae.config().latent;
        if base.len() != latent || dimension >= latent {
            return Err(EvalError::Request(format!(
                "dimension {dimension} of a z of {} numbers: z of this model has {latent}, counted \
                 from 0",
                base.len()
            )));
        }
        let mut all = Vec::with_capacity(values.len() * latent);
        for value in values {
            all.extend_from_slice(base);
            let last = all.len() - latent + dimension;
            all[last] = *value;
        }
        Ok(all)
    }
}

/// Returns x with `probability` below it under N(0, 1), for a probability between 0 and 1.
pub fn normal_quantile(probability: f64) -> f64 {
    let p = probability;
    if !(p > 0.0 && p < 1.0) {
        return if p <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    // Newton's method for Phi(x) = p in log space, which is nearly linear in x below the median.
    let mut x = if p < 0.1 { -(-2.0 * p.ln()).sqrt() } else { 0.0 };
    for _ in 0..60 {
        let below = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = below / density * (below / p).ln();
        x -= step;
        if step.abs() < 1e-14 * (1.0 + x.abs()) {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        // SciPy 1.17: scipy.stats.norm.ppf.
        for (p, x) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.025, -1.959_963_984_540_054),
            (0.1, -1.281_551_565_544_600_4),
            (1e-10, -6.361_340_902_404_056),
            (0.6, 0.253_347_103_135_799_7),
        ] {
            assert!((normal_quantile(p) - x).abs() < 1e-12, "{p}: {}", normal_quantile(p));
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }

    #[cfg(feature = "flex")]
    #[test]
    fn principal_axes_of_an_ellipse_are_its_axes() {
        // On an ellipse with half-axes 3 along (3, 4) / 5 and 1 across, around (2, -1, 7); the third
        // coordinate does not vary.
        let n = 360;
        let points: Vec<f32> = (0..n)
            .flat_map(|i| {
                let angle = f64::from(i) * std::f64::consts::TAU / f64::from(n);
                let (a, b) = (3.0 * angle.cos(), angle.sin());
                [2.0 + 0.6 * a - 0.8 * b, -1.0 + 0.8 * a + 0.6 * b, 7.0].map(|x| x as f32)
            })
            .collect();
        let found = PrincipalAxes::of(&points, 3, 2, &Device::flex()).unwrap();
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(&found.mean, &[2.0, -1.0, 7.0]), "{found:?}");
        assert!(near(&found.axes[0], &[0.6, 0.8, 0.0]), "{found:?}");
        assert!(near(&found.axes[1], &[0.8, -0.6, 0.0]), "{found:?}");
        // The mean of cos^2 is 1/2.
        assert!(near(&found.variance, &[4.5, 0.5]), "{found:?}");
        assert!((found.total_variance - 5.0).abs() < 1e-5);
        let coordinates = found.project(&points[..3]);
        let coordinates: Vec<f64> = coordinates.into_iter().map(f64::from).collect();
        let back = found.point(&coordinates);
        assert!(back.iter().zip(&points).all(|(a, b)| (a - b).abs() < 1e-5));
        let large: Vec<f32> = points.iter().map(|x| x * 1e20).collect();
        let large = PrincipalAxes::of(&large, 3, 2, &Device::flex()).unwrap();
        assert!((large.variance[0] / 4.5e40 - 1.0).abs() < 1e-4, "{large:?}");
        assert!(PrincipalAxes::of(&[f32::NAN; 3], 3, 2, &Device::flex()).is_err());
    }

    #[test]
    fn the_order_is_by_kl_or_else_by_variance() {
        let (mean, variance) = (vec![0.0; 3], vec![0.1, 0.9, 0.5]);
        let mut summary = LatentSummary { mean, variance, kl: Some(vec![0.2, 0.1, 3.0]) };
        assert_eq!(summary.order(), [2, 0, 1]);
        summary.kl = None;
        assert_eq!(summary.order(), [1, 2, 0]);
    }
}
