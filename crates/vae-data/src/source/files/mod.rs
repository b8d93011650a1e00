//! Files and folders of the user: the table of formats, and opening a file or folder.

pub mod amat;
mod bounded;
mod csv;
mod folder;
mod format;
pub mod idx;
pub mod npy;

use super::{Setting, Source, SourceSettings};
use crate::error::DataError;
use crate::examples::Examples;
use bounded::Input;
use format::{FileSource, Format, Reading, Start};
use std::path::Path;
use std::sync::Arc;

/// All formats, in the order in which they are tried.
static FORMATS: [&Format; 4] = [&folder::FORMAT, &csv::FORMAT, &npy::FORMAT, &idx::FORMAT];

/// Returns the names of the formats.
pub fn formats() -> Vec<&'static str> {
    FORMATS.iter().map(|format| format.name).collect()
}

/// Returns the names of the formats that use a setting.
pub fn readers_of(setting: Setting) -> Vec<&'static str> {
    let readers = FORMATS.iter().filter(|format| format.settings.contains(&setting));
    readers.map(|format| format.name).collect()
}

/// Opens the file or folder at `path`, in any of the formats.
pub fn open(path: &Path) -> Result<Arc<dyn Source>, DataError> {
    Ok(Arc::new(FileSource { path: path.to_owned(), format: recognize(path)? }))
}

/// Opens a file of images and the file of their labels.
pub fn open_pair(images: &Path, labels: &Path) -> Arc<dyn Source> {
    Arc::new(idx::Pair { images: images.to_owned(), labels: labels.to_owned() })
}

/// Reads all examples of a file, in any of the formats.
///
/// # Errors
/// If the file cannot be read, or if it is a folder.
pub fn read_array(path: &Path) -> Result<Examples, DataError> {
    match recognize(path)?.reading {
        Reading::Whole(read) => read(path, &SourceSettings::default()),
        Reading::BySplit { .. } => Err(DataError::malformed(path, "is a folder, not a file")),
    }
}

fn recognize(path: &Path) -> Result<&'static Format, DataError> {
    let mut bytes = [0; 1];
    let n = if path.is_dir() { 0 } else { Input::open(path)?.read(&mut bytes)? };
    let start = Start { path, bytes: &bytes[..n] };
    FORMATS.into_iter().find(|format| (format.recognizes)(&start)).ok_or_else(|| {
        DataError::malformed(path, format!("is not one of {}", formats().join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_this_folder_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/files");
        let formats: usize = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|file| !file.ends_with("mod.rs") && !file.ends_with("format.rs"))
            .map(|file| {
                std::fs::read_to_string(file).unwrap().matches(": Format = Format {").count()
            })
            .sum();
        assert_eq!(formats, FORMATS.len());
    }
}
