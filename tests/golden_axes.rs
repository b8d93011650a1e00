//! Golden numbers of the further choices on every axis: priors, flows, codes, likelihoods, critics,
//! discrepancies, bounds, networks and objectives against PyTorch in double precision.
//! `golden/axes.py` says how they are made.
//!
//! A case lists under `inputs` what goes in, with its shape and width, by the formula of
//! `golden/common.rs`.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData, activation};
use serde_json::Value;
use vae_eval::GaussianMixture;
use vae_model::compatibility::check_objective;
use vae_model::critic::CriticConfig;
use vae_model::divergence::{Kernel, mmd};
use vae_model::init::{Stored, build_stored};
use vae_model::likelihood::{LikelihoodConfig, LikelihoodDistribution};
use vae_model::network::{Activation, Features};
use vae_model::objective::{AdversarialConfig, CriticLoss, Over, stratified, weighted};
use vae_model::parameters::parameters;
use vae_model::posterior::{Flow, Gaussian, IafStep, PosteriorConfig, PosteriorDistribution};
use vae_model::prior::{
    CodePrior, HierarchicalConfig, Mixture, PriorDistribution, RealNvpConfig, StandardNormal,
};
use vae_model::{Batch, DataSpec, Loss, Networks, NetworksSpec, Noise, ObjectiveConfig, Role};

use crate::common::{
    BATCH, Formula, INPUT, LATENT, NUMBERS, SINGLE, Tolerance, WHOLE, assert_close,
    assert_close_by_path, assert_loss, by_path, cases, centred, choice, count, counts, data,
    device, host, model, number, numbers, tensor, text, uniform, vae_config, vae_spec,
};

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

/// The cases of a file that are about `part`.
fn of_part(file: &str, part: &str, at_least: usize) -> Vec<Value> {
    let all = cases(file, at_least).into_iter();
    let found: Vec<Value> = all.filter(|case| text(case, "part") == part).collect();
    assert!(found.len() >= at_least, "{} cases of {part} are too few", found.len());
    found
}

/// What the formula draws beside weights and z given x: both levels of a prior, uniform numbers
/// behind codes and a penalty, and the orders in which dimensions are shuffled and (of one step,
/// where there are many) points take codes over.
#[derive(Default)]
struct Further {
    step: Option<usize>,
}

impl Noise for Further {
    fn normal(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        let known = ["posterior", "second level", "prior"];
        assert!(known.contains(&purpose), "{purpose}: nothing normal is drawn here");
        centred(purpose, shape.iter().product(), 3.6)
    }

    fn uniform(&self, purpose: &str, shape: [usize; 3]) -> Vec<f32> {
        let known = ["codes", "penalty"];
        assert!(known.contains(&purpose), "{purpose}: nothing uniform is drawn here");
        uniform(purpose, shape.iter().product())
    }

    fn permutation(&self, purpose: &str, n: usize) -> Vec<u32> {
        let known = purpose == "codes that start again" || purpose.starts_with("dimension ");
        assert!(known, "{purpose}: no order is drawn here");
        let name = self.step.map_or(purpose.to_owned(), |step| format!("{purpose}/{step}"));
        let keys = uniform(&name, n);
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_by(|a, b| keys[*a as usize].total_cmp(&keys[*b as usize]));
        order
    }
}

