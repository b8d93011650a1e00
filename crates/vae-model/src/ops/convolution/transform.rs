//! The first and the last step of a [`Method`](super::method::Method), with vector instructions chosen
//! at run time. A vector has numbers of neighbouring channels.
//!
//! Loops here are written out, without iterators and closures: what the compiler does not inline is
//! compiled without the vector instructions.
#![allow(clippy::needless_range_loop)]

use pulp::{Arch, Simd, WithSimd};

use super::method::{Gather, Scatter};

/// Numbers in a line of the cache.
const LINE: usize = 16;

/// Positions of a batch of images, row by row, from `first` on.
#[derive(Clone, Copy, Debug)]
pub struct Positions {
    /// Rows and columns of positions in an image.
    pub grid: [usize; 2],
    pub first: usize,
    pub count: usize,
}

impl Positions {
    /// Returns the numbers from the start of one term to that of the next, where terms are apart. They
    /// must not be a multiple of 4096 bytes: the first cache would have room for the lines of a few terms
    /// only.
    pub fn plane(self, channels: usize) -> usize {
        self.count * channels + LINE
    }

    /// Returns image, row and column of the first position.
    #[inline(always)]
    fn start(self) -> [usize; 3] {
        let [rows, columns] = self.grid;
        [self.first / (rows * columns), self.first / columns % rows, self.first % columns]
    }

    /// Advances image, row and column to the next position.
    #[inline(always)]
    fn advance(self, at: &mut [usize; 3]) {
        at[2] += 1;
        if at[2] == self.grid[1] {
            (at[1], at[2]) = (at[1] + 1, 0);
            if at[1] == self.grid[0] {
                (at[0], at[1]) = (at[0] + 1, 0);
            }
        }
    }
}

/// A batch of images, `[images, height, width, channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    pub values: &'a [f32],
    pub size: [usize; 3],
}

/// Writes the terms of each position: `[positions, terms, channels]` if their products are to be
/// `summed` to one pixel, else `[terms, positions, channels]`, terms [`Positions::plane`] numbers apart.
pub fn gather(
    arch: Arch,
    gather: Gather,
    summed: bool,
    images: Images<'_>,
    positions: Positions,
    out: &mut [f32],
) {
    if let Gather::Around { step } = gather {
        assert!(summed, "a method that copies pixels has one pixel at each position");
        return copy_around(step, images, positions, out);
    }
    arch.dispatch(GatherCall { gather, summed, images, positions, out });
}

struct GatherCall<'a> {
    gather: Gather,
    summed: bool,
    images: Images<'a>,
    positions: Positions,
    out: &'a mut [f32],
}

impl WithSimd for GatherCall<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.gather {
            Gather::Around { .. } => unreachable!("copies need no arithmetic"),
            Gather::Winograd => gather_by::<S, Winograd, 4, 4>(simd, self),
            Gather::WinogradAdjoint => gather_by::<S, WinogradAdjoint, 2, 4>(simd, self),
            Gather::Doubled => gather_by::<S, Doubled, 3, 3>(simd, self),
            Gather::DoubledAdjoint => gather_by::<S, DoubledAdjoint, 2, 3>(simd, self),
            Gather::DoubledBack => gather_by::<S, DoubledBack, 4, 3>(simd, self),
            Gather::HalvedBack => gather_by::<S, HalvedBack, 2, 3>(simd, self),
        }
    }
}

/// `T` terms of a patch of `P` pixels, along one axis.
trait Terms<const P: usize, const T: usize> {
    /// Pixels from one position to the next.
    const STEP: usize;
    /// The first pixel of a patch, from that of its position.
    const FIRST: isize;

    fn terms<S: Simd>(simd: S, patch: [S::f32s; P]) -> [S::f32s; T];
}

struct Winograd;

impl Terms<4, 4> for Winograd {
    const STEP: usize = 2;
    const FIRST: isize = -1;

    #[inline(always)]
    fn terms<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
    }
}

struct WinogradAdjoint;

