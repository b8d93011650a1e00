//! Estimates of log p(x) against models whose log p(x) is known: a linear decoder with Gaussian noise,
//! and a mixture of two Gaussians in one dimension.

use std::sync::Arc;

use vae_data::{Examples, Scale, Shape, Transform, Values};
use vae_eval::Evaluator;
use vae_model::{DataSpec, Vae};

use super::models::with_parameters;
use super::statistics::Mean;
use crate::common::{device, vae_spec};

/// Standard deviation of p(x|z).
const SIGMA: f64 = 0.5;
/// p(x) of examples of two numbers.
const WIDTH: usize = 2;

/// A model of `table` with one latent dimension whose parameters are `values`, by path.
fn model(table: &str, values: &[(&str, &[f64])]) -> Vae {
    let table = format!(
        "[model]\nlatent = 1\n[model.encoder]\nhidden = []\n\
         [model.likelihood]\nkind = \"gaussian\"\nsigma = {SIGMA}\n{table}"
    );
    with_parameters(&vae_spec(&table, DataSpec::new(&[WIDTH])), values)
}

/// The decoder x = W z + b.
const W: [f64; WIDTH] = [1.5, -0.8];
const B: [f64; WIDTH] = [0.3, 0.1];

/// log p(x) for z of N(mean, variance): x is N(W mean + b, W W^T variance + sigma^2 I).
fn log_gaussian(x: [f64; WIDTH], mean: f64, variance: f64) -> f64 {
    let d: Vec<f64> = (0..WIDTH).map(|i| x[i] - W[i] * mean - B[i]).collect();
    let noise = SIGMA * SIGMA;
    let squares: f64 = W.iter().map(|w| w * w).sum();
    // The inverse of a matrix of rank one and a multiple of the identity.
    let along: f64 = W.iter().zip(&d).map(|(w, d)| w * d).sum();
    let total: f64 = d.iter().map(|d| d * d).sum();
    let form = (total - variance * along * along / (noise + variance * squares)) / noise;
    let log_det = (WIDTH as f64 - 1.0) * noise.ln() + (noise + variance * squares).ln();
    -0.5 * (form + log_det + WIDTH as f64 * (2.0 * std::f64::consts::PI).ln())
}

const POINTS: [[f64; WIDTH]; 6] =
    [[0.0, 0.0], [2.0, -1.0], [-1.5, 1.3], [0.4, 0.9], [4.6, -2.0], [-4.0, 2.6]];

fn evaluator(seed: u64) -> Evaluator {
    some(&POINTS, seed)
}

fn some(points: &[[f64; WIDTH]], seed: u64) -> Evaluator {
    let values: Vec<f32> = points.iter().flatten().map(|x| *x as f32).collect();
    let examples = Examples::new(Shape::Vector { len: WIDTH }, Values::Floats(values));
    let transform = Transform::fit(&examples, Default::default(), Scale::None).unwrap();
    Evaluator::new(Arc::new(examples), Arc::new(transform), device(), seed).unwrap()
}

/// The mean of -log p(x) over the points.
fn truth(log_p: impl Fn([f64; WIDTH]) -> f64) -> f64 {
    -POINTS.iter().map(|x| log_p(*x)).sum::<f64>() / POINTS.len() as f64
}

/// Estimates with different random numbers: nll and the median of the effective sample sizes.
struct Repeated {
    nll: Mean,
    ess: f64,
}

fn repeated(estimate: impl Fn(&Evaluator) -> (f64, f64)) -> Repeated {
    let each: Vec<(f64, f64)> = (0..8).map(|seed| estimate(&evaluator(seed))).collect();
    let nll: Vec<f64> = each.iter().map(|(nll, _)| *nll).collect();
    let ess = each.iter().map(|(_, ess)| ess).sum::<f64>() / each.len() as f64;
    Repeated { nll: Mean::of(&nll), ess }
}

fn by_importance(vae: &Vae, samples: usize) -> Repeated {
    repeated(|evaluator| {
        let found = evaluator.evaluate(vae, samples, &|_| {}).unwrap();
        (found.nll.unwrap(), found.ess_median.unwrap())
    })
}

fn by_annealing(vae: &Vae, steps: usize) -> Repeated {
    repeated(|evaluator| {
        let found = evaluator.annealed(vae, steps, &|_| {}).unwrap();
        (found.nll, found.ess[1])
    })
}

/// Whether the estimate is within two standard errors of the truth, and these are small.
fn assert_right(what: &str, found: &Repeated, truth: f64) {
    let Mean { value, error } = found.nll;
    assert!(error < 0.08, "{what}: +- {error} says little");
    assert!((value - truth).abs() < 2.0 * error, "{what}: {value} +- {error}, not {truth}");
}

#[test]
fn a_linear_gaussian_model_has_the_log_likelihood_of_its_closed_form() {
    // An encoder that is near the true posterior, but not there.
    let precision = 1.0 + W.iter().map(|w| w * w).sum::<f64>() / (SIGMA * SIGMA);
    let to_mean: Vec<f64> = W.iter().map(|w| 0.9 * w / (SIGMA * SIGMA) / precision).collect();
    let vae = model(
        "",
        &[
            ("decoder.output.weight", &W),
            ("decoder.output.bias", &B),
            ("posterior.mean.output.weight", &to_mean),
            ("posterior.mean.output.bias", &[0.0]),
            ("posterior.log_var.output.weight", &[0.0; WIDTH]),
            ("posterior.log_var.output.bias", &[(1.5 / precision).ln()]),
        ],
    );
    let truth = truth(|x| log_gaussian(x, 0.0, 1.0));
    assert_right("importance", &by_importance(&vae, 1_000), truth);
    assert_right("annealing", &by_annealing(&vae, 100), truth);
}

#[test]
fn where_the_encoder_knows_one_of_two_modes_annealing_is_right_and_importance_sampling_says_it_is_not()
 {
    let (means, deviation) = ([-3.0, 3.0], 0.4f64);
    let vae = model(
        "[model.prior]\nkind = \"mixture\"\ncomponents = \"learned\"\nk = 2",
        &[
            ("decoder.output.weight", &W),
            ("decoder.output.bias", &B),
            ("prior.learned.mean", &means),
            ("prior.learned.log_var", &[2.0 * deviation.ln(); 2]),
            ("posterior.mean.output.weight", &[0.0; WIDTH]),
            // Always the mode on the right, far too sure of it.
            ("posterior.mean.output.bias", &[3.0]),
            ("posterior.log_var.output.weight", &[0.0; WIDTH]),
            ("posterior.log_var.output.bias", &[2.0 * 0.3f64.ln()]),
        ],
    );
    let log_p = |x| {
        let of = |mean| 0.5 * log_gaussian(x, mean, deviation * deviation).exp();
        (of(means[0]) + of(means[1])).ln()
    };
    let truth = truth(log_p);
    // The same numbers whatever is estimated together.
    let each = |n: usize| some(&POINTS[..n], 0).annealed(&vae, 20, &|_| {}).unwrap().nll_each;
    let (two, all) = (each(2), each(POINTS.len()));
    assert!(two.iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-4), "{two:?} {all:?}");
    let annealed = by_annealing(&vae, 200);
    assert_right("annealing", &annealed, truth);
    let importance = by_importance(&vae, 1_000);
    assert!(importance.nll.value > truth + 1.0, "{}", importance.nll.value);
    assert!(importance.ess < 5.0 && annealed.ess > 6.0, "{} {}", importance.ess, annealed.ess);
}
