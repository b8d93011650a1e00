//! Fully connected layers in host memory, and their gradients. Threads share the rows of a result;
//! a number does not depend on how.

use pulp::Arch;
use rayon::prelude::*;

use super::kernels::{Left, Right, product};
use crate::ops::Activation;

/// Rows that a thread handles at once: results and what they are made of stay in its cache.
const ROWS: usize = 128;

/// Calls `work` with parts of `out`, rows of `width`, and the first row of each.
fn by_rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let threads = rayon::current_num_threads();
    let rows = (out.len() / width).div_ceil(threads).next_multiple_of(8).min(ROWS);
    let part = |(i, out): (usize, &mut [f32])| work(i * rows, out);
    if threads == 1 {
        out.chunks_mut(rows * width).enumerate().for_each(part);
    } else {
        out.par_chunks_mut(rows * width).enumerate().for_each(part);
    }
}

/// Returns x W + b if the activation's slope needs it, and the activation of x W + b,
/// `[rows, outputs]` each.
pub fn forward(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    activation: Option<Activation>,
) -> [Option<Vec<f32>>; 2] {
    let (arch, outputs) = (Arch::new(), bias.len());
    let inputs = weight.len() / outputs;
    let keep = activation.filter(|activation| activation.needs_input());
    let mut y = vec![0.0; x.len() / inputs * outputs];
    by_rows(&mut y, outputs, |row, y| {
        let left = Left::Rows(&x[row * inputs..][..y.len() / outputs * inputs]);
        product(arch, left, Right::Rows(weight), Some(bias), [inputs, outputs], y);
        if let (None, Some(activation)) = (keep, activation) {
            activation.overwrite(y);
        }
    });
    let Some(activation) = keep else { return [None, Some(y)] };
    let input = y.clone();
    by_rows(&mut y, outputs, |_, y| activation.overwrite(y));
    [Some(input), Some(y)]
}

/// Returns the gradient of x `[rows, inputs]`, for the gradient `g` of x W + b.
pub fn input_gradient(g: &[f32], weight: &[f32], outputs: usize) -> Vec<f32> {
    let arch = Arch::new();
    let (rows, inputs) = (g.len() / outputs, weight.len() / outputs);
    let mut gradient = vec![0.0; rows * inputs];
    by_rows(&mut gradient, inputs, |row, gradient| {
        let left = Left::Rows(&g[row * outputs..][..gradient.len() / inputs * outputs]);
        let right = Right::columns(weight, outputs, rows);
        product(arch, left, right, None, [outputs, inputs], gradient);
    });
    gradient
}

/// Returns the gradient of the weights, for x and the gradient `g` of x W + b.
pub fn weight_gradient(x: &[f32], g: &[f32], [inputs, outputs]: [usize; 2]) -> Vec<f32> {
    let arch = Arch::new();
    let mut gradient = vec![0.0; inputs * outputs];
    by_rows(&mut gradient, outputs, |row, gradient| {
        let left = Left::Columns(&x[row..], inputs);
        let right = Right::Rows(g);
        product(arch, left, right, None, [g.len() / outputs, outputs], gradient);
    });
    gradient
}

/// Returns the gradient of the bias, for the gradient `g` of x W + b.
pub fn bias_gradient(g: &[f32], outputs: usize) -> Vec<f32> {
    let mut gradient = vec![0.0; outputs];
    add_rows(&mut gradient, g);
    gradient
}

vectorized! {
    /// Adds all rows to a sum.
    fn add_rows<'a>(sum: &'a mut [f32], rows: &'a [f32]) {
        for row in rows.chunks_exact(sum.len()) {
            for i in 0..sum.len() {
                sum[i] += row[i];
            }
        }
    }
}
