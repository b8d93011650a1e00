//! An `.npz` archive. The arrays are collected in files without a name, because their rows come in
//! turn and those of an archive lie together.

use std::fs::File;
use std::io::{BufReader, BufWriter, Error, Read, Result, Seek, Write};
use std::path::Path;

use vae_model::AtomicFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{Field, Kind, Values};
use crate::output::array::header;

/// Longest identifier of an array, in characters. All take the place of the longest.
const LONGEST_ID: usize = 1024;

/// An archive that is being written.
pub struct Archive {
    file: AtomicFile,
    arrays: Vec<Array>,
}

/// The rows of one field.
struct Array {
    field: Field,
    /// Numbers as the archive has them. Of an identifier its length in bytes, 8 bytes, and the bytes.
    rows: BufWriter<File>,
    /// Length of the longest identifier, in characters.
    longest: usize,
}

impl Archive {
    pub fn create(path: &Path, fields: &[Field]) -> Result<Self> {
        // The files are deleted by the system, also if the program is killed. They are where the
        // archive is, because there is place for it.
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        let array = |field: &Field| {
            let rows = BufWriter::new(tempfile::tempfile_in(folder)?);
            Ok(Array { field: field.clone(), rows, longest: 1 })
        };
        let arrays = fields.iter().map(array).collect::<Result<_>>()?;
        Ok(Self { file: AtomicFile::create(path)?, arrays })
    }

    pub fn write(&mut self, values: &[Values]) -> Result<()> {
        for (array, values) in self.arrays.iter_mut().zip(values) {
            if let Values::Ids(ids) = values {
                let longest = ids.iter().map(|id| id.chars().count()).max().unwrap_or(0);
                array.longest = array.longest.max(longest);
                if longest > LONGEST_ID {
                    let why = format!(
                        "an identifier has {longest} characters, more than the {LONGEST_ID} that \
                         an array has: use .csv"
                    );
                    return Err(Error::other(why));
                }
            }
            values.write(&mut array.rows)?;
        }
        Ok(())
    }

    pub fn finish(self, rows: usize) -> Result<()> {
        let mut zip = ZipWriter::new(BufWriter::new(self.file));
        // An array may be larger than 4 GiB. A fixed time: the same rows give the same bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(true);
        for array in self.arrays {
            zip.start_file(format!("{}.npy", array.field.name), options)?;
            array.copy(rows, &mut zip)?;
        }
        zip.finish()?.into_inner().map_err(|e| e.into_error())?.persist()
    }
}

impl Array {
    /// Writes the array.
    fn copy(self, rows: usize, to: &mut impl Write) -> Result<()> {
        let mut from = self.rows.into_inner().map_err(|e| e.into_error())?;
        from.rewind()?;
        let mut from = BufReader::new(from);
        let shape = [&[rows], &self.field.dims[..]].concat();
        if self.field.kind != Kind::Ids {
            to.write_all(&header(self.field.kind.of_numpy(), &shape))?;
            std::io::copy(&mut from, to)?;
            return Ok(());
        }
        // Identifiers are code points of 4 bytes each, filled up with zeros.
        to.write_all(&header(&format!("<U{}", self.longest), &shape))?;
        for _ in 0..rows {
            let mut len = [0; 8];
            from.read_exact(&mut len)?;
            let mut bytes = vec![0; u64::from_le_bytes(len) as usize];
            from.read_exact(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes);
            let points = text.chars().map(u32::from).chain(std::iter::repeat(0));
            for point in points.take(self.longest) {
                to.write_all(&point.to_le_bytes())?;
            }
        }
        Ok(())
    }
}
