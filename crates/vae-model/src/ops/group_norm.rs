//! Group normalization (Wu and He 2018) of images.

use burn::tensor::Tensor;

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// Returns x `[batch, channels, h, w]` with mean 0 and variance 1 in each of `groups` groups of
/// channels of each image, then times `scale` plus `shift`, `[channels]` each.
pub fn group_norm(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, groups: usize) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if super::is_on_host(&x.device().inner()) {
        return flex::group_norm(x, scale, shift, groups);
    }
    composed(x, scale, shift, groups)
}

/// Returns what [`group_norm`] returns, by Burn's operations.
fn composed(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, groups: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let x = x.reshape([batch, groups, channels / groups * height * width]);
    let x = x.clone() - x.mean_dim(2);
    let variance = x.clone().square().mean_dim(2);
    let x = x / variance.add_scalar(EPSILON).sqrt();
    let x = x.reshape([batch, channels, height, width]);
    let of_channel = |p: Tensor<1>| p.reshape([1, channels, 1, 1]);
    x * of_channel(scale) + of_channel(shift)
}

/// One pass over a group that the cache holds, each way.
#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops};
    use burn::backend::flex::FlexTensor;
    use burn::tensor::Tensor;
    use rayon::prelude::*;

    use super::EPSILON;
    use crate::ops::flex::{apply, dims, numbers, operand, tensor, whole};

    /// Returns what [`super::group_norm`] returns, for tensors in host memory.
    pub fn group_norm(
        x: Tensor<4>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        groups: usize,
    ) -> Tensor<4> {
        let inputs = [operand(x), operand(scale), operand(shift)];
        apply(Backpropagate, inputs, |[x, scale, shift]| {
            let [_, channels, height, width] = dims(&x);
            let layout = Layout { groups, channels, pixels: height * width };
            let (y, moments) = layout.forward(numbers(&x), numbers(&scale), numbers(&shift));
            let y = tensor(y, dims::<4>(&x));
            (Saved { layout, moments, x, scale }, y)
        })
    }

    /// What the backward pass needs.
    #[derive(Clone, Debug)]
    struct Saved {
        layout: Layout,
        /// Mean, and the reciprocal of the standard deviation, of each group.
        moments: Vec<[f32; 2]>,
        x: FlexTensor,
        scale: FlexTensor,
    }

    #[derive(Debug)]
    struct Backpropagate;

    impl Backward<Flex, 3> for Backpropagate {
        type State = Saved;

        fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
            let Saved { layout, moments, x, scale } = ops.state;
            let g = whole(grads.consume::<Flex>(&ops.node));
            let (of_x, of_scale, of_shift) =
                layout.backward(numbers(&g), numbers(&x), numbers(&scale), &moments);
            let [to_x, to_scale, to_shift] = ops.parents;
            if let Some(node) = to_x {
                grads.register::<Flex>(node.id, tensor(of_x, dims::<4>(&x)));
            }
            if let Some(node) = to_scale {
                grads.register::<Flex>(node.id, tensor(of_scale, [layout.channels]));
            }
            if let Some(node) = to_shift {
                grads.register::<Flex>(node.id, tensor(of_shift, [layout.channels]));
            }
        }
    }

    /// How an image is divided.
    #[derive(Clone, Copy, Debug)]
    struct Layout {
        groups: usize,
        channels: usize,
        pixels: usize,
    }

    impl Layout {
        /// Numbers of an image.
        fn image(self) -> usize {
            self.channels * self.pixels
        }

        /// Numbers of a group.
        fn group(self) -> usize {
            self.image() / self.groups
        }

        /// Returns the output, and the moments of each group.
        fn forward(self, x: &[f32], scale: &[f32], shift: &[f32]) -> (Vec<f32>, Vec<[f32; 2]>) {
            let mut y = vec![0.0; x.len()];
            let mut moments = vec![[0.0; 2]; x.len() / self.group()];
            x.par_chunks(self.image())
                .zip(y.par_chunks_mut(self.image()))
                .zip(moments.par_chunks_mut(self.groups))
                .for_each(|((x, y), moments)| forward_image(self, x, scale, shift, y, moments));
            (y, moments)
        }

        /// Returns the gradients of x, scale and shift.
        fn backward(
            self,
            g: &[f32],
            x: &[f32],
            scale: &[f32],
            moments: &[[f32; 2]],
        ) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
            let images = x.len() / self.image();
            let mut of_x = vec![0.0; x.len()];
            // Of each image: its order of summation must not depend on the threads.
            let mut of_channels = vec![[0.0; 2]; images * self.channels];
            g.par_chunks(self.image())
                .zip(x.par_chunks(self.image()))
                .zip(of_x.par_chunks_mut(self.image()))
                .zip(moments.par_chunks(self.groups))
                .zip(of_channels.par_chunks_mut(self.channels))
                .for_each(|((((g, x), of_x), moments), of_channels)| {
                    backward_image(self, g, x, scale, moments, of_x, of_channels);
                });
            let (mut of_scale, mut of_shift) = (vec![0.0; self.channels], vec![0.0; self.channels]);
            for of_channels in of_channels.chunks_exact(self.channels) {
                for (channel, [g, gx]) in of_channels.iter().enumerate() {
                    of_shift[channel] += g;
                    of_scale[channel] += gx;
                }
            }
            (of_x, of_scale, of_shift)
        }
    }

    vectorized! {
        fn forward_image<'a>(
            layout: Layout,
            x: &'a [f32],
            scale: &'a [f32],
            shift: &'a [f32],
            y: &'a mut [f32],
            moments: &'a mut [[f32; 2]],
        ) {
            let n = layout.group() as f32;
            let channels = layout.channels / layout.groups;
            let groups = x.chunks_exact(layout.group()).zip(y.chunks_exact_mut(layout.group()));
            for (group, ((x, y), moments)) in groups.zip(moments).enumerate() {
                let mean = sum(x, |x| x) / n;
                let variance = sum(x, |x| (x - mean) * (x - mean)) / n;
                let root = 1.0 / (variance + EPSILON).sqrt();
                *moments = [mean, root];
                let pixels = x.chunks_exact(layout.pixels).zip(y.chunks_exact_mut(layout.pixels));
                for (channel, (x, y)) in pixels.enumerate() {
                    let channel = group * channels + channel;
                    let slope = root * scale[channel];
                    let start = shift[channel] - mean * slope;
                    for (y, x) in y.iter_mut().zip(x) {
                        *y = x * slope + start;
                    }
                }
            }
        }
    }

    vectorized! {
        /// With u = (x - mean) root, y = u scale + shift, and n numbers in a group, the gradient of
        /// x is root (g scale - sum(g scale) / n - u sum(g scale u) / n).
        fn backward_image<'a>(
            layout: Layout,
            g: &'a [f32],
            x: &'a [f32],
            scale: &'a [f32],
            moments: &'a [[f32; 2]],
            of_x: &'a mut [f32],
            of_channels: &'a mut [[f32; 2]],
        ) {
            let n = layout.group() as f32;
            let channels = layout.channels / layout.groups;
            for (group, &[mean, root]) in moments.iter().enumerate() {
                let (mut sum_g, mut sum_gu) = (0.0, 0.0);
                let members = group * channels..(group + 1) * channels;
                for (channel, scale) in members.clone().zip(&scale[members.clone()]) {
                    let at = channel * layout.pixels..(channel + 1) * layout.pixels;
                    let (g, x) = (&g[at.clone()], &x[at]);
                    let of_shift = sum(g, |g| g);
                    let of_scale = root * (dot(g, x) - mean * of_shift);
                    of_channels[channel] = [of_shift, of_scale];
                    sum_g += scale * of_shift;
                    sum_gu += scale * of_scale;
                }
                // The gradient is linear in g and x.
                let of_u = root * root * sum_gu / n;
                let constant = mean * of_u - root * sum_g / n;
                for (channel, scale) in members.clone().zip(&scale[members]) {
                    let at = channel * layout.pixels..(channel + 1) * layout.pixels;
                    let of_g = root * scale;
                    let inputs = g[at.clone()].iter().zip(&x[at.clone()]);
                    for (of_x, (g, x)) in of_x[at].iter_mut().zip(inputs) {
                        *of_x = g * of_g - x * of_u + constant;
                    }
                }
            }
        }
    }

    /// Partial sums that are kept apart, so that the compiler can use vector instructions.
    const LANES: usize = 16;

    #[inline(always)]
    fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
        let (blocks, rest) = values.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for block in blocks {
            for i in 0..LANES {
                sums[i] += f(block[i]);
            }
        }
        let rest: f32 = rest.iter().map(|x| f(*x)).sum();
        sums.iter().sum::<f32>() + rest
    }

    #[inline(always)]
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        let ((a_blocks, a_rest), (b_blocks, b_rest)) =
            (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        let mut sums = [0.0; LANES];
        for (a, b) in a_blocks.iter().zip(b_blocks) {
            for i in 0..LANES {
                sums[i] += a[i] * b[i];
            }
        }
        let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
        sums.iter().sum::<f32>() + rest
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
        for (shape, groups) in [
            ([3, 8, 5, 7], 4),
            ([1, 6, 1, 1], 2),
            ([2, 4, 16, 16], 1),
            ([5, 3, 4, 4], 3),
            ([1, 1, 2, 1], 1),
        ] {
            let all = |of: fn(Tensor<4>, Tensor<1>, Tensor<1>, usize) -> Tensor<4>| {
                let x = wave(shape, 0.1).require_grad();
                let scale = wave([shape[1]], 0.5).require_grad();
                let shift = wave([shape[1]], 0.9).require_grad();
                let y = of(x.clone(), scale.clone(), shift.clone(), groups);
                let grads = (y.clone() * wave(shape, 1.3)).sum().backward();
                [
                    y.inner().into_data(),
                    x.grad(&grads).unwrap().into_data(),
                    scale.grad(&grads).unwrap().into_data(),
                    shift.grad(&grads).unwrap().into_data(),
                ]
            };
            for (found, expected) in all(group_norm).iter().zip(&all(composed)) {
                found.assert_approx_eq(expected, Tolerance::<f32>::rel_abs(1e-4, 2e-5));
            }
        }
    }
}
