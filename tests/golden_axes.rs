//! Golden numbers of the further choices on every axis: priors, flows, likelihoods, critics, discrepancies,
//! bounds and networks against PyTorch in double precision. `golden/axes.py` says how they are made.
//!
//! A case lists under `inputs` what goes in, with its shape and width, by the formula of `golden/common.rs`.

#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "golden/common.rs"]
#[allow(dead_code, reason = "each of the tests of golden numbers uses a part")]
mod common;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Tensor, activation};
use common::{
    BATCH, Formula, INPUT, LATENT, NUMBERS, SINGLE, Tolerance, WHOLE, assert_close,
    assert_close_by_path, assert_loss, by_path, cases, centred, choice, count, counts, data,
    device, host, model, number, numbers, tensor, text, uniform, vae_config,
};
use serde_json::Value;
use vae_model::critic::CriticConfig;
use vae_model::divergence::{Kernel, mmd};
use vae_model::init::{Stored, build_stored};
use vae_model::likelihood::{Decoding, LikelihoodConfig};
use vae_model::objective::{AdversarialConfig, CriticLoss, Over, stratified};
use vae_model::posterior::{Encoding, Flow, Gaussian, IafStep};
use vae_model::prior::{Density, Mixture, RealNvpConfig, Standard};
use vae_model::{Batch, Domain, Learnable, Noise, ObjectiveConfig, Player};

// ------------------------------------------------------------ what goes into a case

/// Its shape and numbers.
fn stored(case: &Value, name: &str) -> Stored {
    let said = &case["inputs"][name];
    let shape = counts(&said["shape"]);
    let n = shape.iter().product();
    let values = match said["width"].as_f64() {
        Some(width) => centred(name, n, width),
        None => uniform(name, n),
    };
    Stored { shape, values }
}

fn input<const D: usize>(case: &Value, name: &str, device: &Device) -> Tensor<D> {
    let Stored { shape, values } = stored(case, name);
    tensor(values, shape.try_into().unwrap(), device)
}

/// An input that gradients are asked for.
fn leaf<const D: usize>(case: &Value, name: &str, autodiff: &Device) -> Tensor<D> {
    input(case, name, autodiff).require_grad()
}

/// The inputs below `path` that are weights, by the rest of their path.
fn weights(case: &Value, path: &str) -> BTreeMap<String, Stored> {
    let names = case["inputs"].as_object().unwrap().keys().filter(|name| name.contains('.'));
    let below = names.filter_map(|name| Some((name.strip_prefix(path)?, name)));
    below.map(|(rest, name)| (rest.to_owned(), stored(case, name))).collect()
}

fn gradient<const D: usize>(leaf: &Tensor<D>, grads: &Gradients) -> Vec<f64> {
    host(leaf.grad(grads).expect("a gradient of this input"))
}

/// Gradients of some inputs by name.
fn named<const N: usize>(found: [(&str, Vec<f64>); N]) -> BTreeMap<String, Vec<f64>> {
    found.into_iter().map(|(name, gradient)| (name.to_owned(), gradient)).collect()
}

// ------------------------------------------------------------ priors

#[test]
fn a_mixture_has_the_density_and_the_slopes_of_its_definition() {
    let autodiff = device().autodiff();
    let case = &cases(include_str!("golden/prior.json"), 3)[0];
    let name = text(case, "name");
    assert_eq!(name, "mixture");
    let z = leaf::<3>(case, "z", &autodiff);
    let mean = leaf::<2>(case, "mean", &autodiff);
    let log_var = leaf::<2>(case, "log_var", &autodiff);
    let logits = leaf::<1>(case, "logits", &autodiff);
    let mixture = Mixture {
        log_weights: activation::log_softmax(logits.clone(), 0),
        mean: mean.clone(),
        log_var: log_var.clone(),
    };
    let log_prob = mixture.log_prob(z.clone());
    assert_eq!(log_prob.dims(), [count(case, "k"), BATCH]);
    assert_close(name, &host(log_prob.clone().inner()), &numbers(&case["log_prob"]), SINGLE);
    let grads = log_prob.sum().backward();
    let found = named([
        ("z", gradient(&z, &grads)),
        ("mean", gradient(&mean, &grads)),
        ("log_var", gradient(&log_var, &grads)),
        ("logits", gradient(&logits, &grads)),
    ]);
    assert_close_by_path(name, &found, &case["gradients"], SINGLE);
}

