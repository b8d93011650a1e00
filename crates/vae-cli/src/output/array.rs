//! Writes `.npy` arrays, for other programs. (vae-data reads them.)

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use npyz::WriterBuilder;

/// Writes `values`, row-major, as an array of shape `shape`.
pub fn write<T: npyz::AutoSerialize + Copy>(
    path: &Path,
    shape: &[usize],
    values: &[T],
) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let shape: Vec<u64> = shape.iter().map(|d| *d as u64).collect();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(BufWriter::new(File::create(path)?))
            .begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()
    };
    write().with_context(|| path.display().to_string())
}
