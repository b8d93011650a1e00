//! Networks: one axis of a model. An `Encoder` maps data to features, a `Decoder` maps latents to
//! parameters of the likelihood. Each network has its own file, a line in the `choice!` below and a
//! variant in each module enum.

mod conv;
mod mlp;

pub use crate::ops::{Activation, LEAK, NORM_EPSILON};
pub use conv::{ConvConfig, ConvDecoder, ConvEncoder, ConvStack};
pub use mlp::{Head, Mlp, MlpConfig, MlpDecoder};

use burn::module::Module;
use burn::tensor::Tensor;

use crate::choice;
use crate::error::ConfigError;
use crate::init::Init;
use crate::multiplications::weights_of_matrices;

choice! {
    /// A network with its settings.
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
    /// Checks the settings. `key` is the path of their table, for errors.
    ///
    /// # Errors
    /// For the first invalid value.
    fn validate(&self, key: &str) -> Result<(), ConfigError>;

    /// Checks that the network can be built for examples of shape `shape`. `key` is the path of its
    /// table, for errors.
    ///
    /// # Errors
    /// For a shape that the network cannot take.
    fn validate_shape(&self, key: &str, shape: &[usize]) -> Result<(), ConfigError>;

    /// Returns whether all of its layers are linear layers of [`Init::linear`], whose initial weights can be
    /// chosen.
    fn has_linear_layers_only(&self) -> bool;

    /// Returns the number of layers in each head of a posterior on this network.
    fn head_depth(&self) -> usize;

    /// Returns a short description of the network, such as `mlp 400`.
    fn summary(&self) -> String;

    /// Returns the decoder that mirrors this encoder layer by layer.
    fn mirrored(&self) -> NetworkConfig;

    /// Makes the encoder's trunk for examples of shape `shape` and a condition of `condition`
    /// numbers. Returns it with a description of its features.
    fn encoder(&self, init: &Init<'_>, shape: &[usize], condition: usize) -> (Encoder, Features);

    /// Makes the decoder from `latent` numbers (z and the condition) to `outputs` outputs per
    /// number of an example of shape `shape`.
    fn decoder(&self, init: &Init<'_>, latent: usize, shape: &[usize], outputs: usize) -> Decoder;
}

impl NetworkConfig {
    /// Checks that a decoder has no settings of an encoder. `key` is the path of its table, for
    /// errors.
    ///
    /// # Errors
    /// If `head_depth` is not 1.
    pub(crate) fn validate_decoder(&self, key: &str) -> Result<(), ConfigError> {
        if self.head_depth() != 1 {
            let why = "a decoder has no heads: set head_depth in model.encoder";
            return Err(ConfigError::new(format!("{key}.head_depth"), why));
        }
        Ok(())
    }
}

/// A description of an encoder's features, for the heads that read them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features {
    /// Width of the feature vector.
    pub width: usize,
    /// Layers in each head.
    pub head_depth: usize,
    /// Activation inside a head of more than one layer.
    pub activation: Activation,
}

/// An encoder's trunk, which maps data `[batch, numbers]` to features `[batch, features]`.
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

    /// Returns the multiplications of all layers, and of the first, for one example.
    pub(crate) fn multiplications(&self) -> [u64; 2] {
        match self {
            Self::Mlp(mlp) => [weights_of_matrices(mlp), mlp.of_first_layer()],
            Self::Conv(conv) => conv.multiplications(),
        }
    }
}

/// Returns `x` with the columns of the condition appended.
pub(crate) fn concat_condition(x: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<2> {
    match condition {
        Some(condition) => Tensor::cat(vec![x, condition], 1),
        None => x,
    }
}

/// A decoder, which maps latents `[rows, latent]` to the parameters of p(x|z), `[rows, outputs]`.
#[derive(Module, Debug)]
pub enum Decoder {
    /// A multi-layer perceptron with a linear last layer.
    Mlp(MlpDecoder),
    /// Convolutions.
    Conv(ConvDecoder),
}

impl Decoder {
    /// Maps z with its condition, `[rows, latent]`, to `[rows, outputs]`.
    pub fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mlp(mlp) => mlp.forward(z),
            Self::Conv(conv) => conv.forward(z),
        }
    }

    /// Returns the decoder with another bias of its output, of the length of the output. Convolutions,
    /// whose bias is per channel, stay as they are.
    pub(crate) fn with_output_bias(self, bias: Vec<f32>) -> Self {
        match self {
            Self::Mlp(mlp) => Self::Mlp(mlp.with_output_bias(bias)),
            Self::Conv(conv) => Self::Conv(conv),
        }
    }

    /// Returns the multiplications for one row.
    pub(crate) fn multiplications(&self) -> u64 {
        match self {
            Self::Mlp(mlp) => weights_of_matrices(mlp),
            Self::Conv(conv) => conv.multiplications(),
        }
    }
}