#[test]
fn a_ring_is_the_mixture_that_its_settings_tell() {
    let autodiff = device().autodiff();
    let case = &cases(include_str!("golden/prior.json"), 3)[1];
    let name = text(case, "name");
    assert_eq!(name, "ring");
    let config = vae_config(&format!(
        "[model]\nlatent = {}\n[model.prior]\nkind = \"mixture\"\nk = {}\nradius = {:?}\nsigma = {:?}\n",
        count(case, "latent"),
        count(case, "components"),
        number(case, "radius"),
        number(case, "sigma"),
    ));
    let vae = config.init(&Domain::new(&INPUT), &Formula::default(), &autodiff);
    let z = leaf::<3>(case, "z", &autodiff);
    let log_prob = vae.prior(&autodiff).log_prob(z.clone(), &Formula::default());
    assert_close(name, &host(log_prob.clone().inner()), &numbers(&case["log_prob"]), SINGLE);
    let found = named([("z", gradient(&z, &log_prob.sum().backward()))]);
    assert_close_by_path(name, &found, &case["gradients"], SINGLE);
}

#[test]
fn a_realnvp_has_the_density_and_the_slopes_of_its_definition_and_can_be_undone() {
    let autodiff = device().autodiff();
    let case = &cases(include_str!("golden/prior.json"), 3)[2];
    let name = text(case, "name");
    assert_eq!(name, "realnvp");
    let (k, latent) = (count(case, "k"), count(case, "latent"));
    let config =
        RealNvpConfig { couplings: count(case, "couplings"), hidden: counts(&case["hidden"]) };
    let flow =
        build_stored(weights(case, ""), &autodiff, |init| config.init(init, latent)).unwrap();
    let z = leaf::<3>(case, "z", &autodiff);

    let (e, log_det) = flow.forward(z.clone().reshape([k * BATCH, latent]));
    assert_eq!((e.dims(), log_det.dims()), ([k * BATCH, latent], [k * BATCH, 1]));
    assert_close("e", &host(e.clone().inner()), &numbers(&case["e"]), SINGLE);
    assert_close("log det", &host(log_det.inner()), &numbers(&case["log_det"]), SINGLE);
    // On the way back each of three couplings may enlarge what was rounded by e^2.
    let back = Tolerance { relative: 1e-5, floor: 1e-4 };
    let z_again = host(flow.inverse(e).inner());
    assert_close("z", &z_again, &host(z.clone().inner()), back);

    let log_prob = Density::RealNvp(flow.clone()).log_prob(z.clone(), &Formula::default());
    assert_eq!(log_prob.dims(), [k, BATCH]);
    assert_close(name, &host(log_prob.clone().inner()), &numbers(&case["log_prob"]), SINGLE);
    let grads = log_prob.sum().backward();
    let mut found = named([("z", gradient(&z, &grads))]);
    found.extend(by_path(&flow, GradientsParams::from_grads(grads, &flow)));
    // Of opposite sign, and some hundreds large, are the parts of which the smaller ones are sums.
    let near = Tolerance { relative: 1e-4, floor: 2e-5 };
    assert_close_by_path(name, &found, &case["gradients"], near);
}

// ------------------------------------------------------------ inverse autoregressive flow

/// All normal numbers are 0: what is drawn is the mean.
struct Zeros;

impl Noise for Zeros {
    fn normal(&self, _purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        vec![0.0; shape.iter().product()]
    }

