//! Posteriors: from features to the parameters of q(z|x), the outputs of the encoder.

use vae_model::network::NetworkConfig;
use vae_model::posterior::{GaussianConfig, IafStep, PosteriorConfig, VqConfig};

use super::graph::{Graph, Value, integer};
use super::mlp::head;

/// Returns why the encoder has no output `log_var`. `None` if it has one.
pub fn why_no_log_var(posterior: &PosteriorConfig) -> Option<&'static str> {
    match posterior {
        PosteriorConfig::Gaussian(config) if config.flow_steps == 0 => None,
        PosteriorConfig::Gaussian(_) => {
            Some("q(z|x) is made by a flow, and its variance has no closed form")
        }
        PosteriorConfig::Point(_) => Some("q(z|x) is a point without a variance"),
        PosteriorConfig::Vq(_) => Some("z is made of discrete codes, without a variance"),
    }
}

/// Adds the outputs of the encoder with the network `encoder` for its features `[n, features]`.
pub fn outputs(
    graph: &mut Graph<'_>,
    posterior: &PosteriorConfig,
    encoder: &NetworkConfig,
    latent: usize,
    features: &Value,
) {
    match posterior {
        PosteriorConfig::Point(_) => {
            let z = head(graph, "posterior.mean", encoder, features);
            graph.output(&z, "mean", &[latent], "z of x");
        }
        PosteriorConfig::Gaussian(config) if config.flow_steps > 0 => {
            let mean = head(graph, "posterior.mean", encoder, features);
            let context = head(graph, "posterior.context", encoder, features);
            let z = flow(graph, config, latent, &mean, &context);
            graph.output(&z, "mean", &[latent], "the flow of the mean of the Gaussian before it");
        }
        PosteriorConfig::Gaussian(config) => {
            let mean = head(graph, "posterior.mean", encoder, features);
            graph.output(&mean, "mean", &[latent], "mean of q(z|x)");
            let mut log_var = head(graph, "posterior.log_var", encoder, features);
            if let Some((low, high)) = config.log_var_range {
                let (low, high) = (graph.scalar(low), graph.scalar(high));
                log_var = graph.apply("Clip", &[&log_var, &low, &high]);
            }
            graph.output(&log_var, "log_var", &[latent], "logarithm of the variance of q(z|x)");
        }
        PosteriorConfig::Vq(config) => {
            let points = head(graph, "posterior.points", encoder, features);
            let nearest = nearest(graph, config, &points);
            let codebook = graph.parameter("posterior.codebook");
            let vectors = graph.apply("Gather", &[&codebook, &nearest]);
            let z = graph.regroup(&vectors, latent);
            graph.output(&z, "mean", &[latent], "z of x: the vectors of its codes");
            let positions = latent / config.embedding_dim;
            let nearest = graph.regroup(&nearest, positions);
            let about = "index of each vector in the codebook";
            graph.integer_output(&nearest, "codes", &[positions], about);
        }
    }
}

/// Returns z after all steps of an inverse autoregressive flow. The dimensions are reversed between
/// steps.
fn flow(
    graph: &mut Graph<'_>,
    config: &GaussianConfig,
    latent: usize,
    z: &Value,
    context: &Value,
) -> Value {
    let backwards: Vec<i64> = (0..latent as i64).rev().collect();
    (0..config.flow_steps).fold(z.clone(), |mut z, i| {
        if i > 0 {
            let order = graph.integers(&backwards);
            z = graph.apply_with("Gather", &[&z, &order], vec![integer("axis", 1)]);
        }
        step(graph, config.flow_hidden, latent, &format!("posterior.flow.{i}"), &z, context)
    })
}

/// Returns z' = m + sigma (z - m) of one step.
fn step(
    graph: &mut Graph<'_>,
    hidden: usize,
    latent: usize,
    path: &str,
    z: &Value,
    context: &Value,
) -> Value {
    let [inward, outward] = IafStep::masks(latent, hidden);
    let masked = |graph: &mut Graph<'_>, name: &str, mask: &[f32]| {
        let path = format!("{path}.{name}");
        let stored = graph.stored(&path);
        let values: Vec<f32> = stored.values.iter().zip(mask).map(|(w, on)| w * on).collect();
        graph.tensor(&path, &stored.shape, &values)
    };
    let weights = masked(graph, "inputs", &inward);
    let bias = graph.parameter(&format!("{path}.bias"));
    let of_z = graph.apply("Gemm", &[z, &weights, &bias]);
    let weights = graph.parameter(&format!("{path}.context"));
    let of_context = graph.apply("MatMul", &[context, &weights]);
    let seen = graph.apply("Add", &[&of_z, &of_context]);
    let seen = graph.apply("Relu", &[&seen]);

    let weights = masked(graph, "mean", &outward);
    let bias = graph.parameter(&format!("{path}.mean_bias"));
    let mean = graph.apply("Gemm", &[&seen, &weights, &bias]);
    let weights = masked(graph, "gate", &outward);
    let bias = graph.parameter(&format!("{path}.gate_bias"));
    let gate = graph.apply("Gemm", &[&seen, &weights, &bias]);
    let shift = graph.scalar(IafStep::GATE_SHIFT);
    let gate = graph.apply("Add", &[&gate, &shift]);
    let sigma = graph.apply("Sigmoid", &[&gate]);
    let difference = graph.apply("Sub", &[z, &mean]);
    let kept = graph.apply("Mul", &[&sigma, &difference]);
    graph.apply("Add", &[&mean, &kept])
}

/// Returns the index of the nearest code at each position, `[n * positions]`, for the encoder's
/// outputs `points` `[n, latent]`.
fn nearest(graph: &mut Graph<'_>, config: &VqConfig, points: &Value) -> Value {
    let (codes, width) = (config.num_embeddings, config.embedding_dim);
    let vectors = &graph.stored("posterior.codebook").values;
    // |p - e|^2 without |p|^2, which is the same for all codes.
    let products = |i: usize| -2.0 * vectors[i % codes * width + i / codes];
    let products: Vec<f32> = (0..width * codes).map(products).collect();
    let norms = vectors.chunks(width).map(|vector| vector.iter().map(|v| v * v).sum());
    let norms: Vec<f32> = norms.collect();
    let products = graph.tensor("posterior.codebook.products", &[width, codes], &products);
    let norms = graph.tensor("posterior.codebook.norms", &[codes], &norms);
    let points = graph.regroup(points, width);
    let distances = graph.apply("Gemm", &[&points, &products, &norms]);
    let attributes = vec![integer("axis", 1), integer("keepdims", 0)];
    graph.apply_with("ArgMin", &[&distances], attributes)
}
