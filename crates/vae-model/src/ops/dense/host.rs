//! Fully connected layers in host memory, and their gradients. Threads share the rows of a result;
//! a number does not depend on how.

use pulp::Arch;

use super::kernels::{Left, Right, Start, product};
use crate::ops::Activation;
use crate::ops::parts::by_parts;

/// Numbers of a result that a thread handles at once: they stay in its cache with what they are made
/// of.
const PART: usize = 1 << 15;

/// Rows that are handled together at least, because the weights are read once for all of them.
const FEWEST: usize = 64;

/// Returns a matrix of `rows` rows of `width`. `work` is called with the first row of each part, and
/// the part to be overwritten.
fn by_rows(rows: usize, width: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) -> Vec<f32> {
    let shared = rows.div_ceil(rayon::current_num_threads()).next_multiple_of(8);
    let most = (PART / width).max(FEWEST).next_multiple_of(8);
    by_parts([rows, width, shared.min(most).max(1)], |(): &mut (), row, out| work(row, out)).0
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
    let rows = x.len() / inputs;
    let y = by_rows(rows, outputs, |row, y| {
        let left = Left::Rows(&x[row * inputs..][..y.len() / outputs * inputs]);
        product(arch, left, Right::Rows(weight), Start::Row(bias), [inputs, outputs], y);
        if let (None, Some(activation)) = (keep, activation) {
            activation.overwrite(y);
        }
    });
    let Some(activation) = keep else { return [None, Some(y)] };
    let output = by_rows(rows, outputs, |row, output| {
        output.copy_from_slice(&y[row * outputs..][..output.len()]);
        activation.overwrite(output);
    });
    [Some(y), Some(output)]
}

/// Returns the gradient of x `[rows, inputs]`, for the gradient `g` of x W + b.
pub fn input_gradient(g: &[f32], weight: &[f32], outputs: usize) -> Vec<f32> {
    let arch = Arch::new();
    let (rows, inputs) = (g.len() / outputs, weight.len() / outputs);
    by_rows(rows, inputs, |row, gradient| {
        let left = Left::Rows(&g[row * outputs..][..gradient.len() / inputs * outputs]);
        let right = Right::columns(weight, outputs, rows);
        product(arch, left, right, Start::Zero, [outputs, inputs], gradient);
    })
}

/// Returns the gradient of the weights, for x and the gradient `g` of x W + b.
pub fn weight_gradient(x: &[f32], g: &[f32], [inputs, outputs]: [usize; 2]) -> Vec<f32> {
    let arch = Arch::new();
    by_rows(inputs, outputs, |row, gradient| {
        let left = Left::Columns(&x[row..], inputs);
        let right = Right::Rows(g);
        product(arch, left, right, Start::Zero, [g.len() / outputs, outputs], gradient);
    })
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
