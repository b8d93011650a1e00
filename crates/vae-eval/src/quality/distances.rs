//! Distances between two sets of features, of examples and of samples.

use burn::tensor::linalg::svd;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use crate::error::EvalError;

/// k of the radius to the k-th nearest neighbour (Kynkaanniemi et al. 2019).
const NEIGHBOURS: usize = 3;
/// Rows whose products with all others are computed at once.
const ROWS: usize = 500;

/// How samples compare with examples, by features of both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Squared Frechet distance between two Gaussians fitted to the features (Heusel et al. 2017). It is not
    /// FID, which has features of another network.
    pub frechet_distance: f64,
    /// The squared maximum mean discrepancy with the kernel (x y / d + 1)^3, unbiased, so that it may be
    /// negative (Binkowski et al. 2018).
    pub kernel_distance: f64,
    /// The share of samples in the neighbourhood of an example: whether samples are like the data
    /// (Kynkaanniemi et al. 2019).
    pub precision: f64,
    /// The share of examples in the neighbourhood of a sample: whether samples are as varied as the data.
    pub recall: f64,
}

impl Quality {
    /// Checks that `n` examples can be compared with as many samples.
    ///
    /// # Errors
    /// If they are fewer than five.
    pub fn check(n: usize) -> Result<(), EvalError> {
        let fewest = NEIGHBOURS + 2;
        if n >= fewest {
            return Ok(());
        }
        let why = format!("the quality of samples needs at least {fewest} examples, not {n}");
        Err(EvalError::Request(why))
    }

    /// Compares features of examples with those of samples, rows of `width` numbers each. Products are
    /// computed on `device`.
    ///
    /// # Errors
    /// If one has fewer than five rows, or has numbers that are not finite.
    pub fn of(
        examples: &[f32],
        samples: &[f32],
        width: usize,
        device: &Device,
    ) -> Result<Self, EvalError> {
        Self::check(examples.len().min(samples.len()) / width)?;
        if examples.iter().chain(samples).any(|x| !x.is_finite()) {
            let why = "some features are not finite: the training of this model diverged";
            return Err(EvalError::Failed(why.to_owned()));
        }
        let [real, made] = [examples, samples].map(|rows| Set::new(rows, width, device));
        let (within_real, radii) = real.within(width);
        let (within_made, other_radii) = made.within(width);
        let mut between = 0.0;
        let mut is_precise = vec![false; made.squares.len()];
        let mut recalled = 0;
        real.products(&made, |i, products| {
            let mut is_recalled = false;
            for (j, product) in products.iter().enumerate() {
                between += kernel(*product, width);
                let distance = real.squares[i] + made.squares[j] - 2.0 * f64::from(*product);
                is_precise[j] |= distance <= radii[i];
                is_recalled |= distance <= other_radii[j];
            }
            recalled += usize::from(is_recalled);
        });
        let (n, m) = (real.squares.len() as f64, made.squares.len() as f64);
        Ok(Self {
            frechet_distance: frechet(examples, samples, width, device),
            kernel_distance: within_real + within_made - 2.0 * between / (n * m),
            precision: is_precise.iter().filter(|precise| **precise).count() as f64 / m,
            recall: recalled as f64 / n,
        })
    }
}

/// The kernel of two points of `width` numbers, from their product.
fn kernel(product: f32, width: usize) -> f64 {
    (f64::from(product) / width as f64 + 1.0).powi(3)
}

/// Points on a device, and their squared lengths.
struct Set {
    points: Tensor<2>,
    squares: Vec<f64>,
}

impl Set {
    fn new(rows: &[f32], width: usize, device: &Device) -> Self {
        let square = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum();
        let data = TensorData::new(rows.to_vec(), [rows.len() / width, width]);
        Self {
            points: Tensor::from_data(data, device),
            squares: rows.chunks_exact(width).map(square).collect(),
        }
    }

