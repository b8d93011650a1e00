//! The second step's factors: combinations of a convolution's weights, and back.
#![allow(clippy::needless_range_loop)]

use pulp::{Arch, Simd, WithSimd};

use super::method::Method;

/// Kernels that are handled together. Vectors of any machine divide it.
const LANES: usize = 16;

/// Which channels are the rows of the factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those of the image.
    Before,
    /// Those of the output.
    After,
}

impl Method {
    /// Returns the factors `[terms, rows, columns]`, for weights `[after, before, 3, 3]`.
    pub fn factors(&self, weights: &[f32], [after, before]: [usize; 2], of: Rows) -> Vec<f32> {
        let (rows, columns) = match of {
            Rows::Before => (before, after),
            Rows::After => (after, before),
        };
        let arch = Arch::new();
        let mut factors = vec![0.0; self.terms() * rows * columns];
        for row in 0..rows {
            for first in (0..columns).step_by(LANES) {
                let count = LANES.min(columns - first);
                let kernel = |i: usize| match of {
                    Rows::Before => (first + i) * before + row,
                    Rows::After => row * before + first + i,
                };
                let mut kernels = [[0.0; LANES]; 9];
                for i in 0..count {
                    let kernel = &weights[kernel(i) * 9..][..9];
                    for k in 0..9 {
                        kernels[k][i] = kernel[k];
                    }
                }
                let to = &mut factors[row * columns + first..];
                let (of, plane) = (self.weights, rows * columns);
                arch.dispatch(Combine { of, kernels: &kernels, to, plane, count });
            }
        }
        factors
    }

    /// Returns the gradient of the weights `[after, before, 3, 3]`, for that of the factors
    /// `[terms, before, after]`.
    pub fn weight_gradient(&self, factors: &[f32], [after, before]: [usize; 2]) -> Vec<f32> {
        let arch = Arch::new();
        let mut weights = vec![0.0; after * before * 9];
        for row in 0..before {
            for first in (0..after).step_by(LANES) {
                let count = LANES.min(after - first);
                let mut kernels = [[0.0; LANES]; 9];
                let (of, plane) = (self.weights, before * after);
                let from = &factors[row * after + first..];
                arch.dispatch(Separate { of, from, plane, count, kernels: &mut kernels });
                for i in 0..count {
                    let kernel = &mut weights[((first + i) * before + row) * 9..][..9];
                    for k in 0..9 {
                        kernel[k] = kernels[k][i];
                    }
                }
            }
        }
        weights
    }
}

/// Writes the combinations of `count` kernels, those of a term `plane` numbers after those before.
struct Combine<'a> {
    of: &'static [[f32; 3]],
    kernels: &'a [[f32; LANES]; 9],
    to: &'a mut [f32],
    plane: usize,
    count: usize,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, kernels, to, plane, count } = self;
        let zero = simd.splat_f32s(0.0);
        for first in (0..count).step_by(S::F32_LANES) {
            let end = count.min(first + S::F32_LANES);
            let mut kernel = [zero; 9];
            for k in 0..9 {
                kernel[k] = S::as_simd_f32s(&kernels[k][first..first + S::F32_LANES]).0[0];
            }
            for s in 0..of.len() {
                let mut row = [zero; 3];
                for b in 0..3 {
                    for a in 0..3 {
                        let factor = simd.splat_f32s(of[s][a]);
                        row[b] = simd.mul_add_f32s(factor, kernel[a * 3 + b], row[b]);
                    }
                }
                for t in 0..of.len() {
                    let mut sum = zero;
                    for b in 0..3 {
                        sum = simd.mul_add_f32s(simd.splat_f32s(of[t][b]), row[b], sum);
                    }
                    let start = (s * of.len() + t) * plane;
                    simd.partial_store_f32s(&mut to[start + first..start + end], sum);
                }
            }
        }
    }
}

/// The adjoint of [`Combine`].
struct Separate<'a> {
    of: &'static [[f32; 3]],
    from: &'a [f32],
    plane: usize,
    count: usize,
    kernels: &'a mut [[f32; LANES]; 9],
}

impl WithSimd for Separate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, from, plane, count, kernels } = self;
        let zero = simd.splat_f32s(0.0);
        for first in (0..count).step_by(S::F32_LANES) {
            let end = count.min(first + S::F32_LANES);
            let mut kernel = [zero; 9];
            for s in 0..of.len() {
                let mut row = [zero; 3];
                for t in 0..of.len() {
                    let start = (s * of.len() + t) * plane;
                    let factor = simd.partial_load_f32s(&from[start + first..start + end]);
                    for b in 0..3 {
                        row[b] = simd.mul_add_f32s(simd.splat_f32s(of[t][b]), factor, row[b]);
                    }
                }
                for a in 0..3 {
                    let factor = simd.splat_f32s(of[s][a]);
                    for b in 0..3 {
                        kernel[a * 3 + b] = simd.mul_add_f32s(factor, row[b], kernel[a * 3 + b]);
                    }
                }
            }
            for k in 0..9 {
                let to = &mut kernels[k][first..first + S::F32_LANES];
                S::as_mut_simd_f32s(to).0[0] = kernel[k];
            }
        }
    }
}
