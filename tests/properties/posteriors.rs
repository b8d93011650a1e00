//! Posteriors: the density is that of the draws.

use super::models::{SHAKE, images, vae};
use super::statistics::{DRAWS, GRID, Grid, Mean, column, noise};
use crate::common::host;

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

/// The density of a flow is known at its draws only; but E_q[r(z) / q(z)] = 1 for every density r
/// that lies within q.
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
