//! What the operations on the backend `flex` share: tensors as slices, and steps of the backward
//! pass.

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::ops::{Backward, NodeGuard, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::tensor::{Tensor, TensorData};

/// Returns the output of an operation on one tensor. `forward` returns what the backward pass needs,
/// and the output. It may change its input if that is not shared.
pub fn apply_to_one<B: Backward<Flex, 1>, const D: usize, const R: usize>(
    backward: B,
    x: Tensor<D>,
    forward: impl FnOnce(FlexTensor) -> (B::State, FlexTensor),
) -> Tensor<R> {
    if !x.is_autodiff() {
        let (_, y) = forward(host(x));
        return Tensor::from_primitive::<Flex>(y);
    }
    let x = tracked(x);
    let nodes = [x.node()];
    let (saved, y) = forward(whole(x.into_primitive()));
    finish(backward, nodes, saved, y)
}

/// Returns the output of an operation on an input, weights and a vector. `forward` returns what the
/// backward pass needs, and the output.
pub fn apply<B: Backward<Flex, 3>, const D: usize, const W: usize>(
    backward: B,
    (x, weight, bias): (Tensor<D>, Tensor<W>, Tensor<1>),
    forward: impl FnOnce([&FlexTensor; 3]) -> (B::State, FlexTensor),
) -> Tensor<D> {
    if !(x.is_autodiff() || weight.is_autodiff() || bias.is_autodiff()) {
        let (x, weight, bias) = (host(x), host(weight), host(bias));
        let (_, y) = forward([&x, &weight, &bias]);
        return Tensor::from_primitive::<Flex>(y);
    }
    let (x, weight, bias) = (tracked(x), tracked(weight), tracked(bias));
    let nodes = [x.node(), weight.node(), bias.node()];
    let inputs = [x, weight, bias].map(|tensor| whole(tensor.into_primitive()));
    let (saved, y) = forward(inputs.each_ref());
    finish(backward, nodes, saved, y)
}

/// Returns an output with its step of the backward pass.
fn finish<B: Backward<Flex, N>, const N: usize, const R: usize>(
    backward: B,
    nodes: [NodeGuard; N],
    saved: B::State,
    y: FlexTensor,
) -> Tensor<R> {
    let y = match backward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(saved, y),
        OpsKind::UnTracked(step) => step.finish(y),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(y)
}

/// Returns a tensor without autodiff, with its values in order.
pub fn host<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    match tensor.try_into_primitive::<Flex>() {
        Ok(tensor) => whole(tensor),
        Err(why) => unreachable!("the caller asked for the device: {why:?}"),
    }
}

/// Returns a tensor with autodiff; one without it becomes a constant.
fn tracked<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Autodiff<Flex>> {
    let tensor = if tensor.is_autodiff() { tensor } else { Tensor::from_inner(tensor) };
    match tensor.try_into_primitive::<Autodiff<Flex>>() {
        Ok(tensor) => tensor,
        Err(why) => unreachable!("the caller asked for the device: {why:?}"),
    }
}

/// Returns a tensor whose memory holds its values in order, and nothing else. It is a copy only if
/// it must be.
pub fn whole(tensor: FlexTensor) -> FlexTensor {
    let borrowed = tensor.to_contiguous();
    // `tensor` is dropped here, so that what is returned is not shared with it.
    drop(tensor);
    borrowed
}

/// Returns the numbers of a tensor whose values are in order.
pub fn numbers(tensor: &FlexTensor) -> &[f32] {
    match tensor.as_slice() {
        Some(numbers) => numbers,
        None => unreachable!("all tensors of this workspace are f32, and this one is contiguous"),
    }
}

/// Returns the numbers of a [`whole`] tensor, to be overwritten. A shared tensor is copied first.
pub fn numbers_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    tensor.storage_mut()
}

/// Returns the dimensions of a tensor of rank `D`.
pub fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims()
}

/// Returns a tensor of these numbers.
pub fn tensor<const D: usize>(numbers: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(numbers, shape))
}
