//! Products of matrices in host memory, with vector instructions chosen at run time.
//!
//! A tile of the product stays in registers. Factors are read where they are, the right one in blocks
//! that stay in the first cache; only a transposed one is copied, block by block. Loops are written out, without iterators and
//! closures: what the compiler does not inline is compiled without the vector instructions, and the
//! sums then leave their registers at every call.
#![allow(clippy::needless_range_loop, clippy::manual_memcpy, clippy::too_many_arguments)]

use pulp::{Arch, Simd, WithSimd};

/// Rows of a tile.
const ROWS: usize = 8;
/// Vectors in a row of a tile.
const VECTORS: usize = 3;
/// Terms of the sums that are added before the next block of the right factor.
const TERMS: usize = 128;
/// Numbers in the longest vector of any machine.
const LONGEST: usize = 16;
/// Numbers in a block of the right factor.
const BLOCK: usize = TERMS * VECTORS * LONGEST;

/// A left factor `[rows, terms]`.
#[derive(Clone, Copy, Debug)]
pub enum Left<'a> {
    /// Stored row by row.
    Rows(&'a [f32]),
    /// Stored term by term, with this many rows: the transpose of a matrix. Starts at the first row.
    Columns(&'a [f32], usize),
}

/// A right factor `[terms, columns]`.
#[derive(Clone, Copy, Debug)]
pub enum Right<'a> {
    /// Stored term by term.
    Rows(&'a [f32]),
    /// Stored column by column: the transpose of a matrix. It is transposed block by block, which
    /// pays for many rows.
    Columns(&'a [f32]),
    /// Stored column by column, read where it is: for few rows.
    Dots(&'a [f32]),
}

/// What the sums of a product start with.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Zero.
    Zero,
    /// The same row `[columns]` for all rows.
    Row(&'a [f32]),
    /// What is there.
    Sum,
}

/// Fewest rows of a product for which it pays to transpose the right factor.
const TRANSPOSE: usize = 24;

impl<'a> Right<'a> {
    /// Returns a right factor that is stored column by column, `terms` numbers each, for a product
    /// of `rows` rows in all.
    pub fn columns(values: &'a [f32], terms: usize, rows: usize) -> Self {
        if rows < TRANSPOSE && terms >= 2 * LONGEST {
            Self::Dots(values)
        } else {
            Self::Columns(values)
        }
    }
}

/// Writes left `[rows, terms]` times right `[terms, columns]`, plus what `start` says, to `out`
/// `[rows, columns]`.
pub fn product(
    arch: Arch,
    left: Left<'_>,
    right: Right<'_>,
    start: Start<'_>,
    [terms, columns]: [usize; 2],
    out: &mut [f32],
) {
    let rows = out.len() / columns;
    let (right, transposed) = match (left, right) {
        (Left::Rows(left), Right::Dots(right)) if matches!(start, Start::Zero) => {
            return arch.dispatch(Dots { left, right, terms, out });
        }
        (_, Right::Rows(right)) => (right, false),
        (_, Right::Columns(right) | Right::Dots(right)) => (right, true),
    };
    match left {
        Left::Rows(values) => {
            let left = RowsOf { values, terms };
            arch.dispatch(Product { left, right, transposed, start, rows, terms, columns, out });
        }
        Left::Columns(values, stride) => {
            let left = ColumnsOf { values, stride };
            arch.dispatch(Product { left, right, transposed, start, rows, terms, columns, out });
        }
    }
}

/// A left factor whose elements are read for some rows and one term.
trait Factor: Copy {
    type Tile<'a, const M: usize>: Tile<M>
    where
        Self: 'a;
    /// Returns `M` rows from `row` on, terms `first..first + n`.
    fn tile<'a, const M: usize>(&'a self, row: usize, first: usize, n: usize) -> Self::Tile<'a, M>;
}

trait Tile<const M: usize> {
    fn at(&self, term: usize, m: usize) -> f32;
}

#[derive(Clone, Copy)]
struct RowsOf<'a> {
    values: &'a [f32],
    terms: usize,
}

struct RowTile<'a, const M: usize>([&'a [f32]; M]);

