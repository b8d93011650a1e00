//! Multi-layer perceptrons: the encoder's and decoder's trunks and the heads on them.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use serde::{Deserialize, Serialize};

use super::{Activation, Decoder, Encoder, Features, NetworkConfig, NetworkFamily};
use crate::check;
use crate::error::ConfigError;
use crate::init::Init;

/// Settings of a multi-layer perceptron.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Widths of the hidden layers, from the data to the latent (encoder) or back (decoder).
    pub hidden: Vec<usize>,
    /// What follows every hidden layer.
    pub activation: Activation,
    /// Gated hidden layers (Dauphin et al. 2017): (W x + b) sigmoid(V x + c) in place of the activation.
    pub gated: bool,
    /// Layers in each head of the posterior: 1 is a single linear layer, n has n - 1 hidden layers of
    /// the last trunk width before it. Decoders have no heads and want 1.
    pub head_depth: usize,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { hidden: vec![400], activation: Activation::Relu, gated: false, head_depth: 1 }
    }
}

/// Widest layer: a typing error should not ask for terabytes.
const WIDEST: usize = 1 << 16;

impl MlpConfig {
    /// Makes the hidden layers behind `inputs` numbers.
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

/// The perceptron decoder's layers; the last is linear.
#[derive(Module, Debug)]
pub struct MlpDecoder {
    trunk: Mlp,
    output: Linear,
}

impl MlpDecoder {
    /// Maps `[rows, latent]` to `[rows, outputs]`.
    pub(super) fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.trunk.forward(z))
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
    /// Layers of `inputs` -> `hidden[0]` -> ... .
    pub fn new(init: &Init<'_>, inputs: usize, hidden: &[usize], activation: Activation) -> Self {
        let layers = chain(&init.at("layers"), inputs, hidden);
        Self { layers, gates: Vec::new(), activation }
    }

    /// The same with a gate for each layer in place of the activation.
    fn gated(self, init: &Init<'_>, inputs: usize, hidden: &[usize]) -> Self {
        Self { gates: chain(&init.at("gates"), inputs, hidden), ..self }
    }

    /// `[rows, inputs]` to `[rows, last hidden width]`; with no layer the identity.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.layers.iter().enumerate().fold(x, |x, (i, layer)| match self.gates.get(i) {
            Some(gate) => sigmoid(gate.forward(x.clone())) * layer.forward(x),
            None => self.activation.forward(layer.forward(x)),
        })
    }
}

/// Linear layers of `inputs` -> `widths[0]` -> ... .
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
    /// `features` inputs, `outputs` outputs, `depth` layers in all.
    pub fn new(init: &Init<'_>, features: Features, outputs: usize) -> Self {
        let hidden = vec![features.width; features.head_depth - 1];
        Self {
            trunk: Mlp::new(&init.at("trunk"), features.width, &hidden, features.activation),
            output: init.at("output").linear(features.width, outputs),
        }
    }

    /// `[rows, features]` to `[rows, outputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.trunk.forward(x))
    }
}
