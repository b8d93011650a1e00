//! What a training shows and draws while it runs: progress lines, sheets of images, and histograms.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use vae_data::Examples;
use vae_eval::{Generator, Metrics, PriorSource};
use vae_model::Vae;
use vae_train::{Event, Observer, TensorBoard};
use vae_view::Sheet;

use super::printer::Printer;
use super::progress::Bar;
use super::text::with_commas;

/// Samples on a sheet.
pub const SAMPLES: usize = 64;
/// Samples of each class on a sheet of a conditional model.
pub const SAMPLES_PER_CLASS: usize = 8;
/// Examples whose latents are shown as histograms.
pub const LATENTS: usize = 500;
/// Columns of a sheet of reconstructions.
pub const RECONSTRUCTIONS: usize = 16;

/// Shows a training on stderr: a progress bar on a terminal, and a line per epoch.
pub struct Console {
    printer: Printer,
    bar: Bar,
    epochs: u64,
}

impl Console {
    /// Shows a training of `total` steps, `done` of which are done, in `epochs` epochs.
    pub fn new(printer: &Printer, done: u64, total: u64, epochs: u64) -> Self {
        Self { printer: *printer, bar: Bar::new(printer, total, done), epochs }
    }

    /// Removes the bar from the terminal.
    pub fn finish(&self) {
        self.bar.finish();
    }
}

/// Writes the loss and its terms: `loss 105.93  reconstruction 80.12  kl 25.81`. Terms that equal
/// the loss are left out.
fn metrics_text(values: &Metrics) -> String {
    let loss = values.first().map(|(_, v)| *v);
    let shown = values.iter().enumerate().filter(|(i, (_, v))| *i == 0 || Some(*v) != loss);
    shown.map(|(_, (name, v))| format!("{name} {v:.2}")).collect::<Vec<_>>().join("  ")
}

impl Observer for Console {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Step { step, epoch, values, images_per_second } => {
                self.bar.set_position(*step);
                self.bar.set_message(|| {
                    let speed = with_commas(*images_per_second as usize);
                    let (epochs, metrics) = (self.epochs, metrics_text(values));
                    format!("epoch {epoch}/{epochs}  {metrics}  {speed} images/s")
                });
            }
            Event::Epoch { epoch, train, validation, images_per_second, .. } => {
                let validation = validation
                    .map(|v| format!("  | validation {}", metrics_text(v)))
                    .unwrap_or_default();
                let speed = with_commas(*images_per_second as usize);
                let width = self.epochs.to_string().len();
                self.bar.say(&format!(
                    "epoch {epoch:>width$}/{}  {}{validation}  {speed} images/s",
                    self.epochs,
                    metrics_text(train)
                ));
            }
            Event::Checkpoint { path } => {
                self.printer.detail(&format!("checkpoint: {}", path.display()));
            }
            Event::Warning(message) => self.bar.warn(message),
        }
        Ok(())
    }
}

/// Draws sheets of samples and reconstructions, of the same z and the same examples at every epoch,
/// so that sheets of different epochs can be compared.
pub struct Sheets {
    folder: PathBuf,
    every: u64,
    /// The examples to reconstruct.
    examples: Examples,
    generator: Generator,
    reconstruct: bool,
    /// Where the sheets are shown too.
    tensorboard: Option<TensorBoard>,
    last_drawn: Option<u64>,
}

impl Sheets {
    /// Draws sheets with `generator` into `folder` every `every` epochs (0: never). Draws
    /// reconstructions of `examples` if `reconstruct`, which needs a trained encoder. The sheets go
    /// to `tensorboard` too, if there is one.
    pub fn new(
        folder: PathBuf,
        every: u64,
        examples: Examples,
        generator: Generator,
        reconstruct: bool,
        tensorboard: Option<TensorBoard>,
    ) -> Self {
        Self { folder, every, examples, generator, reconstruct, tensorboard, last_drawn: None }
    }

    /// Draws the sheets of the trained model, after `step` steps and `epoch` epochs, unless they are
    /// drawn already. A prior that was fitted at the end of the training replaces N(0, I).
    pub fn finish(
        &mut self,
        step: u64,
        epoch: u64,
        vae: &Vae,
        prior: Option<PriorSource>,
    ) -> Result<(), String> {
        if matches!(prior, Some(PriorSource::Fitted(_))) {
            self.generator.prior = prior;
            self.last_drawn = None;
        }
        self.draw(step, epoch, vae)
    }

