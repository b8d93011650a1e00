//! Fully connected layers on the backend `flex`, with their gradients.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::host;
use crate::ops::Activation;
use crate::ops::flex::{apply, dims, numbers, numbers_mut, operand, tensor, whole};

/// Returns what [`super::dense`] returns, for tensors in host memory.
pub fn dense(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    activation: Option<Activation>,
) -> Tensor<2> {
    let ([_, width], [inputs, _]) = (x.dims(), weight.dims());
    assert_eq!(width, inputs, "rows of {width} numbers do not fit a layer of {inputs} inputs");
    let inputs = [operand(x), operand(weight), operand(bias)];
    apply(Backpropagate, inputs, |[x, weight, bias]| {
        let ([rows, _], [_, outputs]) = (dims::<2>(&x), dims::<2>(&weight));
        let y = host::forward(numbers(&x), numbers(&weight), numbers(&bias), activation);
        let [input, y] = y.map(|y| y.map(|y| tensor(y, [rows, outputs])));
        let Some(y) = y else { unreachable!("there is always an output") };
        let of = activation.map(|activation| (activation, input.unwrap_or_else(|| y.clone())));
        (Saved { x, weight, of }, y)
    })
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
    /// The activation, and what its slope is a function of.
    of: Option<(Activation, FlexTensor)>,
}

#[derive(Debug)]
struct Backpropagate;

impl Backward<Flex, 3> for Backpropagate {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Saved { x, weight, of } = ops.state;
        let mut g = whole(grads.consume::<Flex>(&ops.node));
        if let Some((activation, of)) = of {
            activation.multiply_by_slope(numbers_mut(&mut g), numbers(&of));
        }
        let g = numbers(&g);
        let [inputs, outputs] = dims(&weight);
        let [to_x, to_weight, to_bias] = ops.parents;
        if let Some(node) = to_x {
            let gradient = host::input_gradient(g, numbers(&weight), outputs);
            grads.register::<Flex>(node.id, tensor(gradient, dims::<2>(&x)));
        }
        if let Some(node) = to_weight {
            let gradient = host::weight_gradient(numbers(&x), g, [inputs, outputs]);
            grads.register::<Flex>(node.id, tensor(gradient, [inputs, outputs]));
        }
        if let Some(node) = to_bias {
            let gradient = host::bias_gradient(g, outputs);
            grads.register::<Flex>(node.id, tensor(gradient, [outputs]));
        }
    }
}
