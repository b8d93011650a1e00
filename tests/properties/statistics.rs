//! Estimates with their standard errors, grids to integrate over, and small sums that the other
//! modules share.

use burn::tensor::Tensor;
use vae_eval::{KeyedNoise, Phase};
use vae_model::Noise;

use crate::common::{device, tensor};

/// So many standard errors may an estimate be off: by chance one in 16,000 is.
pub const ERRORS: f64 = 4.0;

/// What an integral over a grid may be off: its steps are a fifth or less of the narrowest density
/// here, and outside of it lies less than 1e-4.
pub const GRID: f64 = 1e-3;

/// Draws behind an estimate: means of numbers of size 1 are then known to 0.005.
pub const DRAWS: usize = 50_000;

/// A mean and its standard error.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    pub value: f64,
    pub error: f64,
}

impl Mean {
    pub fn of(numbers: &[f64]) -> Self {
        let n = numbers.len() as f64;
        let value = numbers.iter().sum::<f64>() / n;
        let variance = numbers.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (n - 1.0);
        Self { value, error: (variance / n).sqrt() }
    }

    /// Of a number that is known.
    pub fn exactly(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    pub fn minus(self, other: Self) -> Self {
        Self { value: self.value - other.value, error: self.error.hypot(other.error) }
    }

    /// Checks that both estimate one number, up to `slack` that is no chance.
    pub fn assert_is(self, what: &str, expected: Self, slack: f64) {
        let Self { value, error } = self.minus(expected);
        let allowed = ERRORS * error + slack;
        assert!(value.abs() <= allowed, "{what}: {self:?} is not {expected:?}");
    }
}

/// A function whose mean is compared, and its name.
pub type Moment = (&'static str, fn(f64) -> f64);

/// Column `i` of rows.
pub fn column(rows: &[Vec<f64>], i: usize) -> Vec<f64> {
    rows.iter().map(|row| row[i]).collect()
}

pub fn noise(seed: u64) -> KeyedNoise {
    KeyedNoise::new(seed, Phase::Evaluate)
}

/// Normal numbers `[rows, width]`.
pub fn normal(seed: u64, [rows, width]: [usize; 2]) -> Tensor<2> {
    tensor(noise(seed).normal("numbers", [1, rows, width]), [rows, width], &device())
}

/// Points that fill a box about 0, and the volume that each stands for.
pub struct Grid {
    pub points: Vec<f64>,
    pub dimensions: usize,
    pub volume: f64,
}

impl Grid {
    /// From -`half` to `half` along each of one or two dimensions.
    pub fn new(dimensions: usize, half: f64, step: f64) -> Self {
        let n = (2.0 * half / step).round() as usize + 1;
        let at = |i: usize| i as f64 * step - half;
        let points = match dimensions {
            1 => (0..n).map(at).collect(),
            2 => (0..n * n).flat_map(|i| [at(i / n), at(i % n)]).collect(),
            more => panic!("no grid of {more} dimensions"),
        };
        Self { points, dimensions, volume: step.powi(dimensions as i32) }
    }

    /// Wide and fine enough for the densities of the shaken models: flows reach out to 15, and the
    /// narrowest Gaussian has a standard deviation of a quarter.
    pub fn of_models(dimensions: usize) -> Self {
        Self::new(dimensions, 20.0, if dimensions == 1 { 0.02 } else { 0.1 })
    }

    pub fn len(&self) -> usize {
        self.points.len() / self.dimensions
    }

    /// The points as z of a shape.
    pub fn z(&self, shape: [usize; 3]) -> Tensor<3> {
        tensor(self.points.iter().map(|x| *x as f32).collect(), shape, &device())
    }

    /// The integral of f times the density of which these are the logarithms at the points.
    pub fn integral(&self, log_density: &[f64], f: impl Fn(&[f64]) -> f64) -> f64 {
        assert_eq!(log_density.len(), self.len());
        let points = self.points.chunks(self.dimensions);
        points.zip(log_density).map(|(z, log_p)| f(z) * log_p.exp()).sum::<f64>() * self.volume
    }
}

pub fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

pub fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}
