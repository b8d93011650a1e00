//! Writes `.csv` tables: a row per example, its identifier in the first column. (vae-data reads
//! tables.)

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use vae_data::{Examples, OpenedSource};

/// The first column of a table: the identifier of each row.
pub struct Key<'a> {
    name: &'a str,
    ids: Option<&'a [String]>,
}

impl<'a> Key<'a> {
    /// Takes the identifiers of `examples` and the name of their column in `source`. Without
    /// identifiers it is [`Self::index`].
    pub fn of(source: &'a OpenedSource, examples: &'a Examples) -> Self {
        match (&source.settings().id_column, &examples.ids) {
            (Some(name), Some(ids)) => Self { name, ids: Some(ids) },
            _ => Self::index(),
        }
    }

    /// Numbers the rows from 0 in a column `index`.
    pub fn index() -> Self {
        Self { name: "index", ids: None }
    }
}

/// Writes `rows` below a header: the name of the key, then `columns`.
pub fn write<T: Display>(
    path: &Path,
    key: &Key,
    columns: &[String],
    rows: impl IntoIterator<Item = impl IntoIterator<Item = T>>,
) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut writer = csv::Writer::from_writer(BufWriter::new(File::create(path)?));
        writer.write_record([key.name].into_iter().chain(columns.iter().map(String::as_str)))?;
        for (i, row) in rows.into_iter().enumerate() {
            let id = key.ids.map_or_else(|| i.to_string(), |ids| ids[i].clone());
            writer.write_record([id].into_iter().chain(row.into_iter().map(|x| x.to_string())))?;
        }
        writer.into_inner().map_err(|e| e.into_error())?.flush()
    };
    write().with_context(|| path.display().to_string())
}

/// Returns the names of the `len` columns of a vector: `columns` if there are any, else `letter`
/// and a number from 1.
pub fn names(columns: Option<&[String]>, letter: char, len: usize) -> Vec<String> {
    match columns {
        Some(columns) => columns.to_vec(),
        None => (1..=len).map(|i| format!("{letter}{i}")).collect(),
    }
}