/// Codes on the host.
fn on_host(codes: Tensor<2, Int>) -> Vec<usize> {
    codes.into_data().iter::<i64>().map(|code| code as usize).collect()
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
    let log_prob = PriorDistribution::Mixture(mixture).log_prob(z.clone(), &Formula::default());
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
    let table = format!(
        "[model]\nlatent = {}\n[model.prior]\nkind = \"mixture\"\nk = {}\nradius = {:?}\nsigma = {:?}\n",
        count(case, "latent"),
        count(case, "components"),
        number(case, "radius"),
        number(case, "sigma"),
    );
    let vae = vae_spec(&table, DataSpec::new(&INPUT)).init(&Formula::default(), &autodiff);
    let z = leaf::<3>(case, "z", &autodiff);
    let log_prob = vae.prior(None, &autodiff).log_prob(z.clone(), &Formula::default());
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
        build_stored(weights(case, ""), &autodiff, |init| config.flow(init, latent)).unwrap();
    let z = leaf::<3>(case, "z", &autodiff);

    let (e, log_det) = flow.forward(z.clone().reshape([k * BATCH, latent]));
    assert_eq!((e.dims(), log_det.dims()), ([k * BATCH, latent], [k * BATCH, 1]));
    assert_close("e", &host(e.clone().inner()), &numbers(&case["e"]), SINGLE);
    assert_close("log det", &host(log_det.inner()), &numbers(&case["log_det"]), SINGLE);
    // On the way back each of three couplings may enlarge what was rounded by e^2.
    let back = Tolerance { relative: 1e-5, floor: 1e-4 };
    let z_again = host(flow.inverse(e).inner());
    assert_close("z", &z_again, &host(z.clone().inner()), back);

    let log_prob =
        PriorDistribution::RealNvp(flow.clone()).log_prob(z.clone(), &Formula::default());
    assert_eq!(log_prob.dims(), [k, BATCH]);
    assert_close(name, &host(log_prob.clone().inner()), &numbers(&case["log_prob"]), SINGLE);
    let grads = log_prob.sum().backward();
    let mut found = named([("z", gradient(&z, &grads))]);
    found.extend(by_path(&flow, GradientsParams::from_grads(grads, &flow)));
    // Of opposite sign, and some hundreds large, are the parts of which the smaller ones are sums.
    let near = Tolerance { relative: 1e-4, floor: 2e-5 };
    assert_close_by_path(name, &found, &case["gradients"], near);
}

#[test]
fn a_fitted_mixture_has_the_density_of_its_definition() {
    let case = &cases(include_str!("golden/prior.json"), 4)[3];
    let name = text(case, "name");
    assert_eq!(name, "fitted mixture");
    let (k, latent) = (count(case, "components"), count(case, "latent"));
    let listed = |key: &str, shape: &[usize]| -> Stored {
        let values = numbers(&case[key]).into_iter().map(|v| v as f32).collect();
        Stored { shape: shape.to_vec(), values }
    };
    let tensors: BTreeMap<String, Stored> = [
        ("weights", listed("weights", &[k])),
        ("means", stored(case, "means")),
        ("factors", listed("factors", &[k, latent, latent])),
    ]
    .map(|(name, stored)| (name.to_owned(), stored))
    .into();
    let mixture = GaussianMixture::from_tensors(tensors, latent).unwrap().unwrap();
    let rows = stored(case, "z").values;
    let log_prob: Vec<f64> = rows.chunks(latent).map(|row| mixture.log_prob(row)).collect();
    // Both are computed in double precision, and the golden numbers have ten digits.
    let near = Tolerance { relative: 1e-9, floor: 1e-9 };
    assert_close(name, &log_prob, &numbers(&case["log_prob"]), near);
    let mean = log_prob.iter().sum::<f64>() / log_prob.len() as f64;
    assert_close("all rows", &[mixture.log_prob(&rows)], &[mean], near);
}