    fn uniform(&self, purpose: &str, _shape: [usize; 3]) -> Vec<f32> {
        panic!("{purpose}: nothing uniform is drawn here")
    }

    fn permutation(&self, purpose: &str, _n: usize) -> Vec<u32> {
        panic!("{purpose}: no order is drawn here")
    }
}

#[test]
fn an_autoregressive_flow_has_the_draws_determinants_and_slopes_of_its_definition() {
    const DRAWS: usize = 2;
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/iaf.json"), 3) {
        let name = text(&case, "name");
        let [latent, context_width, hidden] =
            ["latent", "context", "hidden"].map(|key| count(&case, key));
        let step = |i: &usize| -> IafStep {
            build_stored(weights(&case, &format!("{i}.")), &autodiff, |init| {
                IafStep::new(init, latent, context_width, hidden)
            })
            .unwrap()
        };
        let numbers_of_steps = counts(&case["steps"]);
        let steps: Vec<IafStep> = numbers_of_steps.iter().map(step).collect();
        let z = leaf::<2>(&case, "z", &autodiff);
        let context = leaf::<2>(&case, "context", &autodiff);
        let w = input::<2>(&case, "w", &autodiff);

        // With eps = 0 and variance 1: log q = -latent/2 log 2 pi - log |det|, and z is the mean's image.
        let flow = Encoding::Flow(Flow {
            start: Gaussian { mean: z.clone(), log_var: Tensor::zeros([BATCH, latent], &autodiff) },
            context: context.clone(),
            steps: steps.clone(),
        });
        let draw = flow.draw(&Zeros, DRAWS);
        let log_q = draw.log_q().unwrap();
        assert_eq!((draw.z.dims(), log_q.dims()), ([DRAWS, BATCH, latent], [DRAWS, BATCH]));
        let constant = 0.5 * latent as f64 * std::f64::consts::TAU.ln();
        let log_det = log_q.clone().inner().add_scalar(constant).neg();
        let golden_z = numbers(&case["z"]).repeat(DRAWS);
        assert_close(&format!("z, {name}"), &host(draw.z.clone().inner()), &golden_z, SINGLE);
        let golden_det = numbers(&case["log_det"]).repeat(DRAWS);
        assert_close(&format!("log det, {name}"), &host(log_det), &golden_det, SINGLE);
        let mean = host(flow.mean().inner());
        assert_close(&format!("mean, {name}"), &mean, &golden_z[..mean.len()], SINGLE);

        let total = ((draw.z * w.unsqueeze::<3>()).sum() - log_q.sum()).div_scalar(DRAWS as f64);
        let mut grads = total.backward();
        let mut found =
            named([("z", gradient(&z, &grads)), ("context", gradient(&context, &grads))]);
        for (i, step) in numbers_of_steps.iter().zip(&steps) {
            let of_step = GradientsParams::from_module(&mut grads, step);
            let of_step = by_path(step, of_step).into_iter();
            found.extend(of_step.map(|(path, gradient)| (format!("{i}.{path}"), gradient)));
        }
        assert_close_by_path(name, &found, &case["gradients"], SINGLE);
    }
}

// ------------------------------------------------------------ likelihoods

/// x of the case: of a kind, or of 256 levels with both ends in each row.
fn x_of(case: &Value, device: &Device) -> Tensor<2> {
    let levels = |x_of_level: fn(f64) -> f64| {
        let uniform = uniform("x", BATCH * NUMBERS).into_iter().enumerate();
        let x = uniform.map(|(i, u)| match i % NUMBERS {
            0 => x_of_level(0.0) as f32,
            1 => x_of_level(255.0) as f32,
            _ => x_of_level((255.0 * f64::from(u)).round()) as f32,
        });
        tensor(x.collect(), [BATCH, NUMBERS], device)
    };
    match text(case, "x") {
        "levels, unit" => levels(|level| level / 255.0),
        "levels, signed" => levels(|level| 2.0 * level / 255.0 - 1.0),
        kind => data(kind, "x", NUMBERS, device),
    }
}

