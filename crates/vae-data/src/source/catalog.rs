//! The catalog: every named source, what a specification stands for, and opening it.

use super::auto::{self, AUTO};
use super::built_in::curves::Curves;
use super::built_in::digits::Digits;
use super::environment::Environment;
use super::files;
use super::published::binarized_mnist::BINARIZED_MNIST;
use super::published::fashion_mnist::FASHION_MNIST;
use super::published::mnist::MNIST;
use super::settings::{Setting, SourceSettings};
use super::{Location, Source};
use crate::error::DataError;
use crate::examples::Examples;
use crate::split::Split;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every source that has a name, in the order in which they are listed. A test compares this table
/// with the files of `built_in` and `published`.
pub static NAMED: [&dyn Source; 5] = [&Digits, &Curves, &MNIST, &FASHION_MNIST, &BINARIZED_MNIST];

/// Returns the source of this name.
pub fn named(name: &str) -> Option<&'static dyn Source> {
    NAMED.into_iter().find(|source| source.name() == name)
}

/// What is known of a named source without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// What to write to get it.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Where it is.
    pub location: Location,
}

/// Lists the named sources.
pub fn list(environment: &Environment) -> Vec<SourceInfo> {
    let info = |source: &&'static dyn Source| SourceInfo {
        name: source.name(),
        about: source.about(),
        location: source.location(environment),
    };
    NAMED.iter().map(info).collect()
}

/// Makes sure that a published set is on this machine, and returns where it is.
///
/// # Errors
/// If there is no published set of this name, or it cannot be had.
pub fn fetch(name: &str, environment: &Environment) -> Result<PathBuf, DataError> {
    let source = named(name);
    if let Some(source) = source.filter(|s| s.location(environment) != Location::BuiltIn) {
        source.fetch(environment)?;
        if let Location::Path(folder) = source.location(environment) {
            return Ok(folder);
        }
        return Err(DataError::Unavailable(format!("the files of {name} vanished")));
    }
    let published = NAMED.iter().filter(|s| s.location(environment) != Location::BuiltIn);
    let names: Vec<String> = published.map(|source| source.name()).collect();
    Err(DataError::Request(format!(
        "`{name}` is not a set to download: use one of {}",
        names.join(", ")
    )))
}

/// A source that is on this machine, with the settings to read it by.
#[derive(Clone, Debug)]
pub struct OpenedSource {
    /// What to call it: a set's name, or that of a file or folder.
    pub name: String,
    /// The specification that names it again; never `auto`.
    pub spec: String,
    /// Which source was chosen and why, if there was a choice: a line for the user.
    pub note: Option<String>,
    /// Where it is: a path, or `built in`.
    pub location: Location,
    source: Handle,
    settings: SourceSettings,
}

/// A source from the catalog, or one that was made: for a path, or by the caller.
#[derive(Clone, Debug)]
enum Handle {
    Named(&'static dyn Source),
    Made(Arc<dyn Source>),
}

impl Deref for Handle {
    type Target = dyn Source;