impl Factor for RowsOf<'_> {
    type Tile<'a, const M: usize>
        = RowTile<'a, M>
    where
        Self: 'a;

    #[inline(always)]
    fn tile<'a, const M: usize>(&'a self, row: usize, first: usize, n: usize) -> RowTile<'a, M> {
        let mut rows: [&[f32]; M] = [&[]; M];
        for m in 0..M {
            let start = (row + m) * self.terms + first;
            rows[m] = &self.values[start..start + n];
        }
        RowTile(rows)
    }
}

impl<const M: usize> Tile<M> for RowTile<'_, M> {
    #[inline(always)]
    fn at(&self, term: usize, m: usize) -> f32 {
        self.0[m][term]
    }
}

#[derive(Clone, Copy)]
struct ColumnsOf<'a> {
    values: &'a [f32],
    stride: usize,
}

struct ColumnTile<'a, const M: usize> {
    values: &'a [f32],
    stride: usize,
}

impl Factor for ColumnsOf<'_> {
    type Tile<'a, const M: usize>
        = ColumnTile<'a, M>
    where
        Self: 'a;

    #[inline(always)]
    fn tile<'a, const M: usize>(&'a self, row: usize, first: usize, _: usize) -> ColumnTile<'a, M> {
        ColumnTile { values: &self.values[first * self.stride + row..], stride: self.stride }
    }
}

impl<const M: usize> Tile<M> for ColumnTile<'_, M> {
    #[inline(always)]
    fn at(&self, term: usize, m: usize) -> f32 {
        self.values[term * self.stride..][..M][m]
    }
}

/// Where a tile is: its first column, numbers in its last vector, and its terms.
#[derive(Clone, Copy)]
struct At {
    column: usize,
    last: usize,
    first: usize,
    terms: usize,
}

struct Product<'a, L> {
    left: L,
    right: &'a [f32],
    /// Whether `right` is stored column by column.
    transposed: bool,
    start: Start<'a>,
    rows: usize,
    terms: usize,
    columns: usize,
    out: &'a mut [f32],
}

impl<L: Factor> WithSimd for Product<'_, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let mut block = [0.0; BLOCK];
        let mut column = 0;
        while column < self.columns {
            let left = self.columns - column;
            if left >= VECTORS * lanes {
                self.panel::<S, VECTORS>(simd, column, lanes, &mut block);
                column += VECTORS * lanes;
            } else if left >= 2 * lanes {
                self.panel::<S, 2>(simd, column, lanes, &mut block);
                column += 2 * lanes;
            } else if left >= lanes {
                self.panel::<S, 1>(simd, column, lanes, &mut block);
                column += lanes;
            } else {
                self.panel::<S, 1>(simd, column, left, &mut block);
                column = self.columns;
            }
        }
    }
}

impl<L: Factor> Product<'_, L> {
    /// Computes `N` vectors of columns. The last has `last` numbers.
    #[inline(always)]
    fn panel<S: Simd, const N: usize>(
        &mut self,
        simd: S,
        column: usize,
        last: usize,
        block: &mut [f32; BLOCK],
    ) {
        let width = (N - 1) * S::F32_LANES + last;
        let mut first = 0;
        loop {
            let terms = TERMS.min(self.terms - first);
            let (right, stride) = if self.transposed {
                let from = &self.right[column * self.terms + first..];
                transpose(from, self.terms, terms, width, block);
                (&block[..], width)
            } else {
                (&self.right[first * self.columns + column..], self.columns)
            };
            let at = At { column, last, first, terms };
            let mut row = 0;
            while row < self.rows {
                let left = self.rows - row;
                if left >= ROWS && S::F32_LANES == 16 {
                    self.tile::<S, ROWS, N>(simd, row, at, right, stride);
                    row += ROWS;
                } else if left >= 4 {
                    self.tile::<S, 4, N>(simd, row, at, right, stride);
                    row += 4;
                } else if left >= 3 {
                    self.tile::<S, 3, N>(simd, row, at, right, stride);
                    row += 3;
                } else if left >= 2 {
                    self.tile::<S, 2, N>(simd, row, at, right, stride);
                    row += 2;
                } else {
                    self.tile::<S, 1, N>(simd, row, at, right, stride);
                    row += 1;
                }
            }
            first += terms;
            if first >= self.terms {
                return;
            }
        }
    }

    /// Adds `terms` terms of `M` rows and `N` vectors of columns to the product.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        At { column, last, first, terms }: At,
        right: &[f32],
        stride: usize,
    ) {
        let lanes = S::F32_LANES;
        let width = (N - 1) * lanes + last;
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        let start = if first > 0 { Start::Sum } else { self.start };
        match start {
            Start::Zero => {}
            Start::Row(row) => sums = [load::<S, N>(simd, &row[column..column + width]); M],
            Start::Sum => {
                for m in 0..M {
                    let at = (row + m) * self.columns + column;
                    sums[m] = load::<S, N>(simd, &self.out[at..at + width]);
                }
            }
        }
        let left = self.left.tile::<M>(row, first, terms);
        if last == lanes {
            for k in 0..terms {
                let (from, _) = S::as_simd_f32s(&right[k * stride..][..N * lanes]);
                let mut x = [simd.splat_f32s(0.0); N];
                for n in 0..N {
                    x[n] = from[n];
                }
                for m in 0..M {
                    let factor = simd.splat_f32s(left.at(k, m));
                    for n in 0..N {
                        sums[m][n] = simd.mul_add_f32s(factor, x[n], sums[m][n]);
                    }
                }
            }
        } else {
            for k in 0..terms {
                let x = load::<S, N>(simd, &right[k * stride..][..width]);
                for m in 0..M {
                    let factor = simd.splat_f32s(left.at(k, m));
                    for n in 0..N {
                        sums[m][n] = simd.mul_add_f32s(factor, x[n], sums[m][n]);
                    }
                }
            }
        }
        for m in 0..M {
            let at = (row + m) * self.columns + column;
            store::<S, N>(simd, &sums[m], &mut self.out[at..at + width]);
        }
    }
}

