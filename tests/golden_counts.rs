//! Golden numbers of the likelihoods of counts and of the label-conditional Gaussian prior, by
//! SciPy and mpmath: `golden/counts.py` and `golden/conditional_prior.py` say how they are made.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};
use serde_json::Value;
use vae_model::init::{Stored, build_stored};
use vae_model::likelihood::{LikelihoodConfig, LikelihoodDistribution};
use vae_model::posterior::Gaussian;
use vae_model::prior::{Context, Prior, PriorConfig, PriorFamily, StandardConfig};
use vae_model::{Condition, DataSpec, VaeConfig};

use crate::common::{
    BATCH, Formula, LATENT, NUMBERS, SINGLE, Tolerance, assert_close, by_path, cases, centred,
    choice, count, counts, data, device, host, number, numbers, tensor, text,
};

/// The likelihood of a case, and its learned log-spread, if it has one.
fn likelihood(case: &Value) -> (LikelihoodConfig, Option<Tensor<1>>) {
    let likelihood: LikelihoodConfig = choice(text(case, "likelihood"), "likelihood");
    likelihood.validate("likelihood").unwrap();
    let log_spread = case["log_spread"].as_array().map(|_| {
        let values: Vec<f32> = numbers(&case["log_spread"]).iter().map(|v| *v as f32).collect();
        let n = values.len();
        tensor(values, [n], &device().autodiff()).require_grad()
    });
    assert_eq!(log_spread.is_some(), likelihood.properties().shared.is_some());
    (likelihood, log_spread)
}

#[test]
fn likelihoods_of_counts_and_their_slopes_are_those_of_scipy() {
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/counts.json"), 7) {
        let (name, k) = (text(&case, "name"), count(&case, "k"));
        let (likelihood, log_spread) = likelihood(&case);
        let rows = k * BATCH;
        let output = centred("output", rows * NUMBERS, number(&case, "width"));
        let output = tensor(output, [rows, NUMBERS], &autodiff).require_grad();
        let x = data(text(&case, "x"), "x", NUMBERS, &autodiff);
        let p = LikelihoodDistribution::new(output.clone(), likelihood, log_spread.clone());

        let log_prob = p.clone().log_prob(x.clone());
        assert_eq!(log_prob.dims(), [k, BATCH]);
        assert_close(name, &host(log_prob.clone().inner()), &numbers(&case["log_prob"]), SINGLE);
        let mean = host(p.mean().inner());
        assert_close(&format!("mean, {name}"), &mean, &numbers(&case["mean"]), SINGLE);
        let grads = log_prob.sum().backward();
        let slope = host(output.grad(&grads).unwrap());
        assert_close(&format!("slope, {name}"), &slope, &numbers(&case["slope"]), SINGLE);
        if let Some(log_spread) = log_spread {
            let slope = host(log_spread.grad(&grads).unwrap());
            let golden = numbers(&case["spread_slope"]);
            // A sum over all numbers of opposite sign.
            let near = Tolerance { relative: 1e-4, floor: 1e-4 };
            assert_close(&format!("spread's slope, {name}"), &slope, &golden, near);
        }
        let average = host(p.log_prob_of_average(x, k).inner());
        let near = Tolerance { relative: number(&case, "average_tolerance"), floor: 2e-6 };
        assert_close(&format!("average, {name}"), &average, &numbers(&case["average"]), near);
    }
}

#[test]
fn likelihoods_of_counts_stay_right_far_out() {
    let autodiff = device().autodiff();
    let file: Value = serde_json::from_str(include_str!("golden/counts.json")).unwrap();
    let extremes = file["extremes"].as_array().unwrap();
    assert!(extremes.len() >= 4);
    for case in extremes {
        let name = text(case, "name");
        let (likelihood, log_spread) = likelihood(case);
        let single =
            |key: &str| numbers(&case[key]).iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let (output, x) = (single("output"), single("x"));
        let n = x.len();
        // A row for each number.
        let output = tensor(output, [n, 1], &autodiff).require_grad();
        let p = LikelihoodDistribution::new(output.clone(), likelihood, log_spread);
        let log_prob = p.clone().log_prob(tensor(x, [n, 1], &autodiff));
        // Counts of 10,000 in single precision: a relative error of 1e-6 and more where they
        // cancel.
        let near = Tolerance { relative: 5e-6, floor: 1e-3 };
        assert_close(name, &host(log_prob.clone().inner()), &numbers(&case["log_prob"]), near);
        let slope = host(output.grad(&log_prob.sum().backward()).unwrap());
        let near = Tolerance { relative: 1e-4, floor: 1e-5 };
        assert_close(&format!("slope, {name}"), &slope, &numbers(&case["slope"]), near);
        assert_close(
            &format!("mean, {name}"),
            &host(p.mean().inner()),
            &numbers(&case["mean"]),
            SINGLE,
        );
    }
}

