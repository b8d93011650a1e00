//! `.csv` and `.tsv` tables, plain or gzip: one row per example, one column per number of x.
//!
//! One more column may identify the rows, and one may have their classes. Cells are UTF-8. White
//! space around cells is removed. Empty lines are skipped.

use super::bounded::{Budget, Input, Stream, reserve};
use super::format::{Format, Reading};
use crate::error::DataError;
use crate::examples::{Examples, Shape, Values};
use crate::source::{Parts, Setting, SourceSettings};
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, StringRecord, Terminator};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Largest number of columns.
const MOST_COLUMNS: usize = 1 << 16;
/// Largest number of classes.
const MOST_CLASSES: usize = 1 << 16;
/// Largest size of one row, in bytes.
const MOST_ROW: u64 = 16 << 20;

/// The format.
pub static FORMAT: Format = Format {
    name: "a .csv or .tsv table",
    settings: &[
        Setting::Header,
        Setting::Columns,
        Setting::DropColumns,
        Setting::IdColumn,
        Setting::LabelColumn,
    ],
    recognizes: |start| delimiter(start.path).is_some(),
    reading: Reading::Whole(|path, settings| Ok(Box::new(Rows::open(path, settings)?))),
};

/// Returns the delimiter of cells, by the name of the file.
fn delimiter(path: &Path) -> Option<u8> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    [(".csv", b','), (".tsv", b'\t')]
        .into_iter()
        .find_map(|(ending, delimiter)| name.ends_with(ending).then_some(delimiter))
}

/// The rows of a table as vectors of f32, with labels and identifiers if the settings name their
/// columns.
///
/// The classes are collected from the whole file when it is opened, before its rows are read. If they
/// are the integers 0, 1, 2 ... without gaps, they are the labels. Other integers are numbered in the
/// order of their values, other classes in the order of their names.
struct Rows {
    path: PathBuf,
    table: Table,
    header: bool,
    names: Vec<String>,
    chosen: Chosen,
    /// The next row.
    next: Option<Row>,
    classes: Classes,
}

impl Rows {
    fn open(path: &Path, settings: &SourceSettings) -> Result<Self, DataError> {
        let mut rows = Self::at_first_row(path, settings)?;
        if rows.next.is_none() {
            return Err(DataError::malformed(path, "holds no row of data below its header"));
        }
        let Some(column) = rows.chosen.label else { return Ok(rows) };
        let mut texts = BTreeSet::new();
        while let Some(row) = rows.next_row()? {
            let text = row.text(path, &rows.names, column)?;
            if !texts.contains(text) {
                texts.insert(text.to_owned());
            }
            if texts.len() > MOST_CLASSES {
                let why = format!("holds more than {MOST_CLASSES} classes");
                return Err(row.wrong(path, &rows.names, column, &why));
            }
            rows.table.part.renew();
        }
        Ok(Self { classes: Classes::of(texts), ..Self::at_first_row(path, settings)? })
    }

    fn at_first_row(path: &Path, settings: &SourceSettings) -> Result<Self, DataError> {
        let mut table = Table::open(path)?;
        let Some(first) = table.next()? else {
            return Err(DataError::malformed(path, "is empty"));
        };
        let header = settings.header.unwrap_or_else(|| !first.cells().all(is_number));
        let names = names(path, &first, header)?;
        let chosen = Chosen::of(path, &names, settings)?;
        let next = if header { table.next()? } else { Some(first) };
        let classes = Classes::default();
        Ok(Self { path: path.to_owned(), table, header, names, chosen, next, classes })
    }

    /// Returns the next row, which has a cell for each column.
    fn next_row(&mut self) -> Result<Option<Row>, DataError> {
        let Some(row) = self.next.take() else { return Ok(None) };
        row.check_length(&self.path, self.names.len(), self.header)?;
        self.next = self.table.next()?;
        Ok(Some(row))
    }
}

