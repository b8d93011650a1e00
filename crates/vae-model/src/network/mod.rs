//! Networks: the axis that maps data to features (`Encoder`) and latents to likelihood parameters
//! (`Decoder`). A new network is a file here and a line in each of the enums below.

mod activation;
mod conv;
mod mlp;

pub use activation::Activation;
pub use conv::{ConvConfig, ConvDecoder, ConvEncoder, ConvStack};
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
        /// Convolutions: a strided encoder, a decoder that enlarges and convolves.
        "conv" => Conv(ConvConfig),
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
        let (kind, widths) = match self {
            Self::Mlp(c) if c.gated => ("gated mlp", &c.hidden),
            Self::Mlp(c) => ("mlp", &c.hidden),
            Self::Conv(c) => ("conv", &c.channels),
        };
        let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
        format!("{kind} {}", widths.join("-")).trim_end().to_owned()
    }

    /// Checks the settings found at `key`.
    pub fn validate(&self, key: &str) -> Result<(), ConfigError> {
        match self {
            Self::Mlp(c) => c.validate(key),
            Self::Conv(c) => c.validate(key),
        }
    }

    /// Checks that the settings found at `key` say nothing that only an encoder has.
    pub fn validate_decoder(&self, key: &str) -> Result<(), ConfigError> {
        let head_depth = match self {
            Self::Mlp(c) => c.head_depth,
            Self::Conv(c) => c.head_depth,
        };
        if head_depth != 1 {
            let why = "a decoder has no heads: set it on model.encoder";
            return Err(ConfigError::new(format!("{key}.head_depth"), why));
        }
        Ok(())
    }

    /// Checks that the settings found at `key` can be built for examples of shape `input`.
    pub fn validate_input(&self, key: &str, input: &[usize]) -> Result<(), ConfigError> {
        match self {
            Self::Mlp(_) => Ok(()),
            Self::Conv(c) => c.validate_input(key, input),
        }
    }

    /// The decoder that undoes this encoder layer by layer, for a configuration that names none.
    pub fn mirrored(&self) -> Self {
        match self {
            Self::Mlp(c) => Self::Mlp(MlpConfig {
                hidden: c.hidden.iter().rev().copied().collect(),
                head_depth: 1,
                ..c.clone()
            }),
            Self::Conv(c) => Self::Conv(ConvConfig {
                channels: c.channels.iter().rev().copied().collect(),
                hidden: c.hidden.iter().rev().copied().collect(),
                head_depth: 1,
                ..c.clone()
            }),
        }
    }

    /// The encoder's trunk for examples of shape `input` and a condition of so many numbers, and what it
    /// offers to heads.
    pub fn encoder(
        &self,
        init: &Init<'_>,
        input: &[usize],
        condition: usize,
    ) -> (Encoder, Features) {
        match self {
            Self::Mlp(c) => {
                let inputs = input.iter().product::<usize>() + condition;
                let mlp = c.trunk(init, inputs);
                (Encoder::Mlp(mlp), c.features(inputs))
            }
            Self::Conv(c) => {
                let (conv, features) = c.encoder(init, input, condition);
                (Encoder::Conv(conv), features)
            }
        }
    }

    /// The decoder from `latent` numbers (z and the condition) to `parameters` likelihood parameters for
    /// each number of an example of shape `input`.
    pub fn decoder(
        &self,
        init: &Init<'_>,
        latent: usize,
        input: &[usize],
        parameters: usize,
    ) -> Decoder {
        match self {
            Self::Mlp(c) => {
                let outputs = input.iter().product::<usize>() * parameters;
                let width = c.hidden.last().copied().unwrap_or(latent);
                Decoder::Mlp(MlpDecoder {
                    trunk: c.trunk(&init.at("trunk"), latent),
                    output: init.at("output").linear(width, outputs),
                })
            }
            Self::Conv(c) => Decoder::Conv(c.decoder(init, latent, input, parameters)),
        }
    }
}

/// Data to features: `[batch, inputs]` to `[batch, features]`.
#[derive(Module, Debug)]
pub enum Encoder {
    /// A multi-layer perceptron.
    Mlp(Mlp),
    /// Convolutions.
    Conv(ConvEncoder),
}

impl Encoder {
    /// x `[batch, numbers]` with its condition `[batch, classes]`, if the model has one, to `[batch,
    /// features]`.
    pub fn forward(&self, x: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.forward(beside(x, condition)),
            Self::Conv(conv) => conv.forward(x, condition),
        }
    }
}

/// The condition's columns behind those of x.
pub(crate) fn beside(x: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
    match condition {
        Some(condition) => Tensor::cat(vec![x, condition], 1),
        None => x,
    }
}

/// Latents to the parameters of p(x|z): `[rows, latent]` to `[rows, outputs]`.
#[derive(Module, Debug)]
pub enum Decoder {
    /// A multi-layer perceptron with a linear last layer.
    Mlp(MlpDecoder),
    /// Convolutions.
    Conv(ConvDecoder),
}

impl Decoder {
    /// `[rows, latent]` to `[rows, outputs]`.
    pub fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.output.forward(mlp.trunk.forward(z)),
            Self::Conv(conv) => conv.forward(z),
        }
    }
}

/// The perceptron decoder's layers.
#[derive(Module, Debug)]
pub struct MlpDecoder {
    trunk: Mlp,
    output: Linear,
}
