//! Fully connected layers: a matrix product, a bias and an activation.

#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "flex")]
mod host;
#[cfg(feature = "flex")]
mod kernels;

#[cfg(feature = "flex")]
pub use host::bias_gradient;
#[cfg(feature = "flex")]
pub use kernels::{Left, Right, Start, product};

use burn::nn::Linear;
use burn::tensor::Tensor;

use super::Activation;

/// Returns the activation of x W + b, `[rows, outputs]`, for x `[rows, inputs]` and a layer with
/// weights `[inputs, outputs]`. `None` is the identity.
pub fn dense(layer: &Linear, x: Tensor<2>, activation: Option<Activation>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&x.device().inner())
        && let Some(bias) = &layer.bias
    {
        return flex::dense(x, layer.weight.val(), bias.val(), activation);
    }
    composed(layer, x, activation)
}

/// Returns what [`dense`] returns, by Burn's operations.
fn composed(layer: &Linear, x: Tensor<2>, activation: Option<Activation>) -> Tensor<2> {
    let y = layer.forward(x);
    match activation {
        Some(activation) => activation.forward(y),
        None => y,
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::module::{Module, Param};
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn wave<const D: usize>(shape: [usize; D], phase: f32) -> Tensor<D> {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37 + phase).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
    }

    /// Returns the output, and the gradients of x, weights and bias for a gradient of the output.
    fn all(
        of: impl Fn(&Linear, Tensor<2>, Option<Activation>) -> Tensor<2>,
        [rows, inputs, outputs]: [usize; 3],
        activation: Option<Activation>,
    ) -> [TensorData; 4] {
        let x = wave([rows, inputs], 0.1).require_grad();
        let layer = Linear {
            weight: Param::from_tensor(wave([inputs, outputs], 0.5)),
            bias: Some(Param::from_tensor(wave([outputs], 0.9))),
        };
        let y = of(&layer, x.clone(), activation);
        let grads = (y.clone() * wave([rows, outputs], 1.3)).sum().backward();
        let bias = layer.bias.as_ref().unwrap().val();
        [
            y.inner().into_data(),
            x.grad(&grads).unwrap().into_data(),
            layer.weight.val().grad(&grads).unwrap().into_data(),
            bias.grad(&grads).unwrap().into_data(),
        ]
    }

    /// One row, one number; numbers around those that are handled together, in each dimension; more
    /// rows, and more weights, than a thread takes at once.
    const SHAPES: [[usize; 3]; 10] = [
        [150, 70, 1000],
        [1, 1, 1],
        [3, 7, 5],
        [8, 128, 48],
        [9, 129, 49],
        [23, 33, 17],
        [24, 48, 31],
        [31, 300, 20],
        [200, 20, 64],
        [7, 64, 127],
    ];

    const ACTIVATIONS: [Option<Activation>; 6] = [
        None,
        Some(Activation::Relu),
        Some(Activation::LeakyRelu),
        Some(Activation::Tanh),
        Some(Activation::Elu),
        Some(Activation::Silu),
    ];

    #[test]
    fn outputs_and_gradients_are_those_of_the_composition() {
        for shape in SHAPES {
            for activation in ACTIVATIONS {
                let found = all(dense, shape, activation);
                let expected = all(composed, shape, activation);
                for (found, expected) in found.iter().zip(&expected) {
                    let close = Tolerance::<f32>::rel_abs(1e-5, 5e-5);
                    found.assert_approx_eq(expected, close);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "rows of 8 numbers do not fit a layer of 7 inputs")]
    fn rows_of_another_width_are_refused() {
        let layer = Linear {
            weight: Param::from_tensor(wave([7, 5], 0.5)),
            bias: Some(Param::from_tensor(wave([5], 0.9))),
        };
        // Eight numbers are a whole row of seven, and one more.
        dense(&layer, wave([1, 8], 0.1), None);
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| SHAPES.map(|shape| all(dense, shape, Some(Activation::Tanh))))
        };
        let one = with(1);
        for threads in [2, 3] {
            assert!(with(threads) == one, "{threads} threads");
        }
    }

    #[test]
    fn constants_get_no_gradient_and_without_autodiff_the_output_is_the_same() {
        let layer = Linear {
            weight: Param::from_tensor(wave([6, 5], 0.5)),
            bias: Some(Param::from_tensor(wave([5], 0.9))),
        };
        let x = wave([4, 6], 0.1).inner();
        for activation in ACTIVATIONS {
            let y = dense(&layer, x.clone(), activation);
            let plain = dense(&layer.valid(), x.clone(), activation);
            assert_eq!(y.clone().inner().into_data(), plain.into_data());
            assert!(layer.weight.val().grad(&y.sum().backward()).is_some());
        }
    }
}
