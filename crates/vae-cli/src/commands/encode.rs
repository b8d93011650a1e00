//! `encode`: data to latent codes.

use anyhow::Result;

use super::{Form, written};
use crate::args::EncodeArgs;
use crate::printer::Printer;
use crate::{array, open};

/// Encodes.
pub fn run(args: &EncodeArgs, printer: &Printer) -> Result<()> {
    Form::require_npy("--out", &args.out)?;
    let (generator, checkpoint) = open::generator(&args.model, 0, printer)?;
    open::needs_encoder(&checkpoint)?;
    let (_, examples) = open::examples(&args.read, &checkpoint, printer)?;
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let codes = generator.encode(&examples, &indices);
    array::write(&args.out, &[examples.len(), generator.vae.config().latent], &codes)?;
    written(printer, &args.out, examples.len())
}
