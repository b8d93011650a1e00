//! Convolutions of images in host memory, and their gradients.
//!
//! Every 3x3 convolution here is a sum of shifted images: output phase t, at pixel i, gets v * x_s at
//! pixel i + shift, where s is a part of the input (its even or odd rows and columns) and v a weight
//! or a sum of weights. A [`Scheme`] lists these links for one axis; an image has two.

use pulp::Arch;
use rayon::prelude::*;

use super::kernels::{self, COLUMNS, PANEL, ROWS, WIDE};
use super::planes::{Geometry, Planes};
use crate::ops::Size;
use crate::ops::parts::by_parts;

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

impl Link2 {
    fn weights(self) -> impl Iterator<Item = usize> {
        let [rows, columns] = self.weights;
        rows.iter().flat_map(move |ky| columns.iter().map(move |kx| ky * 3 + kx))
    }
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

/// Numbers of padded images that fit into a core's cache together with other data.
const CACHED: usize = 160 * 1024;

/// Numbers of a row of gradients whose block stays in the first cache.
const NEAR: usize = 1024;

/// Rows of a panel that stay in the first cache, with the sums of some rows.
const NEAR_TAPS: usize = 128;

/// What a thread needs besides its results.
#[derive(Default)]
struct Scratch {
    planes: Planes,
    packed: Packed,
    parts: Vec<f32>,
}

/// Copies of pixels, and the sums of all rows.
#[derive(Default)]
struct Packed {
    panel: Vec<f32>,
    tiles: Vec<kernels::Tile>,
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