#[test]
fn further_likelihoods_and_their_slopes_are_those_of_the_definition() {
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/more_likelihoods.json"), 17) {
        let name = text(&case, "name");
        let likelihood: LikelihoodConfig = choice(text(&case, "likelihood"), "likelihood");
        likelihood.validate("likelihood").unwrap();
        let (k, parameters) = (count(&case, "k"), count(&case, "parameters"));
        assert_eq!(likelihood.parameters(), parameters, "{name}: outputs of a number");
        let (rows, width) = (k * BATCH, parameters * NUMBERS);
        let output = centred("output", rows * width, number(&case, "width"));
        let output = tensor(output, [rows, width], &autodiff).require_grad();
        let log_spread = case["width_log_spread"]
            .as_f64()
            .map(|width| tensor(centred("log_spread", 1, width), [1], &autodiff).require_grad());
        let x = x_of(&case, &autodiff);
        let decoding = Decoding::new(output.clone(), likelihood.clone(), log_spread.clone());

        let values = Tolerance { floor: 1e-5, ..SINGLE };
        let slopes = SINGLE;

        let log_prob = decoding.log_prob(x.clone());
        assert_eq!(log_prob.dims(), [k, BATCH]);
        let golden = numbers(&case["log_prob"]);
        assert_close(name, &host(log_prob.clone().inner()), &golden, values);
        let mean = host(decoding.mean().inner());
        assert_close(&format!("mean, {name}"), &mean, &numbers(&case["mean"]), SINGLE);

        let grads = log_prob.sum().backward();
        let slope = gradient(&output, &grads);
        assert_close(&format!("slope, {name}"), &slope, &numbers(&case["slope"]), slopes);
        if let Some(log_spread) = &log_spread {
            let slope = gradient(log_spread, &grads);
            let golden = numbers(&case["spread_slope"]);
            assert_close(&format!("spread's slope, {name}"), &slope, &golden, SINGLE);
        }

        // One draw a point takes another road to the same number.
        let first = Decoding::new(output.narrow(0, 0, BATCH), likelihood, log_spread);
        let one = host(first.log_prob(x).inner());
        assert_close(&format!("one draw, {name}"), &one, &golden[..BATCH], values);
    }
}

// ------------------------------------------------------------ critics