#[test]
fn a_second_level_has_the_weights_the_slopes_and_the_draws_of_its_definition() {
    let (device, noise) = (device(), Further::default());
    let autodiff = device.clone().autodiff();
    for case in of_part(include_str!("golden/hierarchical.json"), "density", 3) {
        let name = text(&case, "name");
        let (k, latent) = (count(&case, "k"), count(&case, "latent"));
        let config = HierarchicalConfig {
            latent: count(&case, "inner"),
            hidden: counts(&case["hidden"]),
            activation: serde_json::from_value(case["activation"].clone()).unwrap(),
        };
        let prior =
            build_stored(weights(&case, ""), &autodiff, |init| config.second_level(init, latent))
                .unwrap();
        let density = PriorDistribution::Hierarchical(prior.clone());
        let z = leaf::<3>(&case, "z", &autodiff);

        let log_prob = density.log_prob(z.clone(), &noise);
        assert_eq!(log_prob.dims(), [k, BATCH]);
        let golden = numbers(&case["log_prob"]);
        assert_close(name, &host(log_prob.clone().inner()), &golden, SINGLE);
        let grads = log_prob.sum().backward();
        let mut found = named([("z", gradient(&z, &grads))]);
        found.extend(by_path(&prior, GradientsParams::from_grads(grads, &prior)));
        // Sums of numbers of opposite sign that narrow Gaussians make large.
        let near = Tolerance { relative: 1e-4, floor: 1e-5 };
        assert_close_by_path(name, &found, &case["gradients"], near);

        let golden = numbers(&case["sample"]);
        let sample = density.sample(&noise, golden.len() / latent, &device);
        assert_eq!(sample.dims(), [golden.len() / latent, latent]);
        assert_close(&format!("draws, {name}"), &host(sample.inner()), &golden, SINGLE);
    }
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

        // With eps = 0 and variance 1: log q = -latent/2 log 2 pi - log |det|, and z is the mean's
        // image.
        let flow = PosteriorDistribution::Flow(Flow {
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

// ------------------------------------------------------------ discrete codes

#[test]
fn draws_of_codes_what_they_add_and_all_slopes_are_those_of_the_definition() {
    let autodiff = device().autodiff();
    for case in of_part(include_str!("golden/vq.json"), "draw", 2) {
        let name = text(&case, "name");
        let (k, latent) = (count(&case, "k"), count(&case, "latent"));
        let config: PosteriorConfig = choice(text(&case, "posterior"), "posterior");
        let features = leaf::<2>(&case, "features", &autodiff);
        let [_, width] = features.dims();
        let given = Features { width, head_depth: 1, activation: Activation::default() };
        let posterior = build_stored(weights(&case, "posterior."), &autodiff, |init| {
            config.init(init, given, latent)
        })
        .unwrap();

        let encoding = posterior.forward(features.clone());
        let PosteriorDistribution::Vq(q) = &encoding else { panic!("{name}: no codes") };
        assert_eq!(on_host(q.nearest()), counts(&case["codes"]), "{name}: codes");
        let golden = numbers(&case["z"]);
        let mean = host(encoding.mean().inner());
        assert_close(&format!("mean, {name}"), &mean, &golden, SINGLE);
        let draw = encoding.draw(&Further::default(), k);
        assert_eq!(draw.z.dims(), [k, BATCH, latent]);
        assert!(draw.log_q().is_none(), "{name}: codes have no density");
        let z = host(draw.z.clone().inner());
        assert_close(&format!("z, {name}"), &z, &golden.repeat(k), SINGLE);
        let added = draw.regularizer.unwrap();
        let loss = Loss { total: added.total, terms: added.terms, update: Some(added.update) };
        assert_loss(name, &loss, &case);

        let w = input::<2>(&case, "w", &autodiff);
        let along = (draw.z * w.unsqueeze::<3>()).sum().div_scalar(k as f64);
        let grads = (along + loss.total).backward();
        let mut found = named([("features", gradient(&features, &grads))]);
        found.extend(by_path(&posterior, GradientsParams::from_grads(grads, &posterior)));
        assert_close_by_path(name, &found, &case["gradients"], SINGLE);
    }
}

#[test]
fn a_prior_over_codes_has_the_probabilities_the_slopes_and_the_draws_of_its_definition() {
    let device = device();
    let autodiff = device.clone().autodiff();
    let case = &of_part(include_str!("golden/vq.json"), "prior", 1)[0];
    let name = text(case, "name");
    let [codes, positions, hidden, embedding] =
        ["codes", "positions", "hidden", "embedding"].map(|key| count(case, key));
    let prior = build_stored(weights(case, "prior."), &autodiff, |init| {
        CodePrior::new(init, codes, positions)
    })
    .unwrap();
    let rows: Vec<i64> = counts(&case["rows"]).into_iter().map(|code| code as i64).collect();
    let n = rows.len() / positions;
    let rows = Tensor::<2, Int>::from_data(TensorData::new(rows, [n, positions]), &device);

    let log_probs = prior.log_probs(rows.clone());
    assert_eq!(log_probs.dims(), [n, positions, codes]);
    let golden = numbers(&case["log_probs"]);
    assert_close("each code", &host(log_probs.inner()), &golden, SINGLE);
    let log_prob = prior.log_prob(rows);
    assert_eq!(log_prob.dims(), [n]);
    let golden = numbers(&case["log_prob"]);
    assert_close(name, &host(log_prob.clone().inner()), &golden, SINGLE);

    let grads = GradientsParams::from_grads(log_prob.sum().backward(), &prior);
    let mut found = by_path(&prior, grads);
    let inward = found.remove("inward").unwrap();
    assert_close_by_path(name, &found, &case["gradients"], SINGLE);
    // Of these, which are many, some, and the squares of all.
    let some: Vec<f64> = inward.iter().copied().step_by(count(case, "every")).collect();
    assert_close("inward", &some, &numbers(&case["inward"]), SINGLE);
    let squares: f64 = inward.iter().map(|slope| slope * slope).sum();
    assert_close("squares", &[squares], &[number(case, "inward_squares")], SINGLE);
    let columns = positions * hidden;
    for (at, slope) in inward.iter().enumerate() {
        let (read, reader) = (at / columns / embedding, at % columns / hidden);
        assert!(read < reader || *slope == 0.0, "position {reader} reads {read}");
    }

    let drawn = prior.sample(&Further::default(), n, &device);
    assert_eq!(on_host(drawn), counts(&case["drawn"]), "{name}: draws");
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
        assert_eq!(likelihood.properties().outputs, parameters, "{name}: outputs of a number");
        let (rows, width) = (k * BATCH, parameters * NUMBERS);
        let output = centred("output", rows * width, number(&case, "width"));
        let output = tensor(output, [rows, width], &autodiff).require_grad();
        let log_spread = case["width_log_spread"]
            .as_f64()
            .map(|width| tensor(centred("log_spread", 1, width), [1], &autodiff).require_grad());
        let x = x_of(&case, &autodiff);
        let decoding =
            LikelihoodDistribution::new(output.clone(), likelihood.clone(), log_spread.clone());

        let values = Tolerance { floor: 1e-5, ..SINGLE };
        let slopes = SINGLE;

        let log_prob = decoding.clone().log_prob(x.clone());
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
        let first = LikelihoodDistribution::new(output.narrow(0, 0, BATCH), likelihood, log_spread);
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
        let (role, formula) = (kind.next().unwrap(), kind.next().unwrap());
        let objective = AdversarialConfig {
            over: if role == "pairs" { Over::Xz } else { Over::Z },
            loss: match formula {
                "logistic" => CriticLoss::Logistic,
                "wasserstein" => CriticLoss::WassersteinClip,
                "wasserstein-gp" => CriticLoss::WassersteinGp,
                other => panic!("no loss {other}"),
            },
            ..AdversarialConfig::default()
        };
        let total = match role {
            "generator" => objective.adversarial_term(&critic, None, fake.clone()),
            "pairs" => objective.adversarial_term(&critic, Some(real.clone()), fake.clone()),
            "critic" => {
                let noise = Formula::default();
                let loss = objective.critic_loss(&critic, real.clone(), fake.clone(), None, &noise);
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
            other => panic!("no role {other}"),
        };
        let value = host(total.clone().inner());
        assert_close(name, &value, &[number(&case, "loss")], SINGLE);

        let grads = total.backward();
        let found = match role {
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
    for case in cases(include_str!("golden/tc.json"), 2) {
        let name = text(&case, "name");
        let mean = leaf::<2>(&case, "mean", &autodiff);
        let log_var = leaf::<2>(&case, "log_var", &autodiff);
        let q = Gaussian { mean: mean.clone(), log_var: log_var.clone() };
        let z = PosteriorDistribution::Gaussian(q.clone()).draw(&Formula::default(), 1).z;
        assert_close("z", &host(z.clone().inner()), &numbers(&case["z"]), SINGLE);
        let log_p = PriorDistribution::Standard(StandardNormal::new(LATENT))
            .log_prob(z.clone(), &Formula::default());
        let z = z.squeeze_dim::<2>(0);
        let parts = match name {
            "minibatch-weighted" => weighted(&q, z, log_p),
            _ => stratified(&q, z, log_p, count(&case, "data_set")),
        };
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
        let networks = Networks::from(model(&case, &device.clone().autodiff()).train());
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
        objective.validate("objective").unwrap();
        check_objective(networks.vae.config(), &objective.requirements()).unwrap();
        let batch = Batch::new(data(text(&case, "x"), "x", NUMBERS, &device));
        let loss = objective.loss(Role::Model, &networks, &batch, &Formula::default(), 0.0);

        let log_weights = numbers(&case["log_weights"]);
        let neg_elbo = -log_weights.iter().sum::<f64>() / log_weights.len() as f64;
        assert_eq!(loss.names(), ["loss", "neg_elbo"]);
        assert_close(name, &host(loss.values()), &[number(&case, "loss"), neg_elbo], SINGLE);
        let vae = &networks.vae;
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

/// The networks of a case with the formula's weights.
fn whole(case: &Value, device: &Device) -> Networks {
    let data = DataSpec { shape: counts(&case["input"]), classes: count(case, "classes") };
    let spec =
        NetworksSpec::new(vae_config(text(case, "model")), objective_of(case), data).unwrap();
    spec.init(&Formula::default(), &device.clone().autodiff()).unwrap().train()
}

/// The objective of a case.
fn objective_of(case: &Value) -> ObjectiveConfig {
    choice(text(case, "objective"), "objective")
}

/// The examples of a case that the formula calls `name`, out of a data set of the size that it
/// tells.
fn examples(case: &Value, name: &str, spec: &DataSpec, device: &Device) -> Batch {
    let x = data(text(case, "x"), name, spec.numbers(), device);
    let labels = (spec.classes > 0).then(|| one_hot(spec.classes, device));
    let data_set_size = case["data_set"].as_u64().map_or(BATCH, |n| n as usize);
    Batch { labels, data_set_size, ..Batch::new(x) }
}

/// Compares the loss of the role (the model, where the case names none) on x, its terms and its
/// gradient in every parameter of that role.
fn assert_whole(case: &Value, networks: &Networks, noise: &dyn Noise, device: &Device) {
    let (name, objective) = (text(case, "name"), objective_of(case));
    let role = match case["player"].as_str() {
        None | Some("model") => Role::Model,
        Some("critic") => Role::Auxiliary(0),
        Some(other) => panic!("no role {other}"),
    };
    let vae = &networks.vae;
    let batch = examples(case, "x", vae.spec().data(), device);
    let loss = objective.loss(role, networks, &batch, noise, number(case, "epoch"));
    assert_loss(name, &loss, case);
    let grads = loss.total.backward();
    let found = match role {
        Role::Model => by_path(vae, GradientsParams::from_grads(grads, vae)),
        Role::Auxiliary(i) => {
            let network = &networks.auxiliaries[i];
            by_path(network, GradientsParams::from_grads(grads, network))
        }
    };
    assert_close_by_path(name, &found, &case["gradients"], WHOLE);
}

#[test]
fn whole_models_have_the_loss_the_terms_and_all_gradients_of_the_definition() {
    let device = device();
    for case in cases(include_str!("golden/networks.json"), 10) {
        assert_whole(&case, &whole(&case, &device), &Formula::default(), &device);
    }
}

#[test]
fn objectives_have_the_loss_the_terms_and_all_gradients_of_both_players_as_defined() {
    let device = device();
    for case in cases(include_str!("golden/objectives.json"), 19) {
        assert_whole(&case, &whole(&case, &device), &Further::default(), &device);
    }
}

#[test]
fn a_vae_gan_has_the_loss_the_terms_and_all_gradients_of_both_networks_as_defined() {
    let device = device();
    for case in cases(include_str!("golden/vae_gan.json"), 4) {
        assert_whole(&case, &whole(&case, &device), &Further::default(), &device);
    }
}

#[test]
fn models_of_two_levels_have_the_bounds_and_all_gradients_of_the_definition() {
    let device = device();
    for case in of_part(include_str!("golden/hierarchical.json"), "whole", 3) {
        assert_whole(&case, &whole(&case, &device), &Further::default(), &device);
    }
}

#[test]
fn codebooks_move_and_models_of_codes_have_the_loss_and_all_gradients_as_defined() {
    let device = device();
    for case in of_part(include_str!("golden/vq.json"), "whole", 4) {
        let name = text(&case, "name");
        let mut networks = whole(&case, &device);
        let objective = objective_of(&case);
        let spec = networks.vae.spec().data().clone();
        for (step, golden) in case["steps"].as_array().unwrap().iter().enumerate() {
            let batch = examples(&case, &format!("x/{step}"), &spec, &device);
            let noise = Further { step: Some(step) };
            let loss = objective.loss(Role::Model, &networks, &batch, &noise, 0.0);
            networks.vae = networks.vae.apply_codebook_update(loss.update.unwrap());
            let after = parameters(&networks.vae.valid());
            for (path, golden) in golden.as_object().unwrap() {
                let got: Vec<f64> = after[path].values.iter().map(|v| f64::from(*v)).collect();
                let what = format!("{path} after step {step}, {name}");
                assert_close(&what, &got, &numbers(golden), SINGLE);
            }
        }

        let vae = &networks.vae;
        let batch = examples(&case, "x", &spec, &device);
        let codes = vae.codes(batch.x.clone(), batch.labels.as_ref()).unwrap();
        assert_eq!(on_host(codes.clone()), counts(&case["codes"]), "{name}: codes");
        let golden = numbers(&case["vectors"]);
        let vectors = vae.vectors(codes).unwrap();
        assert_close(&format!("vectors, {name}"), &host(vectors.inner()), &golden, SINGLE);
        let mean = vae.encode_batch(&batch).mean();
        assert_close(&format!("mean, {name}"), &host(mean.inner()), &golden, SINGLE);
        // After the steps: what has moved must still be learned.
        assert_whole(&case, &networks, &Further::default(), &device);
    }
}