impl Parts for Rows {
    fn next(&mut self, most: usize) -> Result<Option<Examples>, DataError> {
        self.table.part.renew();
        let width = self.chosen.numbers.len();
        let mut floats: Vec<f32> = Vec::new();
        let mut ids = self.chosen.id.map(|_| Vec::new());
        let mut labels = self.chosen.label.map(|_| Vec::new());
        let mut n = 0;
        while n < most
            && let Some(row) = self.next_row()?
        {
            let (path, names) = (&self.path, &self.names);
            if floats.capacity() - floats.len() < width {
                let more = floats.len().max(width);
                reserve(&mut floats, more)?;
            }
            for &column in &self.chosen.numbers {
                floats.push(row.number(path, names, column)?);
            }
            if let (Some(column), Some(ids)) = (self.chosen.id, &mut ids) {
                ids.push(row.text(path, names, column)?.to_owned());
            }
            if let (Some(column), Some(labels)) = (self.chosen.label, &mut labels) {
                let Some(label) = self.classes.numbers.get(row.text(path, names, column)?) else {
                    return Err(row.wrong(path, names, column, "changed while it was read"));
                };
                labels.push(*label);
            }
            n += 1;
        }
        if n == 0 {
            return Ok(None);
        }
        let columns =
            self.chosen.numbers.iter().map(|&column| self.names[column].clone()).collect();
        Ok(Some(Examples {
            labels,
            classes: self.classes.names.clone(),
            ids,
            columns: Some(columns),
            ..Examples::new(Shape::Vector { len: width }, Values::Floats(floats))
        }))
    }
}

fn is_number(cell: &str) -> bool {
    cell.parse::<f64>().is_ok()
}

/// An iterator over the rows of a file.
struct Table {
    path: PathBuf,
    reader: Reader<Stream>,
    /// Bytes that may be read for the current part.
    part: Budget,
    /// Bytes that may be read for the current row.
    row: Budget,
}

impl Table {
    fn open(path: &Path) -> Result<Self, DataError> {
        let (part, row) = (Budget::of_part(), Budget::new(MOST_ROW));
        let stream = Input::open(path)?.stream(part.clone(), row.clone());
        let reader = ReaderBuilder::new()
            .delimiter(delimiter(path).unwrap_or(b','))
            .has_headers(false)
            // A carriage return before a line feed is removed with the white space of the cell.
            .terminator(Terminator::Any(b'\n'))
            // This module checks the lengths of rows, so that the message names the line.
            .flexible(true)
            .from_reader(stream);
        Ok(Self { path: path.to_owned(), reader, part, row })
    }

    fn next(&mut self) -> Result<Option<Row>, DataError> {
        let mut record = ByteRecord::new();
        loop {
            self.row.renew();
            let start = self.reader.position().byte();
            let more = self.reader.read_byte_record(&mut record);
            let more = more.map_err(|e| match e.into_kind() {
                ErrorKind::Io(e) => self.reader.get_ref().failed(e),
                other => DataError::malformed(&self.path, format!("cannot be read: {other:?}")),
            })?;
            if !more {
                return Ok(None);
            }
            // The reader skips empty lines, but not those with Windows line ends.
            let is_empty = record.as_slice() == b"\r" && self.reader.position().byte() - start <= 2;
            if !is_empty {
                break;
            }
        }
        // The reader's line is the line after the row, except at the end of a file without line
        // feed.
        let feeds = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let line =
            self.reader.position().line() - feeds - u64::from(!self.reader.get_ref().has_ended());
        if record.len() > MOST_COLUMNS {
            let why = format!("line {line} has {} columns: at most {MOST_COLUMNS}", record.len());
            return Err(DataError::malformed(&self.path, why));
        }
        let cells = StringRecord::from_byte_record(record).map_err(|e| {
            let column = e.utf8_error().field() + 1;
            let why = format!("line {line}, column {column}: is not UTF-8 text");
            DataError::malformed(&self.path, why)
        })?;
        Ok(Some(Row { line, cells }))
    }
}

