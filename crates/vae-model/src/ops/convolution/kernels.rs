//! The inner loops of a convolution, with vector instructions chosen at run time.
//!
//! Loops here are written out, without iterators, closures and copies of slices: what the compiler
//! does not inline is compiled without the vector instructions, and the sums then leave their
//! registers at every call, which makes a loop many times slower.
#![allow(clippy::needless_range_loop, clippy::manual_memcpy)]

use pulp::{Arch, Simd, WithSimd};

/// Pixels that are handled together. Vectors of any machine divide it.
pub const WIDE: usize = 16;
/// Groups of [`WIDE`] pixels in a panel.
pub const GROUPS: usize = 3;
/// Pixels of a panel.
pub const PANEL: usize = GROUPS * WIDE;
/// Rows of a matrix that are handled together.
pub const ROWS: usize = 8;
/// Columns of a weight gradient that are handled together.
pub const COLUMNS: usize = 3;

/// The sums of a panel: for each of some rows, one number per pixel.
pub type Tile = [[f32; PANEL]; ROWS];

/// Adds to each of a tile's sums: sum_k weights[k][row] * panel[k][pixel].
pub fn multiply(arch: Arch, weights: &[[f32; ROWS]], panel: &[[f32; PANEL]], tile: &mut Tile) {
    arch.dispatch(Multiply { weights, panel, tile });
}

struct Multiply<'a> {
    weights: &'a [[f32; ROWS]],
    panel: &'a [[f32; PANEL]],
    tile: &'a mut Tile,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums as the registers hold, with room for a row of the panel and a weight.
        match S::F32_LANES {
            16 => multiply_block::<S, 8, 3>(simd, self),
            8 => multiply_block::<S, 4, 3>(simd, self),
            _ => multiply_block::<S, 4, 2>(simd, self),
        }
    }
}

/// Computes a tile, `M` rows and `N` vectors at a time.
#[inline(always)]
fn multiply_block<S: Simd, const M: usize, const N: usize>(simd: S, a: Multiply<'_>) {
    let width = N * S::F32_LANES;
    let panel = &a.panel[..a.weights.len()];
    for row in (0..ROWS).step_by(M) {
        for pixel in (0..PANEL).step_by(width) {
            let mut sums = [[simd.splat_f32s(0.0); N]; M];
            for m in 0..M {
                let (from, _) = S::as_simd_f32s(&a.tile[row + m][pixel..pixel + width]);
                for n in 0..N {
                    sums[m][n] = from[n];
                }
            }
            for k in 0..panel.len() {
                let (from, _) = S::as_simd_f32s(&panel[k][pixel..pixel + width]);
                let mut x = [simd.splat_f32s(0.0); N];
                for n in 0..N {
                    x[n] = from[n];
                }
                for m in 0..M {
                    let weight = simd.splat_f32s(a.weights[k][row + m]);
                    for n in 0..N {
                        sums[m][n] = simd.mul_add_f32s(weight, x[n], sums[m][n]);
                    }
                }
            }
            for m in 0..M {
                let (to, _) = S::as_mut_simd_f32s(&mut a.tile[row + m][pixel..pixel + width]);
                for n in 0..N {
                    to[n] = sums[m][n];
                }
            }
        }
    }
}

vectorized! {
    /// Fills a panel. `runs` are positions in a row of the panel and in the values from `starts[k]`
    /// on, in order. None is longer than `longest` or a group. A copy may be longer than its run: the
    /// next one overwrites what is too much, and after the panel is room for a group.
    pub fn pack<'a>(
        values: &'a [f32],
        starts: &'a [usize],
        runs: &'a [[usize; 2]],
        longest: usize,
        panel: &'a mut [f32],
    ) {
        match longest {
            0..=4 => pack_runs::<4>(values, starts, runs, panel),
            5..=8 => pack_runs::<8>(values, starts, runs, panel),
            _ => pack_runs::<WIDE>(values, starts, runs, panel),
        }
    }
}

