//! `encode`: data to latent codes.

use anyhow::Result;

use super::{Form, written};
use crate::args::EncodeArgs;
use crate::printer::Printer;
use crate::table::{self, Key};
use crate::{array, open};

/// Encodes.
pub fn run(args: &EncodeArgs, printer: &Printer) -> Result<()> {
    let form = Form::require_numbers("--out", &args.out)?;
    let (generator, checkpoint) = open::generator(&args.model, 0, printer)?;
    open::needs_encoder(&checkpoint)?;
    let (source, examples) = open::examples(&args.read, &checkpoint, printer)?;
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let codes = generator.encode(&examples, &indices);
    let latent = generator.vae.config().latent;
    if form == Form::Csv {
        let names = table::names(None, 'z', latent);
        table::write(&args.out, &Key::of(&source, &examples), &names, codes.chunks(latent))?;
    } else {
        array::write(&args.out, &[examples.len(), latent], &codes)?;
    }
    written(printer, &args.out, examples.len())
}
