//! Convolutions of images in host memory, and their gradients. Images are `[images, height, width,
//! channels]`.

use std::cell::Cell;

use pulp::Arch;
use rayon::prelude::*;

use super::method::Method;
use super::transform::{Images, Positions, gather, scatter};
use super::weights::Rows;
use crate::ops::dense::{Left, Right, Start, bias_gradient, product};
use crate::ops::parts::by_parts;
use crate::ops::{Activation, Size};

/// A convolution of a batch of images.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    pub size: Size,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Channels of the input and of the output.
    pub channels: [usize; 2],
}

/// Numbers of terms, or of products, that are handled together: they stay in a core's second cache.
const CACHED: usize = 64 * 1024;

/// Numbers of images and their results that a thread handles at once.
const PART: usize = 160 * 1024;

/// Output channels below which a product is a sum over vectors of terms: there are more of them.
const NARROW: usize = 8;

/// What a thread needs besides its results.
#[derive(Default)]
struct Scratch {
    terms: Vec<f32>,
    products: Vec<f32>,
}

thread_local! {
    /// Kept from one call to the next: memory that is new has to be cleared. It is taken out while it
    /// is used, so that a thread that waits can do other work.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Returns the first `n` numbers, whatever they are.
fn at_least(memory: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if memory.len() < n {
        memory.resize(n, 0.0);
    }
    &mut memory[..n]
}

impl Convolution {
    /// Height and width of the output.
    pub fn output(&self) -> [usize; 2] {
        self.input.map(|n| match self.size {
            Size::Same => n,
            Size::Halve => n.div_ceil(2),
            Size::Double => 2 * n,
        })
    }

    /// Returns the activation of the convolution of x with weights `[after, before, 3, 3]` and bias
    /// `[after]`.
    pub fn forward(
        &self,
        x: &[f32],
        weights: &[f32],
        bias: &[f32],
        activation: Option<Activation>,
    ) -> Vec<f32> {
        let [before, after] = self.channels;
        let method = Method::forward(self.size, before, after);
        Map {
            factors: method.factors(weights, [after, before], Rows::Before),
            method,
            input: with_channels(self.input, before),
            output: with_channels(self.output(), after),
            bias: Some(bias),
            activation,
        }
        .run(x)
    }

    /// Returns the gradient of the input, for the gradient `g` of the output.
    pub fn input_gradient(&self, g: &[f32], weights: &[f32]) -> Vec<f32> {
        let [before, after] = self.channels;
        let method = Method::backward(self.size, before, after);
        Map {
            factors: method.factors(weights, [after, before], Rows::After),
            method,
            input: with_channels(self.output(), after),
            output: with_channels(self.input, before),
            bias: None,
            activation: None,
        }
        .run(g)
    }

    /// Returns the gradients of the weights and of the bias, for x and the gradient `g` of the
    /// output.
    pub fn parameter_gradients(&self, g: &[f32], x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let [before, after] = self.channels;
        let method = Method::forward(self.size, before, after);
        let x = Images { values: x, size: with_channels(self.input, before) };
        let of_y = Images { values: g, size: with_channels(self.output(), after) };
        let factors = Pairs { method, x, g: of_y }.factor_gradient();
        (method.weight_gradient(&factors, [after, before]), bias_gradient(g, after))
    }
}

/// A batch of images, and the gradients of their outputs.
struct Pairs<'a> {
    method: Method,
    x: Images<'a>,
    g: Images<'a>,
}

