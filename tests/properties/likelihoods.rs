//! Likelihoods: each adds up to one over x, and draws have the moments of the density.

use vae_model::Support;
use vae_model::config::Choice;
use vae_model::likelihood::{LikelihoodConfig, LikelihoodDistribution, Measure};

use super::statistics::{DRAWS, GRID, Grid, Mean, Moment, noise};
use crate::common::{choice, device, host, tensor};

/// What a density of one number is summed over: numbers, and how much each counts.
fn support(likelihood: &LikelihoodConfig) -> Vec<(f64, f64)> {
    match likelihood.properties().support {
        Support::Binary => vec![(0.0, 1.0), (1.0, 1.0)],
        Support::UnitInterval => {
            let n = 2_000i32;
            let weight = |i: i32| if i == 0 || i == n { 0.5 } else { 1.0 };
            (0..=n).map(|i| (f64::from(i) / f64::from(n), weight(i) / f64::from(n))).collect()
        }
        Support::Reals => Grid::new(1, 20.0, 0.01).points.into_iter().map(|x| (x, 0.01)).collect(),
        Support::Levels { low, high } => {
            let level = |i: i32| low + (high - low) * f64::from(i) / 255.0;
            (0..256).map(|i| (level(i), 1.0)).collect()
        }
        // Means are at most 6 here: what lies beyond has no mass.
        Support::Counts => (0..300).map(|i| (f64::from(i), 1.0)).collect(),
    }
}

/// Every likelihood with every way to know its spread and every output that it may have.
const LIKELIHOODS: [&str; 16] = [
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
    "kind = \"poisson\"",
    "kind = \"negative-binomial\"",
    "kind = \"negative-binomial\"\ndispersion = \"feature\"",
];

/// First parameter and log-spread of numbers: in the middle, on either side, far out, and where
/// series stand in for closed forms. Spreads are 0.37 to 1, steps of the grid 0.01.
const OUTPUTS: [(f32, f32); 6] =
    [(0.0, 0.0), (-0.2, -0.3), (0.31, -1.0), (2.0, -0.5), (-3.0, -0.7), (6.0, 0.0)];

/// p(x|z) of one number x for each of `outputs`, `rows` times over, output by output.
fn decoding(
    likelihood: &LikelihoodConfig,
    outputs: &[(f32, f32)],
    rows: usize,
) -> LikelihoodDistribution {
    let width = likelihood.properties().outputs;
    let row = |(first, log_spread): &(f32, f32)| [*first, *log_spread][..width].repeat(rows);
    let output: Vec<f32> = outputs.iter().flat_map(row).collect();
    let output = tensor(output, [outputs.len() * rows, width], &device());
    // Of one number of x, so that a spread per number is one number too.
    let shared = likelihood.properties().shared.map(|_| tensor(vec![-0.5], [1], &device()));
    LikelihoodDistribution::new(output, likelihood.clone(), shared)
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
        assert_ne!(likelihood.properties().measure, Measure::Loss, "{table}");
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
    assert_eq!(likelihood.properties().measure, Measure::Loss);
    let support = support(&likelihood);
    let log_p = log_densities(&likelihood, &support);
    for log_p in log_p.chunks(support.len()) {
        let mass = sum_over(&support, log_p, |_| 1.0);
        assert!((mass - std::f64::consts::PI.sqrt()).abs() < GRID, "{mass}");
    }
}

#[test]
fn a_likelihood_with_a_spread_knows_how_much_of_it_is_below_a_number() {
    for table in LIKELIHOODS {
        let likelihood = likelihood(table);
        let support = support(&likelihood);
        let n = support.len();
        let x: Vec<f32> = support.iter().map(|(x, _)| *x as f32).collect();
        let x = tensor(x.repeat(OUTPUTS.len()), [n * OUTPUTS.len(), 1], &device());
        let below = decoding(&likelihood, &OUTPUTS, n).cdf(x);
        let spreads = ["gaussian", "laplace", "discretized-logistic"];
        assert_eq!(below.is_some(), spreads.iter().any(|kind| table.contains(kind)), "{table}");
        let Some([below, up_to]) = below.map(|both| both.map(host)) else { continue };
        let log_p = log_densities(&likelihood, &support);
        // Half of the number itself, and all that are smaller.
        let below: Vec<f64> = below.iter().zip(&up_to).map(|(a, b)| 0.5 * (a + b)).collect();
        for ((log_p, below), output) in log_p.chunks(n).zip(below.chunks(n)).zip(OUTPUTS) {
            let mut sum = 0.0;
            for (i, ((_, weight), log_p)) in support.iter().zip(log_p).enumerate() {
                let mass = weight * log_p.exp();
                let expected = sum + 0.5 * mass;
                sum += mass;
                let off = (below[i] - expected).abs();
                assert!(off < 5.0 * GRID, "{table} at {output:?}: {} {expected}", below[i]);
            }
        }
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
