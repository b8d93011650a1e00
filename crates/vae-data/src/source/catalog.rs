//! The catalog: all named sources, and opening the source of a specification.

use super::auto::{self, AUTO};
use super::built_in::curves::Curves;
use super::built_in::digits::Digits;
use super::built_in::sprites::Sprites;
use super::environment::Environment;
use super::files;
use super::published::binarized_mnist::BINARIZED_MNIST;
use super::published::fashion_mnist::FASHION_MNIST;
use super::published::mnist::MNIST;
use super::settings::{Setting, SourceSettings};
use super::{Location, Parts, Source};
use crate::error::DataError;
use crate::examples::{Examples, Shape};
use crate::split::Split;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All named sources, in the order of listings. A test compares this table with the files of
/// `built_in` and `published`.
pub static NAMED: [&dyn Source; 6] =
    [&Digits, &Curves, &Sprites, &MNIST, &FASHION_MNIST, &BINARIZED_MNIST];

/// Returns the source with this name.
pub fn named(name: &str) -> Option<&'static dyn Source> {
    NAMED.into_iter().find(|source| source.name() == name)
}

/// Returns the shape of an example and the number of classes of the source `spec`, if they are known
/// without reading it. `None` if the source does not use one of the `settings`. [`AUTO`] stands for sources
/// of one layout.
pub fn layout(spec: &str, settings: &SourceSettings) -> Option<(Shape, usize)> {
    let source = named(if spec == AUTO { MNIST.name } else { spec })?;
    let is_used = |setting: &Setting| source.settings().contains(setting);
    if settings.given().iter().all(is_used) { source.layout(settings) } else { None }
}

/// Information about a named source that needs no reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// The name, which is also the specification.
    pub name: String,
    /// A description in one line.
    pub about: String,
    /// The location.
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

/// Downloads a published data set if it is not on this machine. Returns its folder.
///
/// # Errors
/// If there is no published data set with this name, or if it cannot be downloaded.
pub fn fetch(name: &str, environment: &Environment) -> Result<PathBuf, DataError> {
    let source = named(name);
    if let Some(source) = source.filter(|s| s.location(environment) != Location::BuiltIn) {
        source.fetch(environment)?;
        if let Location::Path(folder) = source.location(environment) {
            return Ok(folder);
        }
        return Err(DataError::Unavailable(format!("the files of {name} were removed")));
    }
    let published = NAMED.iter().filter(|s| s.location(environment) != Location::BuiltIn);
    let names: Vec<String> = published.map(|source| source.name()).collect();
    Err(DataError::Request(format!(
        "`{name}` is not a data set to download: use one of {}",
        names.join(", ")
    )))
}

/// A source on this machine, with its settings.
#[derive(Clone, Debug)]
pub struct OpenedSource {
    /// The name of the data set, file or folder.
    pub name: String,
    /// The specification of the source; never `auto`.
    pub spec: String,
    /// A line for the user with the chosen source and the reason, if the choice was automatic.
    pub note: Option<String>,
    /// The location: a path, or built in.
    pub location: Location,
    source: Handle,
    settings: SourceSettings,
}

/// A source from the catalog, a source for a path, or a source of the caller.
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
    /// Opens the source `spec`: the name of a data set, `auto`, a path, or two IDX files separated
    /// by a comma. A published data set that is not on this machine is downloaded.
    ///
    /// # Errors
    /// If there is no such source, if it cannot be downloaded, or if it does not use one of the
    /// `settings`.
    pub fn open(
        spec: &str,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Self, DataError> {
        let (source, note) = find(spec, environment)?;
        Self::checked(source, note, settings, environment)
    }

    /// Opens a source of the caller.
    ///
    /// # Errors
    /// If it cannot be downloaded, or if it does not use one of the `settings`.
    pub fn custom(
        source: Arc<dyn Source>,
        settings: &SourceSettings,
        environment: &Environment,
    ) -> Result<Self, DataError> {
        Self::checked(Handle::Made(source), None, settings, environment)
    }

    /// Opens other data for a model that was trained with `settings`. Settings that the source does
    /// not use are ignored. A table need not have the id and label columns.
    ///
    /// # Errors
    /// If there is no such source, or if it cannot be downloaded.
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

    /// Checks that the source uses all given settings, then opens it.
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

    /// Returns the settings.
    pub fn settings(&self) -> &SourceSettings {
        &self.settings
    }

    /// Returns whether the source has a validation split.
    pub fn publishes_validation(&self) -> bool {
        self.source.publishes_validation()
    }

    /// Reads one split.
    ///
    /// For files and folders without splits, the test split is a sixth of the examples, always the
    /// same ones. The training split is the rest.
    ///
    /// # Errors
    /// If the source cannot be read, or if it has no such split.
    pub fn read(&self, split: Split, environment: &Environment) -> Result<Examples, DataError> {
        self.source.require(split)?;
        self.source.read(split, &self.settings, environment)
    }

    /// Reads the first `limit` examples of a split, and the number of classes of the whole split.
    ///
    /// # Errors
    /// The errors of [`Self::read`].
    pub fn read_first(
        &self,
        split: Split,
        limit: usize,
        environment: &Environment,
    ) -> Result<(Examples, usize), DataError> {
        self.source.require(split)?;
        self.source.read_first(split, limit, &self.settings, environment)
    }

    /// Reads all splits, one after the other. A file without splits is read in its own order.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn read_all(&self, environment: &Environment) -> Result<Examples, DataError> {
        self.source.read_all(&self.settings, environment)
    }

    /// Opens what [`Self::read_all`] reads, to read it a part at a time. Files and folders are then
    /// not in memory as a whole.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn parts(&self, environment: &Environment) -> Result<Box<dyn Parts>, DataError> {
        self.source.parts(&self.settings, environment)
    }
}

/// Finds the source `spec`. Also returns the reason if the choice was automatic.
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
        "`{spec}` is neither a data set nor an existing path: use one of {AUTO}, {}, or the path \
         of {}, or images.idx,labels.idx",
        names.join(", "),
        files::formats().join(", of ")
    )))
}

/// Returns the error for a setting that `source` does not use.
fn unread(source: &dyn Source, setting: Setting) -> DataError {
    let paths = files::readers_of(setting).join(" or of ");
    let mut readers = vec![format!("the path of {paths}")];
    let named = NAMED.iter().filter(|source| source.settings().contains(&setting));
    readers.extend(named.map(|source| format!("`{}`", source.name())));
    DataError::UnreadSetting {
        name: source.name(),
        setting: setting.key(),
        readers: readers.join(", or "),
    }
}