    fn draw(&mut self, step: u64, epoch: u64, vae: &Vae) -> Result<(), String> {
        if self.every == 0 || self.last_drawn == Some(epoch) {
            return Ok(());
        }
        self.generator.vae = vae.clone();
        self.write(step, epoch, vae).map_err(|e| format!("{e:#}"))?;
        self.last_drawn = Some(epoch);
        Ok(())
    }

    /// Writes the sheets of an epoch.
    fn write(&self, step: u64, epoch: u64, vae: &Vae) -> Result<()> {
        let sheet = if vae.classes() > 0 {
            let n = SAMPLES_PER_CLASS * vae.classes();
            class_sheet(&self.generator, &self.generator.sample(n, None, false)?)
        } else {
            let samples = self.generator.sample(SAMPLES, None, false)?;
            let mut sheet = Sheet::square(vae.shape(), SAMPLES);
            sheet.cover(&samples);
            sheet.extend(&samples);
            sheet
        };
        let write = |what: &str, sheet: &Sheet| -> Result<()> {
            let path = self.folder.join(format!("epoch-{epoch:04}-{what}.png"));
            let size = sheet.write(&path)?;
            if let Some(tensorboard) = &self.tensorboard {
                let png = std::fs::read(&path).with_context(|| path.display().to_string())?;
                tensorboard.image(step, what, size, png).map_err(|why| anyhow!(why))?;
            }
            Ok(())
        };
        write("samples", &sheet)?;
        if self.reconstruct {
            let sheet = reconstruction_sheet(&self.generator, &self.examples, false)?;
            write("reconstructions", &sheet)?;
        }
        Ok(())
    }
}

impl Observer for Sheets {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Epoch { step, epoch, vae, .. } if self.every > 0 && epoch % self.every == 0 => {
                self.draw(*step, *epoch, vae)
            }
            _ => Ok(()),
        }
    }
}

/// Writes a histogram of each latent dimension after every epoch: of the means of q(z|x) of the same
/// examples.
pub struct LatentHistograms {
    tensorboard: TensorBoard,
    examples: Examples,
    generator: Generator,
}

impl LatentHistograms {
    /// Largest number of latent dimensions that are shown, the first ones.
    const MOST: usize = 64;

    /// Shows the latents of `examples`, which a model like that of `generator` encodes.
    pub fn new(tensorboard: TensorBoard, examples: Examples, generator: Generator) -> Self {
        Self { tensorboard, examples, generator }
    }
}

impl Observer for LatentHistograms {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        let Event::Epoch { step, vae, .. } = event else { return Ok(()) };
        self.generator.vae = (*vae).clone();
        let indices: Vec<u32> = (0..self.examples.len() as u32).collect();
        let means = self.generator.encode(&self.examples, &indices).map_err(|e| e.to_string())?;
        let latent = vae.config().latent;
        for dimension in 0..latent.min(Self::MOST) {
            let values: Vec<f32> = means.iter().skip(dimension).step_by(latent).copied().collect();
            self.tensorboard.histogram(*step, &format!("mean/z{}", dimension + 1), &values)?;
        }
        Ok(())
    }
}

/// Draws samples as a sheet with a row per class. They are in order of class, as
/// [`Generator::sample`] returns them without labels.
pub fn class_sheet(generator: &Generator, samples: &[f32]) -> Sheet {
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
/// and so on.
///
/// # Errors
/// If the model cannot read the examples.
pub fn reconstruction_sheet(
    generator: &Generator,
    examples: &Examples,
    draw: bool,
) -> Result<Sheet> {
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let originals = generator.originals(examples, &indices)?;
    let made = generator.reconstruct(examples, &indices, draw)?;
    let mut sheet = Sheet::new(generator.vae.shape(), RECONSTRUCTIONS.min(examples.len()));
    sheet.cover(&originals);
    sheet.cover(&made);
    let row = RECONSTRUCTIONS * generator.vae.numbers();
    for (originals, made) in originals.chunks(row).zip(made.chunks(row)) {
        for half in [originals, made] {
            sheet.extend(half);
            sheet.fill_row();
        }
    }
    Ok(sheet)
}
