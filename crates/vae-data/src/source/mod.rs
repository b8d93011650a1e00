//! `Source`: where examples come from. What a user may write, what it stands for, and how it is read.

mod amat;
mod bounded;
mod checksum;
mod curves;
mod fetch;
mod folder;
mod idx;
mod known;
mod npy;

use crate::digits;
use crate::error::DataError;
use crate::examples::Examples;
use crate::part::Part;
use crate::split;
use known::{ALL, BINARIZED_MNIST, FASHION_MNIST, KnownSet, Located, MNIST};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How long `auto` waits for a mirror to answer before `digits` takes over.
const PATIENCE: Duration = Duration::from_secs(5);

/// A data specification, as a user writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `auto`: `mnist` if it is on this machine or to be had, else `digits`.
    Auto,
    /// `digits`: handwriting-like digits, built in.
    Digits,
    /// `curves`: smooth curves of 256 numbers in [-1, 1], built in.
    Curves,
    /// `mnist`.
    Mnist,
    /// `fashion-mnist`.
    FashionMnist,
    /// `binarized-mnist`.
    BinarizedMnist,
    /// A folder of pictures, a `.npy` array, or an IDX file of images.
    Path(PathBuf),
    /// `images.idx,labels.idx`: two IDX files.
    IdxPair {
        /// The file of images.
        images: PathBuf,
        /// The file of their labels.
        labels: PathBuf,
    },
}

/// The sources that have a name.
const NAMED: [(&str, Source); 6] = [
    ("auto", Source::Auto),
    ("digits", Source::Digits),
    ("curves", Source::Curves),
    ("mnist", Source::Mnist),
    ("fashion-mnist", Source::FashionMnist),
    ("binarized-mnist", Source::BinarizedMnist),
];

impl FromStr for Source {
    type Err = DataError;

    /// Reads a set's name, else the path of what exists, else two paths with a comma between.
    fn from_str(text: &str) -> Result<Self, DataError> {
        if let Some((_, source)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(source.clone());
        }
        if Path::new(text).exists() {
            return Ok(Source::Path(text.into()));
        }
        if let Some((images, labels)) = text.split_once(',') {
            for file in [images, labels] {
                if !Path::new(file).is_file() {
                    return Err(DataError::Request(format!(
                        "`{file}` in `{text}` is not an existing file"
                    )));
                }
            }
            return Ok(Source::IdxPair { images: images.into(), labels: labels.into() });
        }
        let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
        Err(DataError::Request(format!(
            "`{text}` is neither a data set nor an existing path: use one of {}, \
             or the path of a folder of pictures, of a .npy array, of an IDX file, or images.idx,labels.idx",
            names.join(", ")
        )))
    }
}

impl fmt::Display for Source {
    /// Writes it as `from_str` reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(path) => write!(f, "{}", path.display()),
            Source::IdxPair { images, labels } => {
                write!(f, "{},{}", images.display(), labels.display())
            }
            named => {
                let entry = NAMED.iter().find(|(_, source)| source == named);
                f.write_str(entry.map(|(name, _)| *name).unwrap_or_default())
            }
        }
    }
}

/// How far the download of one file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which file.
    pub file: &'static str,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Where sources may look, and how they read.
#[derive(Clone)]
pub struct Options<'a> {
    /// The user's data folder, which holds a folder for each published set.
    pub data_dir: Option<PathBuf>,
    /// The folder of caches, where downloads go (into `vae/`) and where burn-dataset's are found. The
    /// default is the user's.
    pub cache_dir: Option<PathBuf>,
    /// For folders of pictures: what they are scaled and cropped to, (height, width).
    pub image_size: Option<(usize, usize)>,
    /// For folders of pictures: 1 (grey) or 3 (colour).
    pub channels: Option<usize>,
    /// Whether downloads are off.
    pub offline: bool,
    /// Told how downloads get on, on the thread of the caller.
    pub progress: &'a dyn Fn(Progress),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            data_dir: None,
            cache_dir: dirs::cache_dir(),
            image_size: None,
            channels: None,
            offline: false,
            progress: &|_| {},
        }
    }
}

/// A source that is known to exist, ready to be read.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Which it is; never `Auto`.
    pub source: Source,
    /// What to call it: a set's name, or that of a file or folder.
    pub name: String,
    /// Which set was chosen and why, if there was a choice: a line for the user.
    pub note: Option<String>,
    /// Where it is: a path, or `built in`.
    pub origin: String,
    /// The files of a published set.
    located: Vec<Located>,
}

impl Source {
    /// Finds out what this stands for, downloading a published set that is not on this machine.
    ///
    /// `auto` gives `mnist` at most 5 seconds to answer before it takes `digits`. A published set that
    /// was asked for by name and cannot be had is an error which says where its files may be put.
    pub fn resolve(self, options: &Options) -> Result<Resolved, DataError> {
        if self == Source::Auto {
            return Ok(auto(&MNIST, options));
        }
        let (name, origin, located) = match &self {
            Source::Path(path) => (file_name(path), path.display().to_string(), vec![]),
            Source::IdxPair { images, .. } => (file_name(images), self.to_string(), vec![]),
            named => match named.known() {
                Some(set) => {
                    let located =
                        set.obtain(options, None).map_err(|error| set.advice(options, error))?;
                    (set.name.into(), known::folder_of(&located).display().to_string(), located)
                }
                None => (named.to_string(), Location::BuiltIn.to_string(), vec![]),
            },
        };
        Ok(Resolved { source: self, name, note: None, origin, located })
    }

