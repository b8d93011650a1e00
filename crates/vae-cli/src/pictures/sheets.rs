//! Sheets of samples and of reconstructions, and a film of sheets.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use vae_data::Examples;
use vae_eval::Generator;
use vae_view::{Sheet, write_gif};

/// Samples on a sheet.
pub const SAMPLES: usize = 64;
/// Samples of each class on a sheet of a conditional model.
pub const SAMPLES_PER_CLASS: usize = 8;
/// Columns of a sheet of reconstructions.
pub const RECONSTRUCTIONS: usize = 16;

/// Draws samples: those of each class in a row for a model with classes, else a square of them.
///
/// # Errors
/// If z cannot be drawn.
pub fn samples(generator: &Generator) -> Result<Sheet> {
    let classes = generator.vae.classes();
    if classes > 0 {
        return Ok(self::classes(
            generator,
            &generator.sample(SAMPLES_PER_CLASS * classes, None, false)?,
        ));
    }
    let samples = generator.sample(SAMPLES, None, false)?;
    let mut sheet = Sheet::square(generator.vae.shape(), SAMPLES);
    sheet.cover(&samples);
    sheet.extend(&samples);
    Ok(sheet)
}

/// Draws samples as a sheet with a row per class. They are in order of class, as
/// [`Generator::sample`] returns them without labels.
pub fn classes(generator: &Generator, samples: &[f32]) -> Sheet {
    let (numbers, classes) = (generator.vae.numbers(), generator.vae.classes());
    let n = samples.len() / numbers;
    let mut sheet = Sheet::new(generator.vae.shape(), n.div_ceil(classes));
    sheet.cover(samples);
    let mut row = 0;
    for (i, sample) in samples.chunks(numbers).enumerate() {
        if i * classes / n != row {
            row = i * classes / n;
            sheet.fill_row();
        }
        sheet.extend(sample);
    }
    sheet
}

/// Draws all `examples` as a sheet: a row of originals, below it the row of their reconstructions,
/// and so on, with `columns` in each row.
///
/// # Errors
/// If the model cannot read the examples.
pub fn reconstructions(
    generator: &Generator,
    examples: &Examples,
    columns: usize,
    draw: bool,
) -> Result<Sheet> {
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let originals = generator.originals(examples, &indices)?;
    let made = generator.reconstruct(examples, &indices, draw)?;
    let mut sheet = Sheet::new(generator.vae.shape(), columns.min(examples.len()));
    sheet.cover(&originals);
    sheet.cover(&made);
    let row = columns * generator.vae.numbers();
    for (originals, made) in originals.chunks(row).zip(made.chunks(row)) {
        for half in [originals, made] {
            sheet.extend(half);
            sheet.fill_row();
        }
    }
    Ok(sheet)
}

/// Frames of a film, and how long each is shown. The last one stays.
const FRAMES: usize = 60;
const DELAY: Duration = Duration::from_millis(250);
const LAST: usize = 8;

/// Writes the sheets of samples in `folder`, which are from the same z, as a `.gif` in their order.
/// Returns whether there are sheets enough.
///
/// # Errors
/// If a sheet cannot be read, or if the file cannot be written.
pub fn film(folder: &Path, out: &Path) -> Result<bool> {
    let mut sheets: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if name.starts_with("epoch-") && name.ends_with("-samples.png") {
            sheets.push(path);
        }
    }
    // Epochs above 9,999 have more digits.
    sheets.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    if sheets.len() < 2 {
        return Ok(false);
    }
    let chosen = FRAMES.min(sheets.len());
    let frames = (0..chosen).map(|i| &sheets[i * (sheets.len() - 1) / (chosen - 1)]);
    let last = sheets.last().into_iter().cycle().take(LAST);
    let read = |path: &PathBuf| vae_view::read_sheet(path);
    write_gif(frames.chain(last).map(read), DELAY, out)?;
    Ok(true)
}
