//! Range checks of configuration values. An error names the key and the valid range.
//!
//! `key` is the path of the table and `name` the key in it. For example,
//! `check::range("model.prior", "k", 0, 1..=10)` returns the error "model.prior.k: must be 1 to 10,
//! not 0". All checks refuse NaN.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::ConfigError;

/// Returns the error `why` about the setting `name` of the table `key`.
///
/// # Errors
/// Always.
pub fn refuse(key: &str, name: &str, why: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError::new(format!("{key}.{name}"), why))
}

/// Returns an error about `name` of the table `key`, unless `holds`.
fn require(
    holds: bool,
    key: &str,
    name: &str,
    why: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { refuse(key, name, why()) }
}

/// Checks that a number lies in a range, both ends included.
pub fn range<T: PartialOrd + Display>(
    key: &str,
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    require(range.contains(&value), key, name, || {
        format!("must be {} to {}, not {value}", range.start(), range.end())
    })
}

/// Checks that a number is at most `most`.
pub fn at_most<T: PartialOrd + Display>(
    key: &str,
    name: &str,
    value: T,
    most: T,
) -> Result<(), ConfigError> {
    require(value <= most, key, name, || format!("must be at most {most}, not {value}"))
}

/// Checks that a count is not 0.
pub fn at_least_one(key: &str, name: &str, value: u64) -> Result<(), ConfigError> {
    require(value >= 1, key, name, || "must be at least 1".to_owned())
}

/// Checks that a number is finite and 0 or above.
pub fn not_negative<T: Into<f64> + Copy + Display>(
    key: &str,
    name: &str,
    value: T,
) -> Result<(), ConfigError> {
    let v: f64 = value.into();
    require(v.is_finite() && v >= 0.0, key, name, || {
        format!("must be 0 or a positive number, not {value}")
    })
}

/// Checks that a number is finite and above 0.
pub fn positive<T: Into<f64> + Copy + Display>(
    key: &str,
    name: &str,
    value: T,
) -> Result<(), ConfigError> {
    let v: f64 = value.into();
    require(v.is_finite() && v > 0.0, key, name, || {
        format!("must be a positive number, not {value}")
    })
}

/// Checks that a number is at least 0 and below 1.
pub fn fraction<T: Into<f64> + Copy + Display>(
    key: &str,
    name: &str,
    value: T,
) -> Result<(), ConfigError> {
    require((0.0..1.0).contains(&value.into()), key, name, || {
        format!("must be at least 0 and below 1, not {value}")
    })
}

/// Checks that a number is above 0 and at most `most`.
pub fn above_zero_to(key: &str, name: &str, value: f64, most: f64) -> Result<(), ConfigError> {
    require(value > 0.0 && value <= most, key, name, || {
        format!("must be above 0 and at most {most}, not {value}")
    })
}

/// Checks a list of layer widths: their count, and that each width is 1 to `most`.
pub fn widths(
    key: &str,
    name: &str,
    widths: &[usize],
    count: RangeInclusive<usize>,
    most: usize,
) -> Result<(), ConfigError> {
    let holds = count.contains(&widths.len()) && widths.iter().all(|w| (1..=most).contains(w));
    require(holds, key, name, || {
        let count = match (*count.start(), *count.end()) {
            (0, most) => format!("at most {most}"),
            (least, most) => format!("{least} to {most}"),
        };
        format!("must be {count} widths of 1 to {most}, not {widths:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(result: Result<(), ConfigError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn values_in_range_pass() {
        range("a", "b", 1, 1..=3).unwrap();
        range("a", "b", 3, 1..=3).unwrap();
        at_most("a", "b", 3, 3).unwrap();
        at_least_one("a", "b", 1).unwrap();
        not_negative("a", "b", 0.0).unwrap();
        positive("a", "b", f64::MIN_POSITIVE).unwrap();
        fraction("a", "b", 0.0).unwrap();
        above_zero_to("a", "b", 1.0, 1.0).unwrap();
        widths("a", "b", &[], 0..=16, 9).unwrap();
        widths("a", "b", &[1, 9], 1..=2, 9).unwrap();
    }

    #[test]
    fn errors_name_the_key_and_the_valid_range() {
        assert_eq!(refusal(range("a", "b", 4, 1..=3)), "a.b: must be 1 to 3, not 4");
        assert_eq!(refusal(at_most("a", "b", 4, 3)), "a.b: must be at most 3, not 4");
        assert_eq!(refusal(at_least_one("a", "b", 0)), "a.b: must be at least 1");
        let not_negative = refusal(not_negative("a", "b", -0.5f32));
        assert_eq!(not_negative, "a.b: must be 0 or a positive number, not -0.5");
        assert_eq!(refusal(positive("a", "b", 0.0)), "a.b: must be a positive number, not 0");
        assert_eq!(refusal(fraction("a", "b", 1.0)), "a.b: must be at least 0 and below 1, not 1");
        let above = refusal(above_zero_to("a", "b", 2e6, 1e6));
        assert_eq!(above, "a.b: must be above 0 and at most 1000000, not 2000000");
    }

    #[test]
    fn nan_and_infinity_are_refused() {
        for value in [f64::NAN, f64::INFINITY] {
            assert!(not_negative("a", "b", value).is_err());
            assert!(positive("a", "b", value).is_err());
            assert!(fraction("a", "b", value).is_err());
            assert!(above_zero_to("a", "b", value, 1.0).is_err());
            assert!(range("a", "b", value, 0.0..=1.0).is_err());
            assert!(at_most("a", "b", value, 1.0).is_err());
        }
    }

    #[test]
    fn widths_are_checked_for_count_and_size() {
        let refused = |found: &[usize], count| refusal(widths("a", "b", found, count, 9));
        assert_eq!(refused(&[], 1..=16), "a.b: must be 1 to 16 widths of 1 to 9, not []");
        assert_eq!(refused(&[0], 0..=16), "a.b: must be at most 16 widths of 1 to 9, not [0]");
        assert_eq!(refused(&[10], 1..=2), "a.b: must be 1 to 2 widths of 1 to 9, not [10]");
    }
}
