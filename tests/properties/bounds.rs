//! Bounds on log p(x): more draws raise them, and log p(x) is their limit.

use burn::tensor::Tensor;
use vae_model::{Batch, Networks, Role, Vae};

use super::models::{emptied, images, objective, vae};
use super::statistics::{ERRORS, Grid, Mean, noise};
use crate::common::{NUMBERS, device, host};

/// L_k of one image, as the objective has it: from 4,000 groups of k draws.
fn bound(vae: &Vae, x: &Tensor<2>, k: usize) -> Mean {
    let objective = objective(&format!("kind = \"iwae\"\nsamples = {k}"));
    let networks = Networks::from(vae.clone());
    let batch = Batch::new(x.clone().repeat_dim(0, 100));
    let bounds: Vec<f64> = (0..40)
        .map(|step| {
            // Draws of their own for each k.
            let noise = noise(20 + k as u64).at_step(step);
            let loss = objective.loss(Role::Model, &networks, &batch, &noise, 0.0);
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
    let log_prior = vae.prior(None, &device()).log_prob(z.clone(), &noise(0));
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
