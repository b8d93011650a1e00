//! `Support`: the set of numbers that data contain, or that a likelihood is a distribution over.

use std::fmt;

/// A set that contains every number of x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Support {
    /// 0 and 1.
    Binary,
    /// Any number from 0 to 1.
    UnitInterval,
    /// 256 levels, evenly from `low` to `high`.
    Levels {
        /// The lowest level.
        low: f64,
        /// The highest level.
        high: f64,
    },
    /// 0, 1, 2, ...
    Counts,
    /// Any number.
    Reals,
}

impl Support {
    /// Returns the lowest and the highest number of the set.
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
    /// Writes a description of the numbers for error messages.
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
