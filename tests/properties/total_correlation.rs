//! The KL taken apart: mutual information and total correlation, estimated within a batch.

use burn::module::Module;
use burn::tensor::Tensor;
use vae_model::objective::stratified;
use vae_model::posterior::{Gaussian, PosteriorDistribution};
use vae_model::{Batch, DataSpec, NetworksSpec, Noise, Role};
use vae_train::TrainConfig;

use super::statistics::{Mean, noise};
use crate::common::{NUMBERS, device, host, tensor};

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

/// At the centre of a circle of equal Gaussians each has the same density, and so has every
/// weighting of them. With all z of a batch but the first there, what is left of the mutual
/// information is that of the first alone.
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
                let z =
                    PosteriorDistribution::Gaussian(q.clone()).draw(&noise(27).at_step(step), 1).z;
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

#[test]
fn the_weights_of_the_decomposed_kl_rise_from_nothing_to_theirs() {
    const BATCH: usize = 6;
    for estimator in ["stratified", "weighted", "discriminator"] {
        let losses = |warmup: f64, epoch: f64| {
            let text = format!(
                "[model]\nlatent = 3\n[model.encoder]\nhidden = [8]\n[objective]\nkind = \"tc\"\n\
                 estimator = \"{estimator}\"\nwarmup_epochs = {warmup:?}\n\
                 [objective.critic]\nhidden = [8]\n"
            );
            let config = TrainConfig::from_toml("c.toml", &text, &[]).unwrap();
            let (model, objective) = (config.model.clone(), config.objective.clone());
            let spec = NetworksSpec::new(model, objective, DataSpec::new(&[NUMBERS])).unwrap();
            let networks = spec.init(&noise(28), &device().autodiff()).unwrap().train();
            let x = noise(29).uniform("x", [1, BATCH, NUMBERS]);
            let batch = Batch {
                data_set_size: 10 * BATCH,
                ..Batch::new(tensor(x, [BATCH, NUMBERS], &device()))
            };
            let loss = config.objective.loss(Role::Model, &networks, &batch, &noise(30), epoch);
            let reconstruction = loss.terms.iter().find(|(name, _)| *name == "reconstruction");
            let reconstruction = host(reconstruction.unwrap().1.clone().inner())[0];
            [host(loss.total.inner())[0], reconstruction]
        };
        let [whole, reconstruction] = losses(0.0, 0.0);
        assert!((whole - reconstruction).abs() > 1e-3, "{estimator}: no KL");
        for (epoch, share) in [(0.0, 0.0), (0.5, 0.25), (1.5, 0.75), (2.0, 1.0), (9.0, 1.0)] {
            let [found, _] = losses(2.0, epoch);
            let expected = reconstruction + share * (whole - reconstruction);
            assert!((found - expected).abs() < 1e-5 * expected.abs(), "{estimator}, {epoch}");
        }
    }
}