impl Pairs<'_> {
    /// Channels of the images and of their outputs.
    fn channels(&self) -> [usize; 2] {
        [self.x.size[2], self.g.size[2]]
    }

    /// Returns whether all terms have the same gradient, that of the output.
    fn summed(&self) -> bool {
        self.method.scatter.is_none()
    }

    /// Returns whether gradients are computed by channels of the output: there are few.
    fn narrow(&self) -> bool {
        self.summed() && self.channels()[1] < NARROW
    }

    /// Returns the gradient of the factors, `[terms, before, after]`.
    fn factor_gradient(&self) -> Vec<f32> {
        let ([before, after], terms, threads) = (self.channels(), self.method.terms(), threads());
        let grid = self.method.grid([self.g.size[0], self.g.size[1]]);
        let all = self.x.values.len() / volume(self.x.size) * grid[0] * grid[1];
        let most = positions_of(terms, before.max(after));
        let positions = |first| Positions { grid, first, count: most.min(all - first) };
        let panels: Vec<Positions> = (0..all).step_by(most).map(positions).collect();
        // Rows of the factors that a thread takes at once: those of a term, if each has its gradients.
        let rows = match threads {
            _ if !self.summed() => before,
            1 => terms * before,
            _ => (terms * before).div_ceil(threads).next_multiple_of(8),
        };
        let mut factors = vec![0.0; terms * before * after];
        let mut scratch: Vec<Scratch> = (1..threads).map(|_| Scratch::default()).collect();
        scratch.push(SCRATCH.take());
        // As many panels as threads are filled, then added: a number does not depend on how many.
        for panels in panels.chunks(threads) {
            let fill = |(scratch, positions): (&mut Scratch, &Positions)| {
                self.fill(scratch, *positions);
            };
            if threads == 1 {
                scratch.iter_mut().zip(panels).for_each(fill);
            } else {
                scratch.par_iter_mut().zip(panels).for_each(fill);
            }
            let add = |(part, factors): (usize, &mut [f32])| {
                for (scratch, positions) in scratch.iter().zip(panels) {
                    self.add(scratch, *positions, part * rows, factors);
                }
            };
            if threads == 1 || self.narrow() {
                let rows = if self.narrow() { terms * before } else { rows };
                factors.chunks_mut(rows * after).enumerate().for_each(add);
            } else {
                factors.par_chunks_mut(rows * after).enumerate().for_each(add);
            }
        }
        SCRATCH.set(scratch.pop().unwrap_or_default());
        if self.narrow() { transposed(&factors, terms * before) } else { factors }
    }

    /// Computes the terms of a panel, and their gradients.
    fn fill(&self, scratch: &mut Scratch, positions: Positions) {
        let ([before, after], terms, arch) = (self.channels(), self.method.terms(), Arch::new());
        let of_x = at_least(&mut scratch.terms, terms * positions.plane(before));
        gather(arch, self.method.gather, self.summed(), self.x, positions, of_x);
        if let Some(scatter) = self.method.scatter {
            let of_g = at_least(&mut scratch.products, terms * positions.plane(after));
            gather(arch, scatter.adjoint(), false, self.g, positions, of_g);
        }
    }

    /// Adds what a panel gives to some rows of the gradient of the factors, from `row` on.
    fn add(&self, scratch: &Scratch, positions: Positions, row: usize, factors: &mut [f32]) {
        let ([before, after], terms) = (self.channels(), self.method.terms());
        let Positions { first, count, .. } = positions;
        let (arch, start) = (Arch::new(), Start::Sum);
        if !self.summed() {
            let term = row / before;
            let of_x = &scratch.terms[term * positions.plane(before)..][..count * before];
            let of_g = &scratch.products[term * positions.plane(after)..][..count * after];
            let (left, right) = (Left::Columns(of_x, before), Right::Rows(of_g));
            return product(arch, left, right, start, [count, after], factors);
        }
        let (of_x, width) = (&scratch.terms[row..], terms * before);
        let of_g = &self.g.values[first * after..][..count * after];
        if self.narrow() {
            let (left, right) = (Left::Columns(of_g, after), Right::Rows(of_x));
            product(arch, left, right, start, [count, width], factors);
        } else {
            let (left, right) = (Left::Columns(of_x, width), Right::Rows(of_g));
            product(arch, left, right, start, [count, after], factors);
        }
    }
}

