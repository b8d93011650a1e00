//! What must hold of every density, flow, bound, estimator, discrepancy and critic by mathematics alone: integrals,
//! expectations within their standard errors, inverses, limits; and of every combination of choices that it
//! gives numbers or is refused in words.

#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "golden/common.rs"]
#[allow(dead_code, reason = "the tests of golden numbers use the rest")]
mod common;

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use common::{INPUT, NUMBERS, by_path, choice, device, host, tensor, vae_config};
use vae_data::Environment;
use vae_model::config::Choice;
use vae_model::critic::{Critic, CriticConfig};
use vae_model::divergence::{Kernel, mmd};
use vae_model::init::{Init, build_stored};
use vae_model::likelihood::{Decoding, LikelihoodConfig};
use vae_model::network::{Activation, NetworkConfig};
use vae_model::objective::{AdversarialConfig, CriticLoss, stratified};
use vae_model::parameters::parameters;
use vae_model::posterior::{Encoding, Gaussian, IafStep, PosteriorConfig};
use vae_model::prior::{CodePrior, Density, HierarchicalConfig, PriorConfig, RealNvpConfig};
use vae_model::{Batch, Domain, Learnable, Noise, ObjectiveConfig, Player, Vae};
use vae_tests::config;
use vae_train::{KeyedNoise, Phase, TrainConfig, Trainer, data};

// ------------------------------------------------------------ estimates and their errors

/// So many standard errors may an estimate be off: by chance one in 16,000 is.
const ERRORS: f64 = 4.0;

/// What an integral over a grid may be off: its steps are a fifth or less of the narrowest density here, and
/// outside of it lies less than 1e-4.
const GRID: f64 = 1e-3;

/// Draws behind an estimate: means of numbers of size 1 are then known to 0.005.
const DRAWS: usize = 50_000;

/// A mean and its standard error.
#[derive(Clone, Copy, Debug)]
struct Mean {
    value: f64,
    error: f64,
}

impl Mean {
    fn of(numbers: &[f64]) -> Self {
        let n = numbers.len() as f64;
        let value = numbers.iter().sum::<f64>() / n;
        let variance = numbers.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (n - 1.0);
        Self { value, error: (variance / n).sqrt() }
    }

    /// Of a number that is known.
    fn exactly(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    fn minus(self, other: Self) -> Self {
        Self { value: self.value - other.value, error: self.error.hypot(other.error) }
    }

    /// Checks that both estimate one number, up to `slack` that is no chance.
    fn assert_is(self, what: &str, expected: Self, slack: f64) {
        let Self { value, error } = self.minus(expected);
        let allowed = ERRORS * error + slack;
        assert!(value.abs() <= allowed, "{what}: {self:?} is not {expected:?}");
    }
}

/// A function whose mean is compared, and its name.
type Moment = (&'static str, fn(f64) -> f64);

/// Column `i` of rows.
fn column(rows: &[Vec<f64>], i: usize) -> Vec<f64> {
    rows.iter().map(|row| row[i]).collect()
}

fn noise(seed: u64) -> KeyedNoise {
    KeyedNoise::new(seed, Phase::Evaluate)
}

/// Normal numbers `[rows, width]`.
fn normal(seed: u64, [rows, width]: [usize; 2]) -> Tensor<2> {
    tensor(noise(seed).normal("numbers", [1, rows, width]), [rows, width], &device())
}

// ------------------------------------------------------------ models

/// Gives each parameter in its turn to `change`: how many came before it, and its numbers.
struct Change<F>(usize, F);

impl<F: FnMut(usize, &mut [f32])> ModuleMapper for Change<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Self(done, change) = self;
        let before = *done;
        *done += 1;
        param.map(|values| {
            let (shape, device) = (values.dims(), values.device());
            let mut numbers: Vec<f32> = values.into_data().iter::<f32>().collect();
            change(before, &mut numbers);
            Tensor::from_data(TensorData::new(numbers, shape), &device)
        })
    }
}

/// The module (without autodiff) with normal numbers of standard deviation `size` added to all its parameters,
/// so that nothing of it is as special as it starts.
fn shaken<M: Module>(module: M, size: f64, seed: u64) -> M {
    module.map(&mut Change(0, |before: usize, numbers: &mut [f32]| {
        let added = noise(seed).normal(&format!("parameter {before}"), [1, 1, numbers.len()]);
        for (number, added) in numbers.iter_mut().zip(added) {
            *number += (size * f64::from(added)) as f32;
        }
    }))
}

/// The module (without autodiff) with all parameters 0.
fn emptied<M: Module>(module: M) -> M {
    module.map(&mut Change(0, |_: usize, numbers: &mut [f32]| numbers.fill(0.0)))
}

/// A small model with tables for its posterior and its prior, shaken.
fn vae(latent: usize, posterior: &str, prior: &str, size: f64) -> Vae {
    let config = vae_config(&format!(
        "[model]\nlatent = {latent}\n[model.encoder]\nhidden = [8]\nactivation = \"tanh\"\n\
         [model.posterior]\n{posterior}\n[model.prior]\n{prior}\n"
    ));
    shaken(config.init(&Domain::new(&INPUT), &noise(1), &device()), size, 2)
}

/// `n` black and white images of the small models.
fn images(n: usize) -> Tensor<2> {
    let grey = noise(3).uniform("images", [1, n, NUMBERS]);
    let x = grey.into_iter().map(|u| f32::from(u < 0.5)).collect();
    tensor(x, [n, NUMBERS], &device())
}

fn objective(table: &str) -> ObjectiveConfig {
    choice(&format!("[objective]\n{table}\n"), "objective")
}

// ------------------------------------------------------------ integrals over z

/// Points that fill a box about 0, and the volume that each stands for.
struct Grid {
    points: Vec<f64>,
    dimensions: usize,
    volume: f64,
}

impl Grid {
    /// From -`half` to `half` along each of one or two dimensions.
    fn new(dimensions: usize, half: f64, step: f64) -> Self {
        let n = (2.0 * half / step).round() as usize + 1;
        let at = |i: usize| i as f64 * step - half;
        let points = match dimensions {
            1 => (0..n).map(at).collect(),
            2 => (0..n * n).flat_map(|i| [at(i / n), at(i % n)]).collect(),
            more => panic!("no grid of {more} dimensions"),
        };
        Self { points, dimensions, volume: step.powi(dimensions as i32) }
    }

    /// Wide and fine enough for the densities of the shaken models: flows reach out to 15, and the narrowest
    /// Gaussian has a standard deviation of a quarter.
    fn of_models(dimensions: usize) -> Self {
        Self::new(dimensions, 20.0, if dimensions == 1 { 0.02 } else { 0.1 })
    }

    fn len(&self) -> usize {
        self.points.len() / self.dimensions
    }

    /// The points as z of a shape.
    fn z(&self, shape: [usize; 3]) -> Tensor<3> {
        tensor(self.points.iter().map(|x| *x as f32).collect(), shape, &device())
    }

    /// The integral of f times the density of which these are the logarithms at the points.
    fn integral(&self, log_density: &[f64], f: impl Fn(&[f64]) -> f64) -> f64 {
        assert_eq!(log_density.len(), self.len());
        let points = self.points.chunks(self.dimensions);
        points.zip(log_density).map(|(z, log_p)| f(z) * log_p.exp()).sum::<f64>() * self.volume
    }
}

/// Every prior that has a density, with its dimensions. A ring and couplings need two.
const PRIORS: [(usize, &str); 8] = [
    (1, "kind = \"standard\""),
    (2, "kind = \"standard\""),
    (2, "kind = \"mixture\"\nk = 5\nradius = 2.0\nsigma = 0.4"),
    (1, "kind = \"mixture\"\ncomponents = \"learned\"\nk = 3\nradius = 1.5"),
    (2, "kind = \"mixture\"\ncomponents = \"learned\"\nk = 3\nradius = 1.5"),
    (1, "kind = \"vamp\"\nk = 4"),
    (2, "kind = \"vamp\"\nk = 4"),
    (2, "kind = \"realnvp\"\ncouplings = 2\nhidden = [8]"),
];

/// How much the parameters of models with a density are shaken: couplings then scale by up to 5.
const SHAKE: f64 = 0.3;

fn density(latent: usize, prior: &str) -> Density {
    vae(latent, "", prior, SHAKE).prior(&device())
}

#[test]
fn every_prior_with_a_density_is_integrated() {
    for kind in PriorConfig::KINDS {
        let integrated = PRIORS.iter().any(|(_, prior)| prior.contains(&format!("\"{kind}\"")));
        // Its density is known in expectation only; it has tests of its own.
        assert!(integrated || *kind == "hierarchical", "{kind}");
    }
}

