//! `Format`: a sort of file or folder that examples can be read from, and the source that it makes.

use crate::error::DataError;
use crate::examples::Examples;
use crate::hold_out::of_one_piece;
use crate::source::{Environment, Location, Setting, Source, SourceSettings, read_splits};
use crate::split::Split;
use std::path::{Path, PathBuf};

/// How one sort of file or folder is recognized and read.
#[derive(Debug)]
pub struct Format {
    /// What messages call it, with its article.
    pub name: &'static str,
    /// The settings that it reads.
    pub settings: &'static [Setting],
    /// Whether a file that starts like this is one.
    pub recognizes: fn(&Start) -> bool,
    /// How it is read.
    pub reading: Reading,
}

/// What a format is recognized by.
pub struct Start<'a> {
    /// The path of the file or folder.
    pub path: &'a Path,
    /// The first bytes of the file, unpacked; none of a folder.
    pub bytes: &'a [u8],
}

/// How the examples lie in a file or folder.
#[derive(Debug)]
pub enum Reading {
    /// All in one piece; a sixth of them is the test split.
    Whole(fn(&Path, &SourceSettings) -> Result<Examples, DataError>),
    /// Split by split.
    BySplit {
        /// Reads one split.
        read: fn(&Path, Split, &SourceSettings) -> Result<Examples, DataError>,
        /// Whether there is a validation split.
        publishes_validation: fn(&Path) -> bool,
    },
}

/// A file or folder of the user as a source.
#[derive(Debug)]
pub struct FileSource {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
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
            Reading::Whole(read) => split_of(&read(&self.path, settings)?, split, &self.path),
            Reading::BySplit { read, .. } => read(&self.path, split, settings),
        }
    }

    fn read_all(
        &self,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Examples, DataError> {
        match self.format.reading {
            Reading::Whole(read) => read(&self.path, settings),
            Reading::BySplit { .. } => read_splits(self, settings, environment),
        }
    }
}

/// Cuts `split` out of the examples of the file at `path`.
pub fn split_of(whole: &Examples, split: Split, path: &Path) -> Result<Examples, DataError> {
    let indices = of_one_piece(whole.len(), split)
        .map_err(|e| DataError::Request(format!("{}: {e}", path.display())))?;
    Ok(whole.select(&indices))
}

/// The name of the file or folder at `path`.
pub fn file_name(path: &Path) -> String {
    // `.` and `..` have a name only once they are resolved.
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}
