//! Writes `.csv` tables: a row per example, its identifier in the first column. (vae-data reads
//! tables.)

use std::fmt::Display;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use vae_data::{Examples, OpenedSource};
use vae_model::AtomicFile;

/// The first column of a table: the identifier of each row.
pub struct Key<'a> {
    name: &'a str,
    ids: Option<&'a [String]>,
}

/// The name of the column that numbers the rows from 0, where they have no identifiers.
pub const INDEX: &str = "index";

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
        Self { name: INDEX, ids: None }
    }
}

/// A table that is written row by row.
pub struct Table {
    writer: csv::Writer<BufWriter<AtomicFile>>,
    rows: usize,
}

impl Table {
    /// Starts a table below a header: `key`, the name of the first column, then `columns`.
    pub fn create(path: &Path, key: &str, columns: &[String]) -> std::io::Result<Self> {
        let mut writer = csv::Writer::from_writer(BufWriter::new(AtomicFile::create(path)?));
        writer.write_record([key].into_iter().chain(columns.iter().map(String::as_str)))?;
        Ok(Self { writer, rows: 0 })
    }

    /// Writes a row. Without `id` its first column has the number of the row.
    pub fn row<T: Display>(
        &mut self,
        id: Option<&str>,
        cells: impl IntoIterator<Item = T>,
    ) -> std::io::Result<()> {
        let id = id.map_or_else(|| self.rows.to_string(), str::to_owned);
        let cells = cells.into_iter().map(|cell| cell.to_string());
        self.writer.write_record([id].into_iter().chain(cells))?;
        self.rows += 1;
        Ok(())
    }

    /// Ends the table.
    pub fn finish(self) -> std::io::Result<()> {
        let buffer = self.writer.into_inner().map_err(|e| e.into_error())?;
        buffer.into_inner().map_err(|e| e.into_error())?.persist()
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
        let mut table = Table::create(path, key.name, columns)?;
        for (i, row) in rows.into_iter().enumerate() {
            table.row(key.ids.map(|ids| ids[i].as_str()), row)?;
        }
        table.finish()
    };
    write().with_context(|| path.display().to_string())
}

/// Returns the names of the `len` columns of a vector: `columns` if there are any, else `prefix` and
/// a number from 1.
pub fn names(columns: Option<&[String]>, prefix: &str, len: usize) -> Vec<String> {
    match columns {
        Some(columns) => columns.to_vec(),
        None => (1..=len).map(|i| format!("{prefix}{i}")).collect(),
    }
}