#[test]
fn the_density_of_every_prior_integrates_to_one() {
    for (latent, prior) in PRIORS {
        let grid = Grid::of_models(latent);
        let log_p = density(latent, prior).log_prob(grid.z([1, grid.len(), latent]), &noise(0));
        let mass = grid.integral(&host(log_p), |_| 1.0);
        assert!((mass - 1.0).abs() < GRID, "{latent} dimensions, {prior}: {mass}");
    }
}

/// What draws and density are compared by: mean and square of each dimension, and the product of all.
fn moments(z: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = z.iter().flat_map(|z| [*z, z * z]).collect();
    all.push(z.iter().product());
    all
}

#[test]
fn draws_from_every_prior_have_the_moments_that_its_density_says() {
    for (latent, prior) in PRIORS {
        let p = density(latent, prior);
        let draws = host(p.sample(&noise(4), DRAWS, &device()));
        let of_draws: Vec<Vec<f64>> = draws.chunks(latent).map(moments).collect();
        let grid = Grid::of_models(latent);
        let log_p = host(p.log_prob(grid.z([1, grid.len(), latent]), &noise(0)));
        for i in 0..of_draws[0].len() {
            let expected = grid.integral(&log_p, |z| moments(z)[i]);
            let found = Mean::of(&column(&of_draws, i));
            let what = format!("moment {i} of {prior} in {latent} dimensions");
            found.assert_is(&what, Mean::exactly(expected), GRID * (1.0 + expected.abs()));
        }
    }
}

#[test]
fn a_ring_of_one_gaussian_at_the_centre_is_the_standard_prior() {
    for latent in [2, 3] {
        let prior = |table: &str| density(latent, table);
        let ring = prior("kind = \"mixture\"\nk = 1\nradius = 0.0\nsigma = 1.0");
        let standard = prior("kind = \"standard\"");
        let draws = standard.sample(&noise(5), 100, &device());
        assert_eq!(host(ring.sample(&noise(5), 100, &device())), host(draws.clone()));
        let z = draws.unsqueeze::<3>();
        let [of_ring, of_standard] =
            [ring, standard].map(|p| host(p.log_prob(z.clone(), &noise(0))));
        for (a, b) in of_ring.iter().zip(&of_standard) {
            assert!((a - b).abs() < 1e-5, "{latent} dimensions: {a} {b}");
        }
    }
}

// ------------------------------------------------------------ a second level

/// Draws of u for each z on the grid.
const LEVELS: usize = 1_000;

/// A second level over one dimension. Its q(u|z) is made wider than p(u) and its mean is held near 0, so that the
/// weights, which are p(z|u) p(u) / q(u|z), have a bound and with it a variance.
fn second_level() -> Density {
    let (noise, device) = (noise(6), device());
    let config = HierarchicalConfig { latent: 2, hidden: vec![8], activation: Activation::Tanh };
    let level = shaken(config.init(&Init::drawn(&noise, &device), 1), SHAKE, 7);
    let mut weights = parameters(&level);
    let mut change = |path: &str, f: fn(f32) -> f32| {
        let values = &mut weights.get_mut(path).unwrap().values;
        values.iter_mut().for_each(|x| *x = f(*x));
    };
    change("inference.mean.output.weight", |x| 0.3 * x);
    change("inference.mean.output.bias", |x| 0.3 * x);
    change("inference.log_var.output.weight", |_| 0.0);
    change("inference.log_var.output.bias", |_| std::f32::consts::LN_2);
    Density::Hierarchical(build_stored(weights, &device, |init| config.init(init, 1)).unwrap())
}

/// An integral of f times the density, estimated from one draw of u at each point, so many times.
fn estimates_of_integral(grid: &Grid, log_weights: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    log_weights.chunks(grid.len()).map(|draw| grid.integral(draw, |z| f(z[0]))).collect()
}

#[test]
fn the_density_of_a_second_level_is_one_in_expectation_and_that_of_its_draws() {
    let (level, grid) = (second_level(), Grid::new(1, 20.0, 0.1));
    let z = grid.z([1, grid.len(), 1]).repeat_dim(0, LEVELS);
    let log_weights = host(level.log_prob(z, &noise(8)));
    let draws = host(level.sample(&noise(9), DRAWS, &device()));
    let functions: [Moment; 3] = [("mass", |_| 1.0), ("mean", |z| z), ("square", |z| z * z)];
    for (what, f) in functions {
        let integral = Mean::of(&estimates_of_integral(&grid, &log_weights, f));
        assert!(integral.error < 0.02, "{what}: {integral:?} says little");
        let of_draws: Vec<f64> = draws.iter().map(|z| f(*z)).collect();
        Mean::of(&of_draws).assert_is(what, integral, GRID);
    }
}

// ------------------------------------------------------------ posteriors

