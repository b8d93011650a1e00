//! Observers of a training: the progress bar or the line an epoch, and the sheets.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use vae_data::Examples;
use vae_eval::{Generator, Metrics, PriorSource};
use vae_model::Vae;
use vae_train::{Event, Observer};

use crate::picture::Sheet;
use crate::printer::{Printer, count};

/// What a person watching sees: a bar on a terminal, and a line an epoch.
pub struct Console {
    printer: Printer,
    bar: Option<ProgressBar>,
    epochs: u64,
}

impl Console {
    /// For a training of `total` steps, `done` of which are done, in so many epochs.
    pub fn new(printer: &Printer, done: u64, total: u64, epochs: u64) -> Self {
        let bar = printer.has_bar().then(|| {
            let bar = ProgressBar::new(total);
            let style = "{bar:24} {percent:>3}%  {msg}  {eta} left";
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            // The rate of steps is known only from those of this process.
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        Self { printer: *printer, bar, epochs }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => self.printer.say(line),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `loss 105.93  reconstruction 80.12  kl 25.81`; what equals the loss is not said twice.
fn show(values: &Metrics) -> String {
    let loss = values.first().map(|(_, v)| *v);
    let shown = values.iter().enumerate().filter(|(i, (_, v))| *i == 0 || Some(*v) != loss);
    shown.map(|(_, (name, v))| format!("{name} {v:.2}")).collect::<Vec<_>>().join("  ")
}

impl Observer for Console {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Step { step, epoch, values, images_per_second } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*step);
                    let speed = count(*images_per_second as usize);
                    let epochs = self.epochs;
                    bar.set_message(format!(
                        "epoch {epoch}/{epochs}  {}  {speed} images/s",
                        show(values)
                    ));
                }
            }
            Event::Epoch { epoch, train, validation, images_per_second, .. } => {
                let validation =
                    validation.map(|v| format!("  | validation {}", show(v))).unwrap_or_default();
                let speed = count(*images_per_second as usize);
                let width = self.epochs.to_string().len();
                self.say(&format!(
                    "epoch {epoch:>width$}/{}  {}{validation}  {speed} images/s",
                    self.epochs,
                    show(train)
                ));
            }
            Event::Checkpoint { path } => {
                self.printer.detail(&format!("checkpoint: {}", path.display()));
            }
            Event::Warning(message) => match &self.bar {
                Some(bar) => bar.println(format!("warning: {message}")),
                None => self.printer.warn(message),
            },
        }
        Ok(())
    }
}

/// Writes sheets of samples and reconstructions, always from the same z and the same images.
pub struct Sheets {
    folder: PathBuf,
    every: u64,
    /// Images to reconstruct.
    examples: Examples,
    generator: Generator,
    /// Whether there is an encoder to reconstruct with.
    reconstruct: bool,
    last_drawn: Option<u64>,
}

/// Samples on a sheet.
pub const SAMPLES: usize = 64;
/// Samples of each class on a sheet of a conditional model.
pub const SAMPLES_OF_EACH: usize = 8;
/// Columns of a sheet of reconstructions.
pub const RECONSTRUCTIONS: usize = 16;

impl Sheets {
    /// Sheets in `folder` every so many epochs (0 for never), made by `generator`, of samples and, if it
    /// has an encoder to `reconstruct` with, of reconstructions of `examples`.
    pub fn new(
        folder: PathBuf,
        every: u64,
        examples: Examples,
        generator: Generator,
        reconstruct: bool,
    ) -> Self {
        Self { folder, every, examples, generator, reconstruct, last_drawn: None }
    }

    /// Draws the sheets of a model after `epoch` epochs with the prior that was fitted for it at the end,
    /// unless they are drawn already.
    pub fn finish(&mut self, epoch: u64, vae: &Vae, prior: PriorSource) -> Result<(), String> {
        if matches!(prior, PriorSource::Fitted(_)) {
            self.generator.prior = prior;
            self.last_drawn = None;
        }
        self.draw(epoch, vae)
    }

    fn draw(&mut self, epoch: u64, vae: &Vae) -> Result<(), String> {
        if self.every == 0 || self.last_drawn == Some(epoch) {
            return Ok(());
        }
        self.generator.vae = vae.clone();
        let sheet = if vae.classes() > 0 {
            let n = SAMPLES_OF_EACH * vae.classes();
            class_sheet(&self.generator, &self.generator.sample(n, None, false))
        } else {
            let samples = self.generator.sample(SAMPLES, None, false);
            let mut sheet = Sheet::square(vae.shape(), SAMPLES);
            sheet.cover(&samples);
            sheet.extend(&samples);
            sheet
        };
        let path = |what: &str| self.folder.join(format!("epoch-{epoch:04}-{what}.png"));
        sheet.write(&path("samples")).map_err(|e| format!("{e:#}"))?;
        if self.reconstruct {
            let sheet = reconstructions(&self.generator, &self.examples, false);
            sheet.write(&path("reconstructions")).map_err(|e| format!("{e:#}"))?;
        }
        self.last_drawn = Some(epoch);
        Ok(())
    }
}

impl Observer for Sheets {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Epoch { epoch, vae, .. } if self.every > 0 && epoch % self.every == 0 => {
                self.draw(*epoch, vae)
            }
            _ => Ok(()),
        }
    }
}

/// A sheet of samples of all classes in turn, as [`Generator::sample`] gives them: a row for each class.
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

/// A sheet of all `examples`, a row of originals above a row of their reconstructions, and so on.
pub fn reconstructions(generator: &Generator, examples: &Examples, draw: bool) -> Sheet {
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let originals = generator.originals(examples, &indices);
    let made = generator.reconstruct(examples, &indices, draw);
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
    sheet
}