/// Returns `N` vectors; the last may be shorter.
#[inline(always)]
fn load<S: Simd, const N: usize>(simd: S, from: &[f32]) -> [S::f32s; N] {
    let mut vectors = [simd.splat_f32s(0.0); N];
    let (whole, rest) = S::as_simd_f32s(from);
    if rest.is_empty() {
        for n in 0..N {
            vectors[n] = whole[n];
        }
    } else {
        for n in 0..N - 1 {
            vectors[n] = whole[n];
        }
        vectors[N - 1] = simd.partial_load_f32s(rest);
    }
    vectors
}

/// Stores `N` vectors; the last may be shorter.
#[inline(always)]
fn store<S: Simd, const N: usize>(simd: S, vectors: &[S::f32s; N], to: &mut [f32]) {
    let (whole, rest) = S::as_mut_simd_f32s(to);
    if rest.is_empty() {
        for n in 0..N {
            whole[n] = vectors[n];
        }
    } else {
        for n in 0..N - 1 {
            whole[n] = vectors[n];
        }
        simd.partial_store_f32s(rest, vectors[N - 1]);
    }
}

/// Writes the first `terms` numbers of `width` rows of `from`, `stride` apart, to the columns of `to`
/// `[terms, width]`.
#[inline(always)]
fn transpose(from: &[f32], stride: usize, terms: usize, width: usize, to: &mut [f32; BLOCK]) {
    // Small squares stay in registers.
    const SIDE: usize = 4;
    let (whole_rows, whole_terms) = (width - width % SIDE, terms - terms % SIDE);
    for row in (0..whole_rows).step_by(SIDE) {
        for term in (0..whole_terms).step_by(SIDE) {
            let mut square = [[0.0; SIDE]; SIDE];
            for i in 0..SIDE {
                let from = &from[(row + i) * stride + term..][..SIDE];
                for j in 0..SIDE {
                    square[j][i] = from[j];
                }
            }
            for j in 0..SIDE {
                let to = &mut to[(term + j) * width + row..][..SIDE];
                for i in 0..SIDE {
                    to[i] = square[j][i];
                }
            }
        }
    }
    for row in 0..width {
        let done = if row < whole_rows { whole_terms } else { 0 };
        for term in done..terms {
            to[term * width + row] = from[row * stride + term];
        }
    }
}

