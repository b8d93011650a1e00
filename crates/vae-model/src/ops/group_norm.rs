//! Group normalization (Wu and He 2018) of images.

use burn::tensor::Tensor;

use super::Activation;

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// What follows a normalization: `add` is added (the input of a residual block, He et al. 2016), then
/// comes the activation.
#[derive(Clone, Debug)]
pub struct After {
    /// Of the same shape as the image.
    pub add: Option<Tensor<4>>,
    /// The activation.
    pub activation: Activation,
}

impl After {
    /// Returns what follows x.
    pub fn forward(self, x: Tensor<4>) -> Tensor<4> {
        self.activation.forward(match self.add {
            Some(add) => add + x,
            None => x,
        })
    }
}

/// Returns x `[batch, channels, h, w]` with mean 0 and variance 1 in each of `groups` groups of
/// channels of each image, then times `scale` plus `shift`, `[channels]` each, and what follows.
pub fn group_norm(
    x: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    groups: usize,
    after: After,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&x.device().inner()) {
        return flex::group_norm(x, scale, shift, groups, after);
    }
    composed(x, scale, shift, groups, after)
}

/// Returns what [`group_norm`] returns, by Burn's operations.
fn composed(
    x: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    groups: usize,
    after: After,
) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let x = x.reshape([batch, groups, channels / groups * height * width]);
    let x = x.clone() - x.mean_dim(2);
    let variance = x.clone().square().mean_dim(2);
    let x = x / variance.add_scalar(EPSILON).sqrt();
    let x = x.reshape([batch, channels, height, width]);
    let of_channel = |p: Tensor<1>| p.reshape([1, channels, 1, 1]);
    after.forward(x * of_channel(scale) + of_channel(shift))
}

