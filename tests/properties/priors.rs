//! Priors: densities integrate to one, and draws have the moments of the density.

use vae_model::config::Choice;
use vae_model::init::{Init, build_stored};
use vae_model::network::Activation;
use vae_model::parameters::parameters;
use vae_model::prior::{HierarchicalConfig, PriorConfig, PriorDistribution};

use super::models::{SHAKE, shaken, vae};
use super::statistics::{DRAWS, GRID, Grid, Mean, Moment, column, noise};
use crate::common::{device, host};

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

fn density(latent: usize, prior: &str) -> PriorDistribution {
    vae(latent, "", prior, SHAKE).prior(None, &device())
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

/// What draws and density are compared by: mean and square of each dimension, and the product of
/// all.
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

/// A second level over one dimension. Its q(u|z) is made wider than p(u) and its mean is held near
/// 0, so that the weights, which are p(z|u) p(u) / q(u|z), have a bound and with it a variance.
fn second_level() -> PriorDistribution {
    let (noise, device) = (noise(6), device());
    let config = HierarchicalConfig { latent: 2, hidden: vec![8], activation: Activation::Tanh };
    let level = shaken(config.second_level(&Init::drawn(&noise, &device), 1), SHAKE, 7);
    let mut weights = parameters(&level);
    let mut change = |path: &str, f: fn(f32) -> f32| {
        let values = &mut weights.get_mut(path).unwrap().values;
        values.iter_mut().for_each(|x| *x = f(*x));
    };
    change("inference.mean.output.weight", |x| 0.3 * x);
    change("inference.mean.output.bias", |x| 0.3 * x);
    change("inference.log_var.output.weight", |_| 0.0);
    change("inference.log_var.output.bias", |_| std::f32::consts::LN_2);
    PriorDistribution::Hierarchical(
        build_stored(weights, &device, |init| config.second_level(init, 1)).unwrap(),
    )
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
