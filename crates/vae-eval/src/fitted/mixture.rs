//! A mixture of Gaussians with full covariances, fitted by expectation maximization (Dempster et
//! al. 1977). Ghosh et al. 2020 fit it on the codes of autoencoders.

use std::collections::BTreeMap;

use rayon::prelude::*;
use vae_data::rng::Stream;
use vae_model::Noise;
use vae_model::init::Stored;
use vae_model::math::categorical;

use crate::error::EvalError;
use crate::statistics::column_variances;

/// Largest number of Gaussians in the mixture.
const COMPONENTS: usize = 10;
/// In more dimensions than this, the mixture has one Gaussian. One Gaussian needs three rounds,
/// several need dozens.
const MANY_DIMENSIONS: usize = 128;
/// Largest number of rounds of expectation and maximization.
const ROUNDS: usize = 100;
/// The fit ends when a round improves the log-likelihood by less than this, in nats per point.
const ENOUGH: f64 = 1e-4;
/// Fraction of the data's variance that is added to each component's variance. It prevents a
/// component from collapsing onto a few points.
const FLOOR: f64 = 1e-4;
const LOG_2_PI: f64 = 1.837_877_066_409_345_3;

/// A mixture of Gaussians with full covariances over z of `latent` dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    latent: usize,
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq)]
struct Component {
    weight: f64,
    mean: Vec<f64>,
    /// Cholesky factor of the covariance, lower triangular, `[latent, latent]`, row-major.
    factor: Vec<f64>,
}

impl Component {
    /// Returns log N(x; mean, covariance) in nats. `scratch` has the length of `x`.
    fn log_prob(&self, x: &[f64], scratch: &mut [f64]) -> f64 {
        let d = x.len();
        let mut log = -0.5 * d as f64 * LOG_2_PI;
        for i in 0..d {
            let row = &self.factor[i * d..=i * d + i];
            let known: f64 = row[..i].iter().zip(&scratch[..i]).map(|(l, y)| l * y).sum();
            scratch[i] = (x[i] - self.mean[i] - known) / row[i];
            log -= 0.5 * scratch[i] * scratch[i] + row[i].ln();
        }
        log
    }
}

impl GaussianMixture {
    /// Fits the mixture on rows `[n, latent]`. The seed determines the initial components.
    ///
    /// # Errors
    /// If there are fewer than two rows, or if a value is NaN or infinite.
    pub fn fit(rows: &[f32], latent: usize, seed: u64) -> Result<Self, EvalError> {
        let points: Vec<f64> = rows.iter().map(|v| f64::from(*v)).collect();
        let n = points.len() / latent.max(1);
        if n < 2 {
            return Err(EvalError::Request(format!("a prior cannot be fitted on {n} examples")));
        }
        if points.iter().any(|v| !v.is_finite()) {
            let why = "a prior cannot be fitted: a code is NaN or infinite".to_owned();
            return Err(EvalError::Failed(why));
        }
        let spread = spread(&points, latent);
        let mut mixture = Self::start(&points, latent, &spread, seed);
        let mut before = f64::NEG_INFINITY;
        for _ in 0..ROUNDS {
            let (shares, likelihood) = mixture.expect(&points);
            mixture = Self::maximize(&points, latent, &shares, &spread);
            if likelihood - before < ENOUGH {
                break;
            }
            before = likelihood;
        }
        Ok(mixture)
    }

    /// Returns the initial mixture: components of equal variances at points chosen by k-means++
    /// (Arthur and Vassilvitskii 2007). Points far from the chosen ones are chosen more likely.
    fn start(points: &[f64], d: usize, spread: &[f64], seed: u64) -> Self {
        let n = points.len() / d;
        let k = if d > MANY_DIMENSIONS { 1 } else { COMPONENTS.min(n / 2).max(1) };
        let stream = Stream::new(seed, "start of the fitted prior");
        let mut nearest = vec![f64::INFINITY; n];
        let mut components = Vec::new();
        for i in 0..k {
            let u = f64::from(stream.uniform4([i as u32, 0, 0, 0])[0]);
            let chosen = if i == 0 {
                (u * n as f64) as usize
            } else {
                let total: f64 = nearest.iter().sum();
                categorical(nearest.iter().copied(), total, u)
            };
            let mean = points[chosen * d..(chosen + 1) * d].to_vec();
            for (point, nearest) in points.chunks(d).zip(&mut nearest) {
                let square = point.iter().zip(&mean).map(|(a, b)| (a - b) * (a - b)).sum();
                *nearest = nearest.min(square);
            }
            let mut factor = vec![0.0; d * d];
            for j in 0..d {
                factor[j * d + j] = spread[j].sqrt();
            }
            components.push(Component { weight: 1.0 / k as f64, mean, factor });
        }
        Self { latent: d, components }
    }