/// One row of a table.
struct Row {
    /// The first line of the row, counted from 1.
    line: u64,
    cells: StringRecord,
}

impl Row {
    /// Returns the cells in order.
    fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(str::trim)
    }

    fn check_length(&self, path: &Path, columns: usize, header: bool) -> Result<(), DataError> {
        if self.cells.len() == columns {
            return Ok(());
        }
        let first = if header { "the header" } else { "the first line" };
        let (line, cells) = (self.line, self.cells.len());
        let why = format!("line {line} has {cells} columns where {first} has {columns}");
        Err(DataError::malformed(path, why))
    }

    /// Returns the error of a cell.
    fn wrong(&self, path: &Path, names: &[String], column: usize, why: &str) -> DataError {
        let (line, number, name) = (self.line, column + 1, &names[column]);
        DataError::malformed(path, format!("line {line}, column {number} (`{name}`): {why}"))
    }

    /// Returns the cell of a column, which must not be empty.
    fn text(&self, path: &Path, names: &[String], column: usize) -> Result<&str, DataError> {
        let cell = self.cells[column].trim();
        if cell.is_empty() {
            let why = "is empty: fill the gap, or leave the row or the column out";
            return Err(self.wrong(path, names, column, why));
        }
        Ok(cell)
    }

    /// Returns the cell of a column as a number, which must be finite.
    fn number(&self, path: &Path, names: &[String], column: usize) -> Result<f32, DataError> {
        let cell = self.text(path, names, column)?;
        let Ok(number) = cell.parse::<f32>() else {
            let shown: String = cell.chars().take(40).collect();
            let why = format!(
                "`{}` is not a number: leave the column out with data.drop_columns, or name it as \
                 data.id_column or data.label_column",
                shown.escape_debug()
            );
            return Err(self.wrong(path, names, column, &why));
        };
        if !number.is_finite() {
            let why = format!("`{cell}` is not finite as f32, and every number must be");
            return Err(self.wrong(path, names, column, &why));
        }
        Ok(number)
    }
}

/// Returns the names of the columns from the header. A column without a name gets its number,
/// counted from 1.
fn names(path: &Path, first: &Row, header: bool) -> Result<Vec<String>, DataError> {
    let named = |(i, cell): (usize, &str)| match cell {
        cell if header && !cell.is_empty() => cell.to_owned(),
        _ => (i + 1).to_string(),
    };
    let names: Vec<String> = first.cells().enumerate().map(named).collect();
    let mut seen = HashMap::new();
    for (i, name) in names.iter().enumerate() {
        if let Some(before) = seen.insert(name, i) {
            let why = format!(
                "line {}: columns {} and {} are both called `{name}`: give them different names",
                first.line,
                before + 1,
                i + 1
            );
            return Err(DataError::malformed(path, why));
        }
    }
    Ok(names)
}

/// The roles of the columns.
struct Chosen {
    /// The columns of x, in the order of x.
    numbers: Vec<usize>,
    id: Option<usize>,
    label: Option<usize>,
}

