//! `.npz` archives of NumPy: a zip of `.npy` arrays, stored or deflated.

use super::bounded::{self, Input};
use super::npy::Array;
use crate::error::DataError;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// The array of codes, unless another one is named: that is how `vae-cli encode` calls it.
const CODES: &str = "mean";

/// Returns whether the first bytes of a file are those of a zip archive.
pub fn recognizes(start: &[u8]) -> bool {
    start == b"PK\x03\x04"
}

/// Opens the array `name`. Without a name it is the array of codes, or the only array.
pub fn open(path: &Path, name: Option<&str>) -> Result<Array, DataError> {
    let wrong = |why: String| DataError::malformed(path, why);
    let broken = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) => DataError::io(path, e),
        other => wrong(format!("cannot be read as an .npz archive: {other}")),
    };
    let mut archive = ZipArchive::new(bounded::open(path)?).map_err(broken)?;
    let entries: Vec<String> =
        archive.file_names().filter_map(|entry| Some(entry.ok()?.into_owned())).collect();
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry.strip_suffix(".npy")).collect();
    let chosen = match (name, &names[..]) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, names) if names.contains(&CODES) => CODES,
        (None, _) => {
            return Err(wrong(format!("has no array `{CODES}`, but {}: name one", listed(&names))));
        }
    };
    if !names.contains(&chosen) {
        return Err(wrong(format!("has no array `{chosen}`, but {}", listed(&names))));
    }
    let entry = format!("{chosen}.npy");
    let entry = archive.by_name(&entry).map_err(broken)?;
    let packed = match entry.compression() {
        CompressionMethod::Stored => false,
        CompressionMethod::Deflated => true,
        other => {
            return Err(wrong(format!("its arrays are compressed by {other}, not by deflate")));
        }
    };
    let start = entry.data_start();
    let start = start.ok_or_else(|| wrong("an array has no data".to_owned()))?;
    let (size, sum) = (entry.compressed_size(), entry.crc32());
    drop(entry);
    let mut file = archive.into_inner();
    file.seek(SeekFrom::Start(start)).map_err(|e| DataError::io(path, e))?;
    let stored = file.take(size);
    let inner: Box<dyn Read> =
        if packed { Box::new(DeflateDecoder::new(stored)) } else { Box::new(stored) };
    let checked = Checked { inner, crc: Crc::new(), sum };
    Array::of(Input::of(path, Box::new(checked), Some("zip")), path)
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "no array at all".to_owned() } else { names.join(", ") }
}

/// A reader that checks the checksum of what it has read at the end.
struct Checked {
    inner: Box<dyn Read>,
    crc: Crc,
    sum: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.crc.update(&buffer[..n]);
        if n == 0 && !buffer.is_empty() && self.crc.sum() != self.sum {
            return Err(io::Error::new(ErrorKind::InvalidData, "its checksum is wrong"));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::super::npy::tests::npy;
    use super::*;
    use crate::examples::Values;
    use crate::source::Parts;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn archive(
        dir: &Path,
        entries: &[(&str, &[u8])],
        method: CompressionMethod,
    ) -> std::path::PathBuf {
        let path = dir.join("a.npz");
        let mut zip = ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (name, bytes) in entries {
            let options = SimpleFileOptions::default().compression_method(method);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    fn floats(numbers: &[f32]) -> Vec<u8> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        npy("<f4", "False", &format!("({}, 1)", numbers.len()), &bytes)
    }

    #[test]
    fn a_table_whose_first_column_starts_like_an_archive_is_none() {
        assert!(recognizes(b"PK\x03\x04"));
        assert!(!recognizes(b"Pati") && !recognizes(b"PK,a") && !recognizes(b""));
    }

    #[test]
    fn the_codes_or_the_only_array_or_a_named_one_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (mean, other) = (floats(&[1.0, 2.0]), floats(&[3.0]));
        let read = |path: &Path, name| {
            let part = open(path, name)?.next(9)?.unwrap();
            Ok::<Values, DataError>(part.values)
        };
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let path = archive(dir.path(), &[("b.npy", &other), ("mean.npy", &mean)], method);
            assert_eq!(read(&path, None).unwrap(), Values::Floats(vec![1.0, 2.0]));
            assert_eq!(read(&path, Some("b")).unwrap(), Values::Floats(vec![3.0]));
            let why = read(&path, Some("c")).unwrap_err().to_string();
            assert!(why.contains("no array `c`, but b, mean"), "{why}");
            let path = archive(dir.path(), &[("b.npy", &other)], method);
            assert_eq!(read(&path, None).unwrap(), Values::Floats(vec![3.0]));
            let path = archive(dir.path(), &[("b.npy", &other), ("c.npy", &mean)], method);
            assert!(read(&path, None).is_err());
        }
    }

    #[test]
    fn a_damaged_archive_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path =
            archive(dir.path(), &[("z.npy", &floats(&[1.0; 50]))], CompressionMethod::Stored);
        let whole = std::fs::read(&path).unwrap();
        let why = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = open(&path, None).and_then(|mut array| array.next(99)).err().unwrap();
            assert!(matches!(error, DataError::Malformed { .. }), "{error}");
            error.to_string()
        };
        assert!(why(&whole[..whole.len() / 2]).contains(".npz archive"));
        // One number of the array.
        let mut other = whole.clone();
        other[250] ^= 1;
        assert!(why(&other).contains("checksum"), "{}", why(&other));
    }
}