    /// Returns the responsibilities of the components for each point, `[n, k]`, and the
    /// log-likelihood in nats, averaged over the points.
    fn expect(&self, points: &[f64]) -> (Vec<f64>, f64) {
        let (d, k) = (self.latent, self.components.len());
        let mut shares = vec![0.0; points.len() / d * k];
        let likelihoods: Vec<f64> = shares
            .par_chunks_mut(k)
            .zip(points.par_chunks(d))
            .map_init(
                || vec![0.0; d],
                |scratch, (share, point)| {
                    for (s, c) in share.iter_mut().zip(&self.components) {
                        *s = c.weight.ln() + c.log_prob(point, scratch);
                    }
                    let largest = share.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
                    let sum: f64 = share.iter().map(|s| (s - largest).exp()).sum();
                    let log = largest + sum.ln();
                    share.iter_mut().for_each(|s| *s = (*s - log).exp());
                    log
                },
            )
            .collect();
        let n = likelihoods.len() as f64;
        (shares, likelihoods.iter().sum::<f64>() / n)
    }

    /// Returns the mixture with the largest expected log-likelihood for the responsibilities
    /// `shares`.
    fn maximize(points: &[f64], d: usize, shares: &[f64], spread: &[f64]) -> Self {
        let n = points.len() / d;
        let k = shares.len() / n;
        let component = |c: usize| {
            let share = |i: usize| shares[i * k + c];
            let total = (0..n).map(share).sum::<f64>().max(1e-12);
            let mut mean = vec![0.0; d];
            for (i, point) in points.chunks(d).enumerate() {
                let w = share(i) / total;
                mean.iter_mut().zip(point).for_each(|(m, x)| *m += w * x);
            }
            let mut covariance = vec![0.0; d * d];
            for (i, point) in points.chunks(d).enumerate() {
                let w = share(i) / total;
                if w > 0.0 {
                    let from: Vec<f64> = point.iter().zip(&mean).map(|(x, m)| x - m).collect();
                    for a in 0..d {
                        let wa = w * from[a];
                        let row = &mut covariance[a * d..=a * d + a];
                        row.iter_mut().zip(&from).for_each(|(c, b)| *c += wa * b);
                    }
                }
            }
            for (j, spread) in spread.iter().enumerate() {
                covariance[j * d + j] += FLOOR * spread;
            }
            Component { weight: total / n as f64, mean, factor: cholesky(covariance, d) }
        };
        let mut components: Vec<Component> = (0..k).into_par_iter().map(component).collect();
        let sum: f64 = components.iter().map(|c| c.weight).sum();
        components.iter_mut().for_each(|c| c.weight /= sum);
        Self { latent: d, components }
    }

    /// Returns the log-density in nats, averaged over the rows.
    pub fn log_prob(&self, rows: &[f32]) -> f64 {
        self.expect(&rows.iter().map(|v| f64::from(*v)).collect::<Vec<_>>()).1
    }

    /// Returns `n` samples, `[n, latent]`, row-major.
    pub fn sample(&self, noise: &dyn Noise, n: usize) -> Vec<f32> {
        let d = self.latent;
        let chosen = noise.uniform("component of the fitted prior", [1, n, 1]);
        let eps = noise.normal("fitted prior", [1, n, d]);
        let mut rows = Vec::with_capacity(n * d);
        for (u, eps) in chosen.iter().zip(eps.chunks(d)) {
            let weights = self.components.iter().map(|c| c.weight);
            let c = &self.components[categorical(weights, 1.0, f64::from(*u))];
            for i in 0..d {
                let row = &c.factor[i * d..=i * d + i];
                let bent: f64 = row.iter().zip(eps).map(|(l, e)| l * f64::from(*e)).sum();
                rows.push((c.mean[i] + bent) as f32);
            }
        }
        rows
    }

