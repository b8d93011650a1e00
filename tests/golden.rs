//! Golden numbers: every formula of a model, its gradients and the optimizers against PyTorch in
//! double precision. The numbers stand in `golden/*.json`; `golden/make.py` says how they are made.
//!
//! The files hold results only. Weights, data and noise come from `uniform` in `golden/common.rs`,
//! which make.py has too.

use std::sync::Arc;

use burn::module::Module;
use burn::optim::GradientsParams;
use vae_data::{Examples, Pixels, Shape, Transform, Values};
use vae_eval::{Evaluator, KeyedNoise, Phase, Team};
use vae_model::bound::log_weights;
use vae_model::compatibility::check_objective;
use vae_model::likelihood::{LikelihoodConfig, LikelihoodDistribution};
use vae_model::network::Activation;
use vae_model::objective::ElboConfig;
use vae_model::parameters::parameters;
use vae_model::posterior::{Gaussian, PosteriorDistribution};
use vae_model::prior::{PriorDistribution, StandardNormal};
use vae_model::{Batch, Networks, ObjectiveConfig, Role};
use vae_train::optimizer::{OptimizerConfig, clip_global_norm};

use crate::common::{
    BATCH, Formula, INPUT, LATENT, NUMBERS, SINGLE, Tolerance, WHOLE, assert_close,
    assert_close_by_path, assert_loss, by_path, cases, centred, choice, count, data, device, host,
    model, number, numbers, tensor, text, uniform,
};

#[test]
fn activations_and_their_slopes_are_right_near_zero_and_far_from_it() {
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/activation.json"), 5) {
        let name = text(&case, "activation");
        let activation: Activation = serde_json::from_value(case["activation"].clone()).unwrap();
        let x: Vec<f32> = numbers(&case["x"]).iter().map(|x| *x as f32).collect();
        let n = x.len();
        let x = tensor(x, [n], &autodiff).require_grad();
        let value = activation.forward(x.clone());
        let slope = x.grad(&value.clone().sum().backward()).unwrap();
        // exp(-100) is no number of single precision, hence the floor; exp(x) - 1 loses what is
        // below.
        let near = Tolerance { relative: 1e-6, floor: 1e-7 };
        assert_close(name, &host(value.inner()), &numbers(&case["value"]), near);
        assert_close(&format!("slope of {name}"), &host(slope), &numbers(&case["slope"]), near);
    }
}

#[test]
fn the_gaussian_posterior_has_the_kl_draws_and_densities_of_its_definition() {
    let device = device();
    for case in cases(include_str!("golden/posterior.json"), 2) {
        let part = |name: &str| {
            let width = number(&case, &format!("width_{name}"));
            tensor(centred(name, BATCH * LATENT, width), [BATCH, LATENT], &device)
        };
        let q = PosteriorDistribution::Gaussian(Gaussian {
            mean: part("mean"),
            log_var: part("log_var"),
        });
        let prior = PriorDistribution::Standard(StandardNormal::new(LATENT));
        let kl = q.gaussian().and_then(|q| prior.kl_from(q)).unwrap();
        assert_eq!(kl.dims(), [BATCH, LATENT]);
        assert_close("kl", &host(kl), &numbers(&case["kl"]), SINGLE);

        let k = count(&case, "k");
        let draw = q.draw(&Formula::default(), k);
        assert_eq!(draw.z.dims(), [k, BATCH, LATENT]);
        assert_close("z", &host(draw.z.clone()), &numbers(&case["z"]), SINGLE);
        let log_q = draw.log_q().unwrap();
        assert_eq!(log_q.dims(), [k, BATCH]);
        assert_close("log q", &host(log_q), &numbers(&case["log_q"]), SINGLE);
        let log_p = prior.log_prob(draw.z, &Formula::default());
        assert_eq!(log_p.dims(), [k, BATCH]);
        assert_close("log p", &host(log_p), &numbers(&case["log_p"]), SINGLE);
    }
}