/// Passes over an image that the cache holds.
#[cfg(feature = "flex")]
#[allow(clippy::needless_range_loop)]
mod flex {
    use burn::backend::Flex;
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops};
    use burn::backend::flex::FlexTensor;
    use burn::tensor::Tensor;

    use super::{After, EPSILON};
    use crate::ops::Activation;
    use crate::ops::flex::{apply, dims, numbers, numbers_mut, operand, tensor, whole};
    use crate::ops::parts::{by_parts, overwrite_parts};

    /// Returns what [`super::group_norm`] returns, for tensors in host memory.
    pub fn group_norm(
        x: Tensor<4>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        groups: usize,
        after: After,
    ) -> Tensor<4> {
        let [_, channels, height, width] = x.dims();
        let activation = after.activation;
        let layout = Layout { groups, channels, pixels: height * width, activation };
        let [x, scale, shift] = [operand(x), operand(scale), operand(shift)];
        match after.add {
            None => apply(Backpropagate, [x, scale, shift], |[x, scale, shift]| {
                Inputs { layout, x, scale, shift, add: None }.forward()
            }),
            Some(add) => {
                let inputs = [x, scale, shift, operand(add)];
                apply(Backpropagate, inputs, |[x, scale, shift, add]| {
                    Inputs { layout, x, scale, shift, add: Some(add) }.forward()
                })
            }
        }
    }

    /// How an image is divided, and what follows.
    #[derive(Clone, Copy, Debug)]
    struct Layout {
        groups: usize,
        channels: usize,
        pixels: usize,
        activation: Activation,
    }

    #[derive(Clone, Debug)]
    struct Inputs {
        layout: Layout,
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        add: Option<FlexTensor>,
    }

    /// What the backward pass needs: the inputs; mean, and the reciprocal of the standard deviation,
    /// of each group.
    type Saved = (Inputs, Vec<[f32; 2]>);

    #[derive(Debug)]
    struct Backpropagate;

    /// The backward pass, with or without something added.
    macro_rules! backward {
        ($inputs:literal) => {
            impl Backward<Flex, $inputs> for Backpropagate {
                type State = Saved;

                fn backward(
                    self,
                    ops: Ops<Saved, $inputs>,
                    grads: &mut Gradients,
                    _: &mut Checkpointer,
                ) {
                    let g = whole(grads.consume::<Flex>(&ops.node));
                    let (inputs, moments) = ops.state;
                    for (node, gradient) in
                        ops.parents.into_iter().zip(inputs.backward(g, &moments))
                    {
                        if let (Some(node), Some(gradient)) = (node, gradient) {
                            grads.register::<Flex>(node.id, gradient);
                        }
                    }
                }
            }
        };
    }
    backward!(3);
    backward!(4);

    /// One image.
    #[derive(Clone, Copy)]
    struct Image<'a> {
        layout: Layout,
        x: &'a [f32],
        scale: &'a [f32],
        shift: &'a [f32],
        add: Option<&'a [f32]>,
    }

    impl Inputs {
        fn image(&self, image: usize) -> Image<'_> {
            let size = self.layout.channels * self.layout.pixels;
            let of = |tensor| &numbers(tensor)[image * size..(image + 1) * size];
            Image {
                layout: self.layout,
                x: of(&self.x),
                scale: numbers(&self.scale),
                shift: numbers(&self.shift),
                add: self.add.as_ref().map(of),
            }
        }

        /// Returns images, numbers of an image, and images that are handled together.
        fn parts(&self) -> [usize; 3] {
            let [images, channels, height, width] = dims(&self.x);
            [images, channels * height * width, 1]
        }

        /// Returns what the backward pass needs, and the output.
        fn forward(self) -> (Saved, FlexTensor) {
            let (y, moments) = by_parts(self.parts(), |(): &mut (), image, y: &mut [f32]| {
                let mut moments = vec![[0.0; 2]; self.layout.groups];
                forward(self.image(image), y, &mut moments);
                moments
            });
            let y = tensor(y, dims::<4>(&self.x));
            ((self, moments.concat()), y)
        }

        /// Returns the gradients of x, scale, shift and what was added, for that of the output, whose
        /// memory is used again.
        fn backward(&self, mut g: FlexTensor, moments: &[[f32; 2]]) -> [Option<FlexTensor>; 4] {
            let ([_, size, _], groups) = (self.parts(), self.layout.groups);
            let moments = |image: usize| &moments[image * groups..(image + 1) * groups];
            let before_activation = |line: &mut Vec<f32>, image: usize, g: &mut [f32]| {
                before_activation(self.image(image), moments(image), line, g);
            };
            let before_normalization = |image: usize, g: &mut [f32]| {
                let mut of_channels = vec![[0.0; 2]; self.layout.channels];
                before_normalization(self.image(image), moments(image), g, &mut of_channels);
                of_channels
            };
            let (of_x, of_add, of_channels) = match self.add {
                None => {
                    let work = |line: &mut Vec<f32>, at: usize, g: &mut [f32]| {
                        before_activation(line, at / size, g);
                        before_normalization(at / size, g)
                    };
                    let of_channels = overwrite_parts(numbers_mut(&mut g), size, work);
                    (g, None, of_channels)
                }
                Some(_) => {
                    let work = |line: &mut Vec<f32>, at: usize, g: &mut [f32]| {
                        before_activation(line, at / size, g);
                    };
                    overwrite_parts(numbers_mut(&mut g), size, work);
                    let before = numbers(&g);
                    let (of_x, of_channels) =
                        by_parts(self.parts(), |(): &mut (), image, out: &mut [f32]| {
                            out.copy_from_slice(&before[image * size..(image + 1) * size]);
                            before_normalization(image, out)
                        });
                    (tensor(of_x, dims::<4>(&self.x)), Some(g), of_channels)
                }
            };
            // In the order of the images: a sum must not depend on the threads.
            let channels = self.layout.channels;
            let (mut of_scale, mut of_shift) = (vec![0.0; channels], vec![0.0; channels]);
            for of_channels in of_channels {
                for (channel, [g, gx]) in of_channels.into_iter().enumerate() {
                    of_shift[channel] += g;
                    of_scale[channel] += gx;
                }
            }
            [
                Some(of_x),
                Some(tensor(of_scale, [channels])),
                Some(tensor(of_shift, [channels])),
                of_add,
            ]
        }
    }

    /// Returns factor and summand of the normalization of a channel.
    #[inline(always)]
    fn line_of(image: &Image<'_>, channel: usize, [mean, root]: [f32; 2]) -> [f32; 2] {
        let slope = root * image.scale[channel];
        [slope, image.shift[channel] - mean * slope]
    }

    /// Writes the input of the activation of a channel.
    #[inline(always)]
    fn write_input(image: &Image<'_>, channel: usize, moments: [f32; 2], to: &mut [f32]) {
        let pixels = image.layout.pixels;
        let [slope, start] = line_of(image, channel, moments);
        let (x, to) = (&image.x[channel * pixels..][..pixels], &mut to[..pixels]);
        match image.add {
            None => {
                for i in 0..pixels {
                    to[i] = x[i] * slope + start;
                }
            }
            Some(add) => {
                let add = &add[channel * pixels..][..pixels];
                for i in 0..pixels {
                    to[i] = add[i] + (x[i] * slope + start);
                }
            }
        }
    }

    vectorized! {
        /// Writes the output of an image, and its moments.
        fn forward<'a>(image: Image<'a>, y: &'a mut [f32], moments: &'a mut [[f32; 2]]) {
            let Layout { groups, channels, pixels, activation } = image.layout;
            let members = channels / groups;
            let n = (members * pixels) as f32;
            for group in 0..groups {
                let x = &image.x[group * members * pixels..][..members * pixels];
                let mean = sum(x) / n;
                let variance = sum_of_squares(x, mean) / n;
                moments[group] = [mean, 1.0 / (variance + EPSILON).sqrt()];
                for channel in group * members..(group + 1) * members {
                    let y = &mut y[channel * pixels..][..pixels];
                    write_input(&image, channel, moments[group], y);
                    activation.overwrite_inline(y);
                }
            }
        }
    }

    vectorized! {
        /// Overwrites the gradient of the output of an image with that of the activation's input.
        fn before_activation<'a>(
            image: Image<'a>,
            moments: &'a [[f32; 2]],
            line: &'a mut Vec<f32>,
            g: &'a mut [f32],
        ) {
            let Layout { groups, channels, pixels, activation } = image.layout;
            let members = channels / groups;
            line.resize(pixels, 0.0);
            for channel in 0..channels {
                write_input(&image, channel, moments[channel / members], line);
                if !activation.needs_input() {
                    activation.overwrite_inline(line);
                }
                activation.multiply_by_slope_inline(&mut g[channel * pixels..][..pixels], line);
            }
        }
    }

    vectorized! {
        /// Overwrites the gradient of the normalized image with that of x, and writes those of shift
        /// and scale of each channel.
        ///
        /// With u = (x - mean) root, y = u scale + shift, and n numbers in a group, the gradient of
        /// x is root (g scale - sum(g scale) / n - u sum(g scale u) / n).
        fn before_normalization<'a>(
            image: Image<'a>,
            moments: &'a [[f32; 2]],
            g: &'a mut [f32],
            of_channels: &'a mut [[f32; 2]],
        ) {
            let Layout { groups, channels, pixels, .. } = image.layout;
            let members = channels / groups;
            let n = (members * pixels) as f32;
            for group in 0..groups {
                let [mean, root] = moments[group];
                let (mut sum_g, mut sum_gu) = (0.0, 0.0);
                for channel in group * members..(group + 1) * members {
                    let at = channel * pixels..(channel + 1) * pixels;
                    let (g, x) = (&g[at.clone()], &image.x[at]);
                    let of_shift = sum(g);
                    let of_scale = root * (dot(g, x) - mean * of_shift);
                    of_channels[channel] = [of_shift, of_scale];
                    sum_g += image.scale[channel] * of_shift;
                    sum_gu += image.scale[channel] * of_scale;
                }
                // The gradient is linear in g and x.
                let of_u = root * root * sum_gu / n;
                let constant = mean * of_u - root * sum_g / n;
                for channel in group * members..(group + 1) * members {
                    let of_g = root * image.scale[channel];
                    let x = &image.x[channel * pixels..][..pixels];
                    let g = &mut g[channel * pixels..][..pixels];
                    for i in 0..pixels {
                        g[i] = g[i] * of_g - x[i] * of_u + constant;
                    }
                }
            }
        }
    }

    /// Partial sums that are kept apart, so that the compiler can use vector instructions.
    const LANES: usize = 16;

    #[inline(always)]
    fn sum(values: &[f32]) -> f32 {
        sum_by(values.len(), |i| values[i])
    }

    #[inline(always)]
    fn sum_of_squares(values: &[f32], mean: f32) -> f32 {
        sum_by(values.len(), |i| (values[i] - mean) * (values[i] - mean))
    }

    #[inline(always)]
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        let b = &b[..a.len()];
        sum_by(a.len(), |i| a[i] * b[i])
    }

    #[inline(always)]
    fn sum_by(n: usize, of: impl Fn(usize) -> f32) -> f32 {
        let whole = n / LANES * LANES;
        let mut sums = [0.0; LANES];
        for first in (0..whole).step_by(LANES) {
            for i in 0..LANES {
                sums[i] += of(first + i);
            }
        }
        let mut total = 0.0;
        for i in 0..LANES {
            total += sums[i];
        }
        for i in whole..n {
            total += of(i);
        }
        total
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    fn wave<const D: usize>(shape: [usize; D], phase: f32) -> Tensor<D> {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37 + phase).sin() + 0.3).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
    }

    #[test]
    fn output_and_gradients_are_those_of_the_composition() {
        let activations = [
            Activation::Relu,
            Activation::LeakyRelu,
            Activation::Tanh,
            Activation::Elu,
            Activation::Silu,
        ];
        for (shape, groups) in [
            ([3, 8, 5, 7], 4),
            ([1, 6, 1, 1], 2),
            ([2, 4, 16, 16], 1),
            ([5, 3, 4, 4], 3),
            ([1, 1, 2, 1], 1),
        ] {
            type Norm = fn(Tensor<4>, Tensor<1>, Tensor<1>, usize, After) -> Tensor<4>;
            let all = |of: Norm, activation: Activation, adds: bool| -> Vec<TensorData> {
                let x = wave(shape, 0.1).require_grad();
                let scale = wave([shape[1]], 0.5).require_grad();
                let shift = wave([shape[1]], 0.9).require_grad();
                let add = wave(shape, 1.7).require_grad();
                let after = After { add: adds.then(|| add.clone()), activation };
                let y = of(x.clone(), scale.clone(), shift.clone(), groups, after);
                let grads = (y.clone() * wave(shape, 1.3)).sum().backward();
                let all = [x.grad(&grads), add.grad(&grads)].into_iter().flatten();
                let all = all.map(Tensor::into_data);
                let of_channels = [scale.grad(&grads), shift.grad(&grads)];
                let of_channels = of_channels.map(|g| g.unwrap().into_data());
                [y.inner().into_data()].into_iter().chain(all).chain(of_channels).collect()
            };
            for activation in activations {
                for adds in [false, true] {
                    let found = all(group_norm, activation, adds);
                    let expected = all(composed, activation, adds);
                    assert_eq!(found.len(), 4 + usize::from(adds));
                    for (found, expected) in found.iter().zip(&expected) {
                        found.assert_approx_eq(expected, Tolerance::<f32>::rel_abs(1e-4, 5e-5));
                    }
                }
            }
        }
    }
    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let all = || {
            let (x, add) = (wave([5, 8, 4, 4], 0.1).require_grad(), wave([5, 8, 4, 4], 0.7));
            let (scale, shift) = (wave([8], 0.5).require_grad(), wave([8], 0.9));
            let after = After { add: Some(add), activation: Activation::Silu };
            let y = group_norm(x.clone(), scale.clone(), shift, 4, after);
            let grads = (y.clone() * wave([5, 8, 4, 4], 1.3)).sum().backward();
            let of_inputs = [x.grad(&grads).unwrap().into_data()];
            (y.inner().into_data(), of_inputs, scale.grad(&grads).unwrap().into_data())
        };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(all)
        };
        let one = with(1);
        for threads in [2, 3] {
            assert!(with(threads) == one, "{threads} threads");
        }
    }
}
