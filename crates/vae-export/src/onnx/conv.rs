//! Convolutional networks. Images are `[n, channels, h, w]`.

use vae_model::network::{ConvConfig, NORM_EPSILON};

use super::graph::{Graph, Value, float, list, text};
use super::mlp::{activate, trunk};

/// How a convolution changes the size of an image.
#[derive(Clone, Copy)]
enum Size {
    Same,
    Halve,
    Double,
}

/// Maps x `[n, c, h, w]`, of shape `shape` without n, and the condition `[n, classes]` with its
/// number of classes to features `[n, features]`.
pub fn encoder(
    graph: &mut Graph<'_>,
    config: &ConvConfig,
    shape: &[usize],
    x: &Value,
    condition: Option<(&Value, usize)>,
) -> Value {
    let [mut height, mut width] = [shape[1], shape[2]];
    let mut x = x.clone();
    if let Some((condition, classes)) = condition {
        // Each number of the condition is a constant channel.
        let planes = graph.reshape(condition, &[classes, 1, 1]);
        let size = graph.integers(&[1, 1, height as i64, width as i64]);
        let planes = graph.apply("Expand", &[&planes, &size]);
        x = graph.concat(&x, &planes);
    }
    for (i, channels) in config.channels.iter().enumerate() {
        (height, width) = (height / 2, width / 2);
        let stage = Stage { config, path: format!("encoder.stages.{i}"), size: Size::Halve };
        x = stage.apply(graph, &[*channels, height, width], &x);
    }
    let x = graph.flatten(&x);
    trunk(graph, "encoder.trunk", config.hidden.len(), config.activation, &x)
}

/// Maps z and the condition, `[n, latent]`, to outputs `[n, outputs * numbers]` for examples of
/// shape `shape`.
pub fn decoder(graph: &mut Graph<'_>, config: &ConvConfig, shape: &[usize], z: &Value) -> Value {
    let channels = &config.channels;
    let [mut height, mut width] = [shape[1] >> channels.len(), shape[2] >> channels.len()];
    // One more layer makes the smallest image.
    let x = trunk(graph, "decoder.trunk", config.hidden.len() + 1, config.activation, z);
    let mut x = graph.reshape(&x, &[channels[0], height, width]);
    for (i, before) in channels.iter().enumerate() {
        (height, width) = (height * 2, width * 2);
        let after = channels.get(i + 1).unwrap_or(before);
        let stage = Stage { config, path: format!("decoder.stages.{i}"), size: Size::Double };
        x = stage.apply(graph, &[*after, height, width], &x);
    }
    let x = convolution(graph, "decoder.output", Size::Same, &x);
    graph.flatten(&x)
}

/// A layer that changes the size, then residual blocks of two layers.
struct Stage<'a> {
    config: &'a ConvConfig,
    path: String,
    size: Size,
}

impl Stage<'_> {
    /// Maps `x` to images of shape `shape`.
    fn apply(&self, graph: &mut Graph<'_>, shape: &[usize], x: &Value) -> Value {
        let path = &self.path;
        let x = self.layer(graph, shape, &format!("{path}.first"), self.size, x, None);
        (0..self.config.residual).fold(x, |x, block| {
            let path = format!("{path}.blocks.{block}");
            let inner = self.layer(graph, shape, &format!("{path}.0"), Size::Same, &x, None);
            self.layer(graph, shape, &format!("{path}.1"), Size::Same, &inner, Some(&x))
        })
    }

    /// Applies a convolution and its normalization, adds `add`, and applies the activation.
    fn layer(
        &self,
        graph: &mut Graph<'_>,
        shape: &[usize],
        path: &str,
        size: Size,
        x: &Value,
        add: Option<&Value>,
    ) -> Value {
        let mut x = convolution(graph, &format!("{path}.conv"), size, x);
        if self.config.groups > 0 {
            x = group_norm(graph, &format!("{path}.norm"), self.config.groups, shape, &x);
        }
        if let Some(add) = add {
            x = graph.apply("Add", &[add, &x]);
        }
        activate(graph, self.config.activation, &x)
    }
}

/// Applies the 3x3 convolution at `path`, with a pixel of zeros around the image.
fn convolution(graph: &mut Graph<'_>, path: &str, size: Size, x: &Value) -> Value {
    let (x, stride) = match size {
        Size::Same => (x.clone(), 1),
        Size::Halve => (x.clone(), 2),
        Size::Double => (double(graph, x), 1),
    };
    let weight = graph.parameter(&format!("{path}.weight"));
    let bias = graph.parameter(&format!("{path}.bias"));
    let attributes = vec![
        list("kernel_shape", &[3, 3]),
        list("pads", &[1, 1, 1, 1]),
        list("strides", &[stride, stride]),
    ];
    graph.apply_with("Conv", &[&x, &weight, &bias], attributes)
}

/// Doubles the size of an image by repeating pixels.
fn double(graph: &mut Graph<'_>, x: &Value) -> Value {
    let scales = graph.floats(&[1.0, 1.0, 2.0, 2.0]);
    let attributes = vec![
        text("mode", "nearest"),
        text("coordinate_transformation_mode", "asymmetric"),
        text("nearest_mode", "floor"),
    ];
    graph.apply_with("Resize", &[x, &Value::absent(), &scales], attributes)
}

/// Applies group normalization to images of shape `shape`. ONNX has it since opset 21. Here it is
/// the normalization of each channel of images whose channels are the groups: every runtime has it.
fn group_norm(
    graph: &mut Graph<'_>,
    path: &str,
    groups: usize,
    shape: &[usize],
    x: &Value,
) -> Value {
    let x = graph.reshape(x, &[groups, shape.iter().product::<usize>() / groups]);
    let ones = graph.floats(&vec![1.0; groups]);
    let zeros = graph.floats(&vec![0.0; groups]);
    let epsilon = vec![float("epsilon", NORM_EPSILON)];
    let x = graph.apply_with("InstanceNormalization", &[&x, &ones, &zeros], epsilon);
    let x = graph.reshape(&x, shape);
    let [scale, shift] = ["scale", "shift"].map(|name| {
        let path = format!("{path}.{name}");
        let values = &graph.stored(&path).values;
        graph.tensor(&path, &[values.len(), 1, 1], values)
    });
    let x = graph.apply("Mul", &[&x, &scale]);
    graph.apply("Add", &[&x, &shift])
}