/// The label-conditional prior of a case, on an autodiff device.
fn conditional_prior(case: &Value) -> Prior {
    let classes = count(case, "classes");
    let table =
        |name: &str| centred(name, classes * LATENT, number(case, &format!("width_{name}")));
    let values = ["prior_mean", "prior_log_var"].map(table);
    let stored =
        |values: &Vec<f32>| Stored { shape: vec![classes, LATENT], values: values.clone() };
    let weights: BTreeMap<String, Stored> =
        [("by_label.mean", stored(&values[0])), ("by_label.log_var", stored(&values[1]))]
            .map(|(path, stored)| (path.to_owned(), stored))
            .into();
    let config = StandardConfig { condition: Condition::Label };
    let model = VaeConfig {
        latent: LATENT,
        prior: PriorConfig::Standard(config.clone()),
        ..VaeConfig::default()
    };
    let spec = DataSpec { shape: vec![NUMBERS], classes };
    let device = device().autodiff();
    build_stored(weights, &device, |init| config.init(init, &model, &spec)).unwrap()
}

#[test]
fn the_prior_of_each_class_has_the_kl_the_density_and_the_slopes_of_scipy() {
    let autodiff = device().autodiff();
    for case in cases(include_str!("golden/conditional_prior.json"), 4) {
        let (name, k, classes) = (text(&case, "name"), count(&case, "k"), count(&case, "classes"));
        let prior = conditional_prior(&case).train();
        let part = |name: &str, n: usize| centred(name, n, number(&case, &format!("width_{name}")));
        let [mean, log_var] = ["mean", "log_var"].map(|name| {
            tensor(part(name, BATCH * LATENT), [BATCH, LATENT], &autodiff).require_grad()
        });
        let labels = counts(&case["labels"]);
        let one_hot =
            labels.iter().flat_map(|y| (0..classes).map(|c| f32::from(u8::from(c == *y))));
        let labels = tensor(one_hot.collect(), [BATCH, classes], &autodiff);
        let encode = |_: Tensor<2>, _: Option<&Tensor<2>>| unreachable!("this prior has no inputs");
        let context = Context { encode: &encode, labels: Some(&labels), device: &autodiff };
        let near = Tolerance { relative: 2e-5, floor: 1e-5 };
        // Slopes in the table of means and log-variances, from a backward pass.
        let assert_table = |what: &str, grads: Gradients, golden: &Value| {
            let found = by_path(&prior, GradientsParams::from_grads(grads, &prior));
            for (path, key) in
                [("by_label.mean", "prior_mean"), ("by_label.log_var", "prior_log_var")]
            {
                let what = format!("slope of {what} in {key}, {name}");
                assert_close(&what, &found[path], &numbers(&golden[key]), near);
            }
        };

        let q = Gaussian { mean: mean.clone(), log_var: log_var.clone() };
        let kl = prior.distribution(&context).kl_from(&q).unwrap();
        assert_eq!(kl.dims(), [BATCH, LATENT]);
        assert_close(
            &format!("kl, {name}"),
            &host(kl.clone().inner()),
            &numbers(&case["kl"]),
            near,
        );
        let grads = kl.sum().backward();
        for (key, leaf) in [("mean", &mean), ("log_var", &log_var)] {
            let slope = host(leaf.grad(&grads).unwrap());
            let golden = numbers(&case["kl_slopes"][key]);
            assert_close(&format!("slope of kl in {key}, {name}"), &slope, &golden, near);
        }
        assert_table("kl", grads, &case["kl_slopes"]);

        let z = part("z", k * BATCH * LATENT);
        let z = tensor(z, [k, BATCH, LATENT], &autodiff).require_grad();
        let log_p = prior.distribution(&context).log_prob(z.clone(), &Formula::default());
        assert_eq!(log_p.dims(), [k, BATCH]);
        let golden = numbers(&case["log_p"]);
        assert_close(&format!("log p, {name}"), &host(log_p.clone().inner()), &golden, near);
        let grads = log_p.sum().backward();
        let slope = host(z.grad(&grads).unwrap());
        let golden = numbers(&case["log_p_slopes"]["z"]);
        assert_close(&format!("slope of log p in z, {name}"), &slope, &golden, near);
        assert_table("log p", grads, &case["log_p_slopes"]);
    }
}