    /// The published set that this names.
    fn known(&self) -> Option<&'static KnownSet> {
        match self {
            Source::Mnist => Some(&MNIST),
            Source::FashionMnist => Some(&FASHION_MNIST),
            Source::BinarizedMnist => Some(&BINARIZED_MNIST),
            _ => None,
        }
    }
}

fn file_name(path: &Path) -> String {
    // `.` and `..` have a name only once they are resolved.
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}

/// `set` (which is `mnist`) if it can be had soon, else `digits`.
fn auto(set: &'static KnownSet, options: &Options) -> Resolved {
    let on_this_machine = set.locate(options).is_ok();
    match set.obtain(options, Some(PATIENCE)) {
        Ok(located) => {
            let why = if on_this_machine { "found on this machine" } else { "just downloaded" };
            Resolved {
                source: Source::Mnist,
                name: set.name.into(),
                note: Some(format!("{}, {why}", set.name)),
                origin: known::folder_of(&located).display().to_string(),
                located,
            }
        }
        Err(why) => Resolved {
            source: Source::Digits,
            name: Source::Digits.to_string(),
            note: Some(format!(
                "digits, built in, because {} is not on this machine and cannot be had: {why}",
                set.name
            )),
            origin: Location::BuiltIn.to_string(),
            located: vec![],
        },
    }
}

impl Resolved {
    /// Whether the source has a validation part of its own.
    pub fn publishes_validation(&self) -> bool {
        match &self.source {
            Source::Path(path) => folder::publishes_validation(path),
            source => source.known().is_some_and(|set| set.has(Part::Validation)),
        }
    }

    /// Reads all parts: a file that comes in one piece in its own order, others one part after the
    /// other.
    pub fn load_all(&self, options: &Options) -> Result<Examples, DataError> {
        if let Some(whole) = self.one_piece() {
            return whole;
        }
        let mut all = self.load(Part::Train, options)?;
        if self.publishes_validation() {
            all.append(self.load(Part::Validation, options)?);
        }
        all.append(self.load(Part::Test, options)?);
        Ok(all)
    }

    /// The content of a file of examples, which has no parts of its own.
    fn one_piece(&self) -> Option<Result<Examples, DataError>> {
        match &self.source {
            Source::Path(path) if !path.is_dir() => Some(read_array(path)),
            Source::IdxPair { images, labels } => Some(idx::pair(images, labels)),
            _ => None,
        }
    }

    /// Reads one part. Asking for a validation part that the source does not have is an error.
    ///
    /// Files and folders that come in one piece give a sixth of their examples to the test part,
    /// always the same ones, and the rest to the training part.
    pub fn load(&self, part: Part, options: &Options) -> Result<Examples, DataError> {
        if part == Part::Validation && !self.publishes_validation() {
            return Err(split::no_validation());
        }
        if let Some(set) = self.source.known() {
            return set.load(part, &self.located);
        }
        match &self.source {
            Source::Path(path) if path.is_dir() => {
                return folder::read(path, part, options.image_size, options.channels);
            }
            Source::Curves => return Ok(curves::examples(part)),
            _ => {}
        }
        let Some(whole) = self.one_piece() else {
            return Ok(digits::examples(part, usize::MAX));
        };
        let whole = whole?;
        let indices = split::of_one_piece(whole.len(), part)
            .map_err(|e| DataError::Request(format!("{}: {e}", self.origin)))?;
        Ok(whole.select(&indices))
    }
}

/// Reads a whole file of examples, in whichever of the formats it is: a `.npy` array or an IDX file.
pub fn read_array(path: &Path) -> Result<Examples, DataError> {
    let mut input = bounded::Input::open(path)?;
    let mut start = [0; 1];
    let n = input.read(&mut start)?;
    match start[..n] {
        [first] if first == npy::MAGIC[0] => npy::read(path),
        [0] => idx::images(path),
        _ => Err(DataError::malformed(path, "is neither a .npy array nor an IDX file of images")),
    }
}

/// Where a set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the program.
    BuiltIn,
    /// In this folder.
    Folder(PathBuf),
    /// Not on this machine.
    Absent,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::BuiltIn => f.write_str("built in"),
            Location::Folder(path) => write!(f, "{}", path.display()),
            Location::Absent => f.write_str("not on this machine"),
        }
    }
}

/// What is known of a set without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetInfo {
    /// What to write to get it.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Where it is.
    pub location: Location,
}

/// All sets that have a name.
pub fn list(options: &Options) -> Vec<SetInfo> {
    let built_in = |name, about| SetInfo { name, about, location: Location::BuiltIn };
    let mut sets = vec![
        built_in(
            "digits",
            "60,000 + 10,000 made handwritten digits with their factors, 28x28 grey",
        ),
        built_in(
            "curves",
            "6,000 + 1,000 made smooth curves with their factors, 256 numbers in [-1, 1]",
        ),
    ];
    sets.extend(ALL.map(|set| SetInfo {
        name: set.name,
        about: set.about,
        location: match set.locate(options) {
            Ok(located) => Location::Folder(known::folder_of(&located)),
            Err(_) => Location::Absent,
        },
    }));
    sets
}

/// Makes sure that a published set is on this machine, downloading what is missing, and says where it is.
pub fn fetch(name: &str, options: &Options) -> Result<PathBuf, DataError> {
    let Some(set) = ALL.into_iter().find(|set| set.name == name) else {
        let names = ALL.map(|set| set.name).join(", ");
        return Err(DataError::Request(format!(
            "`{name}` is no set to download: use one of {names}"
        )));
    };
    let located = set.obtain(options, None).map_err(|error| set.advice(options, error))?;
    Ok(known::folder_of(&located))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
