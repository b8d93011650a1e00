//! How near reconstructions are to their originals.

use rayon::prelude::*;

/// Width of the window of SSIM in pixels, and the standard deviation of its weights (Wang et al. 2004).
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;

/// The shape of an image, and how far its numbers can be apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// The highest number minus the lowest.
    pub range: f64,
}

/// Returns the squared difference per number of x, of each row of `width` numbers.
pub(crate) fn mse(x: &[f32], y: &[f32], width: usize) -> Vec<f64> {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    let row = |(x, y): (&[f32], &[f32])| x.iter().zip(y).map(square).sum::<f64>() / width as f64;
    x.chunks_exact(width).zip(y.chunks_exact(width)).map(row).collect()
}

impl Image {
    /// Returns the peak signal-to-noise ratio in decibels, 10 log10(range^2 / mse), of an image whose squared
    /// difference per number is `mse`.
    pub fn psnr(&self, mse: f64) -> f64 {
        10.0 * (self.range.powi(2) / mse).log10()
    }

    /// Returns the structural similarity (Wang et al. 2004), up to 1, of each image of `x` with that of `y`, row-major: the average over
    /// channels and over the positions of a Gaussian window that lies inside. `None` if it does not fit.
    pub fn ssim(&self, x: &[f32], y: &[f32]) -> Option<Vec<f64>> {
        let [channels, height, width] = self.shape;
        if height < WINDOW || width < WINDOW {
            return None;
        }
        let plane = height * width;
        let of_image = |(x, y): (&[f32], &[f32])| {
            let planes = x.chunks_exact(plane).zip(y.chunks_exact(plane));
            planes.map(|(x, y)| self.of_plane(x, y)).sum::<f64>() / channels as f64
        };
        let numbers = channels * plane;
        let pairs = x.par_chunks_exact(numbers).zip(y.par_chunks_exact(numbers));
        Some(pairs.map(of_image).collect())
    }

    fn of_plane(&self, x: &[f32], y: &[f32]) -> f64 {
        let [_, _, width] = self.shape;
        let (c1, c2) = ((0.01 * self.range).powi(2), (0.03 * self.range).powi(2));
        let numbers = |of: fn(f64, f64) -> f64| -> Vec<f64> {
            let all = x.iter().zip(y).map(|(a, b)| of(f64::from(*a), f64::from(*b))).collect();
            averages(all, width)
        };
        let (mx, my) = (numbers(|a, _| a), numbers(|_, b| b));
        let (xx, yy, xy) = (numbers(|a, _| a * a), numbers(|_, b| b * b), numbers(|a, b| a * b));
        let at = |i: usize| {
            let (a, b) = (mx[i], my[i]);
            let (va, vb, covariance) = (xx[i] - a * a, yy[i] - b * b, xy[i] - a * b);
            (2.0 * a * b + c1) * (2.0 * covariance + c2) / ((a * a + b * b + c1) * (va + vb + c2))
        };
        (0..mx.len()).map(at).sum::<f64>() / mx.len() as f64
    }
}

/// Returns the averages of a plane of `width` columns under the Gaussian window, where it lies inside.
fn averages(plane: Vec<f64>, width: usize) -> Vec<f64> {
    let weight = |i: usize| (-0.5 * ((i as f64 - (WINDOW / 2) as f64) / SIGMA).powi(2)).exp();
    let total: f64 = (0..WINDOW).map(weight).sum();
    let weights: Vec<f64> = (0..WINDOW).map(|i| weight(i) / total).collect();
    let dot = |values: &mut dyn Iterator<Item = f64>| -> f64 {
        values.zip(&weights).map(|(value, weight)| value * weight).sum()
    };
    // The window is a product: along rows first, then along columns.
    let inside = width + 1 - WINDOW;
    let rows: Vec<f64> = plane
        .chunks_exact(width)
        .flat_map(|row| row.windows(WINDOW).map(|window| dot(&mut window.iter().copied())))
        .collect();
    let last = rows.len() / inside + 1 - WINDOW;
    (0..last * inside)
        .map(|i| dot(&mut rows[i..].iter().step_by(inside).take(WINDOW).copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(a: f64, b: f64) -> Vec<f64> {
        (0..13 * 17).map(|i| 0.5 + 0.5 * (a * f64::from(i) + b * f64::from(i % 7)).sin()).collect()
    }

    #[test]
    fn similarity_is_that_of_an_independent_program() {
        let x = picture(0.31, 0.9);
        let mixed = x.iter().zip(picture(0.17, 1.3)).map(|(x, y)| 0.7 * x + 0.3 * y);
        let y: Vec<f64> = mixed.collect();
        let single = |values: &[f64], scale: f64, shift: f64| -> Vec<f32> {
            values.iter().map(|v| (scale * v + shift) as f32).collect()
        };
        // scikit-image 0.26.0 in float64: structural_similarity(x, y, gaussian_weights=True, sigma=1.5,
        // use_sample_covariance=False, data_range=range).
        for (range, shift, golden) in [(1.0, 0.0, 0.894_745_728_5), (2.0, -1.0, 0.475_851_461_8)] {
            let image = Image { shape: [1, 13, 17], range };
            let found = image.ssim(&single(&x, range, shift), &single(&y, range, shift)).unwrap();
            assert!((found[0] - golden).abs() < 1e-6, "{} {golden}", found[0]);
        }
    }

    #[test]
    fn a_picture_is_like_itself_and_channels_are_averaged() {
        let x: Vec<f32> = picture(0.31, 0.9).iter().map(|v| *v as f32).collect();
        let y: Vec<f32> = picture(0.17, 1.3).iter().map(|v| *v as f32).collect();
        let image = |channels| Image { shape: [channels, 13, 17], range: 1.0 };
        let [same, other] = [&x, &y].map(|y| image(1).ssim(&x, y).unwrap()[0]);
        assert!((same - 1.0).abs() < 1e-12 && other < 0.9, "{same} {other}");
        let both = image(2).ssim(&[&x[..], &x[..]].concat(), &[&x[..], &y[..]].concat()).unwrap();
        assert!((both[0] - (same + other) / 2.0).abs() < 1e-12);
        assert!(Image { shape: [1, 10, 40], range: 1.0 }.ssim(&x, &y).is_none());
    }

    #[test]
    fn errors_are_per_number_and_ratios_in_decibels() {
        let found = mse(&[0.0, 1.0, 0.5, 0.5], &[0.0, 0.0, 0.5, 0.5], 2);
        assert_eq!(found, [0.5, 0.0]);
        let image = Image { shape: [1, 1, 2], range: 1.0 };
        assert!((image.psnr(0.01) - 20.0).abs() < 1e-12);
        // Twice the range: 6 dB more.
        assert!((Image { range: 2.0, ..image }.psnr(0.01) - 26.0206).abs() < 1e-4);
    }
}
