//! `.parquet` tables: chosen columns of floating-point numbers, as vectors of f32.

use super::bounded::{self, reserve};
use crate::error::DataError;
use crate::examples::{Examples, Shape, Values};
use crate::source::Parts;
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The rows of a table. They are in groups, and a part may have rows of several.
pub struct Table {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    names: Vec<String>,
    /// The position of each column among those of the table.
    columns: Vec<usize>,
    /// The next group of rows.
    next_group: usize,
    /// The columns of the current group.
    group: Vec<ColumnReader>,
    /// Rows of the current group that are not read.
    left: usize,
    /// Rows that are read.
    read: usize,
}

impl Table {
    /// Opens the columns `names`.
    pub fn open(path: &Path, names: &[String]) -> Result<Self, DataError> {
        let reader =
            SerializedFileReader::new(bounded::open(path)?).map_err(|e| broken(path, &e))?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let position = |name: &String| {
            let found = schema.columns().iter().position(|column| column.path().string() == *name);
            let found = found.filter(|at| schema.column(*at).max_rep_level() == 0);
            found.ok_or_else(|| DataError::malformed(path, format!("has no column `{name}`")))
        };
        let columns = names.iter().map(position).collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            names: names.to_vec(),
            columns,
            next_group: 0,
            group: Vec::new(),
            left: 0,
            read: 0,
            reader,
        })
    }

    /// Opens the next group of rows. Returns whether there is one.
    fn open_group(&mut self) -> Result<bool, DataError> {
        if self.next_group == self.reader.num_row_groups() {
            return Ok(false);
        }
        let broken = |e| broken(&self.path, &e);
        let group = self.reader.get_row_group(self.next_group).map_err(broken)?;
        self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let columns = self.columns.iter().map(|column| group.get_column_reader(*column));
        self.group = columns.collect::<Result<_, _>>().map_err(broken)?;
        self.next_group += 1;
        Ok(true)
    }
}

impl Parts for Table {
    fn next(&mut self, most: usize) -> Result<Option<Examples>, DataError> {
        let width = self.columns.len();
        let mut floats: Vec<f32> = Vec::new();
        let mut rows = 0;
        while rows < most {
            if self.left == 0 {
                if !self.open_group()? {
                    break;
                }
                continue;
            }
            // A group may announce more rows than it has.
            let n = self.left.min(most - rows).min(1 << 16);
            reserve(&mut floats, n * width)?;
            floats.resize((rows + n) * width, 0.0);
            for (j, column) in self.group.iter_mut().enumerate() {
                let numbers = numbers(column, n).map_err(|e| broken(&self.path, &e))?;
                let place =
                    |row: usize| format!("row {}, column `{}`", self.read + row, self.names[j]);
                let Some(numbers) = numbers else {
                    let why =
                        format!("column `{}` does not hold floating-point numbers", self.names[j]);
                    return Err(DataError::malformed(&self.path, why));
                };
                for (i, number) in numbers.iter().enumerate() {
                    let Some(number) = number.filter(|number| number.is_finite()) else {
                        let why = "is empty or not finite as f32, and every number must be";
                        return Err(DataError::malformed(
                            &self.path,
                            format!("{}: {why}", place(rows + i)),
                        ));
                    };
                    floats[(rows + i) * width + j] = number;
                }
                if numbers.len() < n {
                    let why = format!("truncated: it ends before {}", place(rows + numbers.len()));
                    return Err(DataError::malformed(&self.path, why));
                }
            }
            rows += n;
            self.left -= n;
        }
        self.read += rows;
        Ok((rows > 0).then(|| Examples {
            columns: Some(self.names.clone()),
            ..Examples::new(Shape::Vector { len: width }, Values::Floats(floats))
        }))
    }
}

/// Reads the next `n` cells of a column, fewer at its end. A cell may be empty. `None` if they are
/// not floating-point numbers.
fn numbers(column: &mut ColumnReader, n: usize) -> Result<Option<Vec<Option<f32>>>, ParquetError> {
    let (mut levels, mut floats) = (Vec::new(), Vec::new());
    let (mut cells, mut ended) = (0, false);
    // A call reads to the end of a page.
    while cells < n && !ended {
        let read = match column {
            ColumnReader::FloatColumnReader(reader) => {
                reader.read_records(n - cells, Some(&mut levels), None, &mut floats)?.0
            }
            ColumnReader::DoubleColumnReader(reader) => {
                let mut doubles = Vec::new();
                let read = reader.read_records(n - cells, Some(&mut levels), None, &mut doubles)?.0;
                floats.extend(doubles.into_iter().map(|x: f64| x as f32));
                read
            }
            _ => return Ok(None),
        };
        cells += read;
        ended = read == 0;
    }
    // Without levels every cell has a number.
    let mut floats = floats.into_iter();
    let has_number = |i: usize| levels.get(i).is_none_or(|level| *level > 0);
    Ok(Some((0..cells).map(|i| if has_number(i) { floats.next() } else { None }).collect()))
}

fn broken(path: &Path, error: &ParquetError) -> DataError {
    DataError::malformed(path, format!("cannot be read as a Parquet table: {error}"))
}
