//! `Support`: what numbers x can be. The data says so; likelihoods ask.

/// The set of numbers that each element of x is from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Support {
    /// 0 or 1.
    Binary,
    /// 256 evenly spaced levels, ends included.
    Levels {
        /// The lowest level.
        low: f64,
        /// The highest level.
        high: f64,
    },
    /// Non-negative whole numbers.
    Counts,
    /// Any finite number.
    Reals,
}
