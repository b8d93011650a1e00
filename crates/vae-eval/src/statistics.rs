//! Means, variances and standard errors.

/// A mean and its standard error, in the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// The standard error of the mean. `None` for fewer than two values.
    pub stderr: Option<f64>,
}

impl Mean {
    /// Returns the mean of `numbers`. `None` if there are none.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        if numbers.is_empty() {
            return None;
        }
        let (value, squares) = mean_and_squares(numbers.iter().copied());
        let n = numbers.len() as f64;
        let variance = squares / (n - 1.0);
        Some(Self { value, stderr: (numbers.len() > 1).then(|| (variance / n).sqrt()) })
    }

    /// Returns the mean of the paired differences `a` - `b`. Effects that are common to both
    /// cancel.
    pub fn of_differences(a: &[f64], b: &[f64]) -> Option<Self> {
        Self::of(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
    }

    /// Returns half the width of the 95 % confidence interval of the mean of `n` values, by Student's t
    /// distribution. `None` for fewer than two values.
    pub fn interval(&self, n: usize) -> Option<f64> {
        /// 97.5 % quantiles for 1 to 10 degrees of freedom.
        const QUANTILES: [f64; 10] =
            [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
        // Between tabulated degrees of freedom, the lower is used: the interval is never too narrow.
        let quantile = match n.checked_sub(1)? {
            0 => return None,
            few @ ..=10 => QUANTILES[few - 1],
            11..=14 => QUANTILES[9],
            15..=19 => 2.131,
            20..=29 => 2.086,
            30..=59 => 2.042,
            60..=199 => 2.000,
            200..=999 => 1.972,
            _ => 1.962,
        };
        Some(quantile * self.stderr?)
    }
}

/// Returns the mean and the sum of squared differences from the mean. NaN for no numbers.
fn mean_and_squares(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = numbers.clone().count() as f64;
    let mean = numbers.clone().sum::<f64>() / n;
    (mean, numbers.map(|v| (v - mean).powi(2)).sum::<f64>())
}

/// Returns the population variance of each column of rows of `width` numbers.
pub(crate) fn column_variances(rows: &[f64], width: usize) -> impl Iterator<Item = f64> + '_ {
    let n = (rows.len() / width) as f64;
    let column = move |j: usize| rows.iter().skip(j).step_by(width).copied();
    (0..width).map(move |j| mean_and_squares(column(j)).1 / n)
}

/// Returns the mean of some values, and half the width of its 95 % confidence interval; see
/// [`Mean::interval`].
pub fn mean_and_interval(values: &[f64]) -> (f64, Option<f64>) {
    let mean = Mean::of(values);
    (mean.map_or(f64::NAN, |mean| mean.value), mean.and_then(|mean| mean.interval(values.len())))
}

/// Sums and sums of squares of each column, over rows that are added in chunks.
#[derive(Default)]
pub(crate) struct Moments {
    n: f64,
    sums: Vec<(f64, f64)>,
}

impl Moments {
    /// Adds rows of `width` numbers.
    pub(crate) fn add(&mut self, rows: &[f64], width: usize) {
        self.n += (rows.len() / width) as f64;
        self.sums.resize(width, (0.0, 0.0));
        for (i, value) in rows.iter().enumerate() {
            let (sum, square) = &mut self.sums[i % width];
            *sum += value;
            *square += value * value;
        }
    }

    /// Returns the mean of each column over all rows.
    pub(crate) fn means(&self) -> impl Iterator<Item = f64> + '_ {
        self.sums.iter().map(|(sum, _)| sum / self.n)
    }

    /// Returns the population variance of each column over all rows.
    pub(crate) fn variances(&self) -> impl Iterator<Item = f64> + '_ {
        let variance = |sum: f64, square: f64| square / self.n - (sum / self.n).powi(2);
        // Rounding can take a variance of 0 below 0. NaN stays NaN.
        self.sums.iter().map(move |(sum, square)| match variance(*sum, *square) {
            below if below < 0.0 => 0.0,
            variance => variance,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paired_differences_have_the_standard_error_of_the_differences() {
        let (a, b) = ([100.0, 7.0, 50.0], [99.0, 5.0, 47.0]);
        let found = Mean::of_differences(&a, &b).unwrap();
        // 1, 2 and 3: their variance is 1.
        assert!((found.value - 2.0).abs() < 1e-12);
        assert!((found.stderr.unwrap() - (1.0 / 3.0f64).sqrt()).abs() < 1e-12);
        assert_eq!(Mean::of(&[5.0]), Some(Mean { value: 5.0, stderr: None }));
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn moments_over_chunks_are_moments_over_all() {
        let mut moments = Moments::default();
        moments.add(&[1.0, 5.0, 2.0, 5.0], 2);
        moments.add(&[6.0, 5.0], 2);
        let variances: Vec<f64> = moments.variances().collect();
        assert!((variances[0] - 14.0 / 3.0).abs() < 1e-12);
        assert!(variances[1].abs() < 1e-12);
        let at_once: Vec<f64> = column_variances(&[1.0, 5.0, 2.0, 5.0, 6.0, 5.0], 2).collect();
        assert!(variances.iter().zip(&at_once).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn a_variance_is_never_below_0_and_nan_stays_nan() {
        for constant in [0.1, 1.1, 123.456, 1e8 + 0.3] {
            let mut moments = Moments::default();
            (0..7).for_each(|_| moments.add(&[constant, f64::NAN], 2));
            let variances: Vec<f64> = moments.variances().collect();
            assert!(variances[0] >= 0.0 && variances[1].is_nan(), "{constant}: {variances:?}");
        }
    }

    #[test]
    fn the_interval_uses_students_t_distribution() {
        // By hand: mean 2, variance 1, three values: 4.303 / sqrt 3.
        let (mean, half) = mean_and_interval(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12);
        assert!((half.unwrap() - 4.303 / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(mean_and_interval(&[0.5]), (0.5, None));
        // Many values: nearly that of a normal distribution, 1.960.
        let mean = Mean { value: 0.0, stderr: Some(2.0) };
        assert_eq!([31, 10_000].map(|n| mean.interval(n)), [Some(4.084), Some(3.924)]);
        assert_eq!([0, 1].map(|n| mean.interval(n)), [None, None]);
    }
}