#[test]
fn critics_their_losses_and_all_gradients_are_those_of_the_definition() {
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/critic.json"), 16) {
        let name = text(&case, "name");
        let critic = CriticConfig {
            hidden: counts(&case["hidden"]),
            slope: number(&case, "negative_slope"),
        };
        let real = leaf::<2>(&case, "v_real", &autodiff);
        let fake = leaf::<2>(&case, "v_fake", &autodiff);
        let [_, width] = real.dims();
        let critic =
            build_stored(weights(&case, ""), &autodiff, |init| critic.init(init, width)).unwrap();
        for (which, rows) in [("real", &real), ("fake", &fake)] {
            let score = critic.score(rows.clone());
            assert_eq!(score.dims(), [BATCH, 1]);
            let what = format!("score of {which}, {name}");
            assert_close(&what, &host(score.inner()), &numbers(&case[which]), SINGLE);
        }

        let mut kind = text(&case, "loss_name").split(", ");
        let (player, formula) = (kind.next().unwrap(), kind.next().unwrap());
        let objective = AdversarialConfig {
            over: if player == "pairs" { Over::Xz } else { Over::Z },
            loss: match formula {
                "logistic" => CriticLoss::Logistic,
                "wasserstein" => CriticLoss::WassersteinClip,
                "wasserstein-gp" => CriticLoss::WassersteinGp,
                other => panic!("no loss {other}"),
            },
            ..AdversarialConfig::default()
        };
        let total = match player {
            "generator" => objective.adversarial_term(&critic, None, fake.clone()),
            "pairs" => objective.adversarial_term(&critic, Some(real.clone()), fake.clone()),
            "critic" => {
                let noise = Formula::default();
                let loss = objective.critic_loss(&critic, real.clone(), fake.clone(), &noise);
                let values = host(loss.values());
                let mean = |key: &str| {
                    let all = numbers(&case[key]);
                    all.iter().sum::<f64>() / all.len() as f64
                };
                let mut names = vec!["loss", "critic_real", "critic_fake"];
                let mut golden = vec![number(&case, "loss"), mean("real"), mean("fake")];
                if formula == "wasserstein-gp" {
                    assert_eq!(objective.penalty, number(&case, "penalty_weight"));
                    names.extend(["gradient_norm", "gradient_penalty"]);
                    golden.extend([mean("norms"), number(&case, "penalty")]);
                    let u = input::<1>(&case, "penalty", &autodiff).reshape([BATCH, 1]);
                    let between = fake.clone() + u * (real.clone() - fake.clone());
                    let slopes = critic.input_gradient(between).inner();
                    let norms = host(slopes.square().sum_dim(1).sqrt());
                    let what = format!("norms, {name}");
                    assert_close(&what, &norms, &numbers(&case["norms"]), SINGLE);
                }
                assert_eq!(loss.names(), names, "{name}: names of the terms");
                assert_close(&format!("terms, {name}"), &values, &golden, SINGLE);
                loss.total
            }
            other => panic!("no player {other}"),
        };
        let value = host(total.clone().inner());
        assert_close(name, &value, &[number(&case, "loss")], SINGLE);

        let grads = total.backward();
        let found = match player {
            "generator" => named([("v_fake", gradient(&fake, &grads))]),
            "pairs" => {
                named([("v_fake", gradient(&fake, &grads)), ("v_real", gradient(&real, &grads))])
            }
            _ => by_path(&critic, GradientsParams::from_grads(grads, &critic)),
        };
        assert_close_by_path(name, &found, &case["gradients"], SINGLE);
    }
}

// ------------------------------------------------------------ divergences and bounds

#[test]
fn the_discrepancy_of_samples_and_its_slope_are_those_of_the_definition() {
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/mmd.json"), 4) {
        let name = text(&case, "name");
        let kernel: Kernel = serde_json::from_value(case["kernel"].clone()).unwrap();
        let a = leaf::<2>(&case, "a", &autodiff);
        let b = input::<2>(&case, "b", &autodiff);
        let discrepancy = mmd(a.clone(), b, kernel, number(&case, "bandwidth"));
        let value = host(discrepancy.clone().inner());
        assert_close(name, &value, &[number(&case, "mmd2")], SINGLE);
        let found = named([("a", gradient(&a, &discrepancy.backward()))]);
        assert_close_by_path(name, &found, &case["gradients"], SINGLE);
    }
}

#[test]
fn the_kl_taken_apart_and_its_slopes_are_those_of_the_definition() {
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/tc.json"), 1) {
        let name = text(&case, "name");
        let mean = leaf::<2>(&case, "mean", &autodiff);
        let log_var = leaf::<2>(&case, "log_var", &autodiff);
        let q = Gaussian { mean: mean.clone(), log_var: log_var.clone() };
        let z = Encoding::Gaussian(q.clone()).draw(&Formula::default(), 1).z;
        assert_close("z", &host(z.clone().inner()), &numbers(&case["z"]), SINGLE);
        let log_p =
            Density::Standard(Standard::new(LATENT)).log_prob(z.clone(), &Formula::default());
        let parts = stratified(&q, z.squeeze_dim::<2>(0), log_p, count(&case, "data_set"));
        let names = ["mutual_information", "total_correlation", "dimension_wise_kl"];
        let mut total: Tensor<1> = Tensor::zeros([1], &autodiff);
        for (key, part) in names.into_iter().zip(parts) {
            let value = host(part.clone().inner());
            assert_close(&format!("{key}, {name}"), &value, &[number(&case["terms"], key)], SINGLE);
            total = total + part.mul_scalar(number(&case["counted"], key));
        }
        let value = host(total.clone().inner());
        assert_close(name, &value, &[number(&case, "loss")], SINGLE);
        let grads = total.backward();
        let found =
            named([("mean", gradient(&mean, &grads)), ("log_var", gradient(&log_var, &grads))]);
        assert_close_by_path(name, &found, &case["gradients"], SINGLE);
    }
}

