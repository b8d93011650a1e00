//! Estimators of gradients: one expectation, and the noise that each promises to be without.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::GradientsParams;
use vae_eval::KeyedNoise;
use vae_model::{Batch, Networks, Role};

use super::models::{emptied, images, objective, vae};
use super::statistics::{Mean, column, noise, norm};
use crate::common::by_path;

/// Gradients by path of a model in training.
fn gradients(
    table: &str,
    networks: &Networks,
    batch: &Batch,
    noise: &KeyedNoise,
) -> BTreeMap<String, Vec<f64>> {
    let loss = objective(table).loss(Role::Model, networks, batch, noise, 0.0);
    let vae = &networks.vae;
    by_path(vae, GradientsParams::from_grads(loss.total.backward(), vae))
}

/// Those of one side of the model, one after the other.
fn of_side(gradients: &BTreeMap<String, Vec<f64>>, decoder: bool) -> Vec<f64> {
    let own = gradients.iter().filter(|(path, _)| path.starts_with("decoder.") == decoder);
    own.flat_map(|(_, gradient)| gradient.clone()).collect()
}

const PLAIN: &str = "kind = \"iwae\"\nsamples = 4";
const DREG: &str = "kind = \"iwae\"\nsamples = 4\nestimator = \"dreg\"";

#[test]
fn both_estimates_of_the_encoders_gradient_have_one_expectation() {
    let networks = Networks::from(vae(2, "", "", 0.5).train());
    let batch = Batch::new(images(4).repeat_dim(0, 16));
    let (mut differences, mut estimates) = (Vec::new(), Vec::new());
    for step in 0..200 {
        let noise = noise(22).at_step(step);
        let [plain, dreg] =
            [PLAIN, DREG].map(|table| of_side(&gradients(table, &networks, &batch, &noise), false));
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
    let networks = Networks::from(emptied(vae(2, "", "", 0.0)).train());
    let batch = Batch::new(images(4));
    for step in 0..5 {
        let noise = noise(23).at_step(step);
        let [plain, dreg] = [PLAIN, DREG]
            .map(|table| norm(&of_side(&gradients(table, &networks, &batch, &noise), false)));
        assert!(dreg < 1e-5, "{dreg}");
        // It is a mean over 4 images of draws with variance 1.
        assert!(plain > 0.01, "{plain}");
    }
}

#[test]
fn piwae_trains_its_decoder_by_all_draws_and_its_encoder_by_groups() {
    let networks = Networks::from(vae(2, "", "", 0.5).train());
    let (batch, noise) = (Batch::new(images(5)), noise(24));
    let of = |table: &str| gradients(table, &networks, &batch, &noise);
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