impl Chosen {
    fn of(path: &Path, names: &[String], settings: &SourceSettings) -> Result<Self, DataError> {
        let wrong = |why: String| DataError::malformed(path, why);
        let find = |name: &str, setting: Setting| match names.iter().position(|n| n == name) {
            Some(column) => Ok(column),
            None => Err(wrong(format!(
                "has no column `{name}`, which {} names: its columns are {}",
                setting.key(),
                listed(names)
            ))),
        };
        let aside = |name: &Option<String>, setting| match name {
            Some(name) if settings.may_lack_id_and_label && !names.contains(name) => Ok(None),
            Some(name) => find(name, setting).map(Some),
            None => Ok(None),
        };
        let id = aside(&settings.id_column, Setting::IdColumn)?;
        let label = aside(&settings.label_column, Setting::LabelColumn)?;
        let used = |column: usize| {
            [(id, Setting::IdColumn), (label, Setting::LabelColumn)]
                .into_iter()
                .find_map(|(used, setting)| (used == Some(column)).then_some(setting.key()))
        };
        if id.is_some() && id == label {
            return Err(wrong("data.id_column and data.label_column name the same column".into()));
        }
        let numbers = match &settings.columns {
            Some(_) if !settings.drop_columns.is_empty() => {
                return Err(wrong(
                    "data.columns and data.drop_columns are both set: use one".into(),
                ));
            }
            Some(kept) => {
                let mut numbers = Vec::new();
                for name in kept {
                    let column = find(name, Setting::Columns)?;
                    if let Some(other) = used(column) {
                        return Err(wrong(format!("data.columns and {other} both name `{name}`")));
                    }
                    if numbers.contains(&column) {
                        return Err(wrong(format!("data.columns names `{name}` twice")));
                    }
                    numbers.push(column);
                }
                numbers
            }
            None => {
                let dropped = settings.drop_columns.iter();
                let dropped = dropped.map(|name| find(name, Setting::DropColumns));
                let dropped: BTreeSet<usize> = dropped.collect::<Result<_, _>>()?;
                let kept = |c: &usize| used(*c).is_none() && !dropped.contains(c);
                (0..names.len()).filter(kept).collect()
            }
        };
        if numbers.is_empty() {
            return Err(wrong(format!(
                "no column is left for x: its columns are {}",
                listed(names)
            )));
        }
        Ok(Self { numbers, id, label })
    }
}

/// Returns the first names and the number of further names, for messages.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let mut text = names[..names.len().min(MOST)].join(", ");
    if names.len() > MOST {
        text += &format!(" and {} more", names.len() - MOST);
    }
    text
}

/// The classes of a table.
#[derive(Default)]
struct Classes {
    /// The label of each class, by its text.
    numbers: HashMap<String, u32>,
    /// The names of the classes. Empty if the labels are the integers of the file.
    names: Vec<String>,
}

