//! `reconstruct`: encodes and decodes data.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::args::{ModelArgs, ReadArgs, count};
use crate::commands::Execute;
use crate::open;
use crate::output::array;
use crate::output::file::{Format, print_written};
use crate::output::printer::Printer;
use crate::output::show::ShowArgs;
use crate::output::table::{self, Key};
use crate::pictures::sheets::{self, RECONSTRUCTIONS};

/// Reconstruct data: encode each example to the mean of q(z|x), and decode it again.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli reconstruct\n  \
    vae-cli reconstruct --split all --out reconstructions.npy")]
pub struct ReconstructArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// Number of examples [default: 32 for a sheet, else all]. Those of a sheet are evenly spread over the
    /// data; otherwise they are the first.
    #[arg(long, value_name = "N", value_parser = count)]
    pub n: Option<usize>,
    /// Seed of --draw.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// File to write: .png is a sheet, originals above reconstructions; .npy is an array of the
    /// reconstructions; .csv is a table of them (vectors only). The first column of the table is
    /// the data.id_column of the data, or `index`.
    #[arg(long, default_value = "reconstructions.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub show: ShowArgs,
    /// Write a sample of p(x|z) instead of its mean.
    #[arg(long)]
    pub draw: bool,
}

impl Execute for ReconstructArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        self.show.check(&self.out, printer)?;
        let format = Format::of(&self.out)?;
        let (generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::require_encoder(&checkpoint)?;
        Format::for_examples(&self.out, generator.vae.shape())?;
        let (source, mut examples) = open::examples(&self.read, &checkpoint, printer)?;
        match (format, self.n) {
            (Format::Png, n) => examples = examples.spread(n.unwrap_or(2 * RECONSTRUCTIONS)),
            (_, Some(n)) => examples.truncate(n),
            (_, None) => {}
        }
        let dims = generator.vae.shape();
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        let values = || generator.reconstruct(&examples, &indices, self.draw);
        match format {
            Format::Png => {
                sheets::reconstructions(&generator, &examples, RECONSTRUCTIONS, self.draw)?
                    .write(&self.out)?;
            }
            Format::Npy => {
                array::write(&self.out, &[&[indices.len()], dims].concat(), &values()?)?;
            }
            Format::Csv => {
                let len = generator.vae.numbers();
                let names = table::names(examples.columns.as_deref(), "x", len);
                let key = Key::of(&source, &examples);
                table::write(&self.out, &key, &names, values()?.chunks(len))?;
            }
        }
        self.show.draw(&self.out)?;
        print_written(printer, &self.out, examples.len())
    }
}
