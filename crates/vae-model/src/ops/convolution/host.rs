//! Convolutions of images in host memory, and their gradients.
//!
//! Every 3x3 convolution here is a sum of shifted images: output phase t, at pixel i, gets v * x_s at
//! pixel i + shift, where s is a part of the input (its even or odd rows and columns) and v a weight
//! or a sum of weights. A [`Scheme`] lists these links for one axis; an image has two.

use std::cell::Cell;

use super::correlation::correlate;
use super::kernels::ROWS;
use super::planes::{Planes, Tap};
use super::product::{Packed, Product};
use crate::ops::parts::by_parts;
use crate::ops::{Activation, Size};

/// A link between parts of the input and of the output, along one axis.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// Part of the input.
    from: usize,
    /// Part of the output.
    to: usize,
    /// Added to the output's pixel, the input's pixel.
    shift: isize,
    /// The weights (of three) whose sum links the two.
    weights: &'static [usize],
}

const fn link(from: usize, to: usize, shift: isize, weights: &'static [usize]) -> Link {
    Link { from, to, shift, weights }
}

/// How input and output are linked along one axis.
#[derive(Clone, Copy, Debug)]
struct Scheme {
    links: &'static [Link],
    /// Parts of the input: 2 if even and odd pixels differ.
    from: usize,
    /// Parts of the output.
    to: usize,
}

impl Size {
    /// Returns the links along one axis.
    fn scheme(self) -> Scheme {
        match self {
            Self::Same => SAME,
            Self::Halve => HALVE,
            Self::Double => DOUBLE,
        }
    }
}

const SAME: Scheme = Scheme {
    links: &[link(0, 0, -1, &[0]), link(0, 0, 0, &[1]), link(0, 0, 1, &[2])],
    from: 1,
    to: 1,
};

const HALVE: Scheme = Scheme {
    links: &[link(1, 0, -1, &[0]), link(0, 0, 0, &[1]), link(1, 0, 0, &[2])],
    from: 2,
    to: 1,
};

const DOUBLE: Scheme = Scheme {
    links: &[
        link(0, 0, -1, &[0]),
        link(0, 0, 0, &[1, 2]),
        link(0, 1, 0, &[0, 1]),
        link(0, 1, 1, &[2]),
    ],
    from: 1,
    to: 2,
};

/// A link of images: one along the rows, one along the columns.
#[derive(Clone, Copy, Debug)]
struct Link2 {
    from: usize,
    to: usize,
    shift: [isize; 2],
    /// Weights (of nine) whose sum links the two.
    weights: [&'static [usize]; 2],
}

/// A convolution of a batch of images.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    pub size: Size,
    /// Channels, height and width of the input.
    pub input: [usize; 3],
    /// Channels of the output.
    pub after: usize,
}

/// Numbers of images and their results that fit into a core's cache together with other data.
const CACHED: usize = 160 * 1024;

/// What a thread needs besides its results.
#[derive(Default)]
struct Scratch {
    /// Of the input, or of gradients.
    planes: Planes,
    /// Of the input, where both are needed.
    inputs: Planes,
    packed: Packed,
    parts: Vec<f32>,
}

