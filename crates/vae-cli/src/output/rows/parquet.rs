//! A `.parquet` table: a column of f32 for each number, and its rows in groups.

use std::io::{BufWriter, Error, Result, Write};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Stored};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use vae_model::AtomicFile;

use super::{Field, Kind, Values};

/// Numbers that are kept in memory until they are written as a group of rows.
const GROUP: usize = 1 << 22;

/// A table that is being written.
pub struct File {
    writer: SerializedFileWriter<BufWriter<AtomicFile>>,
    columns: Vec<Column>,
    /// Whether the first column numbers the rows.
    has_index: bool,
    /// Number of rows that are written, and of those that are in memory.
    written: usize,
    waiting: usize,
}

/// The values of a column that wait to be written.
enum Column {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    Texts(Vec<ByteArray>),
}

impl File {
    pub fn create(path: &Path, key: &str, fields: &[Field]) -> Result<Self> {
        let has_index = fields.iter().all(|field| field.kind != Kind::Ids);
        let first = if has_index { Column::Integers(vec![]) } else { Column::Texts(vec![]) };
        let mut named = vec![(key.to_owned(), first)];
        for field in fields.iter().filter(|field| field.kind != Kind::Ids) {
            let column = || match field.kind {
                Kind::Floats => Column::Floats(vec![]),
                Kind::Labels | Kind::Ids => Column::Integers(vec![]),
            };
            named.extend(field.columns.iter().map(|name| (name.clone(), column())));
        }
        let types = named.iter().map(|(name, column)| column.schema(name));
        let types = types.collect::<parquet::errors::Result<_>>().map_err(failed)?;
        let schema = Type::group_type_builder("rows").with_fields(types).build().map_err(failed)?;
        let file = BufWriter::new(AtomicFile::create(path)?);
        // Numbers of a model hardly repeat, so a dictionary of them would be as large as they are.
        let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties));
        let columns = named.into_iter().map(|(_, column)| column).collect();
        Ok(Self { writer: writer.map_err(failed)?, columns, has_index, written: 0, waiting: 0 })
    }

    pub fn write(&mut self, rows: usize, values: &[Values]) -> Result<()> {
        let (first, mut rest) = self.columns.split_at_mut(1);
        if let (true, [Column::Integers(index)]) = (self.has_index, &mut *first) {
            let next = self.written + self.waiting;
            index.extend((next..next + rows).map(|row| row as i64));
        }
        for values in values {
            match values {
                Values::Floats(floats) => {
                    let width = floats.len() / rows;
                    let (own, others) = rest.split_at_mut(width);
                    for (j, column) in own.iter_mut().enumerate() {
                        if let Column::Floats(column) = column {
                            column.extend(floats.iter().skip(j).step_by(width));
                        }
                    }
                    rest = others;
                }
                Values::Labels(labels) => {
                    let (own, others) = rest.split_at_mut(1);
                    if let [Column::Integers(column)] = own {
                        column.extend(labels.iter().map(|label| i64::from(*label)));
                    }
                    rest = others;
                }
                Values::Ids(ids) => {
                    if let [Column::Texts(column)] = first {
                        column.extend(ids.iter().map(|id| ByteArray::from(id.as_str())));
                    }
                }
            }
        }
        self.waiting += rows;
        if self.waiting * self.columns.len() >= GROUP { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> Result<()> {
        let mut group = self.writer.next_row_group().map_err(failed)?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column().map_err(failed)? else { break };
            match column {
                Column::Floats(x) => writer.typed::<FloatType>().write_batch(x, None, None),
                Column::Integers(x) => writer.typed::<Int64Type>().write_batch(x, None, None),
                Column::Texts(x) => writer.typed::<ByteArrayType>().write_batch(x, None, None),
            }
            .map_err(failed)?;
            writer.close().map_err(failed)?;
            column.clear();
        }
        group.close().map_err(failed)?;
        self.written += std::mem::take(&mut self.waiting);
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        if self.waiting > 0 {
            self.write_group()?;
        }
        let mut buffer = self.writer.into_inner().map_err(failed)?;
        buffer.flush()?;
        buffer.into_inner().map_err(|e| e.into_error())?.persist()
    }
}

impl Column {
    fn schema(&self, name: &str) -> parquet::errors::Result<Arc<Type>> {
        let (stored, meaning) = match self {
            Self::Floats(_) => (Stored::FLOAT, None),
            Self::Integers(_) => (Stored::INT64, None),
            Self::Texts(_) => (Stored::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let column = Type::primitive_type_builder(name, stored).with_logical_type(meaning);
        Ok(Arc::new(column.with_repetition(Repetition::REQUIRED).build()?))
    }

    fn clear(&mut self) {
        match self {
            Self::Floats(column) => column.clear(),
            Self::Integers(column) => column.clear(),
            Self::Texts(column) => column.clear(),
        }
    }
}

/// Returns the error of the operating system within one of the library.
fn failed(error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<Error>() {
            Ok(cause) => *cause,
            Err(cause) => Error::other(cause),
        },
        other => Error::other(other),
    }
}
