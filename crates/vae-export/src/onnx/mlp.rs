//! Fully connected layers: trunks, and the heads of posteriors.

use vae_model::network::{Activation, LEAK, MlpConfig, NetworkConfig};

use super::graph::{Graph, Value, float};

/// Applies an activation.
pub fn activate(graph: &mut Graph<'_>, activation: Activation, x: &Value) -> Value {
    match activation {
        Activation::Relu => graph.apply("Relu", &[x]),
        Activation::LeakyRelu => graph.apply_with("LeakyRelu", &[x], vec![float("alpha", LEAK)]),
        Activation::Tanh => graph.apply("Tanh", &[x]),
        Activation::Elu => graph.apply("Elu", &[x]),
        Activation::Silu => {
            let gate = graph.apply("Sigmoid", &[x]);
            graph.apply("Mul", &[x, &gate])
        }
    }
}

/// Applies the linear layer at `path` to `[n, inputs]`.
pub fn linear(graph: &mut Graph<'_>, path: &str, x: &Value) -> Value {
    let weight = graph.parameter(&format!("{path}.weight"));
    let bias = graph.parameter(&format!("{path}.bias"));
    graph.apply("Gemm", &[x, &weight, &bias])
}

/// Applies `depth` linear layers at `path`, each followed by the activation.
pub fn trunk(
    graph: &mut Graph<'_>,
    path: &str,
    depth: usize,
    activation: Activation,
    x: &Value,
) -> Value {
    (0..depth).fold(x.clone(), |x, i| {
        let x = linear(graph, &format!("{path}.layers.{i}"), &x);
        activate(graph, activation, &x)
    })
}

/// Applies linear layers, each multiplied by its gate.
fn gated(graph: &mut Graph<'_>, path: &str, depth: usize, x: &Value) -> Value {
    (0..depth).fold(x.clone(), |x, i| {
        let gate = linear(graph, &format!("{path}.gates.{i}"), &x);
        let gate = graph.apply("Sigmoid", &[&gate]);
        let x = linear(graph, &format!("{path}.layers.{i}"), &x);
        graph.apply("Mul", &[&gate, &x])
    })
}

fn layers(graph: &mut Graph<'_>, path: &str, config: &MlpConfig, x: &Value) -> Value {
    let depth = config.hidden.len();
    if config.gated {
        gated(graph, path, depth, x)
    } else {
        trunk(graph, path, depth, config.activation, x)
    }
}

/// Maps x `[n, shape...]` and the condition `[n, classes]` to features `[n, features]`.
pub fn encoder(
    graph: &mut Graph<'_>,
    config: &MlpConfig,
    x: &Value,
    condition: Option<&Value>,
) -> Value {
    let x = graph.flatten(x);
    let x = match condition {
        Some(condition) => graph.concat(&x, condition),
        None => x,
    };
    layers(graph, "encoder", config, &x)
}

/// Maps z and the condition, `[n, latent]`, to outputs `[n, outputs]`.
pub fn decoder(graph: &mut Graph<'_>, config: &MlpConfig, z: &Value) -> Value {
    let x = layers(graph, "decoder.trunk", config, z);
    linear(graph, "decoder.output", &x)
}

/// Applies the posterior's head at `path` to the features of `encoder`.
pub fn head(graph: &mut Graph<'_>, path: &str, encoder: &NetworkConfig, features: &Value) -> Value {
    let activation = match encoder {
        NetworkConfig::Mlp(config) => config.activation,
        NetworkConfig::Conv(config) => config.activation,
    };
    let hidden = encoder.head_depth() - 1;
    let x = trunk(graph, &format!("{path}.trunk"), hidden, activation, features);
    linear(graph, &format!("{path}.output"), &x)
}
