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
use crate::pictures::sheets::{self, RECONSTRUCTIONS};

/// Examples whose latents are shown as histograms.
const LATENTS: usize = 500;

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
            Event::Advice { advice, .. } => {
                self.bar.warn(&format!("{}; {}", advice.warning, advice.advice));
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
    /// The step of the last sheets.
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
    /// drawn already, and a film of all. A prior that was fitted at the end of the training replaces
    /// N(0, I).
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
        self.draw(step, epoch, vae)?;
        if self.every > 0 {
            sheets::film(&self.folder, &self.folder.join("training.gif"))
                .map_err(|e| format!("{e:#}"))?;
        }
        Ok(())
    }

    /// Returns the generator of the sheets.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    fn draw(&mut self, step: u64, epoch: u64, vae: &Vae) -> Result<(), String> {
        if self.every == 0 || self.last_drawn == Some(step) {
            return Ok(());
        }
        self.generator.vae = vae.clone();
        self.write(step, epoch).map_err(|e| format!("{e:#}"))?;
        self.last_drawn = Some(step);
        Ok(())
    }

    /// Writes the sheets of an epoch.
    fn write(&self, step: u64, epoch: u64) -> Result<()> {
        let write = |what: &str, sheet: &Sheet| -> Result<()> {
            let path = self.folder.join(format!("epoch-{epoch:04}-{what}.png"));
            let size = sheet.write(&path)?;
            if let Some(tensorboard) = &self.tensorboard {
                let png = std::fs::read(&path).with_context(|| path.display().to_string())?;
                tensorboard.image(step, what, size, png).map_err(|why| anyhow!(why))?;
            }
            Ok(())
        };
        write("samples", &sheets::samples(&self.generator)?)?;
        if self.reconstruct {
            let sheet =
                sheets::reconstructions(&self.generator, &self.examples, RECONSTRUCTIONS, false)?;
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

    /// Shows the latents of some of `examples`, which a model like that of `generator` encodes.
    pub fn new(tensorboard: TensorBoard, examples: &Examples, generator: Generator) -> Self {
        Self { tensorboard, examples: examples.spread(LATENTS), generator }
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
