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

/// What a file for images or arrays is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Png,
    Npy,
}

impl Form {
    /// # Errors
    /// If the name ends in neither `.png` nor `.npy`.
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("png") => Ok(Self::Png),
            Some("npy") => Ok(Self::Npy),
            _ => Err(request(format!(
                "--out {}: the name must end in .png (a sheet) or .npy (an array)",
                path.display()
            ))),
        }
    }

    /// # Errors
    /// If the name does not end in `.npy`.
    fn require_npy(flag: &str, path: &Path) -> Result<()> {
        match Self::of(path) {
            Ok(Self::Npy) => Ok(()),
            _ => Err(request(format!("{flag} {}: the name must end in .npy", path.display()))),
        }
    }
}

/// Writes examples of shape `dims` as a sheet or an array, as the name of `out` says.
fn write(out: &Path, dims: &[usize], values: &[f32], columns: Option<usize>) -> Result<()> {
    let n = values.len() / dims.iter().product::<usize>();
    match Form::of(out)? {
        Form::Npy => crate::array::write(out, &[&[n], dims].concat(), values),
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
