//! Critics: auxiliary networks that score x, z or pairs (x, z).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::check;
use crate::error::ConfigError;
use crate::init::Init;
use crate::ops::dense;

/// Settings of a critic: an MLP with (leaky) ReLU and without normalization. The gradient with
/// respect to its input is a product of weights and slopes of the activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CriticConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Slope of the activation below 0: 0 for ReLU.
    pub slope: f64,
}

impl Default for CriticConfig {
    fn default() -> Self {
        Self { hidden: vec![256, 256], slope: 0.2 }
    }
}

impl CriticConfig {
    /// Checks the settings found at `key`.
    pub(crate) fn validate(&self, key: &str) -> Result<(), ConfigError> {
        check::widths(key, "hidden", &self.hidden, 1..=16, 1 << 14)?;
        check::fraction(key, "slope", self.slope)
    }

    /// Makes a critic that reads rows of `inputs` numbers.
    pub fn init(&self, init: &Init<'_>, inputs: usize) -> Critic {
        let mut before = inputs;
        let mut layers = Vec::new();
        for (i, width) in self.hidden.iter().enumerate() {
            layers.push(init.at("layers").at(i).linear(before, *width));
            before = *width;
        }
        Critic { layers, output: init.at("output").linear(before, 1), slope: self.slope }
    }
}

/// A critic. A high score means that a row looks real.
#[derive(Module, Debug)]
pub struct Critic {
    layers: Vec<Linear>,
    output: Linear,
    #[module(skip)]
    slope: f64,
}

impl Critic {
    /// Returns the score of each row, `[rows, 1]`, for `rows` `[rows, inputs]`.
    pub fn score(&self, rows: Tensor<2>) -> Tensor<2> {
        dense(&self.output, self.features(rows, self.layers.len()), None)
    }

    /// Returns the activations of hidden layer `depth`, counted from 1, `[rows, width]`, for `rows`
    /// `[rows, inputs]`.
    pub fn features(&self, rows: Tensor<2>, depth: usize) -> Tensor<2> {
        self.layers.iter().take(depth).fold(rows, |x, layer| self.activate(dense(layer, x, None)))
    }

    fn activate(&self, x: Tensor<2>) -> Tensor<2> {
        if self.slope > 0.0 { activation::leaky_relu(x, self.slope) } else { activation::relu(x) }
    }

    /// Returns the gradient of each score with respect to its row, `[rows, inputs]`, differentiable
    /// with respect to the weights.
    ///
    /// The gradient is w W_n diag(a_n) ... W_1, where a_i are the slopes of the activation in layer
    /// i. The slopes are piecewise constant, so no second derivative is needed.
    pub fn input_gradient(&self, rows: Tensor<2>) -> Tensor<2> {
        let [n, _] = rows.dims();
        // The slopes need no gradient, so they are computed without autodiff.
        let mut x = rows.inner();
        let mut slopes = Vec::new();
        for layer in self.layers.clone().valid() {
            // The product of `features`: where it is near 0, another rounding has another slope.
            x = dense(&layer, x, None);
            let positive = x.clone().greater_elem(0.0).float();
            slopes.push(positive.mul_scalar(1.0 - self.slope).add_scalar(self.slope));
            x = x * slopes[slopes.len() - 1].clone();
        }
        let output = self.output.weight.val().transpose().repeat_dim(0, n);
        self.layers.iter().zip(slopes).rev().fold(output, |gradient, (layer, slope)| {
            (gradient * slope).matmul(layer.weight.val().transpose())
        })
    }

    /// Returns the critic with every weight and bias clipped to +-`bound` (Arjovsky et al. 2017).
    pub fn clipped(self, bound: f64) -> Self {
        struct Clip(f64);
        impl burn::module::ModuleMapper for Clip {
            fn map_float<const D: usize>(
                &mut self,
                param: burn::module::Param<Tensor<D>>,
            ) -> burn::module::Param<Tensor<D>> {
                param.map(|t| {
                    let clipped = t.clone().inner().clamp(-self.0, self.0);
                    if t.is_require_grad() {
                        Tensor::from_inner(clipped).require_grad()
                    } else {
                        clipped
                    }
                })
            }
        }
        self.map(&mut Clip(bound))
    }
}