    /// Returns the parameters for a file, by name.
    pub fn to_tensors(&self) -> BTreeMap<String, Stored> {
        let (k, d) = (self.components.len(), self.latent);
        let flat = |of: fn(&Component) -> &[f64]| -> Vec<f32> {
            self.components.iter().flat_map(|c| of(c).iter().map(|v| *v as f32)).collect()
        };
        let weights = self.components.iter().map(|c| c.weight as f32).collect();
        [
            ("weights", Stored { shape: vec![k], values: weights }),
            ("means", Stored { shape: vec![k, d], values: flat(|c| &c.mean) }),
            ("factors", Stored { shape: vec![k, d, d], values: flat(|c| &c.factor) }),
        ]
        .map(|(name, stored)| (name.to_owned(), stored))
        .into()
    }

    /// Makes the mixture from the parameters in a file. `None` if there are none.
    ///
    /// # Errors
    /// If they are not the parameters of a mixture over `latent` dimensions.
    pub fn from_tensors(
        mut tensors: BTreeMap<String, Stored>,
        latent: usize,
    ) -> Result<Option<Self>, String> {
        if tensors.is_empty() {
            return Ok(None);
        }
        let mut take = |name: &str| tensors.remove(name).ok_or(format!("`{name}` is missing"));
        let (weights, means, factors) = (take("weights")?, take("means")?, take("factors")?);
        let k = weights.values.len();
        let shapes = [&weights, &means, &factors].map(|t| t.shape.clone());
        if k == 0 || shapes != [vec![k], vec![k, latent], vec![k, latent, latent]] {
            return Err(format!("shapes {shapes:?} do not fit a mixture in {latent} dimensions"));
        }
        let sum: f64 = weights.values.iter().map(|w| f64::from(*w)).sum();
        if weights.values.iter().any(|w| *w < 0.0) || (sum - 1.0).abs() > 1e-3 {
            return Err("the weights of the mixture are no probabilities".to_owned());
        }
        let mut diagonals =
            factors.values.chunks(latent * latent).flat_map(|f| f.iter().step_by(latent + 1));
        if diagonals.any(|v| *v <= 0.0) {
            return Err("a covariance of the mixture is not positive definite".to_owned());
        }
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let components = (0..k).map(|i| Component {
            weight: f64::from(weights.values[i]),
            mean: wide(&means.values[i * latent..(i + 1) * latent]),
            factor: wide(&factors.values[i * latent * latent..(i + 1) * latent * latent]),
        });
        Ok(Some(Self { latent, components: components.collect() }))
    }
}

/// Returns the variance of each column, or 1 for a constant column.
fn spread(points: &[f64], d: usize) -> Vec<f64> {
    let or_one = |variance| if variance > 1e-12 { variance } else { 1.0 };
    column_variances(points, d).map(or_one).collect()
}

