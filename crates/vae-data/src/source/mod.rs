//! Where examples come from: the trait of every source, and the parts that implement it.
//!
//! ```text
//! catalog     reads a specification, lists the named sources, opens one
//!   auto        the policy: mnist if it can be had soon, else digits
//!   built_in    sources that the program makes: one file each
//!   published   sources to download: one file each
//!     download    a published file: its checksum and its way here
//!   files       the user's own files and folders: one file for each format
//! environment where to look on this machine
//! settings    how to read, from the configuration
//! ```

mod auto;
mod built_in;
mod catalog;
mod download;
mod environment;
mod files;
mod published;
mod settings;
#[cfg(test)]
mod tests;

pub use auto::AUTO;
pub use catalog::{OpenedSource, SourceInfo, fetch, list, named};
pub use environment::{Environment, Progress};
pub use files::read_array;
pub use settings::{Setting, SourceSettings};

use crate::error::DataError;
use crate::examples::Examples;
use crate::hold_out::no_validation;
use crate::split::Split;
use std::fmt;
use std::path::PathBuf;

/// A place that examples come from: a named data set, or a user's file or folder.
///
/// A new named source is a file under `built_in` or `published` and a line in the catalog.
pub trait Source: fmt::Debug + Send + Sync {
    /// What to call it: a set's name, or that of a file or folder.
    fn name(&self) -> String;

    /// The specification that names it again.
    fn spec(&self) -> String {
        self.name()
    }

    /// What it is, in one line.
    fn about(&self) -> String;

    /// Where it is now. Reads no example and downloads nothing.
    fn location(&self, environment: &Environment) -> Location;

    /// Makes sure that it is on this machine, downloading what is missing.
    ///
    /// # Errors
    /// If it cannot be had; the message says where its files may be put.
    fn fetch(&self, _environment: &Environment) -> Result<(), DataError> {
        Ok(())
    }

    /// The settings that it reads. Others are refused.
    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    /// Whether it has a validation split of its own.
    fn publishes_validation(&self) -> bool {
        false
    }

    /// Reads one split.
    ///
    /// # Errors
    /// If the source cannot be read, or has no such split.
    fn read(
        &self,
        split: Split,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Examples, DataError>;

    /// Reads the first `limit` examples of a split. Returns them and how many classes the whole split
    /// has. A source that can read less than the whole does so here.
    ///
    /// # Errors
    /// As [`Self::read`].
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

    /// Reads all splits, one after the other. What comes in one piece is read in its own order.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_all(
        &self,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Examples, DataError> {
        read_splits(self, settings, environment)
    }

    /// Refuses a split that the source does not have.
    ///
    /// # Errors
    /// If that is so.
    fn require(&self, split: Split) -> Result<(), DataError> {
        match split {
            Split::Validation if !self.publishes_validation() => Err(no_validation()),
            Split::Train | Split::Validation | Split::Test => Ok(()),
        }
    }
}

/// Reads every split of `source`, one after the other.
fn read_splits(
    source: &(impl Source + ?Sized),
    settings: &SourceSettings,
    environment: &Environment,
) -> Result<Examples, DataError> {
    let mut all = source.read(Split::Train, settings, environment)?;
    if source.publishes_validation() {
        all.append(source.read(Split::Validation, settings, environment)?)?;
    }
    all.append(source.read(Split::Test, settings, environment)?)?;
    Ok(all)
}

/// Where a source is.
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
