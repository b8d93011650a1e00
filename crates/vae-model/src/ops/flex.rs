//! What the operations on the backend `flex` share: tensors as slices, and steps of the backward
//! pass.

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::tensor::{Tensor, TensorData};

type Tracked = FloatTensor<Autodiff<Flex>>;

/// An input of an operation.
pub enum Operand {
    /// Without autodiff.
    Constant(FlexTensor),
    /// With autodiff.
    Tracked(Tracked),
}

/// Returns a tensor on `flex` as an input.
pub fn operand<const D: usize>(tensor: Tensor<D>) -> Operand {
    if !tensor.is_autodiff() {
        return Operand::Constant(host(tensor));
    }
    match tensor.try_into_primitive::<Autodiff<Flex>>() {
        Ok(tensor) => Operand::Tracked(tensor),
        Err(why) => unreachable!("the caller asked for the device: {why:?}"),
    }
}

/// Returns the output of an operation. `forward` gets its inputs as [`whole`] tensors, and returns
/// what the backward pass needs, and the output.
pub fn apply<B: Backward<Flex, N>, const N: usize, const R: usize>(
    backward: B,
    inputs: [Operand; N],
    forward: impl FnOnce([FlexTensor; N]) -> (B::State, FlexTensor),
) -> Tensor<R> {
    if inputs.iter().all(|input| matches!(input, Operand::Constant(_))) {
        let (_, y) = forward(inputs.map(|input| match input {
            Operand::Constant(tensor) => tensor,
            Operand::Tracked(_) => unreachable!("all are constant"),
        }));
        return Tensor::from_primitive::<Flex>(y);
    }
    // A constant gets no gradient.
    let inputs = inputs.map(|input| match input {
        Operand::Constant(tensor) => Tracked::new(tensor),
        Operand::Tracked(tensor) => tensor,
    });
    let nodes = inputs.each_ref().map(Tracked::node);
    let (saved, y) = forward(inputs.map(|tensor| whole(tensor.into_primitive())));
    let y = match backward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(saved, y),
        OpsKind::UnTracked(step) => step.finish(y),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(y)
}

/// Returns a tensor without autodiff, as a [`whole`] one.
pub fn host<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    match tensor.try_into_primitive::<Flex>() {
        Ok(tensor) => whole(tensor),
        Err(why) => unreachable!("the caller asked for the device: {why:?}"),
    }
}

/// Returns a tensor whose memory holds its values in order, and nothing else. It is a copy only if
/// it must be.
pub fn whole(tensor: FlexTensor) -> FlexTensor {
    let in_order = tensor.to_contiguous();
    // What is returned must not be shared with `tensor`.
    drop(tensor);
    in_order
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

vectorized! {
    /// Multiplies each row of `width` numbers by its factor.
    pub fn scale_rows<'a>(rows: &'a mut [f32], factors: &'a [f32], width: usize) {
        for (row, factor) in rows.chunks_exact_mut(width).zip(factors) {
            for number in row {
                *number *= factor;
            }
        }
    }
}
