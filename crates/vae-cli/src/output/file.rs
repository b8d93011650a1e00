//! A result file: its format, which its name says, and its writer.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use vae_view::Sheet;

use super::printer::Printer;
use super::table::{self, Key};
use crate::failure::request;

/// The format of a result file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A sheet of images, or of vectors as curves.
    Png,
    /// An array.
    Npy,
    /// A table of vectors.
    Csv,
}

impl Format {
    fn by_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "png" => Some(Self::Png),
            "npy" => Some(Self::Npy),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// Returns the format that the name of `--out` says.
    ///
    /// # Errors
    /// If the name ends in none of `.png`, `.npy` and `.csv`.
    pub fn of(path: &Path) -> Result<Self> {
        Self::by_name(path).ok_or_else(|| {
            request(format!(
                "--out {}: the name must end in .png (a sheet), .npy (an array) or .csv (a table \
                 of vectors)",
                path.display()
            ))
        })
    }

    /// Returns the format of a file for examples of shape `dims`.
    ///
    /// # Errors
    /// As [`Self::of`], and for a table of images.
    pub fn for_examples(path: &Path, dims: &[usize]) -> Result<Self> {
        let format = Self::of(path)?;
        if format == Self::Csv && dims.len() != 1 {
            return Err(request(format!(
                "--out {}: a .csv table holds vectors, and these are images: use .png or .npy",
                path.display()
            )));
        }
        Ok(format)
    }

    /// Checks that the path given to `flag` names an array.
    ///
    /// # Errors
    /// If the name does not end in `.npy`.
    pub fn require_npy(flag: &str, path: &Path) -> Result<()> {
        match Self::by_name(path) {
            Some(Self::Npy) => Ok(()),
            Some(Self::Png | Self::Csv) | None => {
                Err(request(format!("{flag} {}: the name must end in .npy", path.display())))
            }
        }
    }

    /// Returns the format of the path given to `flag`, an array or a table.
    ///
    /// # Errors
    /// If the name ends in neither `.npy` nor `.csv`.
    pub fn require_numbers(flag: &str, path: &Path) -> Result<Self> {
        match Self::by_name(path) {
            Some(format @ (Self::Npy | Self::Csv)) => Ok(format),
            Some(Self::Png) | None => Err(request(format!(
                "{flag} {}: the name must end in .npy or .csv",
                path.display()
            ))),
        }
    }
}

/// Writes examples of shape `dims`, row-major in `values`, in the format that the name of `out`
/// says. `sheet_columns` is the number of columns of a sheet (`None`: about square); `names` are
/// the names of the columns of a table.
pub fn write(
    out: &Path,
    dims: &[usize],
    values: &[f32],
    sheet_columns: Option<usize>,
    names: Option<&[String]>,
) -> Result<()> {
    let n = values.len() / dims.iter().product::<usize>();
    match Format::for_examples(out, dims)? {
        Format::Npy => super::array::write(out, &[&[n], dims].concat(), values),
        Format::Csv => {
            let names = table::names(names, "x", dims[0]);
            table::write(out, &Key::index(), &names, values.chunks(dims[0]))
        }
        Format::Png => {
            Sheet::check(dims, n)?;
            let mut sheet = match sheet_columns {
                Some(columns) => Sheet::new(dims, columns),
                None => Sheet::square(dims, n),
            };
            sheet.cover(values);
            sheet.extend(values);
            sheet.write(out)?;
            Ok(())
        }
    }
}

/// Prints the path of a written file of `n` examples as the result.
pub fn print_written(printer: &Printer, out: &Path, n: usize) -> Result<()> {
    let path = out.display().to_string();
    printer.result(&path, || json!({ "out": path, "n": n }))
}
