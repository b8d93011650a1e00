//! 3x3 convolutions of images, with a pixel of zeros around them. The channels of a pixel are
//! neighbours in memory: `[batch, height, width, channels]`. On a CPU they fill a vector, however small
//! the image is; on a GPU the backend's convolutions have this order inside.

#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "flex")]
mod host;
#[cfg(feature = "flex")]
mod method;
#[cfg(feature = "flex")]
mod transform;
#[cfg(feature = "flex")]
mod weights;

use burn::tensor::Tensor;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::Activation;

/// How a convolution changes the size of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Stride 1.
    Same,
    /// Stride 2.
    Halve,
    /// Stride 1 on the image doubled in size by repeating pixels.
    Double,
}

/// Returns the activation of the convolution of x `[batch, h, w, before]` with `weight`
/// `[after, before, 3, 3]` and `bias` `[after]`, `[batch, h', w', after]`. `None` is the identity.
pub fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    size: Size,
    activation: Option<Activation>,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&x.device().inner()) {
        return flex::convolve(x, weight, bias, size, activation);
    }
    composed(x, weight, bias, size, activation)
}

/// Returns what [`convolve`] returns, by Burn's operations.
fn composed(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    size: Size,
    activation: Option<Activation>,
) -> Tensor<4> {
    let x = x.permute([0, 3, 1, 2]);
    let with_stride = |stride| ConvOptions::new([stride; 2], [1, 1], [1, 1], 1);
    let y = match size {
        Size::Same => conv2d(x, weight, Some(bias), with_stride(1)),
        Size::Halve => conv2d(x, weight, Some(bias), with_stride(2)),
        Size::Double => composed_of_doubled(x, weight, bias),
    };
    let y = y.permute([0, 2, 3, 1]);
    match activation {
        Some(activation) => activation.forward(y),
        None => y,
    }
}

