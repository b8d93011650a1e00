//! `Support`: the sets of numbers that data hold and that likelihoods are distributions over.

use std::fmt;

/// A set of numbers that each element of x is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Support {
    /// 0 and 1.
    Binary,
    /// Any number from 0 to 1.
    UnitInterval,
    /// 256 levels, evenly from `low` to `high`.
    Levels {
        /// The lowest.
        low: f64,
        /// The highest.
        high: f64,
    },
    /// 0, 1, 2, ...
    Counts,
    /// Any number.
    Reals,
}

impl Support {
    /// Returns the lowest and highest number in it.
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::Binary | Self::UnitInterval => (0.0, 1.0),
            Self::Levels { low, high } => (low, high),
            Self::Counts => (0.0, f64::INFINITY),
            Self::Reals => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}

impl fmt::Display for Support {
    /// Writes what numbers of this set are called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary => f.write_str("black and white pixels"),
            Self::UnitInterval => f.write_str("numbers from 0 to 1"),
            Self::Levels { low, high } => write!(f, "pixels of many levels from {low} to {high}"),
            Self::Counts => f.write_str("counts (0, 1, 2, ...)"),
            Self::Reals => f.write_str("vectors of any numbers"),
        }
    }
}
