//! Multi-layer perceptrons: trunks of encoders and decoders, and heads of posteriors.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Activation, Decoder, Encoder, Features, NetworkConfig, NetworkFamily};
use crate::check;
use crate::error::ConfigError;
use crate::init::Init;
use crate::multiplications::weights_of_matrices;
use crate::ops::dense;

/// Settings of a multi-layer perceptron.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Widths of the hidden layers, from the data to the latent (encoder) or back (decoder).
    pub hidden: Vec<usize>,
    /// Activation after every hidden layer.
    pub activation: Activation,
    /// Uses gated hidden layers in place of the activation: (W x + b) sigmoid(V x + c) (Dauphin et
    /// al. 2017).
    pub gated: bool,
    /// Layers in each head of the posterior: a linear layer after `head_depth` - 1 hidden layers of
    /// the last trunk width. Must be 1 for decoders, which have no heads.
    pub head_depth: usize,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { hidden: vec![400], activation: Activation::Relu, gated: false, head_depth: 1 }
    }
}

/// Largest width of a layer. A typing error must not allocate terabytes.
const WIDEST: usize = 1 << 16;

impl MlpConfig {
    /// Makes the hidden layers for `inputs` inputs.
    fn trunk(&self, init: &Init<'_>, inputs: usize) -> Mlp {
        let mlp = Mlp::new(init, inputs, &self.hidden, self.activation);
        if self.gated { mlp.gated(init, inputs, &self.hidden) } else { mlp }
    }
}

impl NetworkFamily for MlpConfig {
    fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::widths(key, "hidden", &self.hidden, 0..=64, WIDEST)?;
        check::range(key, "head_depth", self.head_depth, 1..=8)
    }

    fn validate_shape(&self, _key: &str, _shape: &[usize]) -> Result<(), ConfigError> {
        Ok(())
    }

    fn has_linear_layers_only(&self) -> bool {
        true
    }

    fn head_depth(&self) -> usize {
        self.head_depth
    }

    fn summary(&self) -> String {
        let kind = if self.gated { "gated mlp" } else { "mlp" };
        let widths: Vec<String> = self.hidden.iter().map(usize::to_string).collect();
        format!("{kind} {}", widths.join("-")).trim_end().to_owned()
    }

    fn mirrored(&self) -> NetworkConfig {
        let hidden = self.hidden.iter().rev().copied().collect();
        Self { hidden, head_depth: 1, ..self.clone() }.into()
    }

    fn encoder(&self, init: &Init<'_>, shape: &[usize], condition: usize) -> (Encoder, Features) {
        let inputs = shape.iter().product::<usize>() + condition;
        let features = Features {
            width: self.hidden.last().copied().unwrap_or(inputs),
            head_depth: self.head_depth,
            activation: self.activation,
        };
        (Encoder::Mlp(self.trunk(init, inputs)), features)
    }

    fn decoder(&self, init: &Init<'_>, latent: usize, shape: &[usize], outputs: usize) -> Decoder {
        let width = self.hidden.last().copied().unwrap_or(latent);
        Decoder::Mlp(MlpDecoder {
            trunk: self.trunk(&init.at("trunk"), latent),
            output: init.at("output").linear(width, shape.iter().product::<usize>() * outputs),
        })
    }
}

/// An MLP decoder: hidden layers and a linear output layer.
#[derive(Module, Debug)]
pub struct MlpDecoder {
    trunk: Mlp,
    output: Linear,
}

impl MlpDecoder {
    /// Returns the decoder with another bias of its output layer, of the same length.
    pub(super) fn with_output_bias(self, bias: Vec<f32>) -> Self {
        let device = self.output.weight.device();
        let length = bias.len();
        let bias = Tensor::from_data(TensorData::new(bias, [length]), &device);
        let output = Linear { bias: Some(Param::from_tensor(bias)), ..self.output };
        Self { output, ..self }
    }

    /// Maps `[rows, latent]` to `[rows, outputs]`.
    pub(super) fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        dense(&self.output, self.trunk.forward(z), None)
    }
}

/// Linear layers, each followed by the activation or multiplied by its gate.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    gates: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
}

impl Mlp {
    /// Makes layers of widths `inputs` -> `hidden[0]` -> ... .
    pub fn new(init: &Init<'_>, inputs: usize, hidden: &[usize], activation: Activation) -> Self {
        let layers = chain(&init.at("layers"), inputs, hidden);
        Self { layers, gates: Vec::new(), activation }
    }

    /// Returns the MLP with a gate for each layer in place of the activation.
    fn gated(self, init: &Init<'_>, inputs: usize, hidden: &[usize]) -> Self {
        Self { gates: chain(&init.at("gates"), inputs, hidden), ..self }
    }

    /// Returns the multiplications of the first layer, with its gate, for one row.
    pub(crate) fn of_first_layer(&self) -> u64 {
        let first = [self.layers.first(), self.gates.first()];
        first.into_iter().flatten().map(weights_of_matrices).sum()
    }

    /// Maps `[rows, inputs]` to `[rows, last hidden width]`. Without layers it is the identity.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.layers.iter().enumerate().fold(x, |x, (i, layer)| match self.gates.get(i) {
            Some(gate) => sigmoid(dense(gate, x.clone(), None)) * dense(layer, x, None),
            None => dense(layer, x, Some(self.activation)),
        })
    }
}

/// Makes linear layers of widths `inputs` -> `widths[0]` -> ... .
fn chain(init: &Init<'_>, inputs: usize, widths: &[usize]) -> Vec<Linear> {
    let widths: Vec<usize> = std::iter::once(inputs).chain(widths.iter().copied()).collect();
    widths.windows(2).enumerate().map(|(i, w)| init.at(i).linear(w[0], w[1])).collect()
}

/// A head: hidden layers of the trunk's width, then a plain linear layer.
#[derive(Module, Debug)]
pub struct Head {
    trunk: Mlp,
    output: Linear,
}

impl Head {
    /// Makes a head that maps `features` to `outputs` numbers, with `features.head_depth` layers.
    pub fn new(init: &Init<'_>, features: Features, outputs: usize) -> Self {
        let hidden = vec![features.width; features.head_depth - 1];
        Self {
            trunk: Mlp::new(&init.at("trunk"), features.width, &hidden, features.activation),
            output: init.at("output").linear(features.width, outputs),
        }
    }

    /// Maps `[rows, features]` to `[rows, outputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        dense(&self.output, self.trunk.forward(x), None)
    }
}