#[test]
fn importance_weighted_bounds_and_every_estimate_of_their_gradients_are_those_of_the_definition() {
    let device = device();
    for case in cases(include_str!("golden/iwae.json"), 5) {
        let name = text(&case, "name");
        let learnable = Learnable::from(model(&case, &device.clone().autodiff()).train());
        let special = match name {
            "iwae" | "miwae" => String::new(),
            "piwae" => "combination = \"piwae\"".to_owned(),
            "dreg" => "estimator = \"dreg\"".to_owned(),
            "ciwae" => format!("elbo_weight = {:?}", number(&case, "elbo_weight")),
            other => panic!("no bound {other}"),
        };
        let (k, groups) = (count(&case, "k"), count(&case, "groups"));
        let objective: ObjectiveConfig = choice(
            &format!("[objective]\nkind = \"iwae\"\nsamples = {k}\ngroups = {groups}\n{special}\n"),
            "objective",
        );
        objective.validate("objective", learnable.vae.config()).unwrap();
        let batch = Batch::new(data(text(&case, "x"), "x", NUMBERS, &device));
        let loss = objective.loss(Player::Model, &learnable, &batch, &Formula::default(), 0.0);

        let log_weights = numbers(&case["log_weights"]);
        let neg_elbo = -log_weights.iter().sum::<f64>() / log_weights.len() as f64;
        assert_eq!(loss.names(), ["loss", "neg_elbo"]);
        assert_close(name, &host(loss.values()), &[number(&case, "loss"), neg_elbo], SINGLE);
        let vae = &learnable.vae;
        let grads = GradientsParams::from_grads(loss.total.backward(), vae);
        assert_close_by_path(name, &by_path(vae, grads), &case["gradients"], WHOLE);
    }
}

// ------------------------------------------------------------ whole models

/// Labels 0, 1, 2, ... over and over, as one-hot rows.
fn one_hot(classes: usize, device: &Device) -> Tensor<2> {
    let at = |i: usize| f32::from((i / classes) % classes == i % classes);
    tensor((0..BATCH * classes).map(at).collect(), [BATCH, classes], device)
}

#[test]
fn whole_models_have_the_loss_the_terms_and_all_gradients_of_the_definition() {
    let device = device();
    for case in cases(include_str!("golden/networks.json"), 9) {
        let name = text(&case, "name");
        let domain = Domain { input: counts(&case["input"]), classes: count(&case, "classes") };
        let config = vae_config(text(&case, "model"));
        config.validate_domain(&domain).unwrap();
        let vae = config.init(&domain, &Formula::default(), &device.clone().autodiff()).train();
        let learnable = Learnable::from(vae);
        let objective: ObjectiveConfig = choice(text(&case, "objective"), "objective");
        objective.validate("objective", &config).unwrap();
        let x = data(text(&case, "x"), "x", domain.numbers(), &device);
        let condition = (domain.classes > 0).then(|| one_hot(domain.classes, &device));
        let batch = Batch { condition, ..Batch::new(x) };
        let epoch = number(&case, "epoch");
        let loss = objective.loss(Player::Model, &learnable, &batch, &Formula::default(), epoch);
        assert_loss(name, &loss, &case);
        let vae = &learnable.vae;
        let grads = GradientsParams::from_grads(loss.total.backward(), vae);
        assert_close_by_path(name, &by_path(vae, grads), &case["gradients"], WHOLE);
    }
}