/// Returns the Cholesky factor L of a covariance L L^T, `[d, d]`, row-major. Only the lower
/// triangle of `a` is read.
fn cholesky(mut a: Vec<f64>, d: usize) -> Vec<f64> {
    for i in 0..d {
        for j in 0..=i {
            let known: f64 = (0..j).map(|l| a[i * d + l] * a[j * d + l]).sum();
            let left = a[i * d + j] - known;
            a[i * d + j] = if i == j { left.max(1e-12).sqrt() } else { left / a[j * d + j] };
        }
        a[i * d + i + 1..(i + 1) * d].fill(0.0);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{KeyedNoise, Phase};

    /// Returns a mixture of two Gaussians with means (-3, 0) and (3, 1), correlated dimensions, and
    /// weights 1/4 and 3/4.
    fn two() -> GaussianMixture {
        let factor = vec![1.0, 0.0, 0.8, 0.6];
        let component = |weight, mean: [f64; 2]| Component {
            weight,
            mean: mean.to_vec(),
            factor: factor.clone(),
        };
        GaussianMixture {
            latent: 2,
            components: vec![component(0.25, [-3.0, 0.0]), component(0.75, [3.0, 1.0])],
        }
    }

    fn moments(rows: &[f32]) -> [f64; 5] {
        let n = (rows.len() / 2) as f64;
        let mean = |f: &dyn Fn(f64, f64) -> f64| {
            rows.chunks(2).map(|r| f(f64::from(r[0]), f64::from(r[1]))).sum::<f64>() / n
        };
        let (x, y) = (mean(&|x, _| x), mean(&|_, y| y));
        [
            x,
            y,
            mean(&|a, _| (a - x).powi(2)),
            mean(&|_, b| (b - y).powi(2)),
            mean(&|a, b| (a - x) * (b - y)),
        ]
    }

    #[test]
    fn samples_have_the_moments_of_the_mixture() {
        let rows = two().sample(&KeyedNoise::new(3, Phase::Generate), 40_000);
        // By hand: mean 1.5 and 0.75; the means' variance is 36 * 3/16 in x and 3/16 in y.
        let expected = [1.5, 0.75, 1.0 + 6.75, 1.0 + 0.1875, 0.8 + 1.125];
        for (found, expected) in moments(&rows).into_iter().zip(expected) {
            assert!((found - expected).abs() < 0.08, "{found} {expected}");
        }
    }

    #[test]
    fn a_mixture_fitted_on_samples_has_the_likelihood_of_the_true_mixture() {
        let truth = two();
        let draws = |seed| truth.sample(&KeyedNoise::new(seed, Phase::Generate), 4_000);
        let fitted = GaussianMixture::fit(&draws(1), 2, 0).unwrap();
        let fresh = draws(2);
        let (found, best) = (fitted.log_prob(&fresh), truth.log_prob(&fresh));
        assert!(found > best - 0.03, "{found} {best}");
        assert!(found < best + 0.03, "{found} {best}");
        // A single Gaussian is worse.
        let (m, n) = (moments(&fresh), 2.0);
        let single = -0.5 * n * (LOG_2_PI + 1.0) - 0.5 * (m[2] * m[3] - m[4] * m[4]).ln();
        assert!(found > single + 0.2, "{found} {single}");
    }

    #[test]
    fn the_density_at_a_mean_is_that_of_the_formula() {
        // At the first mean, alone: 1 / (2 pi |L|) with |L| = 0.6.
        let mut one = two();
        one.components.truncate(1);
        one.components[0].weight = 1.0;
        let expected = -LOG_2_PI - 0.6f64.ln();
        assert!((one.log_prob(&[-3.0, 0.0]) - expected).abs() < 1e-12);
    }

    #[test]
    fn a_mixture_round_trips_through_tensors_and_wrong_tensors_are_refused() {
        let tensors = two().to_tensors();
        assert!(GaussianMixture::from_tensors(BTreeMap::new(), 2).unwrap().is_none());
        let back = GaussianMixture::from_tensors(tensors.clone(), 2).unwrap().unwrap();
        assert_eq!(back.to_tensors(), tensors);
        assert!(GaussianMixture::from_tensors(tensors.clone(), 3).is_err());
        let mut missing = tensors;
        missing.remove("means");
        assert!(GaussianMixture::from_tensors(missing, 2).is_err());
    }

    #[test]
    fn constant_dimensions_are_fitted_and_too_few_points_or_nan_are_refused() {
        let rows: Vec<f32> = (0..40).flat_map(|i| [i as f32, 7.0]).collect();
        let fitted = GaussianMixture::fit(&rows, 2, 0).unwrap();
        let drawn = fitted.sample(&KeyedNoise::new(0, Phase::Generate), 100);
        assert!(drawn.iter().all(|v| v.is_finite()));
        assert!(drawn.chunks(2).all(|r| (r[1] - 7.0).abs() < 0.2));
        assert!(GaussianMixture::fit(&[1.0, 2.0], 2, 0).is_err());
        assert!(GaussianMixture::fit(&[1.0, f32::NAN, 3.0], 1, 0).is_err());
    }
}
