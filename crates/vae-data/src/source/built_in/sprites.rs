//! `sprites`: one shape on black as a source, like dSprites. The generator is [`crate::sprites`].

use crate::error::DataError;
use crate::examples::{Examples, Shape};
use crate::source::{Environment, Location, Source, SourceSettings};
use crate::split::Split;
use crate::sprites;

/// The data set as a source.
#[derive(Debug)]
pub struct Sprites;

impl Source for Sprites {
    fn name(&self) -> String {
        "sprites".into()
    }

    fn about(&self) -> String {
        "60,000 + 10,000 squares, ellipses and hearts with their factors, 64x64 binary".into()
    }

    fn location(&self, _: &Environment) -> Location {
        Location::BuiltIn
    }

    fn layout(&self) -> Option<(Shape, usize)> {
        Some((sprites::SHAPE, sprites::CLASSES))
    }

    fn read(
        &self,
        split: Split,
        _: &SourceSettings,
        _: &Environment,
    ) -> Result<Examples, DataError> {
        sprites::examples(split, usize::MAX)
    }

    /// Draws only the requested images, because all training images take 246 MB.
    fn read_first(
        &self,
        split: Split,
        limit: usize,
        _: &SourceSettings,
        _: &Environment,
    ) -> Result<(Examples, usize), DataError> {
        Ok((sprites::examples(split, limit)?, sprites::CLASSES))
    }
}
