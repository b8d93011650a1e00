//! Activation functions between layers, and what a pass over host memory needs of each.

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

/// Slope of [`Activation::LeakyRelu`] below 0.
pub const LEAK: f32 = 0.01;

impl Activation {
    /// Applies the activation to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => activation::relu(x),
            Self::LeakyRelu => activation::leaky_relu(x, f64::from(LEAK)),
            Self::Tanh => x.tanh(),
            // Burn's `elu` computes exp(x) for every x. From x = 89 on exp overflows, and the
            // gradient is NaN although that branch is not selected.
            Self::Elu => activation::relu(x.clone()) + x.clamp_max(0.0).exp().sub_scalar(1.0),
            Self::Silu => activation::silu(x),
        }
    }
}

/// Passes over host memory, with vector instructions.
#[cfg(feature = "flex")]
#[allow(clippy::needless_range_loop)]
mod host {
    use super::{Activation, LEAK};
    use crate::ops::elementary::{exp_m1_of_negative, sigmoid_and_rest, tanh};

    impl Activation {
        /// Returns whether the slope is a function of the input. Otherwise it is a function of the
        /// output.
        pub fn needs_input(self) -> bool {
            match self {
                Self::Relu | Self::LeakyRelu | Self::Tanh | Self::Elu => false,
                Self::Silu => true,
            }
        }

        /// Does what [`Self::overwrite`] does, with the vector instructions of the caller.
        #[inline(always)]
        pub fn overwrite_inline(self, x: &mut [f32]) {
            match self {
                Self::Relu => each(x, relu),
                Self::LeakyRelu => each(x, leaky_relu),
                Self::Tanh => each(x, tanh),
                Self::Elu => each(x, elu),
                Self::Silu => each(x, silu),
            }
        }

        /// Does what [`Self::multiply_by_slope`] does, with the vector instructions of the caller.
        #[inline(always)]
        pub fn multiply_by_slope_inline(self, g: &mut [f32], of: &[f32]) {
            match self {
                Self::Relu => pairs(g, of, relu_slope),
                Self::LeakyRelu => pairs(g, of, leaky_relu_slope),
                Self::Tanh => pairs(g, of, tanh_slope),
                Self::Elu => pairs(g, of, elu_slope),
                Self::Silu => pairs(g, of, silu_slope),
            }
        }

        /// Overwrites inputs with outputs.
        pub fn overwrite(self, x: &mut [f32]) {
            overwrite(self, x);
        }

        /// Multiplies gradients of the outputs by the slopes. `of` is the inputs or the outputs: see
        /// [`Self::needs_input`].
        pub fn multiply_by_slope(self, g: &mut [f32], of: &[f32]) {
            multiply_by_slope(self, g, of);
        }
    }

    vectorized! {
        fn overwrite<'a>(activation: Activation, x: &'a mut [f32]) {
            activation.overwrite_inline(x);
        }
    }

    vectorized! {
        fn multiply_by_slope<'a>(activation: Activation, g: &'a mut [f32], of: &'a [f32]) {
            activation.multiply_by_slope_inline(g, of);
        }
    }

    #[inline(always)]
    fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
        for i in 0..values.len() {
            values[i] = f(values[i]);
        }
    }

    #[inline(always)]
    fn pairs(values: &mut [f32], others: &[f32], f: impl Fn(f32, f32) -> f32) {
        let others = &others[..values.len()];
        for i in 0..values.len() {
            values[i] = f(values[i], others[i]);
        }
    }

    // NaN must stay NaN: `f32::max` would return 0.
    #[inline(always)]
    fn relu(x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn relu_slope(g: f32, y: f32) -> f32 {
        if y > 0.0 { g } else { 0.0 }
    }

    #[inline(always)]
    fn leaky_relu(x: f32) -> f32 {
        if x > 0.0 { x } else { LEAK * x }
    }

    #[inline(always)]
    fn leaky_relu_slope(g: f32, y: f32) -> f32 {
        if y > 0.0 { g } else { g * LEAK }
    }

    #[inline(always)]
    fn tanh_slope(g: f32, y: f32) -> f32 {
        g * (1.0 - y * y)
    }

    #[inline(always)]
    fn elu(x: f32) -> f32 {
        if x > 0.0 { x } else { exp_m1_of_negative(x) }
    }

    #[inline(always)]
    fn elu_slope(g: f32, y: f32) -> f32 {
        if y > 0.0 { g } else { g * (y + 1.0) }
    }

    #[inline(always)]
    fn silu(x: f32) -> f32 {
        x * sigmoid_and_rest(x).0
    }

    /// The derivative of x s, s = sigmoid(x), is s + x s (1 - s).
    #[inline(always)]
    fn silu_slope(g: f32, x: f32) -> f32 {
        let (s, rest) = sigmoid_and_rest(x);
        g * (s + x * s * rest)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    #[test]
    fn passes_over_host_memory_give_values_and_slopes_of_the_composition() {
        let x: Vec<f32> = (-400..=400).map(|i| i as f32 * 0.25 + 0.01).collect();
        let g: Vec<f32> = x.iter().map(|x| x.cos()).collect();
        let n = x.len();
        for activation in [
            Activation::Relu,
            Activation::LeakyRelu,
            Activation::Tanh,
            Activation::Elu,
            Activation::Silu,
        ] {
            let device = Device::flex().autodiff();
            let tensor = |v: &[f32]| Tensor::<1>::from_floats(v, &device);
            let leaf = tensor(&x).require_grad();
            let composed = activation.forward(leaf.clone());
            let slopes = leaf.grad(&(composed.clone() * tensor(&g)).sum().backward()).unwrap();

            let (mut y, mut slope) = (x.clone(), g.clone());
            activation.overwrite(&mut y);
            let of = if activation.needs_input() { &x } else { &y };
            activation.multiply_by_slope(&mut slope, of);
            let close = Tolerance::<f32>::rel_abs(1e-6, 1e-6);
            for (found, expected) in [(y, composed.inner()), (slope, slopes)] {
                let found = TensorData::new(found, [n]);
                found.assert_approx_eq(&expected.into_data(), close);
            }
            let mut nan = [f32::NAN];
            activation.overwrite(&mut nan);
            assert!(nan[0].is_nan(), "{activation:?}");
        }
    }
}
