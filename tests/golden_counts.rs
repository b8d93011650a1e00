//! Golden numbers of the likelihoods of counts, by SciPy and mpmath: `golden/counts.py` says how
//! they are made.

use burn::tensor::Tensor;
use serde_json::Value;
use vae_model::likelihood::{LikelihoodConfig, LikelihoodDistribution};

use crate::common::{
    BATCH, NUMBERS, SINGLE, Tolerance, assert_close, cases, centred, choice, count, data, device,
    host, number, numbers, tensor, text,
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

        let log_prob = p.log_prob(x.clone());
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
        let log_prob = p.log_prob(tensor(x, [n, 1], &autodiff));
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
