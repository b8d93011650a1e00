//! log p(x) of pixels with 256 levels under a discretized logistic (Salimans et al. 2017), and its
//! gradient, in one pass over host memory.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::elementary::{exp_of_negative, log_from_1, sigmoid_and_rest, tanh};
use super::flex::{apply, dims, host, numbers, numbers_mut, operand, scale_rows, tensor, whole};
use super::parts::by_parts;

/// How a decoder's output becomes the location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Squash {
    /// 0 to 1.
    Sigmoid,
    /// -1 to 1.
    Tanh,
}

/// Returns log p(x) in nats, summed over the pixels, `[k * batch, 1]`, for x `[batch, numbers]`,
/// decoder outputs `[k * batch, numbers]`, whose rows are ordered draw by draw, and the logarithm of
/// a scale `[1]`. x gets no gradient.
///
/// The mass of a level is sigmoid(a) - sigmoid(b) with a = (x + h - m) / s and b = (x - h - m) / s,
/// where m is the location and h half the distance of two levels. The lowest and the highest level
/// have the tails. Tensors must be in host memory.
pub fn logistic_log_prob(
    outputs: Tensor<2>,
    log_scale: Tensor<1>,
    x: Tensor<2>,
    squash: Squash,
) -> Tensor<2> {
    let ([rows, width], [batch, numbers_of_x]) = (outputs.dims(), x.dims());
    assert!(
        width == numbers_of_x && batch > 0 && rows % batch == 0,
        "x of shape [{batch}, {numbers_of_x}] does not fit outputs of shape [{rows}, {width}]"
    );
    let x = host(x.inner());
    let inputs = [operand(outputs), operand(log_scale)];
    apply(Backpropagate, inputs, |[outputs, log_scale]| {
        let levels = Levels::new(squash, f64::from(numbers(&log_scale)[0]));
        let x = numbers(&x);
        let from = numbers(&outputs);
        // Of each row: its gradient by the outputs, log p, and its gradient by the log-scale.
        let (gradient, sums) = by_parts([rows, width, 1], |(): &mut (), row, out: &mut [f32]| {
            let x = &x[row % batch * width..][..width];
            row_of(levels, &from[row * width..][..width], x, out)
        });
        let (values, of_scale): (Vec<f32>, Vec<f32>) = sums.into_iter().unzip();
        ((tensor(gradient, [rows, width]), of_scale), tensor(values, [rows, 1]))
    })
}

#[derive(Debug)]
struct Backpropagate;

impl Backward<Flex, 2> for Backpropagate {
    /// The gradients of each row's log p by the outputs, and by the log-scale.
    type State = (FlexTensor, Vec<f32>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (mut of_outputs, of_scale) = ops.state;
        let g = whole(grads.consume::<Flex>(&ops.node));
        let g = numbers(&g);
        let [_, width] = dims(&of_outputs);
        let [to_outputs, to_scale] = ops.parents;
        if let Some(node) = to_outputs {
            scale_rows(numbers_mut(&mut of_outputs), g, width);
            grads.register::<Flex>(node.id, of_outputs);
        }
        if let Some(node) = to_scale {
            let sum: f64 = g.iter().zip(&of_scale).map(|(g, s)| f64::from(g * s)).sum();
            grads.register::<Flex>(node.id, tensor(vec![sum as f32], [1]));
        }
    }
}

/// The constants of a scale.
#[derive(Clone, Copy)]
struct Levels {
    squash: Squash,
    /// 1 / s.
    inverse: f32,
    half: f32,
    /// Below it x is the lowest level, and above the next x is the highest.
    lowest: f32,
    highest: f32,
    /// log(1 - exp(b - a)), and its derivative by log s.
    between: f32,
    of_between: f32,
}

