//! `Format`: a kind of file or folder with examples, and its source.

use crate::error::DataError;
use crate::examples::Examples;
use crate::hold_out::of_one_piece;
use crate::source::parts::{self, Chain, Opened, Parts};
use crate::source::{Environment, Location, Setting, Source, SourceSettings};
use crate::split::Split;
use std::path::{Path, PathBuf};

/// How one kind of file or folder is recognized and read.
#[derive(Debug)]
pub struct Format {
    /// The name for messages, with its article.
    pub name: &'static str,
    /// The settings that the format uses.
    pub settings: &'static [Setting],
    /// Returns whether a file or folder has this format.
    pub recognizes: fn(&Start) -> bool,
    /// How a file or folder is read.
    pub reading: Reading,
}

/// What is known for recognizing a format.
pub struct Start<'a> {
    /// The path of the file or folder.
    pub path: &'a Path,
    /// The first bytes of the file, decompressed; empty for a folder.
    pub bytes: &'a [u8],
}

/// How a file or folder is opened, and whether it has splits.
#[derive(Debug)]
pub enum Reading {
    /// Without splits: a sixth of the examples is the test split.
    Whole(fn(&Path, &SourceSettings) -> Opened),
    /// With splits.
    BySplit {
        /// Opens one split.
        open: fn(&Path, Split, &SourceSettings) -> Opened,
        /// Returns whether there is a validation split.
        publishes_validation: fn(&Path) -> bool,
    },
}

/// A file or folder as a source.
#[derive(Debug)]
pub struct FileSource {
    /// The path.
    pub path: PathBuf,
    /// The format.
    pub format: &'static Format,
}

impl Source for FileSource {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn spec(&self) -> String {
        self.path.display().to_string()
    }

    fn about(&self) -> String {
        self.format.name.into()
    }

    fn location(&self, _: &Environment) -> Location {
        Location::Path(self.path.clone())
    }

    fn settings(&self) -> &'static [Setting] {
        self.format.settings
    }

    fn publishes_validation(&self) -> bool {
        match self.format.reading {
            Reading::Whole(_) => false,
            Reading::BySplit { publishes_validation, .. } => publishes_validation(&self.path),
        }
    }

    fn read(
        &self,
        split: Split,
        settings: &SourceSettings,
        _: &Environment,
    ) -> Result<Examples, DataError> {
        match self.format.reading {
            Reading::Whole(open) => {
                split_of(&parts::whole(open(&self.path, settings)?)?, split, &self.path)
            }
            Reading::BySplit { open, .. } => parts::whole(open(&self.path, split, settings)?),
        }
    }

    fn read_all(
        &self,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Examples, DataError> {
        parts::whole(self.parts(settings, environment)?)
    }

    fn parts(
        &self,
        settings: &SourceSettings,
        _: &Environment,
    ) -> Result<Box<dyn Parts>, DataError> {
        match self.format.reading {
            Reading::Whole(open) => open(&self.path, settings),
            Reading::BySplit { open, .. } => {
                let splits = self.splits().into_iter().rev();
                let opened = splits.map(|split| open(&self.path, split, settings));
                Ok(Box::new(Chain { left: opened.collect::<Result<_, _>>()? }))
            }
        }
    }
}

/// Returns the examples of `split` from all examples of the file at `path`.
pub fn split_of(whole: &Examples, split: Split, path: &Path) -> Result<Examples, DataError> {
    let indices = of_one_piece(whole.len(), split)
        .map_err(|e| DataError::Request(format!("{}: {e}", path.display())))?;
    Ok(whole.select(&indices))
}

/// Returns the name of the file or folder at `path`.
pub fn file_name(path: &Path) -> String {
    // Paths such as `.` and `..` are resolved first to get a name.
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}
