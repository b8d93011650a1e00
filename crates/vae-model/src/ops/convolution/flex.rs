//! Convolutions on the backend `flex`, with their gradients.
//!
//! The backend itself computes the gradient of the weights as a convolution with the batch as its
//! channels, which copies every image for every weight, and spends most of its time on copies. Here
//! the columns of a few pixels are gathered where the cache holds them, and the gradient of the
//! weights reads images where they are. Results do not depend on the number of threads.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::Size;
use super::host::Convolution;
use crate::ops::flex::{apply, numbers, operand, tensor, whole};

/// Returns what [`super::convolve`] returns, for tensors in host memory.
pub fn convolve(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, size: Size) -> Tensor<4> {
    let [batch, before, height, width] = x.dims();
    let [after, channels, _, _] = weight.dims();
    assert_eq!(before, channels, "images of {before} channels do not fit a layer of {channels}");
    let of = Convolution { size, input: [before, height, width], after };
    let inputs = [operand(x), operand(weight), operand(bias)];
    apply(Backpropagate, inputs, |[x, weight, bias]| {
        let y = of.forward(numbers(&x), numbers(&weight), numbers(&bias));
        let [_, height, width] = of.output();
        let saved = Saved { of, batch, x, weight };
        (saved, tensor(y, [batch, after, height, width]))
    })
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    of: Convolution,
    batch: usize,
    x: FlexTensor,
    weight: FlexTensor,
}

#[derive(Debug)]
struct Backpropagate;

impl Backward<Flex, 3> for Backpropagate {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Saved { of, batch, x, weight } = ops.state;
        let g = whole(grads.consume::<Flex>(&ops.node));
        let [before, height, width] = of.input;
        let [to_x, to_weight, to_bias] = ops.parents;
        if let Some(node) = to_x {
            let gradient = of.input_gradient(numbers(&g), numbers(&weight));
            grads.register::<Flex>(node.id, tensor(gradient, [batch, before, height, width]));
        }
        if to_weight.is_some() || to_bias.is_some() {
            let (of_weight, of_bias) = of.parameter_gradients(numbers(&g), numbers(&x));
            if let Some(node) = to_weight {
                grads.register::<Flex>(node.id, tensor(of_weight, [of.after, before, 3, 3]));
            }
            if let Some(node) = to_bias {
                grads.register::<Flex>(node.id, tensor(of_bias, [of.after]));
            }
        }
    }
}
