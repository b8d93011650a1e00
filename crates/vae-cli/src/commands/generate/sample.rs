//! `sample`: generates data.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use vae_data::{Examples, Values};
use vae_eval::{Generator, PriorSource};
use vae_train::Checkpoint;

use crate::args::{DataDirArgs, ModelArgs, count, temperature};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::file::{Format, print_written, write};
use crate::output::printer::Printer;
use crate::output::show::ShowArgs;
use crate::pictures::sheets::{self, SAMPLES, SAMPLES_PER_CLASS};

/// Generate samples: draw z from the prior and write the mean of p(x|z).
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli sample --n 64\n  \
    vae-cli sample --run runs/conditional --label 7 --out sevens.npy\n  vae-cli sample --n 32 --nearest")]
pub struct SampleArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Number of samples [default: 64, or 8 per class if the model depends on the class].
    #[arg(long, value_name = "N", value_parser = count)]
    pub n: Option<usize>,
    /// Class of all samples, for a model with model.condition or model.prior.condition = "label"
    /// [default: all classes, as many samples of each].
    #[arg(long, value_name = "CLASS")]
    pub label: Option<u32>,
    /// Distribution that z is drawn from [default: fitted if the model has a fitted prior, else
    /// model].
    #[arg(long, value_name = "WHICH")]
    pub prior: Option<PriorArg>,
    /// Factor of the noise that z is made of. Below 1, samples are more typical and less different.
    #[arg(long, default_value_t = 1.0, value_name = "T", value_parser = temperature)]
    pub temperature: f32,
    /// Seed of the samples.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// File to write: .png is a sheet; .npy is an array, f32 [n, c, h, w] (vectors: [n, d]), in the
    /// range of the data; .csv is a table (vectors only).
    #[arg(long, default_value = "samples.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub show: ShowArgs,
    /// Write a sample of p(x|z) instead of its mean.
    #[arg(long)]
    pub draw: bool,
    /// Show the nearest training example beside each sample (.png only).
    #[arg(long)]
    pub nearest: bool,
    #[command(flatten)]
    pub data_dir: DataDirArgs,
}

/// The distribution that z is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PriorArg {
    /// The prior p(z) of the model.
    Model,
    /// The prior that was fitted to the codes of the training data at the end of the training.
    Fitted,
    /// N(0, I), whatever prior the model was trained with.
    Standard,
}

impl Execute for SampleArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        self.show.check(&self.out, printer)?;
        let format = Format::of(&self.out)?;
        if self.nearest && format != Format::Png {
            return Err(request(
                "--nearest needs a sheet: give --out a name that ends in .png, or leave --nearest \
                 out",
            ));
        }
        let (mut generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::check_label(self.label, &generator.vae)?;
        if let Some(prior) = self.prior {
            choose_prior(prior, &mut generator, &checkpoint)?;
        }
        open::ensure_prior(&mut generator, &checkpoint, printer);
        let reads_class = reads_class(&generator);
        if let (Some(label), false) = (self.label, reads_class) {
            return Err(request(format!(
                "--label {label}: only the prior of this model depends on the class, and --prior \
                 standard replaces it: leave one of the two out"
            )));
        }
        let all_classes = reads_class && self.label.is_none();
        let default =
            if all_classes { SAMPLES_PER_CLASS * generator.vae.classes() } else { SAMPLES };
        let n = self.n.unwrap_or(default);
        open::check_size(n, &generator.vae)?;
        let label = self.label.as_ref().map(std::slice::from_ref);
        let samples = generator.sample_at(self.temperature, n, label, self.draw)?;
        let dims = generator.vae.shape().to_vec();
        let names = checkpoint.data.settings.columns.as_deref();
        if self.nearest {
            let data_dir = self.data_dir.data_dir.clone();
            let train = open::own_data(data_dir, &checkpoint, printer)?.train;
            let pairs = with_nearest(&generator, &train, &samples)?;
            // With an even number of columns each pair stays in one row.
            let columns = 2 * (n as f64 / 2.0).sqrt().ceil() as usize;
            write(&self.out, &dims, &pairs, Some(columns), names)?;
        } else if all_classes && format == Format::Png {
            sheets::classes(&generator, &samples).write(&self.out)?;
        } else {
            write(&self.out, &dims, &samples, None, names)?;
        }
        self.show.draw(&self.out)?;
        print_written(printer, &self.out, n)
    }
}

fn choose_prior(prior: PriorArg, generator: &mut Generator, checkpoint: &Checkpoint) -> Result<()> {
    match prior {
        PriorArg::Model => generator.prior = Some(PriorSource::Model),
        PriorArg::Standard => generator.prior = Some(PriorSource::Standard),
        // The generator of such a checkpoint uses it already.
        PriorArg::Fitted if checkpoint.fitted_prior.is_some() => {}
        PriorArg::Fitted => {
            return Err(request(
                "--prior fitted: this model has no fitted prior; a model that is trained without a \
                 prior gets one at the end of its training",
            ));
        }
    }
    Ok(())
}

/// Returns whether samples depend on the class: the decoder does, or the prior that z is drawn
/// from.
fn reads_class(generator: &Generator) -> bool {
    let by_prior =
        generator.vae.classes() > 0 && matches!(generator.prior, Some(PriorSource::Model));
    by_prior || open::has_conditional_decoder(&generator.vae)
}

/// Returns each sample followed by the training example that is nearest to it.
fn with_nearest(generator: &Generator, train: &Examples, samples: &[f32]) -> Result<Vec<f32>> {
    let scale = if matches!(train.values, Values::Bytes(_)) { 255.0 } else { 1.0 };
    let mut pairs = Vec::with_capacity(2 * samples.len());
    for sample in samples.chunks(generator.vae.numbers()) {
        pairs.extend_from_slice(sample);
        let stored: Vec<f32> = sample.iter().map(|v| v * scale).collect();
        if let Some(index) = train.nearest(&stored) {
            pairs.extend(generator.originals(train, &[index as u32])?);
        }
    }
    Ok(pairs)
}
