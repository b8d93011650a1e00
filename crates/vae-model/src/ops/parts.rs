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
    let work = |scratch: &mut T, at, out: &mut [f32]| work(scratch, at / width, out);
    let results = overwrite_parts(&mut out, part * width, work);
    (out, results)
}

/// Calls `work` with each part of `part` numbers, and returns what it returns. It gets memory that is
/// kept between parts, the position of the part, and the part.
pub fn overwrite_parts<T: Default + Send, R: Send>(
    numbers: &mut [f32],
    part: usize,
    work: impl Fn(&mut T, usize, &mut [f32]) -> R + Sync + Send,
) -> Vec<R> {
    if rayon::current_num_threads() == 1 {
        let mut scratch = T::default();
        let parts = numbers.chunks_mut(part).enumerate();
        return parts.map(|(i, numbers)| work(&mut scratch, i * part, numbers)).collect();
    }
    let parts = numbers.par_chunks_mut(part).enumerate();
    parts.map_init(T::default, |scratch, (i, numbers)| work(scratch, i * part, numbers)).collect()
}
