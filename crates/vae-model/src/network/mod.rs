//! Networks: the axis that maps data to features (`Encoder`) and latents to likelihood parameters
//! (`Decoder`). A new network is a file here and a line in each of the enums below.

mod activation;
mod mlp;

pub use activation::Activation;
pub use mlp::{Features, Head, Mlp, MlpConfig};

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;

choice! {
    /// Which network, with its settings.
    pub enum NetworkConfig {
        /// A multi-layer perceptron on the flattened data.
        "mlp" => Mlp(MlpConfig),
    }
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::Mlp(MlpConfig::default())
    }
}

impl NetworkConfig {
    /// The network in a few characters, such as `mlp 400`.
    pub fn summary(&self) -> String {
        match self {
            Self::Mlp(mlp) => {
                let widths: Vec<String> = mlp.hidden.iter().map(usize::to_string).collect();
                format!("mlp {}", widths.join("-")).trim_end().to_owned()
            }
        }
    }

    /// Checks the settings found at `key`.
    pub fn validate(&self, key: &str) -> Result<(), ConfigError> {
        match self {
            Self::Mlp(mlp) => mlp.validate(key),
        }
    }

    /// Checks that the settings found at `key` say nothing that only an encoder has.
    pub fn validate_decoder(&self, key: &str) -> Result<(), ConfigError> {
        match self {
            Self::Mlp(mlp) if mlp.head_depth != 1 => {
                let why = "a decoder has no heads: set it on model.encoder";
                Err(ConfigError::new(format!("{key}.head_depth"), why))
            }
            Self::Mlp(_) => Ok(()),
        }
    }

    /// The decoder that undoes this encoder layer by layer, for a configuration that names none.
    pub fn mirrored(&self) -> Self {
        match self {
            Self::Mlp(mlp) => Self::Mlp(MlpConfig {
                hidden: mlp.hidden.iter().rev().copied().collect(),
                head_depth: 1,
                ..mlp.clone()
            }),
        }
    }

    /// The encoder's trunk for data of `inputs` numbers, and what it offers to heads.
    pub fn encoder(&self, init: &Init<'_>, inputs: usize) -> (Encoder, Features) {
        match self {
            Self::Mlp(c) => {
                let width = c.hidden.last().copied().unwrap_or(inputs);
                let features =
                    Features { width, head_depth: c.head_depth, activation: c.activation };
                (Encoder::Mlp(Mlp::new(init, inputs, &c.hidden, c.activation)), features)
            }
        }
    }

    /// The decoder from `latent` numbers to `outputs` likelihood parameters.
    pub fn decoder(&self, init: &Init<'_>, latent: usize, outputs: usize) -> Decoder {
        match self {
            Self::Mlp(c) => Decoder::Mlp(MlpDecoder {
                trunk: Mlp::new(&init.at("trunk"), latent, &c.hidden, c.activation),
                output: init
                    .at("output")
                    .linear(c.hidden.last().copied().unwrap_or(latent), outputs),
            }),
        }
    }
}

/// Data to features: `[batch, inputs]` to `[batch, features]`.
#[derive(Module, Debug)]
pub enum Encoder {
    /// A multi-layer perceptron.
    Mlp(Mlp),
}

impl Encoder {
    /// `[batch, inputs]` to `[batch, features]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.forward(x),
        }
    }
}

/// Latents to the parameters of p(x|z): `[rows, latent]` to `[rows, outputs]`.
#[derive(Module, Debug)]
pub enum Decoder {
    /// A multi-layer perceptron with a linear last layer.
    Mlp(MlpDecoder),
}

impl Decoder {
    /// `[rows, latent]` to `[rows, outputs]`.
    pub fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.output.forward(mlp.trunk.forward(z)),
        }
    }
}

/// The perceptron decoder's layers.
#[derive(Module, Debug)]
pub struct MlpDecoder {
    trunk: Mlp,
    output: Linear,
}