#[inline(always)]
fn pack_runs<const LENGTH: usize>(
    values: &[f32],
    starts: &[usize],
    runs: &[[usize; 2]],
    panel: &mut [f32],
) {
    for k in 0..starts.len() {
        let from = &values[starts[k]..];
        let to = &mut panel[k * PANEL..(k + 1) * PANEL + WIDE];
        for &[at, position] in runs {
            let to = &mut to[at..at + LENGTH];
            let from = &from[position..position + LENGTH];
            for i in 0..LENGTH {
                to[i] = from[i];
            }
        }
    }
}

/// Returns bias plus what [`multiply`] adds, for at most `rows` rows, without a panel: pixel j of group
/// n is at `values[starts[k] + positions[n] + j]`. Rows beyond `rows` mean nothing.
pub fn multiply_in_place(
    arch: Arch,
    rows: usize,
    weights: &[[f32; ROWS]],
    bias: &[f32; ROWS],
    source: Source<'_>,
) -> Tile {
    arch.dispatch(MultiplyInPlace { rows, weights, bias, source })
}

/// Pixels that are read where they are.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub values: &'a [f32],
    pub starts: &'a [usize],
    pub positions: [usize; GROUPS],
}

struct MultiplyInPlace<'a> {
    rows: usize,
    weights: &'a [[f32; ROWS]],
    bias: &'a [f32; ROWS],
    source: Source<'a>,
}

impl WithSimd for MultiplyInPlace<'_> {
    type Output = Tile;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Tile {
        let mut tile = [[0.0; PANEL]; ROWS];
        match self.rows {
            1 => multiply_rows::<S, 1>(simd, 0, &self, &mut tile),
            2 => multiply_rows::<S, 2>(simd, 0, &self, &mut tile),
            3 => multiply_rows::<S, 3>(simd, 0, &self, &mut tile),
            4 => multiply_rows::<S, 4>(simd, 0, &self, &mut tile),
            6 if S::F32_LANES == 16 => multiply_rows::<S, 6>(simd, 0, &self, &mut tile),
            _ if S::F32_LANES == 16 => multiply_rows::<S, ROWS>(simd, 0, &self, &mut tile),
            _ => {
                multiply_rows::<S, 4>(simd, 0, &self, &mut tile);
                multiply_rows::<S, 4>(simd, 4, &self, &mut tile);
            }
        }
        tile
    }
}

/// Computes `M` rows of a tile from `row` on.
#[inline(always)]
fn multiply_rows<S: Simd, const M: usize>(
    simd: S,
    row: usize,
    a: &MultiplyInPlace<'_>,
    tile: &mut Tile,
) {
    let Source { values, starts, positions } = a.source;
    for pixel in (0..WIDE).step_by(S::F32_LANES) {
        let mut sums = [[simd.splat_f32s(0.0); GROUPS]; M];
        for m in 0..M {
            sums[m] = [simd.splat_f32s(a.bias[row + m]); GROUPS];
        }
        for k in 0..a.weights.len() {
            let values = &values[starts[k] + pixel..];
            let mut x = [simd.splat_f32s(0.0); GROUPS];
            for n in 0..GROUPS {
                let from = &values[positions[n]..positions[n] + S::F32_LANES];
                x[n] = S::as_simd_f32s(from).0[0];
            }
            for m in 0..M {
                let weight = simd.splat_f32s(a.weights[k][row + m]);
                for n in 0..GROUPS {
                    sums[m][n] = simd.mul_add_f32s(weight, x[n], sums[m][n]);
                }
            }
        }
        for (tile, sums) in tile[row..].iter_mut().zip(&sums) {
            for (group, sum) in tile.chunks_exact_mut(WIDE).zip(sums) {
                let (to, _) = S::as_mut_simd_f32s(&mut group[pixel..pixel + S::F32_LANES]);
                to[0] = *sum;
            }
        }
    }
}

/// Returns the dot products of each of `g` with each of `x`. All have the same length, a multiple
/// of [`WIDE`].
pub fn dots(arch: Arch, g: [&[f32]; ROWS], x: [&[f32]; COLUMNS]) -> [[f32; COLUMNS]; ROWS] {
    arch.dispatch(Dots { g, x })
}

