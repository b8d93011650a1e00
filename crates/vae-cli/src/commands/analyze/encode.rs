//! `encode`: writes the latent codes of data.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::args::{ModelArgs, ReadArgs};
use crate::commands::Execute;
use crate::open;
use crate::output::array;
use crate::output::file::{Format, print_written};
use crate::output::printer::Printer;
use crate::output::table::{self, Key};

/// Encode data: write the mean of q(z|x) of each example.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli encode --out codes.npy\n  \
    vae-cli encode --data table.csv --split all --out codes.csv")]
pub struct EncodeArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// File to write: .npy is an array, f32 [n, latent]; .csv is a table. The first column of the
    /// table is the data.id_column of the data, or `index`.
    #[arg(long, default_value = "codes.npy", value_name = "PATH")]
    pub out: PathBuf,
}

impl Execute for EncodeArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let format = Format::require_numbers("--out", &self.out)?;
        let (generator, checkpoint) = open::generator(&self.model, 0, printer)?;
        open::require_encoder(&checkpoint)?;
        let (source, examples) = open::examples(&self.read, &checkpoint, printer)?;
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        let codes = generator.encode(&examples, &indices)?;
        let latent = generator.vae.config().latent;
        if format == Format::Csv {
            let names = table::names(None, 'z', latent);
            table::write(&self.out, &Key::of(&source, &examples), &names, codes.chunks(latent))?;
        } else {
            array::write(&self.out, &[examples.len(), latent], &codes)?;
        }
        print_written(printer, &self.out, examples.len())
    }
}