    fn deref(&self) -> &Self::Target {
        match self {
            Handle::Named(source) => *source,
            Handle::Made(source) => &**source,
        }
    }
}

impl OpenedSource {
    /// Opens the source that `spec` names: a set's name, `auto`, a path, or two IDX files with a
    /// comma between. A published set that is not on this machine is downloaded.
    ///
    /// # Errors
    /// If there is no such source, it cannot be had, or it does not read one of the `settings`.
    pub fn open(
        spec: &str,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Self, DataError> {
        let (source, note) = find(spec, environment)?;
        Self::checked(source, note, settings, environment)
    }

    /// Opens a source of the caller's own.
    ///
    /// # Errors
    /// If it cannot be had, or does not read one of the `settings`.
    pub fn custom(
        source: Arc<dyn Source>,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Self, DataError> {
        Self::checked(Handle::Made(source), None, settings, environment)
    }

    /// Opens other data for a model that was trained with `settings`. Those that the source does
    /// not read are left out, and a table may lack its id and label columns.
    ///
    /// # Errors
    /// If there is no such source, or it cannot be had.
    pub fn open_other(
        spec: &str,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Self, DataError> {
        let (source, note) = find(spec, environment)?;
        let mut settings = settings.only(source.settings());
        settings.may_lack_id_and_label = true;
        Self::fetched(source, note, settings, environment)
    }

    /// Refuses settings that the source does not read, then opens it.
    fn checked(
        source: Handle,
        note: Option<String>,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Self, DataError> {
        for setting in settings.given() {
            if !source.settings().contains(&setting) {
                return Err(unread(&*source, setting));
            }
        }
        Self::fetched(source, note, settings.clone(), environment)
    }

    fn fetched(
        source: Handle,
        note: Option<String>,
        settings: SourceSettings,
        environment: &Environment,
    ) -> Result<Self, DataError> {
        source.fetch(environment)?;
        let (name, spec) = (source.name(), source.spec());
        let location = source.location(environment);
        Ok(Self { name, spec, note, location, source, settings })
    }

    /// The settings that it is read by.
    pub fn settings(&self) -> &SourceSettings {
        &self.settings
    }

    /// Whether it has a validation split of its own.
    pub fn publishes_validation(&self) -> bool {
        self.source.publishes_validation()
    }

    /// Reads one split.
    ///
    /// Files and folders that come in one piece give a sixth of their examples to the test split,
    /// always the same ones, and the rest to the training split.
    ///
    /// # Errors
    /// If the source cannot be read, or has no such split.
    pub fn read(&self, split: Split, environment: &Environment) -> Result<Examples, DataError> {
        self.source.require(split)?;
        self.source.read(split, &self.settings, environment)
    }

    /// Reads the first `limit` examples of a split, and how many classes the whole split has.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_first(
        &self,
        split: Split,
        limit: usize,
        environment: &Environment,
    ) -> Result<(Examples, usize), DataError> {
        self.source.require(split)?;
        self.source.read_first(split, limit, &self.settings, environment)
    }

    /// Reads all splits: a file that comes in one piece in its own order, others one split after
    /// the other.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn read_all(&self, environment: &Environment) -> Result<Examples, DataError> {
        self.source.read_all(&self.settings, environment)
    }
}

/// Finds the source that `spec` names, with the reason if there was a choice.
fn find(spec: &str, environment: &Environment) -> Result<(Handle, Option<String>), DataError> {
    if spec == AUTO {
        let (source, note) = auto::choose(&MNIST, environment);
        return Ok((Handle::Named(source), Some(note)));
    }
    if let Some(source) = named(spec) {
        return Ok((Handle::Named(source), None));
    }
    if Path::new(spec).exists() {
        return Ok((Handle::Made(files::open(Path::new(spec))?), None));
    }
    if let Some((images, labels)) = spec.split_once(',') {
        for file in [images, labels] {
            if !Path::new(file).is_file() {
                return Err(DataError::Request(format!(
                    "`{file}` in `{spec}` is not an existing file"
                )));
            }
        }
        return Ok((Handle::Made(files::open_pair(images.as_ref(), labels.as_ref())), None));
    }
    let names: Vec<String> = NAMED.iter().map(|source| source.name()).collect();
    Err(DataError::Request(format!(
        "`{spec}` is neither a data set nor an existing path: use one of {AUTO}, {}, or the path of {}, \
         or images.idx,labels.idx",
        names.join(", "),
        files::formats().join(", of ")
    )))
}

/// The error for a setting that `source` does not read.
fn unread(source: &dyn Source, setting: Setting) -> DataError {
    DataError::UnreadSetting {
        name: source.name(),
        setting: setting.key(),
        readers: files::readers_of(setting).join(" or of "),
    }
}