impl Levels {
    fn new(squash: Squash, log_scale: f64) -> Self {
        let (low, high) = match squash {
            Squash::Sigmoid => (0.0, 1.0),
            Squash::Tanh => (-1.0, 1.0),
        };
        let half: f64 = 0.5 * (high - low) / 255.0;
        let width = 2.0 * half * (-log_scale).exp();
        Self {
            squash,
            inverse: (-log_scale).exp() as f32,
            half: half as f32,
            lowest: (low + half) as f32,
            highest: (high - half) as f32,
            between: (-(-width).exp_m1()).ln() as f32,
            of_between: (-width / width.exp_m1()) as f32,
        }
    }
}

vectorized! {
    /// Returns log p(x) of a row and its derivative by the log-scale, and writes the gradient of the
    /// outputs.
    fn row_of<'a>(
        levels: Levels,
        outputs: &'a [f32],
        x: &'a [f32],
        gradient: &'a mut [f32],
    ) -> (f32, f32) {
        match levels.squash {
            Squash::Sigmoid => row_with(levels, outputs, x, gradient, |output| {
                let (location, rest) = sigmoid_and_rest(output);
                (location, location * rest)
            }),
            Squash::Tanh => row_with(levels, outputs, x, gradient, |output| {
                let location = tanh(output);
                (location, 1.0 - location * location)
            }),
        }
    }
}

/// Sums that are kept apart, so that the compiler can use vector instructions.
const LANES: usize = 16;

/// Does what [`row_of`] does. `locate` returns the location and its slope.
#[inline(always)]
fn row_with(
    levels: Levels,
    outputs: &[f32],
    x: &[f32],
    gradient: &mut [f32],
    locate: impl Fn(f32) -> (f32, f32),
) -> (f32, f32) {
    let n = outputs.len();
    let (x, gradient) = (&x[..n], &mut gradient[..n]);
    let (mut values, mut of_scale) = ([0.0f32; LANES], [0.0f32; LANES]);
    let whole = n / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        for i in 0..LANES {
            let (location, slope) = locate(outputs[first + i]);
            let [value, by_location, by_scale] = pixel(levels, location, x[first + i]);
            values[i] += value;
            of_scale[i] += by_scale;
            gradient[first + i] = by_location * slope;
        }
    }
    for i in whole..n {
        let (location, slope) = locate(outputs[i]);
        let [value, by_location, by_scale] = pixel(levels, location, x[i]);
        values[i - whole] += value;
        of_scale[i - whole] += by_scale;
        gradient[i] = by_location * slope;
    }
    let (mut value, mut by_scale) = (0.0f64, 0.0f64);
    for i in 0..LANES {
        value += f64::from(values[i]);
        by_scale += f64::from(of_scale[i]);
    }
    (value as f32, by_scale as f32)
}

/// Returns log p(x) of a pixel, and its derivatives by the location and by log s.
///
/// log p is log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)); the lowest level has the first
/// term alone, and the highest the second.
#[inline(always)]
fn pixel(levels: Levels, location: f32, x: f32) -> [f32; 3] {
    let a = (x - location + levels.half) * levels.inverse;
    let b = (x - location - levels.half) * levels.inverse;
    let has_a = if x > levels.highest { 0.0 } else { 1.0 };
    let has_b = if x < levels.lowest { 0.0 } else { 1.0 };
    let (exp_a, exp_b) = (exp_of_negative(-a.abs()), exp_of_negative(-b.abs()));
    // 1 - sigmoid(a), and sigmoid(b).
    let rest_of_a = (if a > 0.0 { exp_a } else { 1.0 }) / (1.0 + exp_a) * has_a;
    let of_b = (if b > 0.0 { 1.0 } else { exp_b }) / (1.0 + exp_b) * has_b;
    let linear = (if a < 0.0 { a } else { 0.0 }) * has_a - (if b > 0.0 { b } else { 0.0 }) * has_b;
    let logarithms = log_from_1((1.0 + exp_a * has_a) * (1.0 + exp_b * has_b));
    let inner = has_a * has_b;
    [
        linear - logarithms + inner * levels.between,
        (of_b - rest_of_a) * levels.inverse,
        b * of_b - a * rest_of_a + inner * levels.of_between,
    ]
}
