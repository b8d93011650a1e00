//! Networks: the axis that maps data to features (`Encoder`) and latents to likelihood parameters
//! (`Decoder`). A network is a file here, a line in the `choice!` below and a variant in each module
//! enum.

mod activation;
mod conv;
mod mlp;

pub use activation::Activation;
pub use conv::{ConvConfig, ConvDecoder, ConvEncoder, ConvStack};
pub use mlp::{Head, Mlp, MlpConfig, MlpDecoder};

use burn::module::Module;
use burn::tensor::Tensor;

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;

choice! {
    /// Which network, with its settings.
    pub enum NetworkConfig: NetworkFamily {
        /// A multi-layer perceptron on the flattened data.
        "mlp" => Mlp(MlpConfig),
        /// Convolutions: a strided encoder, a decoder that upsamples and convolves.
        "conv" => Conv(ConvConfig),
    }
}

impl Default for NetworkConfig {
    fn default() -> Self {
        MlpConfig::default().into()
    }
}

/// A family of networks, with its settings.
pub trait NetworkFamily: std::fmt::Debug {
    /// Checks the settings found at `key`.
    ///
    /// # Errors
    /// For the first impossible value.
    fn validate(&self, key: &str) -> Result<(), ConfigError>;

    /// Checks that the settings found at `key` can be built for examples of this shape.
    ///
    /// # Errors
    /// For a shape that the network cannot take.
    fn validate_shape(&self, key: &str, shape: &[usize]) -> Result<(), ConfigError>;

    /// Returns the layers in each head of a posterior on this network.
    fn head_depth(&self) -> usize;

    /// Returns the network in a few characters, such as `mlp 400`.
    fn summary(&self) -> String;

    /// Returns the decoder that mirrors this encoder layer by layer.
    fn mirrored(&self) -> NetworkConfig;

    /// Makes the encoder's trunk for examples of this shape and a condition of so many numbers, and
    /// returns it with what it offers to heads.
    fn encoder(&self, init: &Init<'_>, shape: &[usize], condition: usize) -> (Encoder, Features);

    /// Makes the decoder from `latent` numbers (z and the condition) to so many `outputs` for each
    /// number of an example of this shape.
    fn decoder(&self, init: &Init<'_>, latent: usize, shape: &[usize], outputs: usize) -> Decoder;
}

impl NetworkConfig {
    /// Checks that the settings found at `key` say nothing that only an encoder has.
    ///
    /// # Errors
    /// For heads on a decoder.
    pub(crate) fn validate_decoder(&self, key: &str) -> Result<(), ConfigError> {
        if self.head_depth() != 1 {
            let why = "a decoder has no heads: set it on model.encoder";
            return Err(ConfigError::new(format!("{key}.head_depth"), why));
        }
        Ok(())
    }
}

/// What an encoder offers to the heads built on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features {
    /// Width of the feature vector.
    pub width: usize,
    /// Layers in each head.
    pub head_depth: usize,
    /// Activation inside a head of more than one layer.
    pub activation: Activation,
}

/// Data to features: `[batch, numbers]` to `[batch, features]`.
#[derive(Module, Debug)]
pub enum Encoder {
    /// A multi-layer perceptron.
    Mlp(Mlp),
    /// Convolutions.
    Conv(ConvEncoder),
}

impl Encoder {
    /// Maps x `[batch, numbers]` with its condition `[batch, classes]`, if the model has one, to
    /// `[batch, features]`.
    pub fn forward(&self, x: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.forward(concat_condition(x, condition)),
            Self::Conv(conv) => conv.forward(x, condition),
        }
    }
}

/// Returns `x` with the condition's columns behind its own.
pub(crate) fn concat_condition(x: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
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
    /// Maps z and its condition, `[rows, latent]`, to `[rows, outputs]`.
    pub fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.forward(z),
            Self::Conv(conv) => conv.forward(z),
        }
    }
}
