//! Critics: networks beside the model that score x, z or pairs of them.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::check;
use crate::error::ConfigError;
use crate::init::Init;

/// Settings of a critic: a perceptron with (leaky) ReLU and no normalization, so that its gradient in its
/// input is a product of weights and activation masks.
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

    /// Makes a critic of rows of `inputs` numbers.
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

/// A critic: high scores for what it takes for real.
#[derive(Module, Debug)]
pub struct Critic {
    layers: Vec<Linear>,
    output: Linear,
    #[module(skip)]
    slope: f64,
}

impl Critic {
    /// Returns the score of each row, `[rows, inputs]` to `[rows, 1]`.
    pub fn score(&self, rows: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.features(rows, self.layers.len()))
    }

    /// Returns the hidden units of layer `depth`, counted from 1, after its activation: `[rows, inputs]`
    /// to `[rows, width]`.
    pub fn features(&self, rows: Tensor<2>, depth: usize) -> Tensor<2> {
        self.layers.iter().take(depth).fold(rows, |x, layer| self.activate(layer.forward(x)))
    }

    fn activate(&self, x: Tensor<2>) -> Tensor<2> {
        if self.slope > 0.0 { activation::leaky_relu(x, self.slope) } else { activation::relu(x) }
    }

    /// Returns the gradient of each row's score in the row, `[rows, inputs]`, differentiable in the
    /// weights.
    ///
    /// It is w W_n diag(a_n) ... W_1 with a_i the slopes of the activation at layer i. They are constant
    /// nearly everywhere, so no second derivative is needed.
    pub fn input_gradient(&self, rows: Tensor<2>) -> Tensor<2> {
        let [n, _] = rows.dims();
        // The slopes need no gradient: they are found without one.
        let mut x = rows.inner();
        let mut slopes = Vec::new();
        for layer in self.layers.clone().valid() {
            x = layer.forward(x);
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
