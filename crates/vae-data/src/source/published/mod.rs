//! Published data sets: their description, the search for their files, and how they are read.
//!
//! Each data set has its own file with the name of the data set. The catalog lists them.

pub mod binarized_mnist;
pub mod fashion_mnist;
pub mod mnist;

use super::download::{PublishedFile, checksum, fetch};
use super::files::{amat, idx};
use super::{Environment, Location, Source, SourceSettings};
use crate::error::DataError;
use crate::examples::{Examples, Shape, Values};
use crate::hold_out::no_validation;
use crate::split::Split;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The shape of the images of all these data sets.
const SHAPE: Shape = Shape::Image { channels: 1, height: 28, width: 28 };
/// The number of classes of those with labels.
const CLASSES: usize = 10;

/// The format of a split.
#[derive(Debug)]
pub enum Form {
    /// Images and labels in IDX, published as `.gz`.
    Idx([PublishedFile; 2]),
    /// Images as text, published uncompressed.
    Amat(PublishedFile),
}

/// A split of a published data set.
#[derive(Debug)]
pub struct PublishedSplit {
    /// The split.
    pub split: Split,
    /// Number of examples.
    pub examples: usize,
    /// The format and the files.
    pub form: Form,
}

/// A published data set.
#[derive(Debug)]
pub struct PublishedSet {
    /// The name, in a specification and as a folder.
    pub name: &'static str,
    /// A description in one line.
    pub about: &'static str,
    /// Addresses to which the name of a file is appended, tried in order.
    pub mirrors: &'static [&'static str],
    /// The folder in burn-dataset's cache with the same files, decompressed, in `train` and `test`.
    pub burn_dataset: Option<&'static str>,
    /// The splits.
    pub splits: &'static [PublishedSplit],
}

/// A published file and its path on this machine.
#[derive(Clone, Debug)]
pub struct Located {
    file: &'static PublishedFile,
    path: PathBuf,
}

impl Source for PublishedSet {
    fn name(&self) -> String {
        self.name.into()
    }

    fn about(&self) -> String {
        self.about.into()
    }

    fn location(&self, environment: &Environment) -> Location {
        match self.locate(environment) {
            Ok(located) => Location::Path(folder_of(&located)),
            Err(_) => Location::Absent,
        }
    }

    fn layout(&self, _: &SourceSettings) -> Option<(Shape, usize)> {
        let has_labels = self.splits.iter().all(|s| matches!(s.form, Form::Idx(_)));
        Some((SHAPE, if has_labels { CLASSES } else { 0 }))
    }

    fn fetch(&self, environment: &Environment) -> Result<(), DataError> {
        self.obtain(environment, None).map(drop).map_err(|error| self.advice(environment, error))
    }

    fn publishes_validation(&self) -> bool {
        self.splits.iter().any(|published| published.split == Split::Validation)
    }

    fn read(
        &self,
        split: Split,
        _: &SourceSettings,
        environment: &Environment,
    ) -> Result<Examples, DataError> {
        let located = self.obtain(environment, None);
        let located = located.map_err(|error| self.advice(environment, error))?;
        let published = self.splits.iter().find(|published| published.split == split);
        published.ok_or_else(no_validation)?.read(&located)
    }
}