thread_local! {
    /// Kept from one call to the next: memory that is new has to be cleared. It is taken out while it
    /// is used, so that a thread that waits can do other work.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Convolution {
    /// Returns the links of the image that a part has.
    fn links(&self, has: impl Fn(&Link2) -> bool) -> Vec<Link2> {
        let Scheme { links, from, to } = self.size.scheme();
        let of = |y: &Link, x: &Link| Link2 {
            from: y.from * from + x.from,
            to: y.to * to + x.to,
            shift: [y.shift, x.shift],
            weights: [y.weights, x.weights],
        };
        links.iter().flat_map(|y| links.iter().map(move |x| of(y, x))).filter(has).collect()
    }

    /// Channels, height and width of the output.
    pub fn output(&self) -> [usize; 3] {
        let Scheme { from, to, .. } = self.size.scheme();
        let size = |n: usize| n.div_ceil(from) * to;
        [self.after, size(self.input[1]), size(self.input[2])]
    }

    /// Returns the activation of the convolution of x `[batch, before, h, w]` with weights
    /// `[after, before, 3, 3]` and bias `[after]`.
    pub fn forward(
        &self,
        x: &[f32],
        weights: &[f32],
        bias: &[f32],
        activation: Option<Activation>,
    ) -> Vec<f32> {
        let Scheme { from, to, .. } = self.size.scheme();
        let (before, after) = (self.input[0], self.after);
        let part = |part: usize| {
            let links = self.links(|link| link.to == part);
            Product {
                taps: taps(before, from, &links, |link| (link.from, link.shift)),
                weights: packed(weights, [after, before], &links, |row, channel| {
                    row * before + channel
                }),
                bias: blocks(bias),
            }
        };
        let products: Vec<Product> = (0..to * to).map(part).collect();
        run(&products, x, (self.input, from), (self.output(), to), activation)
    }

    /// Returns the gradient of the input, for the gradient `g` of the output.
    pub fn input_gradient(&self, g: &[f32], weights: &[f32]) -> Vec<f32> {
        let Scheme { from, to, .. } = self.size.scheme();
        let (before, after) = (self.input[0], self.after);
        let part = |part: usize| {
            let links = self.links(|link| link.from == part);
            Product {
                taps: taps(after, to, &links, |link| (link.to, link.shift.map(|shift| -shift))),
                weights: packed(weights, [before, after], &links, |row, channel| {
                    channel * before + row
                }),
                bias: vec![[0.0; ROWS]; before.div_ceil(ROWS)],
            }
        };
        let products: Vec<Product> = (0..from * from).map(part).collect();
        run(&products, g, (self.output(), to), (self.input, from), None)
    }

    /// Returns the gradients of the weights and of the bias, for x and the gradient `g` of the
    /// output.
    pub fn parameter_gradients(&self, g: &[f32], x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let Scheme { from, to, .. } = self.size.scheme();
        let (before, after, output) = (self.input[0], self.after, self.output());
        let links: Vec<Vec<Link2>> =
            (0..to * to).map(|part| self.links(|link| link.to == part)).collect();
        let taps: Vec<Vec<Tap>> = links
            .iter()
            .map(|links| taps(before, from, links, |link| (link.from, link.shift)))
            .collect();
        let mut found: Vec<Vec<f32>> =
            taps.iter().map(|taps| vec![0.0; after * taps.len()]).collect();
        let mut of_bias = vec![0.0; after];

        let (of_x, of_g) = (volume(self.input), volume(output));
        let images = (CACHED / (of_x + of_g)).max(1);
        let mut scratch = SCRATCH.take();
        let (planes_x, planes_g) = (&mut scratch.inputs, &mut scratch.planes);
        for (x, g) in x.chunks(images * of_x).zip(g.chunks(images * of_g)) {
            planes_x.fill(x, self.input, from);
            planes_g.fill(g, output, to);
            for (part, (taps, found)) in taps.iter().zip(&mut found).enumerate() {
                let row = |m: usize| planes_g.geometry.start(m * to * to + part, [0, 0]);
                let rows: Vec<usize> = (0..after).map(row).collect();
                let starts = planes_x.geometry.starts(taps);
                correlate((planes_g, &rows), (planes_x, &starts), found);
            }
            for (channel, sum) in of_bias.iter_mut().enumerate() {
                *sum += planes_g.sum(channel * to * to..(channel + 1) * to * to);
            }
        }

        SCRATCH.set(scratch);
        let mut of_weights = vec![[0.0; 9]; after * before];
        for (links, found) in links.iter().zip(&found) {
            let sums = sums(links);
            for (kernel, found) in of_weights.iter_mut().zip(found.chunks_exact(links.len())) {
                for (sum, value) in sums.iter().zip(found) {
                    match **sum {
                        [a] => kernel[a] += value,
                        _ => sum.iter().for_each(|i| kernel[*i] += value),
                    }
                }
            }
        }
        (of_weights.into_flattened(), of_bias)
    }
}

fn volume([channels, height, width]: [usize; 3]) -> usize {
    channels * height * width
}

/// Returns the taps of all channels: channel by channel, link by link. `of` gives the part of the
/// image and the shift.
fn taps(
    channels: usize,
    parts: usize,
    links: &[Link2],
    of: impl Fn(&Link2) -> (usize, [isize; 2]),
) -> Vec<Tap> {
    let tap = |channel: usize, link: &Link2| {
        let (part, shift) = of(link);
        Tap { plane: channel * parts * parts + part, shift }
    };
    (0..channels)
        .flat_map(|channel| links.iter().map(move |link| (channel, link)))
        .map(|(channel, link)| tap(channel, link))
        .collect()
}

