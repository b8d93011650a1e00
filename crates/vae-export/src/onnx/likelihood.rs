//! Likelihoods: from the decoder's outputs to the mean of p(x|z).

use vae_model::likelihood::{LikelihoodConfig, Output};

use super::graph::{Graph, Value};

/// Returns what the mean of p(x|z) is.
pub fn about_mean(likelihood: &LikelihoodConfig) -> &'static str {
    match likelihood {
        LikelihoodConfig::DiscretizedLogistic(_) => "location of p(x|z)",
        LikelihoodConfig::Bernoulli(_)
        | LikelihoodConfig::ContinuousBernoulli(_)
        | LikelihoodConfig::Gaussian(_)
        | LikelihoodConfig::Laplace(_)
        | LikelihoodConfig::Poisson(_)
        | LikelihoodConfig::NegativeBinomial(_) => "mean of p(x|z)",
    }
}

/// Maps the decoder's outputs `[n, outputs * numbers]` to the mean of p(x|z) `[n, numbers]`.
pub fn mean(
    graph: &mut Graph<'_>,
    likelihood: &LikelihoodConfig,
    numbers: usize,
    outputs: &Value,
) -> Value {
    let x = match likelihood.properties().outputs {
        1 => outputs.clone(),
        // The first output of all numbers comes first.
        _ => {
            let (start, end) = (graph.integers(&[0]), graph.integers(&[numbers as i64]));
            let axis = graph.integers(&[1]);
            graph.apply("Slice", &[outputs, &start, &end, &axis])
        }
    };
    match likelihood {
        LikelihoodConfig::Bernoulli(_) => graph.apply("Sigmoid", &[&x]),
        LikelihoodConfig::ContinuousBernoulli(_) => continuous_bernoulli(graph, &x),
        LikelihoodConfig::Gaussian(config) => activate(graph, config.output, &x),
        LikelihoodConfig::Laplace(config) => activate(graph, config.output, &x),
        LikelihoodConfig::DiscretizedLogistic(config) => activate(graph, config.output, &x),
        LikelihoodConfig::Poisson(_) | LikelihoodConfig::NegativeBinomial(_) => {
            graph.apply("Softplus", &[&x])
        }
    }
}

fn activate(graph: &mut Graph<'_>, output: Output, x: &Value) -> Value {
    match output {
        Output::Identity => x.clone(),
        Output::Sigmoid => graph.apply("Sigmoid", &[x]),
        Output::Tanh => graph.apply("Tanh", &[x]),
    }
}

/// For |l| below this, a series replaces sigmoid(l) / tanh(l / 2) - 1 / l, which is 0 / 0 at l = 0.
const NEAR: f64 = 0.3;

/// Returns the mean of a continuous Bernoulli for logits l: sigmoid(l) / tanh(l / 2) - 1 / l.
fn continuous_bernoulli(graph: &mut Graph<'_>, l: &Value) -> Value {
    let [half, one, near, slope, cubic, quintic] =
        [0.5, 1.0, NEAR, 1.0 / 12.0, -1.0 / 720.0, 1.0 / 30240.0].map(|v| graph.scalar(v));
    let size = graph.apply("Abs", &[l]);
    let is_near = graph.apply("Less", &[&size, &near]);
    let safe = graph.apply("Where", &[&is_near, &one, l]);
    let sigmoid = graph.apply("Sigmoid", &[&safe]);
    let halved = graph.apply("Mul", &[&safe, &half]);
    let tanh = graph.apply("Tanh", &[&halved]);
    let ratio = graph.apply("Div", &[&sigmoid, &tanh]);
    let inverse = graph.apply("Reciprocal", &[&safe]);
    let far = graph.apply("Sub", &[&ratio, &inverse]);
    // 1/2 + l/12 - l^3/720 + l^5/30240.
    let square = graph.apply("Mul", &[l, l]);
    let series = graph.apply("Mul", &[&square, &quintic]);
    let series = graph.apply("Add", &[&series, &cubic]);
    let series = graph.apply("Mul", &[&series, &square]);
    let series = graph.apply("Add", &[&series, &slope]);
    let series = graph.apply("Mul", &[&series, l]);
    let series = graph.apply("Add", &[&series, &half]);
    graph.apply("Where", &[&is_near, &series, &far])
}
