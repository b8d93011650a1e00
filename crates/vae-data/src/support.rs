//! `Support`: the set of numbers that x can have. Likelihoods are checked against it.

/// The set that contains every number of x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Support {
    /// 0 or 1.
    Binary,
    /// 256 evenly spaced levels, both ends included.
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
