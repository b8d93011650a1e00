//! Means, variances and their errors: the one place that computes them.

/// A mean and its standard error, in the unit of the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Of all numbers.
    pub value: f64,
    /// Of the value; `None` for fewer than two numbers.
    pub stderr: Option<f64>,
}

impl Mean {
    /// Of `numbers`; `None` if there are none.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        if numbers.is_empty() {
            return None;
        }
        let (value, squares) = mean_and_squares(numbers.iter().copied());
        let n = numbers.len() as f64;
        let variance = squares / (n - 1.0);
        Some(Self { value, stderr: (numbers.len() > 1).then(|| (variance / n).sqrt()) })
    }

    /// Of `a` less `b`, number by number: what is easy or hard for both cancels.
    pub fn of_differences(a: &[f64], b: &[f64]) -> Option<Self> {
        Self::of(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
    }
}

/// The mean of numbers, and the sum of their squared distances from it. NaN without any numbers.
fn mean_and_squares(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = numbers.clone().count() as f64;
    let mean = numbers.clone().sum::<f64>() / n;
    (mean, numbers.map(|v| (v - mean).powi(2)).sum::<f64>())
}

/// The variance of each column of rows of `width` numbers: the mean squared distance from the
/// column's mean.
pub(crate) fn column_variances(rows: &[f64], width: usize) -> impl Iterator<Item = f64> + '_ {
    let n = (rows.len() / width) as f64;
    let column = move |j: usize| rows.iter().skip(j).step_by(width).copied();
    (0..width).map(move |j| mean_and_squares(column(j)).1 / n)
}

/// The mean of a few numbers and half the width of its 95 % interval by Student's t distribution,
/// which one number alone has not.
pub fn mean_and_interval(values: &[f64]) -> (f64, Option<f64>) {
    /// 97.5 % quantiles for 1 to 10 degrees of freedom.
    const QUANTILES: [f64; 10] =
        [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let Some(Mean { value, stderr }) = Mean::of(values) else { return (f64::NAN, None) };
    let Some(stderr) = stderr else { return (value, None) };
    // Between those, the quantile of fewer: the interval is a little too wide, never too narrow.
    let quantile = match values.len() - 1 {
        few @ ..=10 => QUANTILES[few - 1],
        11..=14 => QUANTILES[9],
        15..=19 => 2.131,
        20..=29 => 2.086,
        _ => 2.042,
    };
    (value, Some(quantile * stderr))
}

/// Sums of the numbers of each column and of their squares, over rows that come in chunks.
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

    /// The variance of each column over all rows.
    pub(crate) fn variances(&self) -> impl Iterator<Item = f64> + '_ {
        self.sums.iter().map(|(sum, square)| square / self.n - (sum / self.n).powi(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_pairs_have_the_error_of_what_differs() {
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
    fn the_interval_is_that_of_students_t() {
        // By hand: mean 2, variance 1, three values: 4.303 / sqrt 3.
        let (mean, half) = mean_and_interval(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12);
        assert!((half.unwrap() - 4.303 / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(mean_and_interval(&[0.5]), (0.5, None));
    }
}
