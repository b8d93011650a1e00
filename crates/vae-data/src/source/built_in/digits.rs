//! `digits`: handwriting-like digits as a source. The generator is [`crate::digits`].

use crate::digits;
use crate::error::DataError;
use crate::examples::{Examples, Shape};
use crate::source::{Environment, Location, Source, SourceSettings};
use crate::split::Split;

/// The data set as a source.
#[derive(Debug)]
pub struct Digits;

impl Source for Digits {
    fn name(&self) -> String {
        "digits".into()
    }

    fn about(&self) -> String {
        "60,000 + 10,000 synthetic handwritten digits with their factors, 28x28 grey".into()
    }

    fn location(&self, _: &Environment) -> Location {
        Location::BuiltIn
    }

    fn layout(&self, _: &SourceSettings) -> Option<(Shape, usize)> {
        Some((digits::SHAPE, digits::CLASSES))
    }

    fn read(
        &self,
        split: Split,
        _: &SourceSettings,
        _: &Environment,
    ) -> Result<Examples, DataError> {
        digits::examples(split, usize::MAX)
    }

    /// Generates only the requested images, because generating the whole data set is slow.
    fn read_first(
        &self,
        split: Split,
        limit: usize,
        _: &SourceSettings,
        _: &Environment,
    ) -> Result<(Examples, usize), DataError> {
        Ok((digits::examples(split, limit)?, digits::CLASSES))
    }
}