#[test]
fn log_likelihoods_and_their_slopes_are_those_of_every_likelihood_and_output() {
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/likelihood.json"), 10) {
        let name = text(&case, "name");
        let likelihood: LikelihoodConfig = choice(text(&case, "likelihood"), "likelihood");
        likelihood.validate("likelihood").unwrap();
        let k = count(&case, "k");
        let rows = k * BATCH;
        let output = centred("output", rows * NUMBERS, number(&case, "width"));
        let output = tensor(output, [rows, NUMBERS], &autodiff).require_grad();
        let x = data(text(&case, "x"), "x", NUMBERS, &autodiff);
        let decoding = LikelihoodDistribution::new(output.clone(), likelihood.clone(), None);

        let log_prob = decoding.clone().log_prob(x.clone());
        assert_eq!(log_prob.dims(), [k, BATCH]);
        let golden = numbers(&case["log_prob"]);
        assert_close(name, &host(log_prob.clone().inner()), &golden, SINGLE);
        let slope = output.grad(&log_prob.sum().backward()).unwrap();
        assert_close(&format!("slope, {name}"), &host(slope), &numbers(&case["slope"]), SINGLE);
        let mean = host(decoding.mean().inner());
        assert_close(&format!("mean, {name}"), &mean, &numbers(&case["mean"]), SINGLE);

        // One draw a point takes another road to the same number.
        let first = LikelihoodDistribution::new(output.narrow(0, 0, BATCH), likelihood, None);
        let one = host(first.log_prob(x.clone()).inner());
        assert_close(&format!("one draw, {name}"), &one, &golden[..BATCH], SINGLE);

        let average = decoding.log_prob_of_average(x, k);
        assert_eq!(average.dims(), [1, BATCH]);
        let near = Tolerance { relative: number(&case, "average_tolerance"), floor: 2e-6 };
        let golden = numbers(&case["average"]);
        assert_close(&format!("average, {name}"), &host(average.inner()), &golden, near);
    }
}

#[test]
fn the_loss_its_terms_and_all_gradients_are_those_of_the_definition() {
    let device = device();
    for case in cases(include_str!("golden/loss.json"), 13) {
        let name = text(&case, "name");
        let networks = Networks::from(model(&case, &device.clone().autodiff()).train());
        let objective: ObjectiveConfig = choice(text(&case, "objective"), "objective");
        objective.validate("objective").unwrap();
        check_objective(networks.vae.config(), &objective.requirements()).unwrap();
        let batch = Batch::new(data(text(&case, "x"), "x", NUMBERS, &device));
        let epoch = number(&case, "epoch");
        let loss = objective.loss(Role::Model, &networks, &batch, &Formula::default(), epoch);
        assert_loss(name, &loss, &case);
        let vae = &networks.vae;
        let grads = GradientsParams::from_grads(loss.total.backward(), vae);
        assert_close_by_path(name, &by_path(vae, grads), &case["gradients"], WHOLE);
    }
}

/// -log of the mean weight, by the definition, in double precision.
fn nll(log_weights: &[f64], images: usize) -> Vec<f64> {
    let k = (log_weights.len() / images) as f64;
    let sums = (0..images)
        .map(|image| log_weights.iter().skip(image).step_by(images).map(|w| w.exp()).sum::<f64>());
    sums.map(|sum| -(sum / k).ln()).collect()
}

#[test]
fn importance_weights_and_the_nll_from_them_are_those_of_the_definition() {
    let device = device();
    for case in cases(include_str!("golden/weights.json"), 3) {
        let (name, k) = (text(&case, "name"), count(&case, "k"));
        let vae = model(&case, &device);
        let batch = Batch::new(data(text(&case, "x"), "x", NUMBERS, &device));
        let q = vae.encode(batch.x.clone(), None);
        let prior = vae.prior(batch.labels.as_ref(), &device);
        let log_w = log_weights(&vae, &batch, (&q, &prior), &Formula::default(), k).unwrap();
        assert_eq!(log_w.dims(), [k, BATCH]);
        let log_w = host(log_w);
        assert_close(name, &log_w, &numbers(&case["log_weights"]), SINGLE);
        let golden = numbers(&case["nll"]);
        assert_close(&format!("nll, {name}"), &nll(&log_w, BATCH), &golden, SINGLE);
    }
}

