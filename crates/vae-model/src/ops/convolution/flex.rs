//! Convolutions on the backend `flex`, with their gradients.
//!
//! The backend itself computes the gradient of the weights as a convolution with the batch as its
//! channels, which copies every image for every weight, and spends most of its time on copies. Here
//! a few pixels at a time are transformed in the cache, and multiplied as matrices. Results do not
//! depend on the number of threads.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::Size;
use super::host::Convolution;
use crate::ops::Activation;
use crate::ops::flex::{apply, dims, numbers, numbers_mut, operand, tensor, whole};
use crate::ops::parts::overwrite_parts;

/// Numbers that a thread takes at once.
const PART: usize = 1 << 14;

/// Returns what [`super::convolve`] returns, for tensors in host memory.
pub fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    size: Size,
    activation: Option<Activation>,
) -> Tensor<4> {
    let [batch, height, width, before] = x.dims();
    let [after, channels, _, _] = weight.dims();
    assert_eq!(before, channels, "images of {before} channels do not fit a layer of {channels}");
    let of = Convolution { size, input: [height, width], channels: [before, after] };
    let inputs = [operand(x), operand(weight), operand(bias)];
    apply(Backpropagate, inputs, |[x, weight, bias]| {
        let [height, width] = of.output();
        let image = |y| tensor(y, [batch, height, width, after]);
        // An activation whose slope is a function of its input must leave the input as it is.
        let at_once = activation.filter(|activation| !activation.needs_input());
        let y = of.forward(numbers(&x), numbers(&weight), numbers(&bias), at_once);
        let (slope_of, y) = match activation {
            Some(activation) if activation.needs_input() => {
                let mut output = y.clone();
                overwrite_parts(&mut output, PART, |(): &mut (), _, part: &mut [f32]| {
                    activation.overwrite(part);
                });
                (Some((activation, image(y))), image(output))
            }
            _ => {
                let y = image(y);
                (activation.map(|activation| (activation, y.clone())), y)
            }
        };
        (Saved { of, x, weight, slope_of }, y)
    })
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    of: Convolution,
    x: FlexTensor,
    weight: FlexTensor,
    /// The activation, and what its slope is a function of.
    slope_of: Option<(Activation, FlexTensor)>,
}

#[derive(Debug)]
struct Backpropagate;

impl Backward<Flex, 3> for Backpropagate {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Saved { of, x, weight, slope_of } = ops.state;
        let mut g = whole(grads.consume::<Flex>(&ops.node));
        if let Some((activation, slope_of)) = slope_of {
            let (g, of) = (numbers_mut(&mut g), numbers(&slope_of));
            overwrite_parts(g, PART, |(): &mut (), at, g: &mut [f32]| {
                activation.multiply_by_slope(g, &of[at..at + g.len()]);
            });
        }
        let [to_x, to_weight, to_bias] = ops.parents;
        if let Some(node) = to_x {
            let gradient = of.input_gradient(numbers(&g), numbers(&weight));
            grads.register::<Flex>(node.id, tensor(gradient, dims::<4>(&x)));
        }
        if to_weight.is_some() || to_bias.is_some() {
            let (of_weight, of_bias) = of.parameter_gradients(numbers(&g), numbers(&x));
            if let Some(node) = to_weight {
                grads.register::<Flex>(node.id, tensor(of_weight, dims::<4>(&weight)));
            }
            if let Some(node) = to_bias {
                grads.register::<Flex>(node.id, tensor(of_bias, [of.channels[1]]));
            }
        }
    }
}
