//! Animations: sheets of the same tiles, one after the other.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use vae_view::{Sheet, Theme, write_gif};

/// How long a frame is shown.
const DELAY: Duration = Duration::from_millis(90);

/// Returns whether the name of a file says that it is an animation.
pub fn is_animation(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gif")
}

/// Writes `values` as a `.gif`. They are rows of `steps` examples of shape `dims`; a frame has an
/// example of each row. The frames run forth and back. `title` gives the title of a frame.
pub fn write(
    out: &Path,
    dims: &[usize],
    values: &[f32],
    steps: usize,
    theme: Theme,
    title: impl Fn(usize) -> Option<String>,
) -> Result<()> {
    let numbers: usize = dims.iter().product();
    Sheet::check(dims, values.len() / numbers / steps.max(1))?;
    let rows: Vec<&[f32]> = values.chunks_exact(steps * numbers).collect();
    let frame = |step: usize| {
        let mut sheet = Sheet::square(dims, rows.len()).theme(theme);
        if let Some(title) = title(step) {
            sheet = sheet.title(&title);
        }
        sheet.cover(values);
        rows.iter().for_each(|row| sheet.extend(&row[step * numbers..(step + 1) * numbers]));
        sheet.draw()
    };
    let forth_and_back = (0..steps).chain((1..steps.max(2) - 1).rev());
    Ok(write_gif(forth_and_back.map(frame), DELAY, out)?)
}