/// Returns the convolution of the doubled image. Here images are `[batch, channels, h, w]`.
///
/// Each pixel of the small image affects 4x4 outputs. The result is therefore a transposed
/// convolution of the small image, with less than half the multiplications.
fn composed_of_doubled(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let [after, before, _, _] = weight.dims();
    let device = x.device().inner();
    // Along one axis, weights [a, b, c] on the two copies of a pixel are [c, b + c, a + b, a].
    let rows = [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
    let spread = Tensor::<2>::from_data(rows, &device);
    let weight = weight.reshape([after * before * 3, 3]).matmul(spread.clone().transpose());
    let weight = weight.reshape([after * before, 3, 4]).swap_dims(1, 2);
    let weight = weight.reshape([after * before * 4, 3]).matmul(spread.transpose());
    let weight = weight.reshape([after, before, 4, 4]).swap_dims(0, 1).swap_dims(2, 3);
    let options = ConvTransposeOptions::new([2, 2], [1, 1], [0, 0], [1, 1], 1);
    conv_transpose2d(x, weight, Some(bias), options)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn wave<const D: usize>(shape: [usize; D], phase: f32) -> Tensor<D> {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37 + phase).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
    }

    /// Returns the output, and the gradients of x, weights and bias for a gradient of the output.
    fn all(
        of: impl Fn(Tensor<4>, Tensor<4>, Tensor<1>, Size, Option<Activation>) -> Tensor<4>,
        [batch, before, after, height, width]: [usize; 5],
        size: Size,
        activation: Option<Activation>,
    ) -> [TensorData; 4] {
        let x = wave([batch, height, width, before], 0.1).require_grad();
        let weight = wave([after, before, 3, 3], 0.5).require_grad();
        let bias = wave([after], 0.9).require_grad();
        let y = of(x.clone(), weight.clone(), bias.clone(), size, activation);
        let grads = (y.clone() * wave(y.dims(), 1.3)).sum().backward();
        [
            y.inner().into_data(),
            x.grad(&grads).unwrap().into_data(),
            weight.grad(&grads).unwrap().into_data(),
            bias.grad(&grads).unwrap().into_data(),
        ]
    }

    const SIZES: [Size; 3] = [Size::Same, Size::Halve, Size::Double];

    /// Odd sizes, one channel, one image, one pixel; rows of many and of few pixels; more positions
    /// than are handled together; numbers of channels around those of a vector, and around those for
    /// which other methods are used.
    const SHAPES: [[usize; 5]; 14] = [
        [3, 5, 9, 7, 6],
        [1, 1, 1, 5, 5],
        [2, 3, 8, 16, 16],
        [5, 2, 17, 4, 4],
        [1, 1, 3, 1, 1],
        [2, 2, 2, 28, 28],
        [70, 3, 4, 9, 3],
        [2, 4, 1, 33, 18],
        [1, 16, 24, 8, 47],
        [2, 9, 16, 2, 1],
        [2, 8, 8, 5, 6],
        [3, 33, 40, 7, 8],
        [1, 15, 7, 1, 3],
        [1, 8, 64, 18, 18],
    ];

    #[test]
    fn outputs_and_gradients_are_those_of_the_composition() {
        for shape in SHAPES {
            for size in SIZES {
                // The slope of one is a function of its output, that of the other of its input.
                for activation in [None, Some(Activation::Tanh), Some(Activation::Silu)] {
                    let found = all(convolve, shape, size, activation);
                    let expected = all(composed, shape, size, activation);
                    for (found, expected) in found.iter().zip(&expected) {
                        let close = Tolerance::<f32>::rel_abs(1e-5, 1e-4);
                        found.assert_approx_eq(expected, close);
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_thread_keeps_of_other_images_changes_nothing() {
        let thread = || rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let used = thread();
        let shapes = [[2, 1, 4, 5, 5], [2, 12, 9, 6, 6], [2, 9, 12, 3, 3], [2, 1, 4, 5, 6]];
        for size in SIZES {
            for (before, shape) in shapes.iter().flat_map(|a| shapes.map(|b| (*a, b))) {
                let expected = thread().install(|| all(convolve, shape, size, None));
                let found = used.install(|| {
                    for size in SIZES {
                        all(convolve, before, size, None);
                    }
                    all(convolve, shape, size, None)
                });
                assert!(found == expected, "{size:?} {shape:?} after {before:?}");
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                // Two methods, and an output with few channels.
                [[40, 20, 20, 12, 12], [9, 20, 7, 12, 12], [40, 3, 3, 12, 12]].map(|shape| {
                    SIZES.map(|size| all(convolve, shape, size, Some(Activation::Relu)))
                })
            })
        };
        let one = with(1);
        for threads in [2, 3] {
            assert!(with(threads) == one, "{threads} threads");
        }
    }

    #[test]
    fn a_constant_input_gets_no_gradient_and_without_autodiff_the_output_is_the_same() {
        let (x, weight, bias) = (wave([2, 6, 6, 3], 0.1), wave([4, 3, 3, 3], 0.5), wave([4], 0.9));
        for size in SIZES {
            let plain = convolve(
                x.clone().inner(),
                weight.clone().inner(),
                bias.clone().inner(),
                size,
                None,
            );
            let learned = weight.clone().require_grad();
            let y = convolve(x.clone().inner(), learned.clone(), bias.clone(), size, None);
            assert_eq!(y.clone().inner().into_data(), plain.into_data());
            let grads = y.sum().backward();
            assert!(learned.grad(&grads).is_some());
        }
    }

    #[test]
    fn a_pixel_that_is_nan_makes_its_neighbourhood_nan_and_no_other_pixel() {
        for channels in [2, 8] {
            let mut values = vec![0.5f32; 5 * 5 * channels];
            values[(2 * 5 + 2) * channels + 1] = f32::NAN;
            let values = TensorData::new(values, [1, 5, 5, channels]);
            let x = Tensor::<4>::from_data(values, &Device::flex());
            let weight = wave([channels, channels, 3, 3], 0.5).inner();
            let y = convolve(x, weight, wave([channels], 0.9).inner(), Size::Same, None);
            for (i, y) in y.into_data().iter::<f32>().enumerate() {
                let (row, column) = (i / channels / 5, i / channels % 5);
                let near = row.abs_diff(2) < 2 && column.abs_diff(2) < 2;
                assert_eq!(y.is_nan(), near, "{row} {column}");
            }
        }
    }
}
