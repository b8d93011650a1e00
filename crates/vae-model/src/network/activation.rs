//! Activation functions between linear layers.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// An elementwise non-linearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// x above 0, 0.01 x below.
    LeakyRelu,
    /// The hyperbolic tangent.
    Tanh,
    /// x above 0, exp(x) - 1 below.
    Elu,
    /// x sigmoid(x), also called swish.
    Silu,
}

impl Activation {
    /// Applies the activation to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => activation::relu(x),
            Self::LeakyRelu => activation::leaky_relu(x, 0.01),
            Self::Tanh => x.tanh(),
            // Burn's `elu` computes exp(x) for every x. From x = 89 on exp overflows, and the
            // gradient is NaN although that branch is not selected.
            Self::Elu => activation::relu(x.clone()) + x.clamp_max(0.0).exp().sub_scalar(1.0),
            Self::Silu => activation::silu(x),
        }
    }
}
