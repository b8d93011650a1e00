//! Range checks of settings: one message for each kind of range.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::ConfigError;

/// Refuses the setting `name` of the table `key` for a reason.
///
/// # Errors
/// Always.
pub fn refuse(key: &str, name: &str, why: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError::new(format!("{key}.{name}"), why))
}

/// Checks that a setting is within a range, ends included.
///
/// # Errors
/// If it is not, or is NaN.
pub fn range<T: PartialOrd + Display>(
    key: &str,
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    refuse(key, name, format!("must be {} to {}, not {value}", range.start(), range.end()))
}

/// Checks that a setting is at least 1.
///
/// # Errors
/// If it is 0.
pub fn at_least_one(key: &str, name: &str, value: u64) -> Result<(), ConfigError> {
    if value > 0 { Ok(()) } else { refuse(key, name, "must be at least 1") }
}

/// Checks that a setting is 0 or a positive number.
///
/// # Errors
/// If it is negative, infinite or NaN.
pub fn not_negative(key: &str, name: &str, value: f64) -> Result<(), ConfigError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    refuse(key, name, format!("must be 0 or a positive number, not {value}"))
}

/// Checks that a setting is a positive number.
///
/// # Errors
/// If it is 0, negative, infinite or NaN.
pub fn positive(key: &str, name: &str, value: f64) -> Result<(), ConfigError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    refuse(key, name, format!("must be a positive number, not {value}"))
}

/// Checks that a setting is at least 0 and below 1.
///
/// # Errors
/// If it is not, or is NaN.
pub fn fraction(key: &str, name: &str, value: f64) -> Result<(), ConfigError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    refuse(key, name, format!("must be at least 0 and below 1, not {value}"))
}

/// Checks the widths of layers: how many there may be, and the widest.
///
/// # Errors
/// If there are too few or too many, or one is 0 or too wide.
pub fn widths(
    key: &str,
    name: &str,
    widths: &[usize],
    count: RangeInclusive<usize>,
    widest: usize,
) -> Result<(), ConfigError> {
    if count.contains(&widths.len()) && widths.iter().all(|w| (1..=widest).contains(w)) {
        return Ok(());
    }
    let (least, most) = (count.start(), count.end());
    let why = format!("must be {least} to {most} widths of 1 to {widest}, not {widths:?}");
    refuse(key, name, why)
}