    /// Calls `f` with the index of each point and its products with all points of `other`.
    fn products(&self, other: &Self, mut f: impl FnMut(usize, &[f32])) {
        let n = self.squares.len();
        for first in (0..n).step_by(ROWS) {
            let rows = ROWS.min(n - first);
            let part = self.points.clone().narrow(0, first, rows);
            let products = part.matmul(other.points.clone().transpose());
            let products: Vec<f32> = products.into_data().iter::<f32>().collect();
            for (i, row) in products.chunks_exact(other.squares.len()).enumerate() {
                f(first + i, row);
            }
        }
    }

    /// Returns the mean of the kernel over pairs of different points, and the squared distance of each
    /// point to its third nearest neighbour.
    fn within(&self, width: usize) -> (f64, Vec<f64>) {
        let mut sum = 0.0;
        let mut radii = Vec::with_capacity(self.squares.len());
        self.products(self, |i, products| {
            // The smallest, in order.
            let mut nearest = [f64::INFINITY; NEIGHBOURS];
            for (j, product) in products.iter().enumerate().filter(|(j, _)| *j != i) {
                sum += kernel(*product, width);
                let distance = self.squares[i] + self.squares[j] - 2.0 * f64::from(*product);
                let place = nearest.partition_point(|other| *other <= distance);
                if place < NEIGHBOURS {
                    nearest[place..].rotate_right(1);
                    nearest[place] = distance;
                }
            }
            radii.push(nearest[NEIGHBOURS - 1]);
        });
        let n = self.squares.len() as f64;
        (sum / (n * (n - 1.0)), radii)
    }
}

/// Returns |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) for the means and covariances of two sets.
///
/// With S = L L^T the last trace is the sum of the singular values of L1^T L2: the eigenvalues of S1 S2 are
/// the squares of those.
fn frechet(a: &[f32], b: &[f32], width: usize, device: &Device) -> f64 {
    let [(mean_a, cov_a), (mean_b, cov_b)] = [a, b].map(|rows| moments(rows, width));
    let means: f64 = mean_a.iter().zip(&mean_b).map(|(a, b)| (a - b).powi(2)).sum();
    let trace = |matrix: &[f64]| matrix.iter().step_by(width + 1).sum::<f64>();
    let traces = trace(&cov_a) + trace(&cov_b);
    let [root_a, root_b] = [cov_a, cov_b].map(|matrix| cholesky(matrix, width));
    let at = |matrix: &[f64], i: usize, j: usize| matrix[i * width + j];
    let product = |i: usize, j: usize| -> f64 {
        (0..width).map(|k| at(&root_a, k, i) * at(&root_b, k, j)).sum()
    };
    let product: Vec<f64> = (0..width * width).map(|i| product(i / width, i % width)).collect();
    // Numbers of any size, as f32.
    let unit = product.iter().fold(0.0f64, |a, x| a.max(x.abs())).max(f64::MIN_POSITIVE);
    let data: Vec<f32> = product.into_iter().map(|x| (x / unit) as f32).collect();
    const SWEEPS: usize = 100;
    let matrix = Tensor::from_data(TensorData::new(data, [width, width]), device);
    let (_, values, _) = svd::<2, 1>(matrix, SWEEPS);
    let root: f64 = values.into_data().iter::<f64>().map(|x| x * unit).sum();
    means + traces - 2.0 * root
}

/// Returns the mean of rows, and their unbiased covariance, row-major.
fn moments(rows: &[f32], width: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (rows.len() / width) as f64;
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x) / n);
    }
    let mut covariance = vec![0.0; width * width];
    for row in rows.chunks_exact(width) {
        let centred: Vec<f64> = row.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m).collect();
        for (to, x) in covariance.chunks_exact_mut(width).zip(&centred) {
            to.iter_mut().zip(&centred).for_each(|(sum, y)| *sum += x * y / (n - 1.0));
        }
    }
    (mean, covariance)
}

