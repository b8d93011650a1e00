//! Writes `.npy` arrays, whole or row by row. (vae-data reads them.)

use std::io::{BufWriter, Result, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;
use vae_model::AtomicFile;

/// A number of an array.
pub trait Number: Copy {
    /// Its type, as NumPy calls it.
    const TYPE: &'static str;

    /// Writes its bytes, the least significant one first.
    fn write(self, file: &mut impl Write) -> Result<()>;
}

macro_rules! number {
    ($($type:ty, $name:literal;)+) => {$(
        impl Number for $type {
            const TYPE: &'static str = $name;

            fn write(self, file: &mut impl Write) -> Result<()> {
                file.write_all(&self.to_le_bytes())
            }
        }
    )+};
}

number! {
    u8, "|u1";
    i64, "<i8";
    f32, "<f4";
}

/// Writes `values`, row-major, as an array of shape `shape`.
pub fn write<T: Number>(path: &Path, shape: &[usize], values: &[T]) -> anyhow::Result<()> {
    let write = || -> Result<()> {
        let mut file = BufWriter::new(AtomicFile::create(path)?);
        file.write_all(&header(T::TYPE, shape))?;
        values.iter().try_for_each(|value| value.write(&mut file))?;
        file.into_inner().map_err(|e| e.into_error())?.persist()
    };
    write().with_context(|| path.display().to_string())
}

/// An array whose number of rows is known only at its end.
pub struct Growing {
    file: BufWriter<AtomicFile>,
    kind: &'static str,
    /// The shape of one row.
    dims: Vec<usize>,
}

impl Growing {
    /// Starts an array of rows of shape `dims`.
    pub fn create(path: &Path, kind: &'static str, dims: &[usize]) -> Result<Self> {
        let mut file = BufWriter::new(AtomicFile::create(path)?);
        file.write_all(&header(kind, &[&[0], dims].concat()))?;
        Ok(Self { file, kind, dims: dims.to_vec() })
    }

    /// Ends the array after `rows` rows.
    pub fn finish(self, rows: usize) -> Result<()> {
        let mut file = self.file.into_inner().map_err(|e| e.into_error())?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(self.kind, &[&[rows], &self.dims[..]].concat()))?;
        file.persist()
    }
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

/// Returns the header of an array of NumPy's type `kind`. Its length does not depend on the first
/// dimension.
pub fn header(kind: &str, shape: &[usize]) -> Vec<u8> {
    const START: usize = 10;
    let dims: String = shape.iter().map(|dim| format!("{dim}, ")).collect();
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({dims}), }}");
    let first = shape.first().map_or(0, |dim| dim.to_string().len());
    // The longest number has 20 digits. Data begin at a multiple of 64.
    let len = (START + text.len() - first + 20 + 1).next_multiple_of(64) - START;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((len as u16).to_le_bytes());
    header.extend(text.bytes());
    header.resize(START + len - 1, b' ');
    header.push(b'\n');
    header
}