impl Terms<2, 4> for WinogradAdjoint {
    const STEP: usize = 2;
    const FIRST: isize = 0;

    #[inline(always)]
    fn terms<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
        [a, simd.add_f32s(a, b), simd.sub_f32s(a, b), simd.neg_f32s(b)]
    }
}

struct Doubled;

impl Terms<3, 3> for Doubled {
    const STEP: usize = 1;
    const FIRST: isize = -1;

    #[inline(always)]
    fn terms<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 3] {
        [simd.sub_f32s(a, b), b, simd.sub_f32s(c, b)]
    }
}

struct DoubledAdjoint;

impl Terms<2, 3> for DoubledAdjoint {
    const STEP: usize = 2;
    const FIRST: isize = 0;

    #[inline(always)]
    fn terms<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 3] {
        [a, simd.add_f32s(a, b), b]
    }
}

struct DoubledBack;

impl Terms<4, 3> for DoubledBack {
    const STEP: usize = 2;
    const FIRST: isize = -1;

    #[inline(always)]
    fn terms<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 3] {
        [simd.sub_f32s(d, b), simd.add_f32s(b, c), simd.sub_f32s(a, c)]
    }
}

struct HalvedBack;

impl Terms<2, 3> for HalvedBack {
    const STEP: usize = 1;
    const FIRST: isize = 0;

    #[inline(always)]
    fn terms<S: Simd>(_: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 3] {
        [a, a, b]
    }
}

#[inline(always)]
fn gather_by<S: Simd, G: Terms<P, T>, const P: usize, const T: usize>(
    simd: S,
    call: GatherCall<'_>,
) {
    let GatherCall { images: Images { values, size: [height, width, channels] }, .. } = call;
    let (positions, out) = (call.positions, call.out);
    let zeros = vec![0.0; channels];
    let (of_term, of_position) = match call.summed {
        true => (channels, T * T * channels),
        false => (positions.plane(channels), channels),
    };
    let mut at = positions.start();
    let mut out = Planes { values: out, first: 0, plane: of_term };
    for _ in 0..positions.count {
        // Around the image are zeros.
        let mut patch: [[&[f32]; P]; P] = [[&zeros; P]; P];
        let [image, row, column] = at;
        for i in 0..P {
            let y = (row * G::STEP + i).wrapping_add_signed(G::FIRST);
            if y >= height {
                continue;
            }
            for j in 0..P {
                let x = (column * G::STEP + j).wrapping_add_signed(G::FIRST);
                if x < width {
                    let start = ((image * height + y) * width + x) * channels;
                    patch[i][j] = &values[start..start + channels];
                }
            }
        }
        let mut channel = 0;
        while channel + S::F32_LANES <= channels {
            gather_vector::<S, G, P, T, true>(simd, &patch, channel, S::F32_LANES, &mut out);
            channel += S::F32_LANES;
        }
        if channel < channels {
            let rest = channels - channel;
            gather_vector::<S, G, P, T, false>(simd, &patch, channel, rest, &mut out);
        }
        out.first += of_position;
        positions.advance(&mut at);
    }
}

/// Numbers of terms, `plane` apart, from `first` on.
struct Planes<'a> {
    values: &'a mut [f32],
    first: usize,
    plane: usize,
}

/// Writes the terms of a vector of channels, or of the `count` last channels.
#[inline(always)]
fn gather_vector<S: Simd, G: Terms<P, T>, const P: usize, const T: usize, const WHOLE: bool>(
    simd: S,
    patch: &[[&[f32]; P]; P],
    channel: usize,
    count: usize,
    out: &mut Planes<'_>,
) {
    let mut rows = [[simd.splat_f32s(0.0); P]; T];
    for j in 0..P {
        let mut pixels = [simd.splat_f32s(0.0); P];
        for i in 0..P {
            pixels[i] = load::<S, WHOLE>(simd, &patch[i][j][channel..channel + count]);
        }
        let terms = G::terms(simd, pixels);
        for t in 0..T {
            rows[t][j] = terms[t];
        }
    }
    for s in 0..T {
        let terms = G::terms(simd, rows[s]);
        for t in 0..T {
            let start = out.first + (s * T + t) * out.plane + channel;
            store::<S, WHOLE>(simd, terms[t], &mut out.values[start..start + count]);
        }
    }
}

