//! `sprites`: one shape on black as a source, like dSprites. The generator is [`crate::sprites`].

use crate::error::DataError;
use crate::examples::{Examples, Shape};
use crate::source::{Environment, Location, Setting, Source, SourceSettings};
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
        "60,000 + 10,000 squares, ellipses and hearts with their factors, 64x64 binary or smaller"
            .into()
    }

    fn location(&self, _: &Environment) -> Location {
        Location::BuiltIn
    }

    fn layout(&self, settings: &SourceSettings) -> Option<(Shape, usize)> {
        Some((sprites::shape(settings.size).ok()?, sprites::CLASSES))
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting::Size]
    }

    fn read(
        &self,
        split: Split,
        settings: &SourceSettings,
        _: &Environment,
    ) -> Result<Examples, DataError> {
        sprites::examples(split, usize::MAX, settings.size)
    }

    /// Draws only the requested images, because all training images take 246 MB.
    fn read_first(
        &self,
        split: Split,
        limit: usize,
        settings: &SourceSettings,
        _: &Environment,
    ) -> Result<(Examples, usize), DataError> {
        Ok((sprites::examples(split, limit, settings.size)?, sprites::CLASSES))
    }
}