/// Returns the sums of weights of each link, in blocks of rows: `[blocks][channels][links][ROWS]`.
/// `at(row, channel)` is the position of their kernel in `weights`, in kernels.
fn packed(
    weights: &[f32],
    [rows, channels]: [usize; 2],
    links: &[Link2],
    at: impl Fn(usize, usize) -> usize,
) -> Vec<[f32; ROWS]> {
    let (kernels, _) = weights.as_chunks::<9>();
    let sums = sums(links);
    let taps = channels * links.len();
    let mut packed = vec![[0.0; ROWS]; rows.div_ceil(ROWS) * taps];
    for (block, packed) in packed.chunks_exact_mut(taps).enumerate() {
        for (channel, packed) in packed.chunks_exact_mut(links.len()).enumerate() {
            for (i, row) in (block * ROWS..rows).take(ROWS).enumerate() {
                let kernel = &kernels[at(row, channel)];
                for (packed, sum) in packed.iter_mut().zip(&sums) {
                    packed[i] = match **sum {
                        [a] => kernel[a],
                        [a, b] => kernel[a] + kernel[b],
                        [a, b, c, d] => kernel[a] + kernel[b] + kernel[c] + kernel[d],
                        _ => unreachable!("one or two weights along each axis"),
                    };
                }
            }
        }
    }
    packed
}

/// Returns the weights (of nine) that each link sums up.
fn sums(links: &[Link2]) -> Vec<Vec<usize>> {
    let of_link = |link: &Link2| {
        let [rows, columns] = link.weights;
        rows.iter().flat_map(|y| columns.iter().map(move |x| y * 3 + x)).collect()
    };
    links.iter().map(of_link).collect()
}

/// A bias in blocks of rows.
fn blocks(bias: &[f32]) -> Vec<[f32; ROWS]> {
    let block = |part: &[f32]| std::array::from_fn(|i| part.get(i).copied().unwrap_or(0.0));
    bias.chunks(ROWS).map(block).collect()
}

/// Computes all parts of the output `[batch, .., ..]` of x, and its activation.
fn run(
    products: &[Product],
    x: &[f32],
    (input, from): ([usize; 3], usize),
    (output, to): ([usize; 3], usize),
    activation: Option<Activation>,
) -> Vec<f32> {
    let (of_x, of_y) = (volume(input), volume(output));
    // A pixel's sum does not depend on how many images are handled together.
    let shared = (x.len() / of_x).div_ceil(rayon::current_num_threads());
    let images = (CACHED / (of_x + of_y)).min(shared).max(1);
    let work = |scratch: &mut Scratch, image: usize, y: &mut [f32]| {
        let x = &x[image * of_x..][..y.len() / of_y * of_x];
        let Scratch { planes, packed, parts, .. } = scratch;
        planes.fill(x, input, from);
        if to == 1 {
            products[0].write(planes, output[0], y, packed);
            return;
        }
        let geometry = planes.geometry;
        let pixels = geometry.pixels();
        let size = geometry.images * output[0] * pixels;
        if parts.len() < size * products.len() {
            parts.resize(size * products.len(), 0.0);
        }
        for (one, part) in products.iter().zip(parts.chunks_exact_mut(size)) {
            one.write(planes, output[0], part, packed);
        }
        let [_, height, width] = output;
        for (channel, y) in y.chunks_exact_mut(height * width).enumerate() {
            for (row, y) in y.chunks_exact_mut(width).enumerate() {
                let of = |part: usize| {
                    let start = part * size + channel * pixels + row / 2 * geometry.width;
                    &parts[start..start + geometry.width]
                };
                let [even, odd] = [of(row % 2 * 2), of(row % 2 * 2 + 1)];
                let (pairs, last) = y.as_chunks_mut::<2>();
                for (pair, (even, odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
                    *pair = [*even, *odd];
                }
                last.iter_mut().for_each(|y| *y = even[width / 2]);
            }
        }
    };
    let work = |(): &mut (), image: usize, y: &mut [f32]| {
        let mut scratch = SCRATCH.take();
        work(&mut scratch, image, y);
        if let Some(activation) = activation {
            activation.overwrite(y);
        }
        SCRATCH.set(scratch);
    };
    by_parts([x.len() / of_x, of_y, images], work).0
}