/// Writes the pixels around every `step`th pixel, `[positions, 3, 3, channels]`.
fn copy_around(step: usize, images: Images<'_>, positions: Positions, out: &mut [f32]) {
    let Images { values, size: [height, width, channels] } = images;
    let mut at = positions.start();
    for out in out.chunks_exact_mut(9 * channels).take(positions.count) {
        let [image, row, column] = at;
        // Column x - 1 is the first one of the three.
        let x = column * step;
        let (before, after) = (usize::from(x == 0), usize::from(x + 1 == width));
        for (i, out) in out.chunks_exact_mut(3 * channels).enumerate() {
            let y = (row * step + i).wrapping_sub(1);
            if y >= height {
                out.fill(0.0);
                continue;
            }
            let start = ((image * height + y) * width + x + before - 1) * channels;
            let inside = &mut out[before * channels..(3 - after) * channels];
            inside.copy_from_slice(&values[start..start + inside.len()]);
            out[..before * channels].fill(0.0);
            out[(3 - after) * channels..].fill(0.0);
        }
        positions.advance(&mut at);
    }
}

/// Writes the pixels that products `[terms, positions, channels]` give, plus the bias, to images
/// `[images, height, width, channels]`. Terms are [`Positions::plane`] numbers apart.
pub fn scatter(
    arch: Arch,
    scatter: Scatter,
    products: &[f32],
    bias: Option<&[f32]>,
    positions: Positions,
    out: &mut [f32],
    size: [usize; 3],
) {
    arch.dispatch(ScatterCall { scatter, products, bias, positions, out, size });
}

struct ScatterCall<'a> {
    scatter: Scatter,
    products: &'a [f32],
    bias: Option<&'a [f32]>,
    positions: Positions,
    out: &'a mut [f32],
    size: [usize; 3],
}

impl WithSimd for ScatterCall<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.scatter {
            Scatter::Winograd => scatter_by::<S, WinogradPixels, 4>(simd, self),
            Scatter::Doubled => scatter_by::<S, DoubledPixels, 3>(simd, self),
            Scatter::HalvedBack => scatter_by::<S, HalvedBackPixels, 3>(simd, self),
        }
    }
}

/// Two pixels of `T` products, along one axis.
trait Pixels<const T: usize> {
    fn pixels<S: Simd>(simd: S, products: [S::f32s; T]) -> [S::f32s; 2];
}

struct WinogradPixels;

impl Pixels<4> for WinogradPixels {
    #[inline(always)]
    fn pixels<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        [simd.add_f32s(a, simd.add_f32s(b, c)), simd.sub_f32s(simd.sub_f32s(b, c), d)]
    }
}

struct DoubledPixels;

impl Pixels<3> for DoubledPixels {
    #[inline(always)]
    fn pixels<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 2] {
        [simd.add_f32s(a, b), simd.add_f32s(b, c)]
    }
}

struct HalvedBackPixels;

impl Pixels<3> for HalvedBackPixels {
    #[inline(always)]
    fn pixels<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 2] {
        [a, simd.add_f32s(b, c)]
    }
}

#[inline(always)]
fn scatter_by<S: Simd, G: Pixels<T>, const T: usize>(simd: S, mut call: ScatterCall<'_>) {
    let (positions, channels) = (call.positions, call.size[2]);
    let mut at = positions.start();
    for position in 0..positions.count {
        let first = position * channels;
        let mut channel = 0;
        while channel + S::F32_LANES <= channels {
            let place = (at, first, channel, S::F32_LANES);
            scatter_vector::<S, G, T, true>(simd, &mut call, place);
            channel += S::F32_LANES;
        }
        if channel < channels {
            let place = (at, first, channel, channels - channel);
            scatter_vector::<S, G, T, false>(simd, &mut call, place);
        }
        positions.advance(&mut at);
    }
}