struct Dots<'a> {
    g: [&'a [f32]; ROWS],
    x: [&'a [f32]; COLUMNS],
}

impl WithSimd for Dots<'_> {
    type Output = [[f32; COLUMNS]; ROWS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let mut dots = [[0.0; COLUMNS]; ROWS];
        match S::F32_LANES {
            16 => dots_block::<S, 8>(simd, &self, &mut dots),
            _ => dots_block::<S, 4>(simd, &self, &mut dots),
        }
        dots
    }
}

#[inline(always)]
fn dots_block<S: Simd, const M: usize>(simd: S, a: &Dots<'_>, dots: &mut [[f32; COLUMNS]; ROWS]) {
    let n = a.x[0].len() / S::F32_LANES;
    let mut x: [&[S::f32s]; COLUMNS] = [&[]; COLUMNS];
    for k in 0..COLUMNS {
        x[k] = &S::as_simd_f32s(a.x[k]).0[..n];
    }
    for row in (0..ROWS).step_by(M) {
        let mut g: [&[S::f32s]; M] = [&[]; M];
        for m in 0..M {
            g[m] = &S::as_simd_f32s(a.g[row + m]).0[..n];
        }
        let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; M];
        for i in 0..n {
            let mut at = [simd.splat_f32s(0.0); COLUMNS];
            for k in 0..COLUMNS {
                at[k] = x[k][i];
            }
            for m in 0..M {
                for k in 0..COLUMNS {
                    sums[m][k] = simd.mul_add_f32s(g[m][i], at[k], sums[m][k]);
                }
            }
        }
        for m in 0..M {
            for k in 0..COLUMNS {
                dots[row + m][k] = simd.reduce_sum_f32s(sums[m][k]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::vector_instructions;

    fn wave(n: usize, phase: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37 + phase).sin()).collect()
    }

    #[test]
    fn products_are_the_sums_of_the_definition_with_all_vector_instructions() {
        const TAPS: usize = 7;
        let (weights, panel) = (wave(TAPS * ROWS, 0.1), wave(TAPS * PANEL, 0.5));
        let ((weights, _), bias) = (weights.as_chunks::<ROWS>(), [0.7; ROWS]);
        // Where the panel has its pixels, read in place.
        let starts: Vec<usize> = (0..TAPS).map(|k| k * PANEL).collect();
        let positions = [0, WIDE, 2 * WIDE];
        let source = Source { values: &panel, starts: &starts, positions };
        for arch in vector_instructions() {
            let mut tile = [[bias[0]; PANEL]; ROWS];
            multiply(arch, weights, panel.as_chunks().0, &mut tile);
            let in_place = [1, 2, 3, 4, 6, ROWS]
                .map(|rows| (rows, multiply_in_place(arch, rows, weights, &bias, source)));
            for row in 0..ROWS {
                for pixel in 0..PANEL {
                    let product = |k: usize| weights[k][row] * panel[k * PANEL + pixel];
                    let sum = bias[row] + (0..TAPS).map(product).sum::<f32>();
                    assert!((tile[row][pixel] - sum).abs() < 1e-5, "{arch:?}");
                    for (rows, tile) in &in_place {
                        let near = (tile[row][pixel] - sum).abs() < 1e-5;
                        assert!(near || row >= *rows, "{arch:?} {rows}");
                    }
                }
            }
        }
    }

    #[test]
    fn dot_products_are_the_sums_of_the_definition_with_all_vector_instructions() {
        let (g, x) = (wave(ROWS * 3 * WIDE, 0.1), wave(COLUMNS * 3 * WIDE, 0.5));
        let row = |values: &'_ [f32], i: usize| -> Vec<f32> {
            values[i * 3 * WIDE..(i + 1) * 3 * WIDE].to_vec()
        };
        let (g, x): (Vec<_>, Vec<_>) =
            ((0..ROWS).map(|m| row(&g, m)).collect(), (0..COLUMNS).map(|k| row(&x, k)).collect());
        for arch in vector_instructions() {
            let found = dots(
                arch,
                std::array::from_fn(|m| g[m].as_slice()),
                std::array::from_fn(|k| x[k].as_slice()),
            );
            for m in 0..ROWS {
                for k in 0..COLUMNS {
                    let sum: f32 = g[m].iter().zip(&x[k]).map(|(g, x)| g * x).sum();
                    assert!((found[m][k] - sum).abs() < 1e-5, "{arch:?}");
                }
            }
        }
    }
}
