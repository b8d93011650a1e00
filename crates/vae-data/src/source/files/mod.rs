//! Files and folders of the user: the table of formats, and opening a file or folder.

pub mod amat;
mod bounded;
mod csv;
mod folder;
mod format;
pub mod idx;
pub mod npy;
mod npz;
#[cfg(feature = "parquet")]
mod parquet;

use super::parts::Opened;
use super::{Parts, Setting, Source, SourceSettings};
use crate::error::DataError;
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

/// Opens a file of latent codes: a `.npy` array, an array of an `.npz` archive, or the columns
/// `columns` of a table (`.parquet` with the Cargo feature `parquet`). `array` is the name of the array of an archive; without it, it is `mean` or
/// the only array.
///
/// # Errors
/// If the file cannot be read, or if there is no such array or column.
pub fn open_codes(
    path: &Path,
    array: Option<&str>,
    columns: &[String],
) -> Result<Box<dyn Parts>, DataError> {
    let is_parquet = path.extension().is_some_and(|extension| extension == "parquet");
    if !is_parquet && npz::recognizes(&start(path)?) {
        return Ok(Box::new(npz::open(path, array)?));
    }
    if array.is_some() {
        return Err(DataError::malformed(path, "has no named arrays: only an .npz archive has"));
    }
    if is_parquet {
        return open_parquet(path, columns);
    }
    let format = recognize(path)?;
    let Reading::Whole(open) = format.reading else {
        return Err(DataError::malformed(path, "is a folder, not a file"));
    };
    let settings = SourceSettings { columns: Some(columns.to_vec()), ..Default::default() };
    open(path, &settings.only(format.settings))
}

#[cfg(feature = "parquet")]
fn open_parquet(path: &Path, columns: &[String]) -> Opened {
    Ok(Box::new(parquet::Table::open(path, columns)?))
}

#[cfg(not(feature = "parquet"))]
fn open_parquet(path: &Path, _: &[String]) -> Opened {
    let why = "this build has no Parquet: add it with `cargo build --release --features parquet`, \
               or use .npy, .npz or .csv";
    Err(DataError::malformed(path, why))
}

/// Returns the first four bytes of a file, decompressed. Fewer of a shorter file, none of a folder.
fn start(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = vec![0; 4];
    let mut n = 0;
    if !path.is_dir() {
        let mut input = Input::open(path)?;
        while n < bytes.len() {
            match input.read(&mut bytes[n..])? {
                0 => break,
                more => n += more,
            }
        }
    }
    bytes.truncate(n);
    Ok(bytes)
}

fn recognize(path: &Path) -> Result<&'static Format, DataError> {
    let start = Start { path, bytes: &start(path)? };
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