/// Writes a vector of channels, or the `count` last channels, of two by two pixels.
#[inline(always)]
fn scatter_vector<S: Simd, G: Pixels<T>, const T: usize, const WHOLE: bool>(
    simd: S,
    call: &mut ScatterCall<'_>,
    ([image, row, column], first, channel, count): ([usize; 3], usize, usize, usize),
) {
    let [height, width, channels] = call.size;
    let plane = call.positions.plane(channels);
    let start = match call.bias {
        Some(bias) => load::<S, WHOLE>(simd, &bias[channel..channel + count]),
        None => simd.splat_f32s(0.0),
    };
    let mut rows = [[simd.splat_f32s(0.0); T]; 2];
    for t in 0..T {
        let mut column = [simd.splat_f32s(0.0); T];
        for s in 0..T {
            let at = (s * T + t) * plane + first + channel;
            column[s] = load::<S, WHOLE>(simd, &call.products[at..at + count]);
        }
        let pixels = G::pixels(simd, column);
        for i in 0..2 {
            rows[i][t] = pixels[i];
        }
    }
    for i in 0..2 {
        let pixels = G::pixels(simd, rows[i]);
        let y = 2 * row + i;
        for j in 0..2 {
            let x = 2 * column + j;
            // Of an odd size, the last position has one pixel.
            if y < height && x < width {
                let at = ((image * height + y) * width + x) * channels + channel;
                let value = simd.add_f32s(pixels[j], start);
                store::<S, WHOLE>(simd, value, &mut call.out[at..at + count]);
            }
        }
    }
}

/// Returns a vector of these numbers. If it is not `WHOLE`, there are fewer.
#[inline(always)]
fn load<S: Simd, const WHOLE: bool>(simd: S, from: &[f32]) -> S::f32s {
    if WHOLE { S::as_simd_f32s(from).0[0] } else { simd.partial_load_f32s(from) }
}

/// Stores a vector. If it is not `WHOLE`, there is room for fewer numbers.
#[inline(always)]
fn store<S: Simd, const WHOLE: bool>(simd: S, vector: S::f32s, to: &mut [f32]) {
    if WHOLE {
        S::as_mut_simd_f32s(to).0[0] = vector;
    } else {
        simd.partial_store_f32s(to, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::vector_instructions;

    fn wave(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn all_vector_instructions_give_the_same_bits() {
        // Two images of odd size; whole vectors, some numbers of one, and both.
        for channels in [1, 5, 16, 21] {
            let size = [5, 7, channels];
            let values = wave(2 * 5 * 7 * channels);
            let images = Images { values: &values, size };
            let all = |arch| {
                let mut all = Vec::new();
                for of in [
                    Gather::Winograd,
                    Gather::WinogradAdjoint,
                    Gather::Doubled,
                    Gather::DoubledAdjoint,
                    Gather::DoubledBack,
                    Gather::HalvedBack,
                ] {
                    // From the first image to the second.
                    let positions = Positions { grid: [3, 4], first: 5, count: 13 };
                    for summed in [false, true] {
                        let mut out = vec![0.0; 16 * positions.plane(channels)];
                        gather(arch, of, summed, images, positions, &mut out);
                        all.push(out);
                    }
                }
                for by in [Scatter::Winograd, Scatter::Doubled, Scatter::HalvedBack] {
                    let positions = Positions { grid: [3, 4], first: 0, count: 24 };
                    let products = wave(16 * positions.plane(channels));
                    for bias in [None, Some(&values[..channels])] {
                        let mut out = vec![0.0; values.len()];
                        scatter(arch, by, &products, bias, positions, &mut out, size);
                        all.push(out);
                    }
                }
                all
            };
            let expected = all(Arch::new());
            assert!(expected.iter().all(|values| values.iter().any(|x| *x != 0.0)));
            for arch in vector_instructions() {
                assert!(all(arch) == expected, "{arch:?} {channels}");
            }
        }
    }
}