/// Computes left times the transpose of right as dot products, without a copy.
struct Dots<'a> {
    left: &'a [f32],
    right: &'a [f32],
    terms: usize,
    out: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Rows that stay in the first cache meet all columns.
        let rows = self.left.len() / self.terms;
        let mut row = 0;
        while row < rows {
            let left = rows - row;
            if left >= ROWS && S::F32_LANES == 16 {
                self.row::<S, ROWS>(simd, row);
                row += ROWS;
            } else if left >= 4 {
                self.row::<S, 4>(simd, row);
                row += 4;
            } else if left >= 2 {
                self.row::<S, 2>(simd, row);
                row += 2;
            } else {
                self.row::<S, 1>(simd, row);
                row += 1;
            }
        }
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn row<S: Simd, const M: usize>(&mut self, simd: S, row: usize) {
        let columns = self.right.len() / self.terms;
        let mut column = 0;
        while column < columns {
            if columns - column >= VECTORS {
                self.tile::<S, M, VECTORS>(simd, row, column, columns);
                column += VECTORS;
            } else {
                self.tile::<S, M, 1>(simd, row, column, columns);
                column += 1;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        columns: usize,
    ) {
        let whole = self.terms / S::F32_LANES;
        let mut left: [&[f32]; M] = [&[]; M];
        let mut left_whole: [&[S::f32s]; M] = [&[]; M];
        for m in 0..M {
            left[m] = &self.left[(row + m) * self.terms..][..self.terms];
            left_whole[m] = &S::as_simd_f32s(left[m]).0[..whole];
        }
        let mut right: [&[f32]; N] = [&[]; N];
        let mut right_whole: [&[S::f32s]; N] = [&[]; N];
        for n in 0..N {
            right[n] = &self.right[(column + n) * self.terms..][..self.terms];
            right_whole[n] = &S::as_simd_f32s(right[n]).0[..whole];
        }
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        for k in 0..whole {
            let mut x = [simd.splat_f32s(0.0); N];
            for n in 0..N {
                x[n] = right_whole[n][k];
            }
            for m in 0..M {
                for n in 0..N {
                    sums[m][n] = simd.mul_add_f32s(left_whole[m][k], x[n], sums[m][n]);
                }
            }
        }
        if whole * S::F32_LANES < self.terms {
            let first = whole * S::F32_LANES;
            let mut x = [simd.splat_f32s(0.0); N];
            for n in 0..N {
                x[n] = simd.partial_load_f32s(&right[n][first..]);
            }
            for m in 0..M {
                let factor = simd.partial_load_f32s(&left[m][first..]);
                for n in 0..N {
                    sums[m][n] = simd.mul_add_f32s(factor, x[n], sums[m][n]);
                }
            }
        }
        for m in 0..M {
            for n in 0..N {
                self.out[(row + m) * columns + column + n] = simd.reduce_sum_f32s(sums[m][n]);
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

    fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
        let rows = values.len() / columns;
        (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect()
    }

    #[test]
    fn products_are_the_sums_of_the_definition_with_all_vector_instructions() {
        for [rows, terms, columns] in
            [[1, 1, 1], [3, 7, 5], [8, 128, 48], [15, 129, 49], [9, 33, 23], [26, 300, 95]]
        {
            let (left, right) = (wave(rows * terms, 0.1), wave(terms * columns, 0.5));
            let start = wave(columns, 0.9);
            let (left_columns, right_columns) =
                (transposed(&left, terms), transposed(&right, columns));
            let sum = |row: usize, column: usize| -> f64 {
                let term = |k: usize| {
                    f64::from(left[row * terms + k]) * f64::from(right[k * columns + column])
                };
                (0..terms).map(term).sum()
            };
            for arch in vector_instructions() {
                for left in [Left::Rows(&left), Left::Columns(&left_columns, rows)] {
                    for right in [
                        Right::Rows(&right),
                        Right::Columns(&right_columns),
                        Right::Dots(&right_columns),
                    ] {
                        for start in [Start::Zero, Start::Row(&start), Start::Sum] {
                            let there = if let Start::Sum = start { 0.3 } else { f32::NAN };
                            let mut out = vec![there; rows * columns];
                            product(arch, left, right, start, [terms, columns], &mut out);
                            for (i, found) in out.iter().enumerate() {
                                let (row, column) = (i / columns, i % columns);
                                let start = f64::from(match start {
                                    Start::Zero => 0.0,
                                    Start::Row(row) => row[column],
                                    Start::Sum => there,
                                });
                                let error = (f64::from(*found) - sum(row, column) - start).abs();
                                assert!(error < 1e-4, "{arch:?} {rows} {terms} {columns}: {error}");
                            }
                        }
                    }
                }
            }
        }
    }
}