#[test]
fn the_density_of_a_gaussian_posterior_integrates_to_one_and_is_that_of_its_draws() {
    const EXAMPLES: usize = 3;
    for latent in [1, 2] {
        let q = vae(latent, "", "", SHAKE).encode(images(EXAMPLES), None);
        let grid = Grid::of_models(latent);
        let z = grid.z([grid.len(), 1, latent]).repeat_dim(1, EXAMPLES);
        let log_q = host(q.log_prob(z).unwrap());
        for example in 0..EXAMPLES {
            let own: Vec<f64> = log_q.iter().skip(example).step_by(EXAMPLES).copied().collect();
            let mass = grid.integral(&own, |_| 1.0);
            assert!((mass - 1.0).abs() < GRID, "example {example} in {latent} dimensions: {mass}");
        }
        let draw = q.draw(&noise(10), 20);
        let (at_draws, anywhere) = (host(draw.log_q().unwrap()), host(q.log_prob(draw.z).unwrap()));
        for (a, b) in at_draws.iter().zip(&anywhere) {
            // (z - mean) / sigma loses what eps had in its last bits.
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

/// The density of a flow is known at its draws only; but E_q[r(z) / q(z)] = 1 for every density r that lies within
/// q.
#[test]
fn the_density_of_a_flow_at_its_draws_is_that_of_what_is_drawn() {
    let latent = 2;
    let vae = vae(latent, "flow_steps = 2\nflow_hidden = 16", "", SHAKE);
    let q = vae.encode(images(1), None);
    // r is a normal density about the mean of q, half as wide.
    let draws = host(q.draw(&noise(11), DRAWS).z);
    let rows: Vec<Vec<f64>> = draws.chunks(latent).map(<[f64]>::to_vec).collect();
    let r: Vec<(f64, f64)> = (0..latent)
        .map(|d| {
            let Mean { value, error } = Mean::of(&column(&rows, d));
            (value, 0.5 * error * (DRAWS as f64).sqrt())
        })
        .collect();
    let log_r = |z: &[f64]| -> f64 {
        let each = z.iter().zip(&r).map(|(z, (mean, sigma))| {
            -0.5 * ((z - mean) / sigma).powi(2) - sigma.ln() - 0.5 * std::f64::consts::TAU.ln()
        });
        each.sum()
    };
    let draw = q.draw(&noise(12), DRAWS);
    let log_q = host(draw.log_q().unwrap());
    let z = host(draw.z);
    let ratios: Vec<f64> =
        z.chunks(latent).zip(&log_q).map(|(z, log_q)| (log_r(z) - log_q).exp()).collect();
    let mean = Mean::of(&ratios);
    // Without the flow's determinant it would be off by a third.
    assert!(mean.error < 0.02, "{mean:?} says little");
    mean.assert_is("E[r / q]", Mean::exactly(1.0), 0.0);
}

// ------------------------------------------------------------ likelihoods

/// What a density of one number is summed over: numbers, and how much each counts.
fn support(likelihood: &LikelihoodConfig) -> Vec<(f64, f64)> {
    match likelihood {
        LikelihoodConfig::Bernoulli(_) => vec![(0.0, 1.0), (1.0, 1.0)],
        LikelihoodConfig::ContinuousBernoulli(_) => {
            let n = 2_000i32;
            let weight = |i: i32| if i == 0 || i == n { 0.5 } else { 1.0 };
            (0..=n).map(|i| (f64::from(i) / f64::from(n), weight(i) / f64::from(n))).collect()
        }
        LikelihoodConfig::Gaussian(_) | LikelihoodConfig::Laplace(_) => {
            Grid::new(1, 20.0, 0.01).points.into_iter().map(|x| (x, 0.01)).collect()
        }
        LikelihoodConfig::DiscretizedLogistic(_) => {
            let (low, high) = likelihood.range();
            let level = |i: i32| low + (high - low) * f64::from(i) / 255.0;
            (0..256).map(|i| (level(i), 1.0)).collect()
        }
    }
}

/// Every likelihood with every way to know its spread and every output that it may have.
const LIKELIHOODS: [&str; 13] = [
    "kind = \"bernoulli\"",
    "kind = \"continuous-bernoulli\"",
    "kind = \"gaussian\"\nsigma = 0.5",
    "kind = \"gaussian\"\nspread = \"global\"\noutput = \"sigmoid\"",
    "kind = \"gaussian\"\nspread = \"pixel\"\noutput = \"tanh\"",
    "kind = \"laplace\"\nscale = 0.5",
    "kind = \"laplace\"\nspread = \"global\"\noutput = \"tanh\"",
    "kind = \"laplace\"\nspread = \"pixel\"",
    "kind = \"discretized-logistic\"\nspread = \"fixed\"\nscale = 0.1",
    "kind = \"discretized-logistic\"\nspread = \"global\"\noutput = \"tanh\"",
    "kind = \"discretized-logistic\"\nspread = \"pixel\"",
    "kind = \"discretized-logistic\"\nspread = \"pixel\"\noutput = \"tanh\"",
    "kind = \"discretized-logistic\"\nspread = \"fixed\"\nscale = 0.02",
];

/// First parameter and log-spread of numbers: in the middle, on either side, far out, and where series stand in for
/// closed forms. Spreads are 0.37 to 1, steps of the grid 0.01.
const OUTPUTS: [(f32, f32); 6] =
    [(0.0, 0.0), (-0.2, -0.3), (0.31, -1.0), (2.0, -0.5), (-3.0, -0.7), (6.0, 0.0)];

/// p(x|z) of one number x for each of `outputs`, `rows` times over, output by output.
fn decoding(likelihood: &LikelihoodConfig, outputs: &[(f32, f32)], rows: usize) -> Decoding {
    let width = likelihood.parameters();
    let row = |(first, log_spread): &(f32, f32)| [*first, *log_spread][..width].repeat(rows);
    let output: Vec<f32> = outputs.iter().flat_map(row).collect();
    let output = tensor(output, [outputs.len() * rows, width], &device());
    let is_global = serde_json::to_value(likelihood).unwrap()["spread"] == "global";
    let shared = is_global.then(|| tensor(vec![-0.5], [1], &device()));
    Decoding::new(output, likelihood.clone(), shared)
}

fn likelihood(table: &str) -> LikelihoodConfig {
    let likelihood: LikelihoodConfig = choice(&format!("[likelihood]\n{table}\n"), "likelihood");
    likelihood.validate("likelihood").unwrap();
    likelihood
}

/// log p of the numbers of the support, output by output.
fn log_densities(likelihood: &LikelihoodConfig, support: &[(f64, f64)]) -> Vec<f64> {
    let n = support.len();
    let x = tensor(support.iter().map(|(x, _)| *x as f32).collect(), [n, 1], &device());
    let log_p = decoding(likelihood, &OUTPUTS, n).log_prob(x);
    assert_eq!(log_p.dims(), [OUTPUTS.len(), n]);
    host(log_p)
}

/// The sum of f times a density over its support.
fn sum_over(support: &[(f64, f64)], log_p: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    support.iter().zip(log_p).map(|((x, weight), log_p)| weight * f(*x) * log_p.exp()).sum()
}

#[test]
fn every_likelihood_adds_up_to_one_over_x() {
    for kind in LikelihoodConfig::KINDS {
        assert!(LIKELIHOODS.iter().any(|l| l.contains(&format!("\"{kind}\""))), "{kind}");
    }
    for table in LIKELIHOODS {
        let likelihood = likelihood(table);
        assert!(likelihood.is_normalized(), "{table}");
        let support = support(&likelihood);
        let log_p = log_densities(&likelihood, &support);
        for (log_p, output) in log_p.chunks(support.len()).zip(OUTPUTS) {
            let mass = sum_over(&support, log_p, |_| 1.0);
            assert!((mass - 1.0).abs() < GRID, "{table} at {output:?}: {mass}");
        }
    }
}

#[test]
fn a_squared_error_is_a_density_but_for_its_constant_and_says_so() {
    let likelihood = likelihood("kind = \"gaussian\"\nsquared_error = true");
    assert!(!likelihood.is_normalized());
    let support = support(&likelihood);
    let log_p = log_densities(&likelihood, &support);
    for log_p in log_p.chunks(support.len()) {
        let mass = sum_over(&support, log_p, |_| 1.0);
        assert!((mass - std::f64::consts::PI.sqrt()).abs() < GRID, "{mass}");
    }
}

#[test]
fn draws_from_every_likelihood_have_the_moments_that_its_density_says() {
    for table in LIKELIHOODS {
        let likelihood = likelihood(table);
        let support = support(&likelihood);
        let log_p = log_densities(&likelihood, &support);
        for (i, output) in OUTPUTS.into_iter().enumerate() {
            let log_p = &log_p[i * support.len()..][..support.len()];
            let draws = decoding(&likelihood, &[output], DRAWS).sample(&noise(13));
            assert_eq!(draws.dims(), [DRAWS, 1]);
            let draws = host(draws);
            let functions: [Moment; 2] = [("mean", |x| x), ("square", |x| x * x)];
            for (what, f) in functions {
                let of_draws: Vec<f64> = draws.iter().map(|x| f(*x)).collect();
                let expected = sum_over(&support, log_p, f);
                let slack = GRID * (1.0 + expected.abs());
                let what = format!("{what} of {table} at {output:?}");
                Mean::of(&of_draws).assert_is(&what, Mean::exactly(expected), slack);
            }
        }
    }
}

// ------------------------------------------------------------ flows

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn log_abs_det(mut rows: Vec<Vec<f64>>) -> f64 {
    let mut sum = 0.0;
    for i in 0..rows.len() {
        let pivot = (i..rows.len()).max_by(|a, b| rows[*a][i].abs().total_cmp(&rows[*b][i].abs()));
        rows.swap(i, pivot.unwrap());
        let top = rows[i].clone();
        sum += top[i].abs().ln();
        for row in &mut rows[i + 1..] {
            let factor = row[i] / top[i];
            row.iter_mut().zip(&top).for_each(|(x, top)| *x -= factor * top);
        }
    }
    sum
}

#[test]
fn a_realnvp_is_undone_by_its_inverse_and_has_the_determinant_of_its_differences() {
    const ROWS: usize = 100;
    // The slopes of one step are right to 5e-5, of which rounding has the larger part.
    const STEP: f64 = 2e-3;
    let (noise, device) = (noise(14), device());
    let config = RealNvpConfig { couplings: 3, hidden: vec![8] };
    for latent in [2, 5] {
        let flow = shaken(config.init(&Init::drawn(&noise, &device), latent), SHAKE, 15);
        let z = normal(16, [ROWS, latent]);
        let (e, log_det) = flow.forward(z.clone());
        // Each of three couplings may enlarge what was rounded by e^2, 400 in all.
        let there_and_back = largest_difference(&host(flow.inverse(e)), &host(z.clone()));
        let back_and_there = flow.forward(flow.inverse(z.clone())).0;
        let back_and_there = largest_difference(&host(back_and_there), &host(z.clone()));
        assert!(there_and_back.max(back_and_there) < 1e-3, "{there_and_back} {back_and_there}");

        // Slopes in dimension d, row by row.
        let slopes = |d: usize| {
            let step: Vec<f32> =
                (0..latent).map(|i| if i == d { STEP as f32 } else { 0.0 }).collect();
            let step = tensor(step, [1, latent], &device);
            let at = |z: Tensor<2>| host(flow.forward(z).0);
            let (above, below) = (at(z.clone() + step.clone()), at(z.clone() - step));
            above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * STEP)).collect::<Vec<f64>>()
        };
        let slopes: Vec<Vec<f64>> = (0..latent).map(slopes).collect();
        let log_det = host(log_det);
        let right = (0..ROWS).filter(|row| {
            let of_row = |d: &Vec<f64>| d[row * latent..][..latent].to_vec();
            let numeric = log_abs_det(slopes.iter().map(of_row).collect());
            (numeric - log_det[*row]).abs() < 5e-3
        });
        // Where a ReLU turns within the step there is no slope to compare with: at one row in ten or so.
        let right = right.count();
        assert!(right > ROWS * 3 / 4, "{latent} dimensions: right at {right} of {ROWS}");
        assert!(Mean::of(&log_det).error > 0.01, "the flow does nothing: {log_det:?}");
    }
}

/// A step of an autoregressive flow with rows of z and of its context.
fn iaf_step() -> (IafStep, Tensor<2>, Tensor<2>) {
    let (rows, latent, context) = (6, 4, 3);
    let step = IafStep::new(&Init::drawn(&noise(17), &device()), latent, context, 16);
    (shaken(step, SHAKE, 18), normal(19, [rows, latent]), normal(20, [rows, context]))
}

#[test]
fn an_autoregressive_step_can_be_undone_one_dimension_after_the_other() {
    let (step, z, context) = iaf_step();
    let [rows, latent] = z.dims();
    let forward = |z: &[f32]| {
        let z = tensor(z.to_vec(), [rows, latent], &device());
        host(step.forward(z, context.clone()).0)
    };
    let target = host(step.forward(z.clone(), context.clone()).0);
    // In each dimension the step is a straight line, which the dimensions before and no others decide.
    let mut found = vec![0.0f32; rows * latent];
    for d in 0..latent {
        let at_zero = forward(&found);
        let mut one = found.clone();
        one.iter_mut().skip(d).step_by(latent).for_each(|z| *z = 1.0);
        let at_one = forward(&one);
        for i in (d..rows * latent).step_by(latent) {
            found[i] = ((target[i] - at_zero[i]) / (at_one[i] - at_zero[i])) as f32;
        }
    }
    let found: Vec<f64> = found.into_iter().map(f64::from).collect();
    // A slope is a sigmoid of about 2: rounding grows by less than two in each of four dimensions.
    let apart = largest_difference(&found, &host(z));
    assert!(apart < 1e-4, "{apart}");
}

#[test]
fn the_jacobian_of_an_autoregressive_step_is_triangular_and_has_its_determinant() {
    let (step, z, context) = iaf_step();
    let [rows, latent] = z.dims();
    let mut log_det = vec![0.0; rows];
    let mut below = 0.0;
    for i in 0..latent {
        let leaf = Tensor::from_inner(z.clone()).require_grad();
        let output = step.forward(leaf.clone(), context.clone()).0.narrow(1, i, 1);
        let slopes = host(leaf.grad(&output.sum().backward()).unwrap());
        for (row, slopes) in slopes.chunks(latent).enumerate() {
            assert!(slopes[i + 1..].iter().all(|slope| *slope == 0.0), "row {i}: {slopes:?}");
            below += slopes[..i].iter().map(|slope| slope.abs()).sum::<f64>();
            log_det[row] += slopes[i].ln();
        }
    }
    assert!(below > 0.1, "no dimension depends on another: {below}");
    let own = host(step.forward(z, context).1);
    let apart = largest_difference(&log_det, &own);
    assert!(apart < 1e-5, "{apart}");
}

// ------------------------------------------------------------ bounds

/// L_k of one image, as the objective has it: from 4,000 groups of k draws.
fn bound(vae: &Vae, x: &Tensor<2>, k: usize) -> Mean {
    let objective = objective(&format!("kind = \"iwae\"\nsamples = {k}"));
    let learnable = Learnable::from(vae.clone());
    let batch = Batch::new(x.clone().repeat_dim(0, 100));
    let bounds: Vec<f64> = (0..40)
        .map(|step| {
            // Draws of their own for each k.
            let noise = noise(20 + k as u64).at_step(step);
            let loss = objective.loss(Player::Model, &learnable, &batch, &noise, 0.0);
            -host(loss.total)[0]
        })
        .collect();
    Mean::of(&bounds)
}

/// log p(x) of one image by an integral over all z.
fn log_likelihood(vae: &Vae, x: &Tensor<2>) -> f64 {
    let latent = vae.config().latent;
    let grid = Grid::new(latent, 10.0, 0.02);
    let z = grid.z([grid.len(), 1, latent]);
    let log_prior = vae.prior(&device()).log_prob(z.clone(), &noise(0));
    let log_joint = vae.decode_draws(z, None).log_prob(x.clone()) + log_prior;
    grid.integral(&host(log_joint), |_| 1.0).ln()
}

#[test]
fn bounds_of_more_draws_are_higher_and_none_is_above_the_likelihood() {
    // Far from the true posterior: random weights this large make a wrong encoder.
    let vae = vae(1, "", "", 0.7);
    let all = images(3);
    for image in 0..3 {
        let x = all.clone().narrow(0, image, 1);
        let log_p = log_likelihood(&vae, &x);
        let bounds = [1, 5, 50].map(|k| bound(&vae, &x, k));
        for pair in bounds.windows(2) {
            let gain = pair[1].minus(pair[0]);
            assert!(gain.value > 3.0 * gain.error, "image {image}: {pair:?}");
        }
        for bound in bounds {
            let room = log_p - bound.value;
            assert!(room > -ERRORS * bound.error, "image {image}: {bound:?} above {log_p}");
        }
    }
}

#[test]
fn every_bound_is_the_likelihood_where_the_posterior_is_the_true_one() {
    // With all weights 0 the decoder says 1/2 whatever z, and q(z|x) is the prior.
    let vae = emptied(vae(1, "", "", 0.0));
    let x = images(1);
    let log_p = log_likelihood(&vae, &x);
    assert!((log_p + NUMBERS as f64 * std::f64::consts::LN_2).abs() < 1e-4, "{log_p}");
    for k in [1, 5, 50] {
        let Mean { value, error } = bound(&vae, &x, k);
        assert!((value - log_p).abs() < 1e-4 && error < 1e-5, "{value} {log_p}");
    }
}

// ------------------------------------------------------------ estimators of gradients

/// Gradients by path of a model in training.
fn gradients(
    table: &str,
    learnable: &Learnable,
    batch: &Batch,
    noise: &KeyedNoise,
) -> BTreeMap<String, Vec<f64>> {
    let loss = objective(table).loss(Player::Model, learnable, batch, noise, 0.0);
    let vae = &learnable.vae;
    by_path(vae, GradientsParams::from_grads(loss.total.backward(), vae))
}

/// Those of one side of the model, one after the other.
fn of_side(gradients: &BTreeMap<String, Vec<f64>>, decoder: bool) -> Vec<f64> {
    let own = gradients.iter().filter(|(path, _)| path.starts_with("decoder.") == decoder);
    own.flat_map(|(_, gradient)| gradient.clone()).collect()
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

const PLAIN: &str = "kind = \"iwae\"\nsamples = 4";
const DREG: &str = "kind = \"iwae\"\nsamples = 4\nestimator = \"dreg\"";

#[test]
fn both_estimates_of_the_encoders_gradient_have_one_expectation() {
    let learnable = Learnable::from(vae(2, "", "", 0.5).train());
    let batch = Batch::new(images(4).repeat_dim(0, 16));
    let (mut differences, mut estimates) = (Vec::new(), Vec::new());
    for step in 0..200 {
        let noise = noise(22).at_step(step);
        let [plain, dreg] = [PLAIN, DREG]
            .map(|table| of_side(&gradients(table, &learnable, &batch, &noise), false));
        // From the same draws; what is left has the mean 0.
        differences.push(plain.iter().zip(&dreg).map(|(a, b)| a - b).collect::<Vec<f64>>());
        estimates.push(dreg);
    }
    let means = |rows: &[Vec<f64>]| -> Vec<Mean> {
        (0..rows[0].len()).map(|i| Mean::of(&column(rows, i))).collect()
    };
    let (differences, estimates) = (means(&differences), means(&estimates));
    let errors = norm(&differences.iter().map(|m| m.error).collect::<Vec<f64>>());
    let length = norm(&estimates.iter().map(|m| m.value).collect::<Vec<f64>>());
    assert!(errors < 0.2 * length, "{errors} of {length} says little");
    // Of 140 numbers none is five errors off by chance, and few are three.
    let beyond = |n: f64| differences.iter().filter(|m| m.value.abs() > n * m.error + 1e-6).count();
    assert_eq!(beyond(5.0), 0, "{differences:?}");
    assert!(beyond(3.0) * 20 <= differences.len(), "{} of {}", beyond(3.0), differences.len());
}

#[test]
fn where_the_posterior_is_the_true_one_the_doubly_reparameterized_gradient_has_no_noise() {
    let learnable = Learnable::from(emptied(vae(2, "", "", 0.0)).train());
    let batch = Batch::new(images(4));
    for step in 0..5 {
        let noise = noise(23).at_step(step);
        let [plain, dreg] = [PLAIN, DREG]
            .map(|table| norm(&of_side(&gradients(table, &learnable, &batch, &noise), false)));
        assert!(dreg < 1e-5, "{dreg}");
        // It is a mean over 4 images of draws with variance 1.
        assert!(plain > 0.01, "{plain}");
    }
}

#[test]
fn piwae_trains_its_decoder_by_all_draws_and_its_encoder_by_groups() {
    let learnable = Learnable::from(vae(2, "", "", 0.5).train());
    let (batch, noise) = (Batch::new(images(5)), noise(24));
    let of = |table: &str| gradients(table, &learnable, &batch, &noise);
    let piwae = of("kind = \"iwae\"\ngroups = 3\nsamples = 4\ncombination = \"piwae\"");
    let all = of("kind = \"iwae\"\nsamples = 12");
    let groups = of("kind = \"iwae\"\ngroups = 3\nsamples = 4");
    for (what, same, other, decoder) in
        [("decoder", &all, &groups, true), ("encoder", &groups, &all, false)]
    {
        let [own, same, other] = [&piwae, same, other].map(|g| of_side(g, decoder));
        let apart = |v: &[f64]| {
            norm(&own.iter().zip(v).map(|(a, b)| a - b).collect::<Vec<f64>>()) / norm(&own)
        };
        // A ratio of weights is taken and undone on the way.
        assert!(apart(&same) < 1e-3, "{what}: {}", apart(&same));
        assert!(apart(&other) > 1e-2, "{what}: {} tells nothing", apart(&other));
    }
}

// ------------------------------------------------------------ the KL taken apart

/// Gaussians of one standard deviation about `means`, in an order.
fn gaussians(means: &[[f64; 2]], order: &[usize], sigma: f64) -> Gaussian {
    let n = order.len();
    let means = order.iter().flat_map(|i| means[*i].map(|m| m as f32)).collect();
    Gaussian {
        mean: tensor(means, [n, 2], &device()),
        log_var: tensor(vec![2.0 * sigma.ln() as f32; 2 * n], [n, 2], &device()),
    }
}

fn order(n: usize, step: u64) -> Vec<usize> {
    noise(25).at_step(step).permutation("order", n).into_iter().map(|i| i as usize).collect()
}

/// log N(z; mean, sigma^2).
fn log_gaussian(z: [f64; 2], mean: [f64; 2], sigma: f64) -> f64 {
    let square = (z[0] - mean[0]).powi(2) + (z[1] - mean[1]).powi(2);
    -0.5 * square / (sigma * sigma) - 2.0 * sigma.ln() - std::f64::consts::TAU.ln()
}

/// At the centre of a circle of equal Gaussians each has the same density, and so has every weighting of them. With
/// all z of a batch but the first there, what is left of the mutual information is that of the first alone.
#[test]
fn the_stratified_estimate_of_the_aggregate_posterior_is_right_in_expectation() {
    const SET: usize = 20;
    const BATCH: usize = 8;
    let sigma = 0.8;
    let angles = noise(26).uniform("angles", [1, SET, 1]);
    let means: Vec<[f64; 2]> = angles
        .into_iter()
        .map(|u| (std::f64::consts::TAU * f64::from(u)).sin_cos())
        .map(|(sin, cos)| [1.5 * cos, 1.5 * sin])
        .collect();
    let log_p = || Tensor::<2>::zeros([1, BATCH], &device());
    for first in [0, 7, 13] {
        let z = [means[first][0] + 0.4, means[first][1] - 0.4];
        let own = log_gaussian(z, means[first], sigma);
        let densities = means.iter().map(|mean| log_gaussian(z, *mean, sigma).exp());
        let aggregate = densities.sum::<f64>() / SET as f64;
        let mut draws = vec![0.0f32; 2 * BATCH];
        draws[..2].copy_from_slice(&z.map(|z| z as f32));
        let estimates: Vec<f64> = (0..1_000)
            .map(|step| {
                let mut batch = vec![first];
                batch.extend(order(SET, step).into_iter().filter(|i| *i != first));
                batch.truncate(BATCH);
                let q = gaussians(&means, &batch, sigma);
                let z = tensor(draws.clone(), [BATCH, 2], &device());
                let [information, _, _] = stratified(&q, z, log_p(), SET);
                (own - BATCH as f64 * host(information)[0]).exp()
            })
            .collect();
        let what = format!("q(z) about example {first}");
        Mean::of(&estimates).assert_is(&what, Mean::exactly(aggregate), 1e-4 * aggregate);
    }
}

#[test]
fn the_total_correlation_is_nothing_where_the_aggregate_factorizes_and_something_where_not() {
    const SIDE: usize = 8;
    const SET: usize = SIDE * SIDE;
    let sigma = 0.4;
    let at = |i: usize, n: usize| 3.0 * i as f64 / (n - 1) as f64 - 1.5;
    // On a square lattice the dimensions are independent; on its diagonal they are one.
    let lattice: Vec<[f64; 2]> =
        (0..SET).map(|i| [at(i / SIDE, SIDE), at(i % SIDE, SIDE)]).collect();
    let diagonal: Vec<[f64; 2]> = (0..SET).map(|i| [at(i, SET); 2]).collect();
    let correlation = |means: &[[f64; 2]]| {
        let each: Vec<f64> = (0..50)
            .map(|step| {
                let q = gaussians(means, &order(SET, step), sigma);
                let z = Encoding::Gaussian(q.clone()).draw(&noise(27).at_step(step), 1).z;
                let log_p = Tensor::zeros([1, SET], &device());
                let [_, correlation, _] = stratified(&q, z.squeeze_dim::<2>(0), log_p, SET);
                host(correlation)[0]
            })
            .collect();
        Mean::of(&each)
    };
    // The logarithm of an estimate is a little below that of what it estimates.
    correlation(&lattice).assert_is("independent", Mean::exactly(0.0), 0.01);
    assert!(correlation(&diagonal).value > 0.3, "{:?}", correlation(&diagonal));
}

// ------------------------------------------------------------ the discrepancy of samples

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

// ------------------------------------------------------------ critics

/// A critic of rows of 5 numbers, with weights a few times those that it starts from.
fn critic(hidden: &[usize], slope: f64) -> Critic {
    let config = CriticConfig { hidden: hidden.to_vec(), slope };
    shaken(config.init(&Init::drawn(&noise(28), &device()), 5), 0.5, 29)
}

#[test]
fn a_critics_gradient_in_its_input_is_that_of_its_score() {
    for slope in [0.0, 0.2] {
        let critic = critic(&[16, 8], slope);
        let rows = normal(30, [50, 5]);
        let leaf = Tensor::from_inner(rows.clone()).require_grad();
        let slopes = leaf.grad(&critic.score(leaf.clone()).sum().backward()).unwrap();
        let apart = largest_difference(&host(critic.input_gradient(rows)), &host(slopes));
        assert!(apart < 1e-5, "slope {slope}: {apart}");
    }
}

#[test]
fn a_clipped_critic_has_all_weights_in_the_box_and_can_still_be_trained() {
    let bound = 0.1f32;
    let critic = critic(&[16, 8], 0.2).train();
    let before = parameters(&critic);
    let clipped = critic.clipped(f64::from(bound));
    let after = parameters(&clipped);
    let mut moved = 0;
    for (path, weights) in &before {
        for (old, new) in weights.values.iter().zip(&after[path].values) {
            assert_eq!(*new, old.clamp(-bound, bound), "{path}");
            moved += usize::from(new != old);
        }
    }
    assert!(moved > 0, "nothing was outside");
    let score = clipped.score(normal(31, [50, 5])).sum();
    let grads = GradientsParams::from_grads(score.backward(), &clipped);
    assert_eq!(grads.len(), before.len());
}

/// The gradient penalty of a critic on fixed rows.
fn penalty(critic: &Critic) -> Tensor<1> {
    let config = AdversarialConfig { loss: CriticLoss::WassersteinGp, ..Default::default() };
    let loss = config.critic_loss(critic, normal(32, [4, 5]), normal(33, [4, 5]), None, &noise(34));
    let found = loss.terms.into_iter().find(|(name, _)| *name == "gradient_penalty");
    found.unwrap().1
}

#[test]
fn the_gradient_of_the_gradient_penalty_is_that_of_its_differences() {
    const DIRECTIONS: u64 = 11;
    // Rounding makes 2e-4 of a penalty of size 1, and the curvature less.
    const STEP: f64 = 5e-4;
    let critic = critic(&[6, 6], 0.2);
    let trained = critic.clone().train();
    let grads = GradientsParams::from_grads(penalty(&trained).backward(), &trained);
    let grads = by_path(&trained, grads);
    let length = norm(&grads.values().flatten().copied().collect::<Vec<f64>>());
    assert!(length > 0.01, "{length}");
    let at = parameters(&critic);
    let right = (0..DIRECTIONS).filter(|direction| {
        let moved = |by: f64| shaken(critic.clone(), by, 100 + direction);
        let value = |by: f64| host(penalty(&moved(by)))[0];
        let difference = (value(STEP) - value(-STEP)) / (2.0 * STEP);
        let along: f64 = parameters(&moved(1.0))
            .iter()
            .flat_map(|(path, to)| {
                let way = to.values.iter().zip(&at[path].values).map(|(to, at)| to - at);
                way.zip(&grads[path]).map(|(way, slope)| f64::from(way) * slope).collect::<Vec<_>>()
            })
            .sum();
        // Along a random direction the slope is about as large as the gradient is long.
        (difference - along).abs() < 0.02 * length + 2e-3
    });
    // The penalty jumps where an activation turns, as one of some 50 does within the step in one direction of
    // ten or so.
    let right = right.count();
    assert!(right >= 8, "right in {right} of {DIRECTIONS} directions");
}

// ------------------------------------------------------------ discrete codes

#[test]
fn codes_are_the_nearest_and_their_gradient_goes_straight_through() {
    const LATENT: usize = 6;
    const CODES: usize = 5;
    const ROWS: usize = 40;
    for (width, way) in [(2, "moving-average"), (3, "gradient")] {
        let table =
            format!("kind = \"vq\"\ncodes = {CODES}\nwidth = {width}\ncodebook = \"{way}\"");
        let vae = vae(LATENT, &table, "", 0.5).train();
        let Encoding::Vq(q) = vae.encode(images(ROWS), None) else { panic!("no codes") };
        let positions = LATENT / width;
        assert_eq!(vae.code_space(), Some((CODES, positions)));

        // The vectors of all codes, and by hand which is the nearest to each point.
        let each = (0..CODES * positions).map(|i| (i / positions) as i64).collect::<Vec<_>>();
        let each = Tensor::from_data(TensorData::new(each, [CODES, positions]), &device());
        let vectors = host(vae.vectors(each).unwrap().inner());
        let vector = |code: usize| &vectors[code * LATENT..code * LATENT + width];
        let points = host(q.points.clone().inner());
        let distance = |point: &[f64], code: usize| -> f64 {
            point.iter().zip(vector(code)).map(|(p, e)| (p - e).powi(2)).sum()
        };
        let nearest: Vec<usize> = points
            .chunks(width)
            .map(|point| {
                let nearer =
                    |a: &usize, b: &usize| distance(point, *a).total_cmp(&distance(point, *b));
                (0..CODES).min_by(nearer).unwrap()
            })
            .collect();
        let found: Vec<usize> =
            q.codes().into_data().iter::<i64>().map(|code| code as usize).collect();
        assert_eq!(found, nearest, "{way}");
        let used: BTreeSet<usize> = nearest.iter().copied().collect();
        assert!(used.len() > 1, "one code is no choice");

        // z are those vectors, and so is the mean.
        let draw = Encoding::Vq(q.clone()).draw(&noise(38), 2);
        let expected: Vec<f64> = nearest.iter().flat_map(|c| vector(*c).to_vec()).collect();
        let z = host(draw.z.clone().inner());
        let twice = [expected.clone(), expected.clone()].concat();
        assert!(largest_difference(&z, &twice) < 1e-6, "{way}");
        assert!(
            largest_difference(&host(Encoding::Vq(q.clone()).mean().inner()), &expected) < 1e-6
        );

        // The slope of anything in z is its slope in the points.
        let slope = normal(39, [ROWS, LATENT]);
        let points = Tensor::from_inner(q.points.clone().inner()).require_grad();
        let mut q = q;
        q.points = points.clone();
        let mean = Encoding::Vq(q.clone()).mean();
        let z: Tensor<2> = Encoding::Vq(q).draw(&noise(38), 1).z.squeeze_dim(0);
        for z in [z, mean] {
            let grads = (z * Tensor::from_inner(slope.clone())).sum().backward();
            let through = host(points.grad(&grads).unwrap());
            assert!(largest_difference(&through, &host(slope.clone())) < 1e-6, "{way}");
        }

        // Perplexity is the exponential of the entropy of how often each code is used.
        let share = |code: usize| {
            let uses = nearest.iter().filter(|c| **c == code).count();
            uses as f64 / nearest.len() as f64
        };
        let entropy: f64 = used.iter().map(|code| -share(*code) * share(*code).ln()).sum();
        let terms = draw.regularizer.unwrap().terms;
        let perplexity = terms.into_iter().find(|(name, _)| *name == "perplexity").unwrap().1;
        let perplexity = host(perplexity.inner())[0];
        assert!((perplexity - entropy.exp()).abs() < 1e-4, "{perplexity} {}", entropy.exp());
    }
}

#[test]
fn a_code_is_judged_by_those_before_it_alone() {
    const CODES: usize = 4;
    const POSITIONS: usize = 3;
    let prior = CodePrior::new(&Init::drawn(&noise(40), &device()), CODES, POSITIONS);
    let prior = shaken(prior, 0.3, 41);
    let log_probs = |codes: [i64; POSITIONS]| {
        let codes = Tensor::from_data(TensorData::new(codes.to_vec(), [1, POSITIONS]), &device());
        host(prior.log_probs(codes))
    };
    let before = log_probs([1, 2, 3]);
    for changed in 0..POSITIONS {
        let mut codes = [1, 2, 3];
        codes[changed] = 0;
        for (position, (a, b)) in
            before.chunks(CODES).zip(log_probs(codes).chunks(CODES)).enumerate()
        {
            let apart = largest_difference(a, b);
            let said = format!("a change at {changed} changes {position} by {apart}");
            assert_eq!(apart > 1e-4, position > changed, "{said}");
        }
    }
    // And all of them are a distribution: over all rows of codes it adds up to one.
    let rows = CODES.pow(POSITIONS as u32);
    let all: Vec<i64> = (0..rows)
        .flat_map(|i| [i / (CODES * CODES), i / CODES % CODES, i % CODES])
        .map(|c| c as i64)
        .collect();
    let all = Tensor::from_data(TensorData::new(all, [rows, POSITIONS]), &device());
    let sum: f64 = host(prior.log_prob(all)).iter().map(|l| l.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

// ------------------------------------------------------------ all combinations

/// Tables of an axis: all its kinds, each with the settings that are listed for it, if any are.
fn tables<C: Choice>(settings: &[(&str, String)]) -> Vec<String> {
    let of_kind = |kind: &&'static str| {
        let own = settings.iter().filter(|(k, _)| k == kind).map(|(_, s)| s.as_str());
        let mut own: Vec<&str> = own.collect();
        if own.is_empty() {
            own.push("");
        }
        own.into_iter().map(|s| format!("kind = \"{kind}\"\n{s}\n")).collect::<Vec<_>>()
    };
    C::KINDS.iter().flat_map(of_kind).collect()
}

fn settings(list: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    list.iter().map(|(kind, settings)| (*kind, (*settings).to_owned())).collect()
}

fn networks() -> Vec<String> {
    tables::<NetworkConfig>(&settings(&[
        ("mlp", "hidden = [8]"),
        ("conv", "channels = [4]\nhidden = [8]"),
    ]))
}

fn posteriors() -> Vec<String> {
    tables::<PosteriorConfig>(&settings(&[
        ("gaussian", ""),
        ("gaussian", "flow_steps = 2\nflow_hidden = 8"),
        ("vq", "codes = 4\nwidth = 3"),
        ("vq", "codes = 4\nwidth = 1\ncodebook = \"gradient\"\nrestart = 0.0"),
    ]))
}

fn priors() -> Vec<String> {
    tables::<PriorConfig>(&settings(&[
        ("standard", ""),
        ("mixture", "k = 3"),
        ("mixture", "k = 3\ncomponents = \"learned\""),
        ("vamp", "k = 3"),
        ("realnvp", "couplings = 2\nhidden = [8]"),
        ("hierarchical", "latent = 2\nhidden = [8]"),
    ]))
}

fn likelihoods() -> Vec<String> {
    tables::<LikelihoodConfig>(&settings(&[
        ("gaussian", "spread = \"pixel\""),
        ("gaussian", "squared_error = true"),
        ("laplace", "spread = \"global\""),
    ]))
}

fn objectives() -> Vec<String> {
    const CRITIC: &str = "[objective.critic]\nhidden = [8]";
    let mut all = settings(&[
        ("elbo", ""),
        ("elbo", "beta = 0.0\ndecoder_penalty = 0.1"),
        ("elbo", "beta = 0.0\nlatent_penalty = 0.1"),
        ("elbo", "free_bits = 0.1\nsamples = 2"),
        ("elbo", "capacity = 1.0"),
        ("elbo", "average_decodings = 2"),
        ("iwae", "samples = 2"),
        ("iwae", "samples = 2\nelbo_weight = 0.1"),
        ("iwae", "samples = 2\ngroups = 2\ncombination = \"piwae\""),
        ("iwae", "samples = 2\ngroups = 2\nestimator = \"dreg\""),
        ("tc", ""),
        ("mmd", ""),
        ("mmd", "beta = 1.0\nkernel = \"gaussian\""),
    ]);
    all.push(("tc", format!("estimator = \"discriminator\"\n{CRITIC}")));
    all.push(("adversarial", format!("beta = 1.0\n{CRITIC}")));
    for over in ["z", "x", "xz"] {
        for loss in ["logistic", "wasserstein-clip", "wasserstein-gp"] {
            all.push(("adversarial", format!("over = \"{over}\"\nloss = \"{loss}\"\n{CRITIC}")));
        }
    }
    tables::<ObjectiveConfig>(&all)
}

/// Checks that the losses of both players and all their gradients are numbers.
fn assert_trainable(what: &str, config: &TrainConfig) {
    const BATCH: usize = 6;
    let domain = Domain { input: vec![1, 4, 4], classes: 3 };
    config.model.validate_domain(&domain).unwrap();
    let (objective, device) = (&config.objective, device());
    let weights = noise(35);
    let autodiff = device.clone().autodiff();
    let learnable = Learnable::init(&config.model, objective, &domain, &weights, &autodiff).train();
    let x = noise(36).uniform("x", [1, BATCH, domain.numbers()]);
    let one_hot = (0..BATCH * 3).map(|i| f32::from((i / 3) % 3 == i % 3)).collect();
    let batch = Batch {
        x: tensor(x, [BATCH, domain.numbers()], &device),
        seen: None,
        condition: Some(tensor(one_hot, [BATCH, 3], &device)),
        data_set: 10 * BATCH,
    };
    for player in [Player::Model, Player::Critic] {
        if player == Player::Critic && learnable.critic.is_none() {
            continue;
        }
        let loss = objective.loss(player, &learnable, &batch, &noise(37), 1.0);
        let (names, values) = (loss.names(), host(loss.values()));
        assert!(values.iter().all(|v| v.is_finite()), "{what}, {player:?}: {names:?} {values:?}");
        let grads = loss.total.backward();
        let (vae, critic) = (&learnable.vae, &learnable.critic);
        let found = match player {
            Player::Model => by_path(vae, GradientsParams::from_grads(grads, vae)),
            Player::Critic => by_path(critic, GradientsParams::from_grads(grads, critic)),
        };
        for (path, gradient) in &found {
            let finite = gradient.iter().all(|g| g.is_finite());
            assert!(finite, "{what}, {player:?}: {path}: {gradient:?}");
        }
        let moves = found.values().flatten().any(|g| *g != 0.0);
        assert!(moves, "{what}: {player:?} learns nothing");
    }
}

#[test]
fn convolutions_take_and_give_pictures_of_every_size_that_can_be_halved_so_often() {
    for (input, channels) in [
        ([1, 28, 28], "[2, 3]"),
        ([3, 28, 28], "[4]"),
        ([1, 32, 32], "[2, 3, 4]"),
        ([3, 32, 32], "[2, 3, 4]"),
        ([1, 64, 64], "[2, 2, 3, 4]"),
        ([3, 64, 64], "[2, 2, 3, 4]"),
    ] {
        let text = format!(
            "[model]\nlatent = 3\n[model.encoder]\nkind = \"conv\"\nchannels = {channels}\nhidden = [5]\n"
        );
        let config = TrainConfig::from_toml("c.toml", &text, &[]).unwrap();
        let domain = Domain::new(&input);
        config.model.validate_domain(&domain).unwrap();
        let vae = config.model.init(&domain, &noise(42), &device());
        let numbers = domain.numbers();
        let x = tensor(noise(43).uniform("x", [1, 2, numbers]), [2, numbers], &device());
        let z = vae.encode(x, None).mean();
        assert_eq!(z.dims(), [2, 3]);
        let mean = vae.decode(z, None).mean();
        assert_eq!(mean.dims(), [2, numbers]);
        assert!(host(mean).iter().all(|v| (0.0..=1.0).contains(v)), "{text}");
    }
}

#[test]
fn what_the_encoder_sees_is_not_what_the_loss_explains() {
    let text = "[model]\nlatent = 3\n[model.encoder]\nhidden = [8]\n[model.posterior]\nkind = \"point\"\n\
                [objective]\nbeta = 0.0\n";
    let config = TrainConfig::from_toml("c.toml", text, &[]).unwrap();
    let domain = Domain::new(&[NUMBERS]);
    let learnable =
        Learnable::init(&config.model, &config.objective, &domain, &noise(38), &device());
    let rows = |seed| tensor(noise(seed).uniform("x", [1, 5, NUMBERS]), [5, NUMBERS], &device());
    let (clean, noisy) = (rows(39), rows(40));
    let batch = Batch { seen: Some(noisy.clone()), ..Batch::new(clean.clone()) };
    let loss = config.objective.loss(Player::Model, &learnable, &batch, &noise(41), 0.0);
    let vae = &learnable.vae;
    let z = vae.encode(noisy, None).mean();
    let expected = host(vae.decode(z, None).log_prob(clean)).iter().sum::<f64>() / -5.0;
    assert!((host(loss.total)[0] - expected).abs() < 1e-5 * expected.abs());
}

#[test]
fn every_combination_that_is_accepted_gives_numbers() {
    let networks = networks();
    let mut accepted: BTreeSet<String> = BTreeSet::new();
    let mut count = 0;
    let mut tables = BTreeSet::new();
    for posterior in posteriors() {
        for prior in priors() {
            for likelihood in likelihoods() {
                for objective in objectives() {
                    // Networks and condition change from one to the next.
                    let network = &networks[count % networks.len()];
                    let condition = ["none", "label", "label"][count % 3];
                    let text = format!(
                        "[model]\nlatent = 3\ncondition = \"{condition}\"\n\
                         [model.encoder]\n{network}[model.posterior]\n{posterior}\
                         [model.prior]\n{prior}[model.likelihood]\n{likelihood}\
                         [objective]\n{objective}"
                    );
                    let parts = [network, &posterior, &prior, &likelihood, &objective];
                    tables.extend(parts.map(String::clone));
                    // What is refused has said why; the next test reads some of it.
                    let Ok(config) = TrainConfig::from_toml("combination", &text, &[]) else {
                        continue;
                    };
                    count += 1;
                    assert_trainable(&text, &config);
                    accepted.extend(parts.map(String::clone));
                }
            }
        }
    }
    let never: Vec<&String> = tables.difference(&accepted).collect();
    assert!(never.is_empty(), "in no combination: {never:?}");
}

#[test]
fn impossible_combinations_are_refused_with_what_would_work() {
    const LEARNED: [&str; 4] = [
        "kind = \"mixture\"\ncomponents = \"learned\"",
        "kind = \"vamp\"",
        "kind = \"realnvp\"",
        "kind = \"hierarchical\"",
    ];
    let prior = |table: &str| format!("[model.prior]\n{table}\n");
    let posterior = |table: &str| format!("[model.posterior]\n{table}\n");
    let objective = |table: &str| format!("[objective]\n{table}\n");
    let (point, flow) = (posterior("kind = \"point\""), posterior("flow_steps = 2"));
    let vamp = prior("kind = \"vamp\"");

    let iwae = objective("kind = \"iwae\"");
    assert_refused(&[&point, &iwae], &["gaussian posterior", "objective.kind = \"elbo\""]);
    let dreg = objective("kind = \"iwae\"\nestimator = \"dreg\"");
    let instead = ["model.posterior.flow_steps = 0", "estimator = \"plain\""];
    assert_refused(&[&flow, &dreg], &instead);
    let instead = ["gaussian posterior without flow steps", "\"mixture\""];
    assert_refused(&[&flow, &vamp], &instead);
    assert_refused(&[&point, &vamp], &instead);
    let tc = objective("kind = \"tc\"");
    assert_refused(&[&flow, &tc], &["gaussian posterior without flow steps"]);
    for table in LEARNED.into_iter().chain(["kind = \"mixture\""]) {
        assert_refused(&[&prior(table), &tc], &["model.prior.kind = \"standard\""]);
    }
    let codes = posterior("kind = \"vq\"\nwidth = 2");
    for kind in ["iwae", "mmd", "adversarial"] {
        assert_refused(
            &[&codes, &objective(&format!("kind = \"{kind}\""))],
            &["objective.kind = \"elbo\""],
        );
    }
    assert_refused(&[&codes, &tc], &["gaussian posterior without flow steps"]);
    assert_refused(&[&codes], &["no KL", "objective.beta = 0"]);
    let no_kl = objective("beta = 0.0");
    for table in [&point, &codes] {
        let realnvp = prior("kind = \"realnvp\"");
        assert_refused(
            &[table, &no_kl, &realnvp],
            &["model.prior.kind", "fitted", "[model.prior]"],
        );
    }
    let latent = "[model]\nlatent = 9\n".to_owned();
    assert_refused(&[&latent, &codes, &no_kl], &["model.posterior.width", "latent = 9"]);
    let critic = objective("kind = \"adversarial\"\nover = \"z\"");
    for table in LEARNED {
        let instead = ["standard prior", "components = \"ring\""];
        assert_refused(&[&prior(table), &critic], &instead);
    }
    for pixels in ["binary", "stochastic"] {
        let data = format!("[data]\npixels = \"{pixels}\"\n");
        for kind in ["discretized-logistic", "continuous-bernoulli"] {
            let likelihood = format!("[model.likelihood]\nkind = \"{kind}\"\n");
            let instead = ["pixels = \"grey\"", "bernoulli likelihood"];
            assert_refused(&[&likelihood, &data], &instead);
        }
        for over in ["x", "xz"] {
            let critic = objective(&format!("kind = \"adversarial\"\nover = \"{over}\""));
            assert_refused(&[&critic, &data], &["pixels = \"grey\""]);
        }
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused_by_name() {
    const HIERARCHICAL: &str = "model.prior.kind = \"hierarchical\"";
    const PIXEL: &str = "model.likelihood = { kind = \"gaussian\", spread = \"pixel\" }";
    // Keys and values, the key that the refusal names, and a word of what would work.
    let cases: &[(&[&str], &str, &str)] = &[
        (&["kind = \"iwae\"", "combination = \"piwae\""], "combination", "groups to 2"),
        (
            &["kind = \"iwae\"", "combination = \"piwae\"", "groups = 2", "estimator = \"dreg\""],
            "estimator",
            "miwae",
        ),
        (
            &["kind = \"iwae\"", "elbo_weight = 0.1", "estimator = \"dreg\""],
            "elbo_weight",
            "elbo_weight = 0",
        ),
        (&["kind = \"iwae\"", "estimator = \"dreg\"", HIERARCHICAL], "estimator", "plain"),
        (
            &["kind = \"iwae\"", "combination = \"piwae\"", "groups = 2", HIERARCHICAL],
            "estimator",
            "miwae",
        ),
        (
            &["kind = \"tc\"", "estimator = \"discriminator\"", "alpha = 2.0"],
            "estimator",
            "stratified",
        ),
        (&["samples = 2", "average_decodings = 2"], "average_decodings", "samples"),
        (&["average_decodings = 2", PIXEL], "average_decodings", "spread"),
        (&["free_bits = 1.0", "capacity = 2.0"], "capacity", "free_bits"),
        (
            &["beta = 0.0", "free_bits = 1.0", "model.posterior.kind = \"point\""],
            "free_bits",
            "has no KL",
        ),
        (&["free_bits = 1.0", "model.posterior.flow_steps = 2"], "free_bits", "capacity"),
        (&["free_bits = 1.0", "model.prior.kind = \"realnvp\""], "free_bits", "standard prior"),
        (&["latent_penalty = 1.0"], "latent_penalty", "point"),
        (&["kind = \"mmd\"", "weight = 0.0"], "weight", "elbo"),
        (&["kind = \"mmd\"", HIERARCHICAL], "beta", "KL"),
        (&["kind = \"adversarial\"", "over = \"xz\"", HIERARCHICAL], "beta", "KL"),
        (&["kind = \"adversarial\"", "reconstruction = 0.0"], "reconstruction", "xz"),
        (&["model.prior.kind = \"mixture\"", "model.latent = 1"], "model.prior", "ring"),
        (&["model.prior.kind = \"realnvp\"", "model.latent = 1"], "model.prior", "latent"),
        (
            &["model.likelihood = { kind = \"discretized-logistic\", output = \"identity\" }"],
            "model.likelihood.output",
            "sigmoid",
        ),
        (
            &["model.likelihood = { kind = \"gaussian\", squared_error = true, sigma = 2.0 }"],
            "model.likelihood.sigma",
            "squared_error",
        ),
        (
            &["model.encoder = { kind = \"conv\", channels = [6], groups = 4 }"],
            "model.encoder.groups",
            "6 channels",
        ),
        (
            &["beta = 0.0", "model.posterior.kind = \"point\"", "model.latent = 2000"],
            "model.latent",
            "gaussian posterior",
        ),
    ];
    for (settings, key, word) in cases {
        let (model, objective): (Vec<&str>, Vec<&str>) =
            settings.iter().partition(|setting| setting.starts_with("model."));
        let text = format!("{}\n[objective]\n{}\n", model.join("\n"), objective.join("\n"));
        assert_refused(&[&text], &[key, word]);
    }
    // On replicas, and of data that a configuration alone does not know.
    let coupled = "[objective]\nkind = \"mmd\"\n[train]\nreplicas = 2\n";
    assert_refused(&[coupled], &["train.replicas", "one replica"]);
    let tanh = ["model.likelihood.kind=discretized-logistic", "model.likelihood.output=tanh"];
    assert!(refusal("digits", &tanh).contains("from -1 to 1"));
    let vectors = ["model.likelihood.kind=continuous-bernoulli"];
    assert!(refusal("curves", &vectors).contains("gaussian or laplace"));
}

#[test]
fn likelihoods_of_grey_and_critics_on_images_refuse_black_and_white_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.idx");
    std::fs::write(&path, idx(|i| if i % 3 == 0 { 255 } else { 0 })).unwrap();
    let source = path.to_str().unwrap();
    let critic = ["objective.kind=adversarial", "objective.over=x"];
    for sets in [&["model.likelihood.kind=continuous-bernoulli"][..], &critic[..]] {
        let refused = refusal(source, sets);
        assert!(
            refused.contains("black and white") && refused.contains("many levels"),
            "{refused}"
        );
    }
}

/// Checks that a configuration of these tables is refused in these words.
fn assert_refused(tables: &[&str], words: &[&str]) {
    let text = tables.concat();
    let refused = match TrainConfig::from_toml("c.toml", &text, &[]) {
        Err(refused) => refused.to_string(),
        Ok(_) => panic!("accepted: {text}"),
    };
    for word in words {
        assert!(refused.contains(word), "`{word}` is not in: {refused}\n{text}");
    }
}

/// An IDX file of images and none of labels: 240, of which 200 are to train on.
fn idx(pixel: impl Fn(usize) -> u8) -> Vec<u8> {
    let mut bytes = 0x803u32.to_be_bytes().to_vec();
    [240u32, 28, 28].iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend((0..240 * 784).map(pixel));
    bytes
}

/// What a training says that cannot begin.
fn refusal(source: &str, sets: &[&str]) -> String {
    let source = format!("data.source={source}");
    let sets: Vec<&str> = [source.as_str(), "data.limit=200"].iter().chain(sets).copied().collect();
    let config = config("mnist-mlp", &sets);
    let data = data::load(&config, &Environment::default()).unwrap();
    match Trainer::new(config, data, &vae_tests::reference()) {
        Err(refused) => refused.to_string(),
        Ok(_) => panic!("accepted: {sets:?}"),
    }
}

#[test]
fn pictures_that_cannot_be_halved_so_often_are_refused_with_how_often_they_can() {
    let sets = ["model.encoder.kind=conv", "model.encoder.channels=[8, 8, 8]"];
    let refused = refusal("digits", &sets);
    for word in ["model.encoder.channels", "28x28", "3 times", "at most 2"] {
        assert!(refused.contains(word), "`{word}` is not in: {refused}");
    }
}

#[test]
fn a_condition_on_labels_that_the_data_lack_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.idx");
    std::fs::write(&path, idx(|i| (i % 251) as u8)).unwrap();
    let refused = refusal(path.to_str().unwrap(), &["model.condition=label"]);
    for word in ["model.condition", "no labels", "model.condition = \"none\""] {
        assert!(refused.contains(word), "`{word}` is not in: {refused}");
    }
}
