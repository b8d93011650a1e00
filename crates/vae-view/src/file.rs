//! Files that are written as a whole, or not at all.

use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use image::{ImageFormat, RgbImage};

use crate::error::ViewError;

/// Writes a file under a temporary name in the same folder, and renames it at the end. If that fails,
/// an older file at `path` is unchanged.
pub(crate) fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn WriteSeek) -> Result<(), ViewError>,
) -> Result<(), ViewError> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let mut temporary = tempfile::Builder::new();
    // Temporary files are readable only by their owner by default.
    #[cfg(unix)]
    temporary.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = temporary.prefix(".tmp-").tempfile_in(folder.unwrap_or(Path::new(".")));
    let mut file = BufWriter::new(file.map_err(|e| failed(path, e))?);
    content(&mut file)?;
    let file = file.into_inner().map_err(|e| failed(path, e))?;
    file.as_file().sync_all().map_err(|e| failed(path, e))?;
    file.persist(path).map_err(|e| failed(path, e.error))?;
    Ok(())
}

/// Makes the error of a file that cannot be written.
pub(crate) fn failed(path: &Path, why: impl ToString) -> ViewError {
    ViewError::Write { path: path.to_owned(), why: why.to_string() }
}

/// What encoders of pictures write to.
pub(crate) trait WriteSeek: Write + Seek {}
impl<T: Write + Seek> WriteSeek for T {}

/// Writes a picture as `.png`, whatever its name is.
pub(crate) fn write_png(image: &RgbImage, path: &Path) -> Result<(), ViewError> {
    write(path, |mut file| image.write_to(&mut file, ImageFormat::Png).map_err(|e| failed(path, e)))
}

/// Writes a text.
pub(crate) fn write_text(text: &str, path: &Path) -> Result<(), ViewError> {
    write(path, |file| file.write_all(text.as_bytes()).map_err(|e| failed(path, e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.svg");
        write(&path, |file| file.write_all(b"old").map_err(|e| failed(&path, e))).unwrap();
        let stopped = write(&path, |file| {
            file.write_all(b"half").unwrap();
            Err(ViewError::Draw("no more".to_owned()))
        });
        assert!(matches!(stopped, Err(ViewError::Draw(why)) if why == "no more"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