/// A linear map of images, and an activation.
struct Map<'a> {
    method: Method,
    input: [usize; 3],
    output: [usize; 3],
    /// `[terms, channels of the input, channels of the output]`.
    factors: Vec<f32>,
    bias: Option<&'a [f32]>,
    activation: Option<Activation>,
}

impl Map<'_> {
    /// Returns the output for a batch of images.
    fn run(mut self, x: &[f32]) -> Vec<f32> {
        let (of_x, of_y, channels) = (volume(self.input), volume(self.output), self.output[2]);
        if self.narrow() {
            self.factors = transposed(&self.factors, channels);
        }
        // A pixel does not depend on how many images are handled together.
        let shared = (x.len() / of_x).div_ceil(threads());
        let images = (PART / (of_x + of_y)).min(shared).max(1);
        let work = |(): &mut (), image: usize, y: &mut [f32]| {
            let mut scratch = SCRATCH.take();
            self.write(&x[image * of_x..][..y.len() / of_y * of_x], y, &mut scratch);
            if let Some(activation) = self.activation {
                activation.overwrite(y);
            }
            SCRATCH.set(scratch);
        };
        by_parts([x.len() / of_x, of_y, images], work).0
    }

    /// Returns whether the factors are stored by channels of the output.
    fn narrow(&self) -> bool {
        self.method.scatter.is_none() && self.output[2] < NARROW
    }

    /// Writes the output, without activation.
    fn write(&self, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let Self { method, input, output, factors, bias, .. } = self;
        let (arch, terms) = (Arch::new(), method.terms());
        let (before, after) = (input[2], output[2]);
        let grid = method.grid([output[0], output[1]]);
        let all = x.len() / volume(*input) * grid[0] * grid[1];
        let most = positions_of(terms, before.max(after));
        for first in (0..all).step_by(most) {
            let count = most.min(all - first);
            let positions = Positions { grid, first, count };
            let of_x = at_least(&mut scratch.terms, terms * positions.plane(before));
            let images = Images { values: x, size: *input };
            gather(arch, method.gather, method.scatter.is_none(), images, positions, of_x);
            let Some(by) = method.scatter else {
                let y = &mut y[first * after..][..count * after];
                let left = Left::Rows(&of_x[..count * terms * before]);
                let dimensions = [terms * before, after];
                if self.narrow() {
                    let right = Right::Dots(factors);
                    product(arch, left, right, Start::Zero, dimensions, y);
                    for pixel in y.chunks_exact_mut(after) {
                        let bias = bias.unwrap_or_default();
                        pixel.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                    }
                } else {
                    let start = bias.map_or(Start::Zero, Start::Row);
                    product(arch, left, Right::Rows(factors), start, dimensions, y);
                }
                continue;
            };
            let products = at_least(&mut scratch.products, terms * positions.plane(after));
            for (term, factors) in factors.chunks_exact(before * after).enumerate() {
                let of_x = &of_x[term * positions.plane(before)..][..count * before];
                let (left, right) = (Left::Rows(of_x), Right::Rows(factors));
                let products = &mut products[term * positions.plane(after)..][..count * after];
                product(arch, left, right, Start::Zero, [before, after], products);
            }
            scatter(arch, by, products, *bias, positions, y, *output);
        }
    }
}

/// Returns how many positions are handled together.
fn positions_of(terms: usize, channels: usize) -> usize {
    (CACHED / (terms * channels)).next_multiple_of(8).clamp(8, 256)
}

fn threads() -> usize {
    rayon::current_num_threads()
}

fn with_channels([height, width]: [usize; 2], channels: usize) -> [usize; 3] {
    [height, width, channels]
}

fn volume(size: [usize; 3]) -> usize {
    size.into_iter().product()
}

/// Returns the transpose of a matrix of `columns` columns.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    let column = |i: usize| matrix.iter().skip(i).step_by(columns).copied();
    (0..columns).flat_map(column).collect()
}