/// Returns the lower triangle L of S = L L^T, for a covariance S. A feature that is a combination of others
/// has a diagonal of 0.
fn cholesky(mut matrix: Vec<f64>, width: usize) -> Vec<f64> {
    let least = 1e-12 * matrix.iter().step_by(width + 1).fold(0.0f64, |a, x| a.max(*x));
    for j in 0..width {
        let row = j * width;
        let known: f64 = matrix[row..row + j].iter().map(|x| x * x).sum();
        let left = matrix[row + j] - known;
        let diagonal = if left > least { left.sqrt() } else { 0.0 };
        matrix[row + j] = diagonal;
        for i in j + 1..width {
            let known: f64 = (0..j).map(|k| matrix[i * width + k] * matrix[row + k]).sum();
            let left = matrix[i * width + j] - known;
            matrix[i * width + j] = if diagonal > 0.0 { left / diagonal } else { 0.0 };
        }
        matrix[row + j + 1..row + width].fill(0.0);
    }
    matrix
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    /// Rows of a wave, with `shift` and `stretch`.
    fn wave(n: usize, width: usize, shift: f64, stretch: f64) -> Vec<f32> {
        let at = |i: usize, j: usize| {
            let (i, j) = (i as f64, j as f64);
            shift + stretch * ((0.7 * i + 1.3 * j).sin() + 0.5 * (0.11 * i * (j + 1.0)).cos())
        };
        (0..n).flat_map(|i| (0..width).map(move |j| at(i, j) as f32)).collect()
    }

    fn close(name: &str, found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() < tolerance, "{name}: {found}, not {expected}");
    }

    #[test]
    fn distances_are_those_of_independent_programs() {
        // Made by tests/golden/quality.py.
        let (real, made) = (wave(60, 5, 0.0, 1.0), wave(40, 5, 0.6, 1.0));
        let found = Quality::of(&real, &made, 5, &Device::flex()).unwrap();
        close("frechet", found.frechet_distance, GOLDEN[0], 1e-5);
        close("kernel", found.kernel_distance, GOLDEN[1], 1e-5);
        close("precision", found.precision, GOLDEN[2], 1e-9);
        close("recall", found.recall, GOLDEN[3], 1e-9);
    }

    #[test]
    fn gaussians_that_differ_in_one_direction_have_the_distance_of_the_closed_form() {
        // Two points each side: means 0 and 3, variances 1 and 4 of one feature; the other is constant.
        let set = |mean: f32, deviation: f32| -> Vec<f32> {
            let sign = |i: usize| if i.is_multiple_of(2) { -1.0 } else { 1.0 };
            (0..1_000).flat_map(|i| [mean + deviation * sign(i), 7.0]).collect()
        };
        let found = Quality::of(&set(0.0, 1.0), &set(3.0, 2.0), 2, &Device::flex()).unwrap();
        close("frechet", found.frechet_distance, 9.0 + 1.0, 0.01);
    }

    #[test]
    fn samples_of_one_kind_are_precise_and_recall_little() {
        let data = wave(200, 4, 0.0, 1.0);
        let device = Device::flex();
        let same = Quality::of(&data, &data, 4, &device).unwrap();
        close("frechet", same.frechet_distance, 0.0, 1e-4);
        assert!((same.precision, same.recall) == (1.0, 1.0), "{same:?}");
        // The first examples, a little moved, again and again.
        let few: Vec<f32> = (0..200usize)
            .flat_map(|i| {
                let first = i % 5 * 4;
                data[first..first + 4].iter().map(move |x| x + 1e-3 * (i as f32).sin())
            })
            .collect();
        let found = Quality::of(&data, &few, 4, &device).unwrap();
        assert!(found.precision > 0.99 && found.recall < 0.1, "{found:?}");
        assert!(found.frechet_distance > 0.1 && found.kernel_distance > 0.01, "{found:?}");
    }

    #[test]
    fn too_few_and_broken_features_are_refused() {
        let device = Device::flex();
        let refused = |examples: &[f32], samples: &[f32]| {
            Quality::of(examples, samples, 2, &device).unwrap_err().to_string()
        };
        assert!(refused(&[0.0; 8], &[0.0; 20]).contains("at least 5"));
        assert!(refused(&[f32::NAN; 20], &[0.0; 20]).contains("finite"));
    }

    const GOLDEN: [f64; 4] = [1.6603167490904158, 1.3665227362981818, 0.675, 0.21666666666666667];
}
