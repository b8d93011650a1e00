//! Group normalization (Wu and He 2018) of images.

use burn::tensor::Tensor;

use super::Activation;

/// Added to the variance by group normalization.
pub const EPSILON: f32 = 1e-5;

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

/// Returns x `[batch, h, w, channels]` with mean 0 and variance 1 in each of `groups` groups of
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
    let [batch, height, width, channels] = x.dims();
    let x = x.reshape([batch, height * width, groups, channels / groups]);
    let mean = |x: Tensor<4>| x.mean_dim(1).mean_dim(3);
    let x = x.clone() - mean(x);
    let variance = mean(x.clone().square());
    let x = x / variance.add_scalar(EPSILON).sqrt();
    let x = x.reshape([batch, height, width, channels]);
    let of_channel = |p: Tensor<1>| p.reshape([1, 1, 1, channels]);
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
        let [_, height, width, channels] = x.dims();
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
            let [images, height, width, channels] = dims(&self.x);
            [images, height * width * channels, 1]
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
            let (of_x, of_add, of_channels) = match self.add {
                None => {
                    let work = |(): &mut (), at: usize, g: &mut [f32]| {
                        let (image, moments) = (self.image(at / size), moments(at / size));
                        let of_channels = before_activation(image, moments, g);
                        before_normalization(image, moments, &of_channels, g);
                        of_channels
                    };
                    let of_channels = overwrite_parts(numbers_mut(&mut g), size, work);
                    (g, None, of_channels)
                }
                Some(_) => {
                    let work = |(): &mut (), at: usize, g: &mut [f32]| {
                        before_activation(self.image(at / size), moments(at / size), g)
                    };
                    let of_channels = overwrite_parts(numbers_mut(&mut g), size, work);
                    let before = numbers(&g);
                    let work = |(): &mut (), image: usize, out: &mut [f32]| {
                        out.copy_from_slice(&before[image * size..(image + 1) * size]);
                        let of_channels = &of_channels[image];
                        before_normalization(self.image(image), moments(image), of_channels, out);
                    };
                    let (of_x, _) = by_parts(self.parts(), work);
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

    /// Returns factor and summand of the normalization of each channel.
    #[inline(always)]
    fn lines(image: &Image<'_>, moments: &[[f32; 2]]) -> [Vec<f32>; 2] {
        let Layout { groups, channels, .. } = image.layout;
        let members = channels / groups;
        let (mut slopes, mut starts) = (vec![0.0; channels], vec![0.0; channels]);
        for channel in 0..channels {
            let [mean, root] = moments[channel / members];
            slopes[channel] = root * image.scale[channel];
            starts[channel] = image.shift[channel] - mean * slopes[channel];
        }
        [slopes, starts]
    }

    /// Writes the input of the activation of the pixels from `first` on.
    #[inline(always)]
    fn write_input(
        image: &Image<'_>,
        [slopes, starts]: &[Vec<f32>; 2],
        first: usize,
        to: &mut [f32],
    ) {
        let channels = image.layout.channels;
        let (slopes, starts) = (&slopes[..channels], &starts[..channels]);
        let x = &image.x[first * channels..][..to.len()];
        for at in (0..to.len()).step_by(channels) {
            let (x, to) = (&x[at..at + channels], &mut to[at..at + channels]);
            match image.add {
                None => {
                    for i in 0..channels {
                        to[i] = x[i] * slopes[i] + starts[i];
                    }
                }
                Some(add) => {
                    let add = &add[first * channels + at..][..channels];
                    for i in 0..channels {
                        to[i] = add[i] + (x[i] * slopes[i] + starts[i]);
                    }
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
            let mut sums = vec![0.0; channels];
            let mut means = vec![0.0; channels];
            add_to_sums(image.x, image.x, &means, &mut sums, |x, _, _| x);
            for group in 0..groups {
                let of_group = group * members..(group + 1) * members;
                moments[group][0] = sum(&sums[of_group.clone()]) / n;
                means[of_group].fill(moments[group][0]);
            }
            sums.fill(0.0);
            add_to_sums(image.x, image.x, &means, &mut sums, |x, _, mean| (x - mean) * (x - mean));
            for group in 0..groups {
                let variance = sum(&sums[group * members..(group + 1) * members]) / n;
                moments[group][1] = 1.0 / (variance + EPSILON).sqrt();
            }
            let lines = lines(&image, moments);
            for first in (0..pixels).step_by(BLOCK) {
                let count = BLOCK.min(pixels - first);
                let y = &mut y[first * channels..][..count * channels];
                write_input(&image, &lines, first, y);
                activation.overwrite_inline(y);
            }
        }
    }

    vectorized! {
        /// Overwrites the gradient of the output of an image with that of the activation's input.
        /// Returns the gradients of shift and scale of each channel.
        fn before_activation<'a>(
            image: Image<'a>,
            moments: &'a [[f32; 2]],
            g: &'a mut [f32],
        ) -> Vec<[f32; 2]> {
            let Layout { groups, channels, pixels, activation } = image.layout;
            let lines = lines(&image, moments);
            let mut input = vec![0.0; BLOCK * channels];
            let (mut of_shift, mut of_product) = (vec![0.0; channels], vec![0.0; channels]);
            for first in (0..pixels).step_by(BLOCK) {
                let n = BLOCK.min(pixels - first) * channels;
                let (input, g) = (&mut input[..n], &mut g[first * channels..][..n]);
                write_input(&image, &lines, first, input);
                if !activation.needs_input() {
                    activation.overwrite_inline(input);
                }
                activation.multiply_by_slope_inline(g, input);
                let x = &image.x[first * channels..][..n];
                add_to_sums(g, x, image.scale, &mut of_shift, |g, _, _| g);
                add_to_sums(g, x, image.scale, &mut of_product, |g, x, _| g * x);
            }
            let members = channels / groups;
            let mut of_channels = vec![[0.0; 2]; channels];
            for channel in 0..channels {
                let [mean, root] = moments[channel / members];
                let of_scale = root * (of_product[channel] - mean * of_shift[channel]);
                of_channels[channel] = [of_shift[channel], of_scale];
            }
            of_channels
        }
    }

    vectorized! {
        /// Overwrites the gradient of the normalized image with that of x.
        ///
        /// With u = (x - mean) root, y = u scale + shift, and n numbers in a group, the gradient of
        /// x is root (g scale - sum(g scale) / n - u sum(g scale u) / n).
        fn before_normalization<'a>(
            image: Image<'a>,
            moments: &'a [[f32; 2]],
            of_channels: &'a [[f32; 2]],
            g: &'a mut [f32],
        ) {
            let Layout { groups, channels, pixels, .. } = image.layout;
            let members = channels / groups;
            let n = (members * pixels) as f32;
            let [mut of_g, mut of_x, mut constants] = [(); 3].map(|()| vec![0.0; channels]);
            for group in 0..groups {
                let [mean, root] = moments[group];
                let of_group = group * members..(group + 1) * members;
                let (mut sum_g, mut sum_gu) = (0.0, 0.0);
                for channel in of_group.clone() {
                    let [of_shift, of_scale] = of_channels[channel];
                    sum_g += image.scale[channel] * of_shift;
                    sum_gu += image.scale[channel] * of_scale;
                }
                // The gradient is linear in g and x.
                let of_u = root * root * sum_gu / n;
                for channel in of_group {
                    of_g[channel] = root * image.scale[channel];
                    of_x[channel] = of_u;
                    constants[channel] = mean * of_u - root * sum_g / n;
                }
            }
            let (of_g, of_x) = (&of_g[..channels], &of_x[..channels]);
            let constants = &constants[..channels];
            for at in (0..pixels * channels).step_by(channels) {
                let (x, g) = (&image.x[at..at + channels], &mut g[at..at + channels]);
                for i in 0..channels {
                    g[i] = g[i] * of_g[i] - x[i] * of_x[i] + constants[i];
                }
            }
        }
    }

    /// Pixels that are handled together: they stay in the first cache.
    const BLOCK: usize = 16;

    /// Channels whose sums stay in registers.
    const LANES: usize = 32;

    /// Adds to the sum of each channel what `of` says of each of its numbers, the number at the same place
    /// in `others`, and the channel's number in `constants`.
    #[inline(always)]
    fn add_to_sums(
        values: &[f32],
        others: &[f32],
        constants: &[f32],
        sums: &mut [f32],
        of: impl Fn(f32, f32, f32) -> f32,
    ) {
        let channels = sums.len();
        let (others, constants) = (&others[..values.len()], &constants[..channels]);
        let mut first = 0;
        while first + LANES <= channels {
            let (mut part, mut constant) = ([0.0; LANES], [0.0; LANES]);
            constant.copy_from_slice(&constants[first..first + LANES]);
            for at in (first..values.len()).step_by(channels) {
                let (values, others) = (&values[at..at + LANES], &others[at..at + LANES]);
                for i in 0..LANES {
                    part[i] += of(values[i], others[i], constant[i]);
                }
            }
            for i in 0..LANES {
                sums[first + i] += part[i];
            }
            first += LANES;
        }
        if first == channels {
            return;
        }
        let rest = channels - first;
        let (sums, constants) = (&mut sums[first..], &constants[first..][..rest]);
        for at in (first..values.len()).step_by(channels) {
            let (values, others) = (&values[at..at + rest], &others[at..at + rest]);
            for i in 0..rest {
                sums[i] += of(values[i], others[i], constants[i]);
            }
        }
    }

    #[inline(always)]
    fn sum(values: &[f32]) -> f32 {
        let mut sum = 0.0;
        for i in 0..values.len() {
            sum += values[i];
        }
        sum
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
            ([3, 5, 7, 8], 4),
            ([1, 1, 1, 6], 2),
            ([2, 16, 16, 4], 1),
            ([5, 4, 4, 3], 3),
            ([1, 2, 1, 1], 1),
            ([2, 3, 6, 72], 8),
        ] {
            type Norm = fn(Tensor<4>, Tensor<1>, Tensor<1>, usize, After) -> Tensor<4>;
            let all = |of: Norm, activation: Activation, adds: bool| -> Vec<TensorData> {
                let x = wave(shape, 0.1).require_grad();
                let scale = wave([shape[3]], 0.5).require_grad();
                let shift = wave([shape[3]], 0.9).require_grad();
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
            let (x, add) = (wave([5, 4, 4, 8], 0.1).require_grad(), wave([5, 4, 4, 8], 0.7));
            let (scale, shift) = (wave([8], 0.5).require_grad(), wave([8], 0.9));
            let after = After { add: Some(add), activation: Activation::Silu };
            let y = group_norm(x.clone(), scale.clone(), shift, 4, after);
            let grads = (y.clone() * wave([5, 4, 4, 8], 1.3)).sum().backward();
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
