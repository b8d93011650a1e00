//! `Split`: training, validation and test examples.

use crate::error::DataError;
use std::fmt;
use std::str::FromStr;

/// A split of a source. Most sources have only `Train` and `Test`. `binarized-mnist` has all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The examples for training.
    Train,
    /// The examples for choosing between models.
    Validation,
    /// The examples for evaluating a model.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        [Split::Train, Split::Validation, Split::Test]
            .into_iter()
            .find(|split| split.to_string() == text)
            .ok_or_else(|| {
                DataError::Request(format!(
                    "`{text}` is not a split: use train, validation or test"
                ))
            })
    }
}
