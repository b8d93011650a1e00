//! `decode`: turns latent codes into data.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use vae_data::Values;

use crate::args::ModelArgs;
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::file::{Format, print_written, write};
use crate::output::printer::Printer;

/// Decode latent codes to data: write the mean of p(x|z) of each code.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli decode codes.npy --out decoded.npy\n  \
    vae-cli decode z.npy --run runs/conditional --label 7 --out sevens.png")]
pub struct DecodeArgs {
    /// The codes: a .npy array, f32 or f64 [n, latent], as `vae-cli encode` writes it.
    pub codes: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Seed of --draw.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// File to write: .npy is an array, f32 [n, c, h, w] (vectors: [n, d]), in the range of the
    /// data; .png is a sheet; .csv is a table (vectors only).
    #[arg(long, default_value = "decoded.npy", value_name = "PATH")]
    pub out: PathBuf,
    /// Write a sample of p(x|z) instead of its mean.
    #[arg(long)]
    pub draw: bool,
    /// Class of all codes. Required if the decoder depends on the class (model.condition =
    /// "label").
    #[arg(long, value_name = "CLASS")]
    pub label: Option<u32>,
}

impl Execute for DecodeArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        Format::of(&self.out)?;
        let codes = vae_data::source::read_array(&self.codes)?;
        let (generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::check_label(self.label, &generator.vae)?;
        match (self.label, open::has_conditional_decoder(&generator.vae)) {
            (None, true) => {
                return Err(request(
                    "the decoder of this model depends on the class: choose one with --label CLASS",
                ));
            }
            (Some(label), false) => {
                return Err(request(format!(
                    "--label {label}: only the prior of this model depends on the class, not its \
                     decoder: leave --label out"
                )));
            }
            _ => {}
        }
        let latent = generator.vae.config().latent;
        let Values::Floats(z) = &codes.values else {
            return Err(request(format!(
                "{}: holds bytes; codes are floating-point numbers [n, {latent}]",
                self.codes.display()
            )));
        };
        if codes.shape.dims() != [latent] {
            return Err(request(format!(
                "{}: holds rows of shape {:?}; codes of this model are [n, {latent}]",
                self.codes.display(),
                codes.shape.dims()
            )));
        }
        let label = self.label.as_ref().map(std::slice::from_ref);
        let decoded = generator.decode(z, label, self.draw)?;
        let names = checkpoint.data.settings.columns.as_deref();
        write(&self.out, generator.vae.shape(), &decoded, None, names)?;
        print_written(printer, &self.out, codes.len())
    }
}
