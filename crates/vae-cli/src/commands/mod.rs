//! The commands, one file each.

pub mod bench;
pub mod classify;
pub mod completions;
pub mod data;
pub mod decode;
pub mod doctor;
pub mod encode;
pub mod evaluate;
pub mod info;
pub mod interpolate;
pub mod presets;
pub mod reconstruct;
pub mod runs;
pub mod sample;
pub mod train;

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::failure::request;
use crate::picture::Sheet;
use crate::printer::Printer;
use crate::table::{self, Key};

/// What a file for images or numbers is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A sheet.
    Png,
    /// An array.
    Npy,
    /// A table of vectors.
    Csv,
}

impl Form {
    fn by_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "png" => Some(Self::Png),
            "npy" => Some(Self::Npy),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// # Errors
    /// If the name ends in none of `.png`, `.npy` and `.csv`.
    fn of(path: &Path) -> Result<Self> {
        Self::by_name(path).ok_or_else(|| {
            request(format!(
                "--out {}: the name must end in .png (a sheet), .npy (an array) or .csv (a table of \
                 vectors)",
                path.display()
            ))
        })
    }

    /// The form of a file for examples of shape `dims`.
    ///
    /// # Errors
    /// As [`Self::of`], and if these are images and a table is asked for.
    fn for_examples(path: &Path, dims: &[usize]) -> Result<Self> {
        let form = Self::of(path)?;
        if form == Self::Csv && dims.len() != 1 {
            return Err(request(format!(
                "--out {}: a .csv table holds vectors, and these are images: use .png or .npy",
                path.display()
            )));
        }
        Ok(form)
    }

    /// Refuses other files than arrays.
    fn require_npy(flag: &str, path: &Path) -> Result<()> {
        match Self::by_name(path) {
            Some(Self::Npy) => Ok(()),
            Some(Self::Png | Self::Csv) | None => {
                Err(request(format!("{flag} {}: the name must end in .npy", path.display())))
            }
        }
    }

    /// Refuses other files than arrays and tables.
    fn require_numbers(flag: &str, path: &Path) -> Result<Self> {
        match Self::by_name(path) {
            Some(form @ (Self::Npy | Self::Csv)) => Ok(form),
            Some(Self::Png) | None => Err(request(format!(
                "{flag} {}: the name must end in .npy or .csv",
                path.display()
            ))),
        }
    }
}

/// Writes examples of shape `dims` as a sheet, an array or a table, as the name of `out` says. `columns`
/// is how many a sheet has; `names` are those of a table's columns.
fn write(
    out: &Path,
    dims: &[usize],
    values: &[f32],
    columns: Option<usize>,
    names: Option<&[String]>,
) -> Result<()> {
    let n = values.len() / dims.iter().product::<usize>();
    match Form::for_examples(out, dims)? {
        Form::Npy => crate::array::write(out, &[&[n], dims].concat(), values),
        Form::Csv => {
            let names = table::names(names, 'x', dims[0]);
            table::write(out, &Key::index(), &names, values.chunks(dims[0]))
        }
        Form::Png => {
            let mut sheet = match columns {
                Some(columns) => Sheet::new(dims, columns),
                None => Sheet::square(dims, n),
            };
            sheet.cover(values);
            sheet.extend(values);
            sheet.write(out)
        }
    }
}

/// Refuses to make more numbers than can be held.
fn bounded(n: usize, vae: &vae_model::Vae) -> Result<()> {
    const MOST: usize = 1 << 29;
    if n.saturating_mul(vae.numbers()) > MOST {
        return Err(request(format!(
            "{n} examples of {} numbers each are more than can be held at once: ask for at most {}",
            vae.numbers(),
            MOST / vae.numbers()
        )));
    }
    Ok(())
}

/// Checks the class that a flag names against a model.
fn label(label: Option<u32>, vae: &vae_model::Vae) -> Result<Option<u32>> {
    let classes = vae.classes();
    match label {
        Some(_) if classes == 0 => Err(request(
            "--label: this model knows no classes; train one with --set model.condition=label",
        )),
        Some(label) if label as usize >= classes => {
            Err(request(format!("--label {label}: the model's classes are 0 to {}", classes - 1)))
        }
        label => Ok(label),
    }
}

/// Says where the result is.
fn written(printer: &Printer, out: &Path, n: usize) -> Result<()> {
    let path = out.display().to_string();
    printer.result(&path, || json!({ "out": path, "n": n }))
}