impl PublishedSet {
    /// Returns all files.
    pub fn files(&self) -> impl Iterator<Item = &'static PublishedFile> + use<> {
        self.splits.iter().flat_map(PublishedSplit::files)
    }

    /// Returns the path of each file, or the files that are not on this machine.
    pub(crate) fn locate(
        &self,
        environment: &Environment,
    ) -> Result<Vec<Located>, Vec<&'static PublishedFile>> {
        let (mut located, mut missing) = (Vec::new(), Vec::new());
        for file in self.files() {
            match self.search(file, environment) {
                Some(path) => located.push(Located { file, path }),
                None => missing.push(file),
            }
        }
        if missing.is_empty() { Ok(located) } else { Err(missing) }
    }

    /// Returns the path of each file. Downloads missing files.
    ///
    /// `patience` limits the time until a mirror answers.
    ///
    /// # Errors
    /// `Unavailable` with a short reason. [`Self::advice`] adds what to do.
    pub fn obtain(
        &self,
        environment: &Environment,
        patience: Option<Duration>,
    ) -> Result<Vec<Located>, DataError> {
        let missing = match self.locate(environment) {
            Ok(located) => return Ok(located),
            Err(missing) => missing,
        };
        if environment.offline {
            return Err(DataError::Unavailable("downloads are disabled".into()));
        }
        let folder = self.cache(environment).ok_or_else(|| {
            DataError::Unavailable("there is no cache folder to download to".into())
        })?;
        fetch::download(self.mirrors, missing, folder, patience, environment.progress)?;
        self.locate(environment).map_err(|_| {
            DataError::Unavailable("its files were removed during the download".into())
        })
    }

    /// Completes the message of an `Unavailable` error: what is missing, why, and what to do.
    pub fn advice(&self, environment: &Environment, error: DataError) -> DataError {
        let DataError::Unavailable(why) = error else { return error };
        let names: Vec<&str> = self.files().map(|file| file.name).collect();
        let folders: Vec<String> = self
            .data_folder(environment)
            .into_iter()
            .chain(self.cache(environment))
            .map(|folder| folder.display().to_string())
            .collect();
        let folders = if folders.is_empty() {
            format!("a folder `{}` in a data folder that you name", self.name)
        } else {
            folders.join(" or ")
        };
        let twins = if self.files().all(|file| file.name.ends_with(".gz")) {
            "or decompressed, without .gz"
        } else {
            "or compressed, with .gz"
        };
        DataError::Unavailable(format!(
            "{} is not on this machine and cannot be downloaded: {why}; put its files ({}; \
             {twins}) into {folders}",
            self.name,
            names.join(", "),
        ))
    }

    fn data_folder(&self, environment: &Environment) -> Option<PathBuf> {
        // An empty environment variable does not name a folder.
        let dir = environment.data_dir.as_ref().filter(|dir| !dir.as_os_str().is_empty());
        dir.map(|dir| dir.join(self.name))
    }

    /// Returns the folder for downloads.
    pub fn cache(&self, environment: &Environment) -> Option<PathBuf> {
        environment.cache_dir.as_ref().map(|dir| dir.join("vae").join(self.name))
    }

    /// Searches a file in all folders, compressed or decompressed.
    fn search(&self, file: &PublishedFile, environment: &Environment) -> Option<PathBuf> {
        let burn = environment.cache_dir.as_ref().zip(self.burn_dataset).map(|(dir, set)| {
            let split = if file.name.starts_with("train") { "train" } else { "test" };
            dir.join("burn-dataset").join(set).join(split)
        });
        let twin = match file.name.strip_suffix(".gz") {
            Some(unpacked) => unpacked.to_owned(),
            None => format!("{}.gz", file.name),
        };
        [self.data_folder(environment), self.cache(environment), burn]
            .into_iter()
            .flatten()
            .flat_map(|folder| [folder.join(file.name), folder.join(&twin)])
            .find(|path| path.is_file())
    }
}

impl PublishedSplit {
    /// Returns the files.
    fn files(&'static self) -> &'static [PublishedFile] {
        match &self.form {
            Form::Idx(files) => files,
            Form::Amat(file) => std::slice::from_ref(file),
        }
    }

    /// Reads the split from the located files of the data set.
    fn read(&self, located: &[Located]) -> Result<Examples, DataError> {
        let path = |file: &PublishedFile| {
            let found = located.iter().find(|located| located.file.name == file.name);
            found.map(|located| &*located.path).ok_or_else(|| {
                DataError::Unavailable(format!("{} is not among the files of its set", file.name))
            })
        };
        match &self.form {
            Form::Idx([images, labels]) => {
                load_idx(self.examples, [images, labels], [path(images)?, path(labels)?])
            }
            Form::Amat(file) => {
                let pixels = amat::read(path(file)?, self.examples, SHAPE.len())?;
                checksum::matches(path(file)?, file.sha256, &pixels.sha256)?;
                Ok(Examples::new(SHAPE, Values::Bytes(pixels.bytes)))
            }
        }
    }
}

/// Reads images and labels. Files with their published name must have the published checksum.
/// Decompressed files must have the right sizes.
fn load_idx(
    n: usize,
    files: [&PublishedFile; 2],
    [images, labels]: [&Path; 2],
) -> Result<Examples, DataError> {
    for (file, path) in files.into_iter().zip([images, labels]) {
        if path.ends_with(file.name) {
            checksum::verify(path, file.sha256)?;
        }
    }
    let examples = idx::pair(images, labels)?;
    if (examples.len(), examples.shape) != (n, SHAPE) {
        let why = format!(
            "holds {} images of {}, but the published file has {n} of {SHAPE}",
            examples.len(),
            examples.shape
        );
        return Err(DataError::malformed(images, why));
    }
    if let Some(i) = examples.labels.iter().flatten().position(|&label| label as usize >= CLASSES) {
        let why = format!("the label of image {i} is above {}", CLASSES - 1);
        return Err(DataError::malformed(labels, why));
    }
    Ok(examples)
}

/// Returns the deepest common folder of the files.
fn folder_of(located: &[Located]) -> PathBuf {
    let mut paths = located.iter().map(|located| &located.path);
    let mut folder = paths.next().and_then(|path| path.parent()).unwrap_or(Path::new(""));
    for path in paths {
        while !path.starts_with(folder) {
            folder = folder.parent().unwrap_or(Path::new(""));
        }
    }
    folder.to_owned()
}