impl Classes {
    /// Numbers the classes `texts`.
    fn of(texts: BTreeSet<String>) -> Self {
        let integer = |text: &String| {
            let value = text.parse::<i64>().ok();
            value.filter(|value| value.to_string() == *text)
        };
        let mut names: Vec<String> = texts.into_iter().collect();
        let integers: Option<Vec<i64>> = names.iter().map(integer).collect();
        let mut plain = false;
        if let Some(mut integers) = integers {
            names.sort_by_key(integer);
            integers.sort_unstable();
            plain = integers.iter().copied().eq(0..integers.len() as i64);
        }
        let numbers = names.iter().cloned().zip(0..).collect();
        Self { numbers, names: if plain { Vec::new() } else { names } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use crate::source::parts::whole;
    use std::io::Write;
    use std::path::PathBuf;

    fn file(dir: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn load(text: impl AsRef<[u8]>, settings: &SourceSettings) -> Result<Examples, DataError> {
        let dir = tempfile::tempdir().unwrap();
        read(&file(&dir, "t.csv", text), settings)
    }

    fn read(path: &Path, settings: &SourceSettings) -> Result<Examples, DataError> {
        whole(Box::new(Rows::open(path, settings)?))
    }

    fn plain() -> SourceSettings {
        SourceSettings::default()
    }

    fn named(id: Option<&str>, label: Option<&str>) -> SourceSettings {
        let text = |name: Option<&str>| name.map(str::to_owned);
        SourceSettings { id_column: text(id), label_column: text(label), ..plain() }
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const IRIS: &str = "id,length,width,species\n\
        f1,5.1,3.5,setosa\nf2,7.0,3.2,versicolor\nf3,4.9,3.0,setosa\n";

    #[test]
    fn reads_numbers_identifiers_and_classes() {
        let examples = load(IRIS, &named(Some("id"), Some("species"))).unwrap();
        assert_eq!(examples.shape, Shape::Vector { len: 2 });
        assert_eq!(examples.values, Values::Floats(vec![5.1, 3.5, 7.0, 3.2, 4.9, 3.0]));
        assert_eq!(examples.columns, Some(texts(&["length", "width"])));
        assert_eq!(examples.ids, Some(texts(&["f1", "f2", "f3"])));
        assert_eq!(examples.labels, Some(vec![0, 1, 0]));
        assert_eq!(examples.classes, ["setosa", "versicolor"]);
    }

    #[test]
    fn a_first_line_with_text_is_a_header_unless_the_setting_differs() {
        let numbers = "1,2\n3,4\n";
        let examples = load(numbers, &plain()).unwrap();
        assert_eq!((examples.len(), examples.columns), (2, Some(texts(&["1", "2"]))));
        let settings = SourceSettings { header: Some(true), ..plain() };
        let examples = load("7,8\n3,4\n", &settings).unwrap();
        assert_eq!((examples.len(), examples.columns), (1, Some(texts(&["7", "8"]))));
        let settings = SourceSettings { header: Some(false), ..named(None, Some("2")) };
        let examples = load("1,a\n2,b\n", &settings).unwrap();
        assert_eq!((examples.len(), examples.classes), (2, texts(&["a", "b"])));
        // A column without a name has its number.
        let examples = load(",x\n0,1.5\n1,2.5\n", &named(Some("1"), None)).unwrap();
        assert_eq!(examples.ids, Some(texts(&["0", "1"])));
    }

    #[test]
    fn columns_are_kept_in_the_order_of_the_setting_or_dropped() {
        let text = "a,b,c\n1,2,3\n4,5,6\n";
        let kept = SourceSettings { columns: Some(texts(&["c", "a"])), ..plain() };
        let examples = load(text, &kept).unwrap();
        assert_eq!(examples.values, Values::Floats(vec![3.0, 1.0, 6.0, 4.0]));
        assert_eq!(examples.columns, Some(texts(&["c", "a"])));
        let dropped = SourceSettings { drop_columns: texts(&["b"]), ..plain() };
        assert_eq!(load(text, &dropped).unwrap().columns, Some(texts(&["a", "c"])));
        // A dropped column need not have numbers.
        assert!(load("a,b\n1,x\n", &dropped).is_ok());
    }

    #[test]
    fn integers_from_0_are_labels_and_other_classes_are_numbered_by_name() {
        let labels = |cells: &[&str]| {
            let rows: String = cells.iter().map(|cell| format!("1,{cell}\n")).collect();
            let examples = load(format!("x,y\n{rows}"), &named(None, Some("y"))).unwrap();
            (examples.labels.unwrap(), examples.classes)
        };
        assert_eq!(labels(&["2", "0", "1", "2"]), (vec![2, 0, 1, 2], vec![]));
        // There are gaps, so these integers are names, in the order of their values.
        assert_eq!(labels(&["10", "9", "10"]), (vec![1, 0, 1], texts(&["9", "10"])));
        assert_eq!(labels(&["-1", "0"]), (vec![0, 1], texts(&["-1", "0"])));
        assert_eq!(labels(&["b", "10", "9"]), (vec![2, 0, 1], texts(&["10", "9", "b"])));
        assert_eq!(labels(&["00", "01"]), (vec![0, 1], texts(&["00", "01"])));
    }

    #[test]
    fn new_data_may_lack_identifiers_and_classes_but_no_number() {
        let mut settings = named(Some("id"), Some("species"));
        settings.columns = Some(texts(&["length", "width"]));
        let text = "width,length\n3.5,5.1\n";
        assert!(load(text, &settings).is_err());
        settings.may_lack_id_and_label = true;
        let examples = load(text, &settings).unwrap();
        assert_eq!(examples.values, Values::Floats(vec![5.1, 3.5]));
        assert_eq!((examples.ids, examples.labels), (None, None));
        assert!(load("length\n5.1\n", &settings).is_err());
    }

    #[test]
    fn tabs_gzip_quotes_line_ends_and_a_byte_order_mark_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let expected = Values::Floats(vec![1.0, 2.5, -3.0, 4e5]);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        packed.write_all(b"a,b\n1,2.5\n-3,4e5\n").unwrap();
        for (name, bytes) in [
            ("x.tsv", b"a\tb\n1\t2.5\n-3\t4e5\n".to_vec()),
            ("x.csv.gz", packed.finish().unwrap()),
            ("x.CSV", b"\"a\",b\r\n1,\"2.5\"\r\n\r\n -3 , 4e5 ".to_vec()),
            ("x.csv", b"\xef\xbb\xbfa,b\n1,2.5\n-3,4e5\n".to_vec()),
        ] {
            let path = file(&dir, name, bytes);
            let examples = read(&path, &plain()).unwrap();
            assert_eq!(examples.values, expected, "{name}");
            assert_eq!(examples.columns, Some(texts(&["a", "b"])), "{name}");
        }
    }

    #[test]
    fn tables_of_another_writer_are_read_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        for seed in 0..50 {
            let mut random = rng::Stream::new(seed, "tables").sequence();
            let (rows, width) = (1 + random.below(20) as usize, 1 + random.below(9) as usize);
            // Random bits, so that every finite f32 is possible.
            let mut floats = Vec::new();
            while floats.len() < rows * width {
                let number = f32::from_bits(random.word());
                floats.extend(number.is_finite().then_some(number));
            }
            let signs = ['a', '"', ',', '\n', '\t', 'ä', '\'', '0'];
            let ids: Vec<String> = (0..rows)
                .map(|i| {
                    let sign = |_| signs[random.below(8) as usize];
                    format!("<{}>{i}", (0..5).map(sign).collect::<String>())
                })
                .collect();
            let classes: Vec<u32> = (0..rows).map(|_| random.below(3)).collect();
            for (name, delimiter) in [("x.csv", b','), ("x.tsv", b'\t')] {
                let path = dir.path().join(name);
                let mut writer =
                    csv::WriterBuilder::new().delimiter(delimiter).from_path(&path).unwrap();
                let mut header = texts(&["the id", "class"]);
                header.extend((0..width).map(|i| format!("x {i}")));
                writer.write_record(&header).unwrap();
                for (i, row) in floats.chunks(width).enumerate() {
                    let mut cells = vec![ids[i].clone(), format!("class {}", classes[i])];
                    cells.extend(row.iter().map(f32::to_string));
                    writer.write_record(&cells).unwrap();
                }
                writer.flush().unwrap();
                let examples = read(&path, &named(Some("the id"), Some("class"))).unwrap();
                let Values::Floats(found) = &examples.values else { panic!("vectors") };
                let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(found), bits(&floats), "{name} {seed}");
                assert_eq!(examples.ids.as_ref(), Some(&ids), "{name} {seed}");
                assert_eq!(examples.columns, Some(header[2..].to_vec()));
                let labels = examples.labels.unwrap();
                for (label, class) in labels.iter().zip(&classes) {
                    assert_eq!(examples.classes[*label as usize], format!("class {class}"));
                }
            }
        }
    }

    #[test]
    fn bad_tables_are_refused_with_line_and_column() {
        let wide = format!("{}1\n", "1,".repeat(MOST_COLUMNS));
        let endless = format!("a,b\n1,\"{}", "x".repeat(MOST_ROW as usize + 9999));
        let both =
            SourceSettings { columns: Some(texts(&["a"])), drop_columns: texts(&["b"]), ..plain() };
        let kept = |names: &[&str]| SourceSettings { columns: Some(texts(names)), ..plain() };
        let dropped = |names: &[&str]| SourceSettings { drop_columns: texts(names), ..plain() };
        let aside = SourceSettings { columns: Some(texts(&["a"])), ..named(Some("a"), None) };
        let cases: Vec<(&[u8], SourceSettings, &str)> = vec![
            (b"", plain(), "is empty"),
            (b"\n\n", plain(), "is empty"),
            (b"a,b\n", plain(), "no row of data"),
            (b"a,b\n1,2\n3,\n", plain(), "line 3, column 2 (`b`): is empty"),
            (b"a,b\n1,2\n , 4\n", plain(), "line 3, column 1 (`a`): is empty"),
            (b"a,b\n1,2\n3,NA\n", plain(), "line 3, column 2 (`b`): `NA` is not a number"),
            (b"1,2\n3,x\n", plain(), "line 2, column 2 (`2`): `x` is not a number"),
            (b"a,b\n1,nan\n", plain(), "line 2, column 2 (`b`): `nan` is not finite"),
            (b"a,b\n-inf,1\n", plain(), "line 2, column 1 (`a`): `-inf` is not finite"),
            (b"a,b\n1,1e39\n", plain(), "line 2, column 2 (`b`): `1e39` is not finite"),
            (b"a,b\n1,2\n\n3\n", plain(), "line 4 has 1 columns where the header has 2"),
            (b"a,b\r\n1,2\r\n\r\n3\r\n", plain(), "line 4 has 1 columns where the header"),
            (b"a,b\r\n1,2\r\n3,", plain(), "line 3, column 2 (`b`): is empty"),
            (b"a,b\n\"1\n\",2\n3,x", plain(), "line 4, column 2 (`b`): `x` is not"),
            (b"a\n1\n\n\"\"\n", plain(), "line 4, column 1 (`a`): is empty"),
            (b"a\r\n1\r\n\"\"\r\n", plain(), "line 3, column 1 (`a`): is empty"),
            (b"1,2\n1,2,3\n", plain(), "line 2 has 3 columns where the first line has 2"),
            (b"a,b,a\n1,2,3\n", plain(), "line 1: columns 1 and 3 are both called `a`"),
            (b"a,b\n1,\xff\n", plain(), "line 2, column 2: is not UTF-8"),
            (wide.as_bytes(), plain(), "line 1 has 65537 columns"),
            (endless.as_bytes(), plain(), "more than 16777216 bytes"),
            (b"\x1f\x8bnot gzip", plain(), "broken gzip"),
            (b"a,b\n1,2\n", named(Some("c"), None), "no column `c`, which data.id_column names"),
            (b"a,b\n1,2\n", named(None, Some("c")), "its columns are a, b"),
            (b"a,b\n1,2\n", named(Some("a"), Some("a")), "name the same column"),
            (b"a,b\nx,2\n,2\n", named(Some("a"), None), "line 3, column 1 (`a`): is empty"),
            (b"a,b\n1,2\n", kept(&["a", "z"]), "no column `z`, which data.columns names"),
            (b"a,b\n1,2\n", kept(&["a", "a"]), "names `a` twice"),
            (b"a,b\n1,2\n", kept(&[]), "no column is left"),
            (b"a,b\n1,2\n", dropped(&["z"]), "no column `z`, which data.drop_columns names"),
            (b"a,b\n1,2\n", dropped(&["a", "b"]), "no column is left"),
            (b"a,b\n1,2\n", aside, "data.columns and data.id_column both name `a`"),
            (b"a,b\n1,2\n", both, "both set"),
        ];
        for (bytes, settings, reason) in cases {
            let error = load(bytes, &settings).unwrap_err();
            assert!(matches!(error, DataError::Malformed { .. }), "{error:?}");
            let message = error.to_string();
            assert!(message.contains(reason) && message.contains("t.csv"), "{reason}: {message}");
        }
    }

    #[test]
    fn a_table_of_too_many_classes_is_refused() {
        let rows: String = (0..=MOST_CLASSES).map(|i| format!("1,c{i}\n")).collect();
        let error = load(format!("x,y\n{rows}"), &named(None, Some("y"))).unwrap_err();
        assert!(error.to_string().contains("more than 65536 classes"), "{error}");
    }
}
