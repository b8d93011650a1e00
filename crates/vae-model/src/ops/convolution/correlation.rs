//! The product of gradients and shifted images, summed over pixels: the gradient of the weights.

use pulp::Arch;
use rayon::prelude::*;

use super::kernels::{self, COLUMNS, ROWS, WIDE};
use super::planes::Planes;

/// Numbers of a row of gradients whose block stays in the first cache.
const NEAR: usize = 1024;

/// Adds to `found` `[rows, taps]` the products of gradients and images, summed over pixels and images.
/// `g` comes with the starts of its rows, `x` with those of its taps.
///
/// The zeros around images are multiplied too. Leaving them out needs a copy, which takes as long, even
/// for images of 4x4.
pub fn correlate(
    (g, rows): (&Planes, &[usize]),
    (x, taps): (&Planes, &[usize]),
    found: &mut [f32],
) {
    let arch = Arch::new();
    let end = g.geometry.plane();
    // Parts of about the same length: each has sums to be added up.
    let step = end.div_ceil(end.div_ceil(NEAR)).next_multiple_of(WIDE);
    if rows.len() <= COLUMNS {
        // Few rows: taps take the place of the eight.
        for first in (0..end).step_by(step) {
            let length = step.min(end - first);
            let of_g = std::array::from_fn(|m| {
                &g.values()[rows[m.min(rows.len() - 1)] + first..][..length]
            });
            for (group, starts) in taps.chunks(ROWS).enumerate() {
                let of_x = std::array::from_fn(|k| {
                    &x.values()[starts[k.min(starts.len() - 1)] + first..][..length]
                });
                let dots = kernels::dots(arch, of_x, of_g);
                for (k, dots) in (group * ROWS..taps.len()).zip(dots) {
                    for (found, dot) in found.chunks_exact_mut(taps.len()).zip(dots) {
                        found[k] += dot;
                    }
                }
            }
        }
        return;
    }
    let work = |(block, found): (usize, &mut [f32])| {
        for first in (0..end).step_by(step) {
            let length = step.min(end - first);
            let of_g = std::array::from_fn(|m| {
                let row = (block * ROWS + m).min(rows.len() - 1);
                &g.values()[rows[row] + first..][..length]
            });
            for (group, starts) in taps.chunks(COLUMNS).enumerate() {
                let of_x = std::array::from_fn(|k| {
                    &x.values()[starts[k.min(starts.len() - 1)] + first..][..length]
                });
                let dots = kernels::dots(arch, of_g, of_x);
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
