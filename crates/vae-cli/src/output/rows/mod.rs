//! Result files that are written a part of the rows at a time: `.npy`, `.npz`, `.csv`, `.parquet`.
//!
//! They have one or more fields, such as the means of codes and their labels. A `.npy` file has one
//! field. An `.npz` archive has an array for each field, a table has its columns.

mod npz;
#[cfg(feature = "parquet")]
mod parquet;

use std::io::{Result as IoResult, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::array::{Growing, Number};
use super::table::{INDEX, Table};
use crate::failure::request;

/// The format of a file of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// One array.
    Npy,
    /// An archive of arrays.
    Npz,
    /// A table as text.
    Csv,
    /// A table as columns of numbers.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl RowFormat {
    /// Returns the format that the name of `--out` says, if it says one.
    ///
    /// # Errors
    /// If this build leaves the format out.
    pub fn of_out(path: &Path) -> Result<Option<Self>> {
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Some(Self::Npy),
            Some("npz") => Some(Self::Npz),
            Some("csv") => Some(Self::Csv),
            #[cfg(feature = "parquet")]
            Some("parquet") => Some(Self::Parquet),
            #[cfg(not(feature = "parquet"))]
            Some("parquet") => {
                return Err(request(format!(
                    "--out {}: this build has no Parquet: add it with `cargo build --release \
                     --features parquet`, or use .npz or .csv",
                    path.display()
                )));
            }
            _ => None,
        })
    }

    /// Returns whether the file is a table.
    pub fn is_table(self) -> bool {
        !matches!(self, Self::Npy | Self::Npz)
    }
}

/// A field of the rows.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name of its array.
    pub name: &'static str,
    /// The names of its columns in a table. None for identifiers, which are the first column.
    pub columns: Vec<String>,
    /// The shape of one row of its array.
    pub dims: Vec<usize>,
    /// The type of its values.
    pub kind: Kind,
}

/// The type of the values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Floating-point numbers, f32.
    Floats,
    /// Classes, i64.
    Labels,
    /// Identifiers.
    Ids,
}

/// Values of one field for some rows.
pub enum Values<'a> {
    /// Numbers, row-major.
    Floats(&'a [f32]),
    /// One class for each row.
    Labels(&'a [u32]),
    /// One identifier for each row.
    Ids(&'a [String]),
}

/// A file of rows that is being written. It gets its name when it is finished.
pub struct Rows {
    path: PathBuf,
    fields: Vec<Field>,
    file: Open,
    rows: usize,
}

enum Open {
    Npy(Growing),
    Npz(npz::Archive),
    Csv(Box<Table>),
    #[cfg(feature = "parquet")]
    Parquet(Box<parquet::File>),
}

impl Rows {
    /// Starts a file with these fields. `key` is the name of the first column of a table: that of
    /// the identifiers, if there is a field of them.
    ///
    /// # Errors
    /// If the file cannot be written, or if a `.npy` file is to have more than one field.
    pub fn create(
        path: &Path,
        format: RowFormat,
        key: Option<&str>,
        fields: Vec<Field>,
    ) -> Result<Self> {
        let key = key.unwrap_or(INDEX);
        let open = || -> IoResult<Open> {
            Ok(match format {
                RowFormat::Npy => {
                    Open::Npy(Growing::create(path, fields[0].kind.of_numpy(), &fields[0].dims)?)
                }
                RowFormat::Npz => Open::Npz(npz::Archive::create(path, &fields)?),
                RowFormat::Csv => {
                    let columns: Vec<String> =
                        fields.iter().flat_map(|field| field.columns.clone()).collect();
                    Open::Csv(Box::new(Table::create(path, key, &columns)?))
                }
                #[cfg(feature = "parquet")]
                RowFormat::Parquet => {
                    Open::Parquet(Box::new(parquet::File::create(path, key, &fields)?))
                }
            })
        };
        if format == RowFormat::Npy && fields.len() > 1 {
            let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
            return Err(request(format!(
                "--out {}: a .npy file holds one array, and there are {}: use .npz",
                path.display(),
                names.join(", ")
            )));
        }
        let file = open().with_context(|| path.display().to_string())?;
        Ok(Self { path: path.to_owned(), fields, file, rows: 0 })
    }

    /// Writes `rows` rows: the values of each field, in the order of the fields.
    pub fn write(&mut self, rows: usize, values: &[Values]) -> Result<()> {
        let result = match &mut self.file {
            Open::Npy(file) => values[0].write(file),
            Open::Npz(archive) => archive.write(values),
            Open::Csv(table) => write_table(table, &self.fields, rows, values),
            #[cfg(feature = "parquet")]
            Open::Parquet(file) => file.write(rows, values),
        };
        self.rows += rows;
        result.with_context(|| self.path.display().to_string())
    }

    /// Ends the file. Returns the number of its rows.
    pub fn finish(self) -> Result<usize> {
        let result = match self.file {
            Open::Npy(file) => file.finish(self.rows),
            Open::Npz(archive) => archive.finish(self.rows),
            Open::Csv(table) => table.finish(),
            #[cfg(feature = "parquet")]
            Open::Parquet(file) => file.finish(),
        };
        result.with_context(|| self.path.display().to_string())?;
        Ok(self.rows)
    }
}

impl Kind {
    /// Returns the type of numbers as NumPy calls it.
    fn of_numpy(self) -> &'static str {
        match self {
            Self::Floats => f32::TYPE,
            Self::Labels => i64::TYPE,
            Self::Ids => unreachable!(
                "identifiers are never alone in a file, and their type depends on them"
            ),
        }
    }
}

impl Values<'_> {
    /// Writes numbers as an array has them. Before each identifier is its length in bytes.
    fn write(&self, file: &mut impl Write) -> IoResult<()> {
        match self {
            Self::Floats(floats) => floats.iter().try_for_each(|x| x.write(file)),
            Self::Labels(labels) => {
                labels.iter().try_for_each(|label| i64::from(*label).write(file))
            }
            Self::Ids(ids) => ids.iter().try_for_each(|id| {
                file.write_all(&(id.len() as u64).to_le_bytes())?;
                file.write_all(id.as_bytes())
            }),
        }
    }
}

/// Writes rows of a table.
fn write_table(
    table: &mut Table,
    fields: &[Field],
    rows: usize,
    values: &[Values],
) -> IoResult<()> {
    for i in 0..rows {
        let mut id = None;
        let mut cells: Vec<String> = Vec::new();
        for (field, values) in fields.iter().zip(values) {
            let width = field.columns.len();
            match values {
                Values::Floats(floats) => {
                    cells.extend(floats[i * width..(i + 1) * width].iter().map(f32::to_string));
                }
                Values::Labels(labels) => cells.push(labels[i].to_string()),
                Values::Ids(ids) => id = Some(ids[i].as_str()),
            }
        }
        table.row(id, cells)?;
    }
    Ok(())
}
