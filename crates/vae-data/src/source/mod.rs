//! Sources of examples: the trait of all sources, and their implementations.
//!
//! ```text
//! catalog     lists the named sources, opens the source of a specification
//!   auto        the automatic choice: mnist if it can be downloaded, otherwise digits
//!   built_in    generated data sets: one file each
//!   published   data sets to download: one file each
//!     download    checksum and download of a published file
//!   files       files and folders of the user: one file per format
//! parts       examples that are read a part at a time
//! environment folders of this machine
//! settings    settings of the configuration
//! ```

mod auto;
mod built_in;
mod catalog;
mod download;
mod environment;
mod files;
mod parts;
mod published;
mod settings;
#[cfg(test)]
mod tests;

pub use auto::AUTO;
pub use catalog::{OpenedSource, SourceInfo, fetch, layout, list, named};
pub use environment::{Environment, Progress};
pub use files::open_codes;
pub use parts::{InMemory, Parts};
pub use settings::{Setting, SourceSettings};

use crate::error::DataError;
use crate::examples::{Examples, Shape};
use crate::hold_out::no_validation;
use crate::split::Split;
use std::fmt;
use std::path::PathBuf;

/// A source of examples: a named data set, or a file or folder of the user.
///
/// A new named source is a file under `built_in` or `published` and a line in the catalog.
pub trait Source: fmt::Debug + Send + Sync {
    /// Returns the name of the data set, file or folder.
    fn name(&self) -> String;

    /// Returns the specification of the source.
    fn spec(&self) -> String {
        self.name()
    }

    /// Returns a description in one line.
    fn about(&self) -> String;

    /// Returns the current location. It reads no examples and downloads nothing.
    fn location(&self, environment: &Environment) -> Location;

    /// Returns the shape of an example and the number of classes (0 without labels). `None` if the
    /// examples must be read for that, or if they cannot be read with these settings.
    fn layout(&self, _settings: &SourceSettings) -> Option<(Shape, usize)> {
        None
    }

    /// Downloads missing files.
    ///
    /// # Errors
    /// If files cannot be downloaded. The message says in which folders they can be placed.
    fn fetch(&self, _environment: &Environment) -> Result<(), DataError> {
        Ok(())
    }

    /// Returns the settings that the source uses. Other settings are refused.
    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    /// Returns whether the source has a validation split.
    fn publishes_validation(&self) -> bool {
        false
    }

    /// Reads one split.
    ///
    /// # Errors
    /// If the source cannot be read, or if it has no such split.
    fn read(
        &self,
        split: Split,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Examples, DataError>;

    /// Reads the first `limit` examples of a split, and the number of classes of the whole split.
    /// Sources that can read only a part of a split override this.
    ///
    /// # Errors
    /// The errors of [`Self::read`].
    fn read_first(
        &self,
        split: Split,
        limit: usize,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<(Examples, usize), DataError> {
        let mut examples = self.read(split, settings, environment)?;
        let classes = examples.class_count();
        examples.truncate(limit);
        Ok((examples, classes))
    }

    /// Reads all splits, one after the other. A source without splits is read in its own order.
    ///
    /// # Errors
    /// The errors of [`Self::read`].
    fn read_all(
        &self,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Examples, DataError> {
        let mut all = self.read(Split::Train, settings, environment)?;
        for split in self.splits().into_iter().skip(1) {
            all.append(self.read(split, settings, environment)?)?;
        }
        Ok(all)
    }

    /// Opens the examples that [`Self::read_all`] reads, to read them a part at a time. Sources that
    /// need not be in memory as a whole override this.
    ///
    /// # Errors
    /// If the source cannot be read.
    fn parts(
        &self,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Box<dyn Parts>, DataError> {
        Ok(Box::new(InMemory::new(self.read_all(settings, environment)?)))
    }

    /// Returns the splits that the source has, the training split first.
    fn splits(&self) -> Vec<Split> {
        match self.publishes_validation() {
            true => vec![Split::Train, Split::Validation, Split::Test],
            false => vec![Split::Train, Split::Test],
        }
    }

    /// Checks that the source has a split.
    ///
    /// # Errors
    /// If it does not have the split.
    fn require(&self, split: Split) -> Result<(), DataError> {
        if self.splits().contains(&split) { Ok(()) } else { Err(no_validation()) }
    }
}

/// The location of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the program.
    BuiltIn,
    /// At this path.
    Path(PathBuf),
    /// Not on this machine.
    Absent,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::BuiltIn => f.write_str("built in"),
            Location::Path(path) => write!(f, "{}", path.display()),
            Location::Absent => f.write_str("not on this machine"),
        }
    }
}
