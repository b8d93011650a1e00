//! Results in host memory that threads share.

use rayon::prelude::*;

/// Returns a matrix of `rows` rows of `width`, and what `work` returns for each part of `part` rows.
/// `work` is called with memory that is kept between parts, the first row of a part, and the part,
/// which is zero and to be overwritten.
pub fn by_parts<T: Default + Send, R: Send>(
    [rows, width, part]: [usize; 3],
    work: impl Fn(&mut T, usize, &mut [f32]) -> R + Sync + Send,
) -> (Vec<f32>, Vec<R>) {
    if rayon::current_num_threads() == 1 {
        // Memory is cleared part by part, when it is needed in the cache anyway.
        let (mut out, mut results) = (Vec::with_capacity(rows * width), Vec::new());
        let mut scratch = T::default();
        for row in (0..rows).step_by(part) {
            out.resize((row + part).min(rows) * width, 0.0);
            results.push(work(&mut scratch, row, &mut out[row * width..]));
        }
        return (out, results);
    }
    let mut out = vec![0.0; rows * width];
    let results = overwrite_parts(&mut out, [rows, width, part], work);
    (out, results)
}

/// Calls `work` as [`by_parts`] does, with parts of a matrix that exists.
pub fn overwrite_parts<T: Default + Send, R: Send>(
    matrix: &mut [f32],
    [_, width, part]: [usize; 3],
    work: impl Fn(&mut T, usize, &mut [f32]) -> R + Sync + Send,
) -> Vec<R> {
    if rayon::current_num_threads() == 1 {
        let mut scratch = T::default();
        let parts = matrix.chunks_mut(part * width).enumerate();
        return parts.map(|(i, values)| work(&mut scratch, i * part, values)).collect();
    }
    let parts = matrix.par_chunks_mut(part * width).enumerate();
    parts.map_init(T::default, |scratch, (i, values)| work(scratch, i * part, values)).collect()
}
