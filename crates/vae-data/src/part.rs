//! `Part`: which of the parts that a set comes in.

use crate::error::DataError;
use std::fmt;
use std::str::FromStr;

/// Which part of a set. Most sets publish `Train` and `Test` only; `binarized-mnist` has all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The examples to learn from.
    Train,
    /// The examples to choose between models with.
    Validation,
    /// The examples to be judged on.
    Test,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        })
    }
}

impl FromStr for Part {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        [Part::Train, Part::Validation, Part::Test]
            .into_iter()
            .find(|part| part.to_string() == text)
            .ok_or_else(|| {
                DataError::Request(format!(
                    "`{text}` is no part of a set: use train, validation or test"
                ))
            })
    }
}