    /// Returns the convolution of x `[batch, before, h, w]` with weights `[after, before, 3, 3]` and
    /// bias `[after]`.
    pub fn forward(&self, x: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
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
        run(&products, x, (self.input, from), (self.output(), to))
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
        run(&products, g, (self.output(), to), (self.input, from))
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
        let (mut planes_x, mut planes_g) = (Planes::default(), Planes::default());
        for (x, g) in x.chunks(images * of_x).zip(g.chunks(images * of_g)) {
            planes_x.fill(x, self.input, from);
            planes_g.fill(g, output, to);
            for (part, (taps, found)) in taps.iter().zip(&mut found).enumerate() {
                let row = |m: usize| planes_g.geometry.start(m * to * to + part, [0, 0]);
                correlate(&planes_g, row, &planes_x, taps, found);
            }
            for (channel, sum) in of_bias.iter_mut().enumerate() {
                *sum += planes_g.sum(channel * to * to..(channel + 1) * to * to);
            }
        }

        let mut of_weights = vec![0.0; after * before * 9];
        for (links, found) in links.iter().zip(&found) {
            let of_kernels = found.chunks_exact(links.len());
            for (kernel, of_links) in of_weights.chunks_exact_mut(9).zip(of_kernels) {
                for (link, value) in links.iter().zip(of_links) {
                    link.weights().for_each(|i| kernel[i] += value);
                }
            }
        }
        (of_weights, of_bias)
    }
}

fn volume([channels, height, width]: [usize; 3]) -> usize {
    channels * height * width
}

/// A shifted plane.
#[derive(Clone, Copy, Debug)]
struct Tap {
    plane: usize,
    shift: [isize; 2],
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
    let sums: Vec<Vec<usize>> = links.iter().map(|link| link.weights().collect()).collect();
    let taps = channels * links.len();
    let mut packed = vec![[0.0; ROWS]; rows.div_ceil(ROWS) * taps];
    for row in 0..rows {
        let packed = &mut packed[row / ROWS * taps..(row / ROWS + 1) * taps];
        for (channel, packed) in packed.chunks_exact_mut(links.len()).enumerate() {
            let kernel = &kernels[at(row, channel)];
            for (packed, sum) in packed.iter_mut().zip(&sums) {
                packed[row % ROWS] = sum.iter().map(|i| kernel[*i]).sum();
            }
        }
    }
    packed
}

/// A bias in blocks of rows.
fn blocks(bias: &[f32]) -> Vec<[f32; ROWS]> {
    let block = |part: &[f32]| std::array::from_fn(|i| part.get(i).copied().unwrap_or(0.0));
    bias.chunks(ROWS).map(block).collect()
}

/// One part of an output: weights times taps.
struct Product {
    taps: Vec<Tap>,
    weights: Vec<[f32; ROWS]>,
    bias: Vec<[f32; ROWS]>,
}

/// Computes all parts of the output `[batch, .., ..]` of x.
fn run(
    products: &[Product],
    x: &[f32],
    (input, from): ([usize; 3], usize),
    (output, to): ([usize; 3], usize),
) -> Vec<f32> {
    let (of_x, of_y) = (volume(input), volume(output));
    // A pixel's sum does not depend on how many images are handled together.
    let shared = (x.len() / of_x).div_ceil(rayon::current_num_threads());
    let images = (CACHED / of_x).min(shared).max(1);
    let work = |scratch: &mut Scratch, image: usize, y: &mut [f32]| {
        let x = &x[image * of_x..][..y.len() / of_y * of_x];
        scratch.planes.fill(x, input, from);
        if to == 1 {
            product(&products[0], &scratch.planes, output[0], y, &mut scratch.packed);
            return;
        }
        let geometry = scratch.planes.geometry;
        let pixels = geometry.pixels();
        let size = geometry.images * output[0] * pixels;
        scratch.parts.resize(size * products.len(), 0.0);
        for (one, part) in products.iter().zip(scratch.parts.chunks_exact_mut(size)) {
            product(one, &scratch.planes, output[0], part, &mut scratch.packed);
        }
        let [_, height, width] = output;
        for (channel, y) in y.chunks_exact_mut(height * width).enumerate() {
            for (row, y) in y.chunks_exact_mut(width).enumerate() {
                let of = |part: usize| {
                    let start = part * size + channel * pixels + row / 2 * geometry.width;
                    &scratch.parts[start..start + geometry.width]
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
    by_parts([x.len() / of_x, of_y, images], work).0
}

/// Computes one part of the output, `[images, rows, pixels]`.
fn product(product: &Product, planes: &Planes, rows: usize, out: &mut [f32], scratch: &mut Packed) {
    let geometry = planes.geometry;
    let starts: Vec<usize> =
        product.taps.iter().map(|tap| geometry.start(tap.plane, tap.shift)).collect();
    // Reading in place computes groups at the ends of rows for nothing. Packing a group takes about
    // as long as its product with one block of rows.
    let in_place = groups_in_place(geometry);
    let packed = geometry.pixels().div_ceil(WIDE);
    let blocks = product.bias.len();
    if in_place.len() * blocks <= packed * (blocks + 1) {
        multiply_in_place(product, planes, &starts, &in_place, rows, out);
    } else {
        multiply_packed(product, planes, &starts, rows, out, scratch);
    }
}

/// Returns where groups of pixels of an image start in its plane: in each row if groups divide it,
/// else anywhere. Such a group can have the zero at the end of a row among its pixels.
fn groups_in_place(geometry: Geometry) -> Vec<usize> {
    let (height, width) = (geometry.height, geometry.width);
    if width.is_multiple_of(WIDE) {
        let of_row = |y| (0..width).step_by(WIDE).map(move |x| geometry.position(0, y, x));
        return (0..height).flat_map(of_row).collect();
    }
    (0..=geometry.position(0, height - 1, width - 1)).step_by(WIDE).collect()
}

/// Computes what [`product`] does from pixels where they are.
fn multiply_in_place(
    product: &Product,
    planes: &Planes,
    starts: &[usize],
    groups: &[usize],
    rows: usize,
    out: &mut [f32],
) {
    let geometry = planes.geometry;
    let (pixels, width) = (geometry.pixels(), geometry.width);
    let arch = Arch::new();
    let all: Vec<(usize, usize)> = (0..geometry.images)
        .flat_map(|image| groups.iter().map(move |group| (image, *group)))
        .collect();
    let blocks = product.weights.chunks_exact(starts.len()).zip(&product.bias);
    for tile in all.chunks(kernels::GROUPS) {
        let positions = std::array::from_fn(|n| {
            let (image, group) = tile[n.min(tile.len() - 1)];
            geometry.position(image, 0, group)
        });
        let source = kernels::Source { values: planes.values(), starts, positions };
        for (block, (weights, bias)) in blocks.clone().enumerate() {
            let first = block * ROWS;
            let rows_of_block = ROWS.min(rows - first);
            let sums = kernels::multiply_in_place(arch, rows_of_block, weights, bias, source);
            for (row, sums) in (first..).zip(&sums[..rows_of_block]) {
                for (&(image, group), sums) in tile.iter().zip(sums.as_chunks::<WIDE>().0) {
                    let to = &mut out[(image * rows + row) * pixels..][..pixels];
                    let (y, x) = (group / geometry.row(), group % geometry.row());
                    if x + WIDE <= width {
                        write(&mut to[y * width + x..], sums);
                        continue;
                    }
                    // What is left of the row, then, after its zero, the rows below.
                    let (mut to, mut sums) = (&mut to[y * width + x..], sums.as_slice());
                    let mut left = width - x;
                    while !to.is_empty() && !sums.is_empty() {
                        let n = left.min(sums.len());
                        to[..n].copy_from_slice(&sums[..n]);
                        (to, sums) = (&mut to[n..], sums.get(n + 1..).unwrap_or(&[]));
                        left = width;
                    }
                }
            }
        }
    }
}

/// Writes sums, as many as there is room for.
fn write(to: &mut [f32], sums: &[f32; WIDE]) {
    match to.first_chunk_mut::<WIDE>() {
        Some(to) => *to = *sums,
        None => to.copy_from_slice(&sums[..to.len()]),
    }
}

/// Computes what [`product`] does from copies of the pixels of a few groups.
fn multiply_packed(
    product: &Product,
    planes: &Planes,
    starts: &[usize],
    rows: usize,
    out: &mut [f32],
    packed: &mut Packed,
) {
    let geometry = planes.geometry;
    let (pixels, width) = (geometry.pixels(), geometry.width);
    let Packed { panel, tiles } = packed;
    panel.resize(NEAR_TAPS.min(starts.len()) * PANEL + WIDE, 0.0);
    let all: Vec<(usize, usize)> = (0..geometry.images)
        .flat_map(|image| (0..pixels).step_by(WIDE).map(move |first| (image, first)))
        .collect();
    let arch = Arch::new();
    let mut runs: Vec<[usize; 2]> = Vec::new();
    for tile in all.chunks(kernels::GROUPS) {
        runs.clear();
        for (i, &(image, first)) in tile.iter().enumerate() {
            let end = pixels.min(first + WIDE);
            let mut pixel = first;
            while pixel < end {
                let (y, x) = (pixel / width, pixel % width);
                runs.push([i * WIDE + pixel - first, geometry.position(image, y, x)]);
                pixel += width - x;
            }
        }
        tiles.clear();
        tiles.extend(product.bias.iter().map(|bias| bias.map(|bias| [bias; PANEL])));
        for (part, starts_of_part) in starts.chunks(NEAR_TAPS).enumerate() {
            kernels::pack(planes.values(), starts_of_part, &runs, width, panel);
            let (panel, _) = panel[..starts_of_part.len() * PANEL].as_chunks();
            for (weights, tile) in product.weights.chunks_exact(starts.len()).zip(&mut *tiles) {
                let weights = &weights[part * NEAR_TAPS..][..panel.len()];
                kernels::multiply(arch, weights, panel, tile);
            }
        }
        for (row, sums) in tiles.as_flattened().iter().enumerate().take(rows) {
            for (&(image, first), sums) in tile.iter().zip(sums.as_chunks::<WIDE>().0) {
                write(&mut out[(image * rows + row) * pixels..][first..pixels], sums);
            }
        }
    }
}

/// Adds to `found` `[rows, taps]` the products of gradients and taps, summed over pixels and images.
fn correlate(
    g: &Planes,
    row: impl Fn(usize) -> usize + Sync,
    x: &Planes,
    taps: &[Tap],
    found: &mut [f32],
) {
    let arch = Arch::new();
    let end = g.geometry.plane();
    // Parts of about the same length: each has sums to be added up.
    let step = end.div_ceil(end.div_ceil(NEAR)).next_multiple_of(WIDE);
    let starts: Vec<usize> =
        taps.iter().map(|tap| x.geometry.start(tap.plane, tap.shift)).collect();
    let rows = found.len() / taps.len();
    let work = |(block, found): (usize, &mut [f32])| {
        for first in (0..end).step_by(step) {
            let length = step.min(end - first);
            let of = |m: usize| {
                let start = row((block * ROWS + m).min(rows - 1)) + first;
                &g.values()[start..start + length]
            };
            let of_g: [&[f32]; ROWS] = std::array::from_fn(of);
            for (group, starts) in starts.chunks(COLUMNS).enumerate() {
                let of = |k: usize| {
                    let start = starts[k.min(starts.len() - 1)] + first;
                    &x.values()[start..start + length]
                };
                let dots = kernels::dots(arch, of_g, std::array::from_fn(of));
                for (found, dots) in found.chunks_exact_mut(taps.len()).zip(dots) {
                    let at = group * COLUMNS;
                    let found = &mut found[at..at + starts.len()];
                    found.iter_mut().zip(dots).for_each(|(found, dot)| *found += dot);
                }
            }
        }
    };
    if rayon::current_num_threads() == 1 {
        found.chunks_mut(ROWS * taps.len()).enumerate().for_each(work);
    } else {
        found.par_chunks_mut(ROWS * taps.len()).enumerate().for_each(work);
    }
}