/// The evaluator walks in chunks of images and draws; the definition does not.
#[test]
fn a_judgement_is_the_average_over_images_of_the_golden_formulas() {
    const IMAGES: usize = 12;
    const DRAWS: usize = 1_000;
    const SEED: u64 = 11;
    let device = device();
    let case = &cases(include_str!("golden/weights.json"), 3)[0];
    let vae = model(case, &device);
    let bytes: Vec<u8> =
        uniform("bytes", IMAGES * NUMBERS).iter().map(|u| (u * 256.0) as u8).collect();
    let [channels, height, width] = INPUT;
    let bits: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte >= 128)).collect();
    let shape = Shape::Image { channels, height, width };
    let examples = Arc::new(Examples::new(shape, Values::Bytes(bytes)));
    let transform = Arc::new(Transform::Pixels(Pixels::Binary));
    let evaluator = Evaluator::new(examples, transform, device.clone(), SEED).unwrap();
    let judged = evaluator.evaluate(&vae, DRAWS, &|_| {}).unwrap();

    let noise = KeyedNoise::new(SEED, Phase::Evaluate);
    let batch = Batch::new(tensor(bits, [IMAGES, NUMBERS], &device));
    let q = vae.encode(batch.x.clone(), None);
    let prior = vae.prior(batch.labels.as_ref(), &device);
    let log_w = host(log_weights(&vae, &batch, (&q, &prior), &noise, DRAWS).unwrap());
    let each = nll(&log_w, IMAGES);
    let n = IMAGES as f64;
    let mean = each.iter().sum::<f64>() / n;
    let variance = each.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let near = Tolerance { relative: 1e-6, floor: 0.0 };
    assert_close("nll", &[judged.nll.unwrap()], &[mean], near);
    let stderr = (variance / n).sqrt();
    let near_root = Tolerance { relative: 1e-4, floor: 0.0 };
    assert_close("nll_stderr", &[judged.nll_stderr.unwrap()], &[stderr], near_root);

    let plain = ObjectiveConfig::Elbo(ElboConfig::default());
    let loss = plain.loss(Role::Model, &vae.into(), &batch, &noise, 0.0);
    let terms = [judged.neg_elbo.unwrap(), judged.reconstruction, judged.kl.unwrap()];
    let golden = host(loss.values());
    assert_eq!(loss.names(), ["loss", "reconstruction", "kl", "neg_elbo"]);
    assert_close("terms", &terms, &[golden[3], golden[1], golden[2]], near);

    let means = host(q.mean());
    let active = (0..LATENT).filter(|unit| {
        let unit: Vec<f64> = means.iter().skip(*unit).step_by(LATENT).copied().collect();
        let mean = unit.iter().sum::<f64>() / n;
        unit.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / n > 0.01
    });
    assert_eq!(judged.active_units, active.count());
    assert_eq!((judged.images, judged.latent, judged.likelihood), (IMAGES, LATENT, true));
}

#[test]
fn five_steps_of_every_optimizer_end_where_pytorchs_do() {
    let device = device();
    let plain = ObjectiveConfig::Elbo(ElboConfig::default());
    for case in cases(include_str!("golden/optimizer.json"), 15) {
        let name = text(&case, "name");
        let mut networks = Networks::from(model(&case, &device.clone().autodiff()).train());
        let config: OptimizerConfig = choice(text(&case, "optimizer"), "optimizer");
        config.validate("optimizer").unwrap();
        let mut optimizer = config.init(true);
        let alone = Team::new(1).unwrap();
        let clip = number(&case, "clip_norm");
        let golden_losses = numbers(&case["losses"]);
        for (step, golden) in golden_losses.iter().enumerate() {
            let batch = Batch::new(data("binary", &format!("x/{step}"), NUMBERS, &device));
            let noise = Formula { step: Some(step) };
            let loss = plain.loss(Role::Model, &networks, &batch, &noise, 0.0);
            let total = host(loss.total.clone().inner());
            assert_close(&format!("{name}: loss {step}"), &total, &[*golden], SINGLE);
            let mut grads = GradientsParams::from_grads(loss.total.backward(), &networks.vae);
            if clip > 0.0 {
                grads = clip_global_norm(&networks.vae, vec![grads], clip);
            }
            let rate = config.learning_rate() / (1.0 + 0.3 * step as f64);
            networks.vae = optimizer.step(rate, networks.vae, vec![grads], &alone);
        }
        let after = parameters(&networks.vae.valid());
        let after = after
            .into_iter()
            .map(|(path, t)| (path, t.values.into_iter().map(f64::from).collect()))
            .collect();
        // A step is a hundredth or so of a number below 1.
        let near = Tolerance { relative: 0.0, floor: 2e-6 };
        assert_close_by_path(name, &after, &case["parameters"], near);
    }
}
