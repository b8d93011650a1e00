//! Calibration of p(x|z). Checks that a central 80 % interval of p(x|z) contains 80 % of the numbers of x.
//!
//! If x is drawn from p(x|z), then P(X < x|z) + u P(X = x|z) is uniform. u is a uniform random number, so that
//! it holds for discrete x too (Czado et al. 2009).

use serde::Serialize;

/// Shares that the central intervals of p(x|z) should hold.
const SHARES: [f64; 3] = [0.5, 0.8, 0.95];

/// How many numbers of x lie in the central intervals of p(x|z) that should hold a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The share of p(x|z) in the interval.
    pub share: f64,
    /// The share of the numbers of x in it.
    pub coverage: f64,
}

/// Counts of numbers inside each interval.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    inside: [u64; SHARES.len()],
    all: u64,
}

impl Coverage {
    /// Adds numbers of x by their P(X < x|z) and P(X <= x|z), each with a number that is uniform in [0, 1].
    pub fn add(
        &mut self,
        below: impl Iterator<Item = f64>,
        up_to: impl Iterator<Item = f64>,
        uniform: impl IntoIterator<Item = f32>,
    ) {
        for ((below, up_to), u) in below.zip(up_to).zip(uniform) {
            let below = below + f64::from(u) * (up_to - below);
            self.all += 1;
            for (inside, share) in self.inside.iter_mut().zip(SHARES) {
                *inside += u64::from((below - 0.5).abs() <= 0.5 * share);
            }
        }
    }

    /// Returns the coverage of each interval. `None` if no numbers were added.
    pub fn intervals(&self) -> Option<Vec<Interval>> {
        let interval = |(inside, share): (&u64, f64)| Interval {
            share,
            coverage: *inside as f64 / self.all as f64,
        };
        (self.all > 0).then(|| self.inside.iter().zip(SHARES).map(interval).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_numbers_are_covered_as_they_should_be() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.intervals(), None);
        let numbers = || (0..10_000).map(|i| (f64::from(i) + 0.5) / 10_000.0);
        coverage.add(numbers(), numbers(), vec![0.5; 10_000]);
        for found in coverage.intervals().unwrap() {
            assert!((found.coverage - found.share).abs() < 1e-3, "{found:?}");
        }
        // A spread that is too small: every number is far out.
        let mut sure = Coverage::default();
        let numbers = || [1e-9, 1.0 - 1e-9, f64::NAN].into_iter();
        sure.add(numbers(), numbers(), vec![0.5; 3]);
        assert!(sure.intervals().unwrap().iter().all(|found| found.coverage.abs() < 1e-12));
        // Discrete numbers: 0 with probability 0.9, else 1.
        let mut discrete = Coverage::default();
        let is_one = |i: u32| i.is_multiple_of(10);
        let below = (0..10_000).map(|i| if is_one(i) { 0.9 } else { 0.0 });
        let up_to = (0..10_000).map(|i| if is_one(i) { 1.0 } else { 0.9 });
        discrete.add(below, up_to, (0..10_000).map(|i| (i * 7_919 % 10_000) as f32 / 1e4));
        for found in discrete.intervals().unwrap() {
            assert!((found.coverage - found.share).abs() < 0.01, "{found:?}");
        }
    }
}
