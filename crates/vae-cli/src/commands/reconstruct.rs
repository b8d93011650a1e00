//! `reconstruct`: images and what the model makes of them.

use anyhow::Result;

use super::{Form, write, written};
use crate::args::ReconstructArgs;
use crate::open;
use crate::printer::Printer;
use crate::progress::{RECONSTRUCTIONS, reconstructions};

/// Reconstructs.
pub fn run(args: &ReconstructArgs, printer: &Printer) -> Result<()> {
    let form = Form::of(&args.out)?;
    let (generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    open::needs_encoder(&checkpoint)?;
    let (_, mut examples) = open::examples(&args.read, &checkpoint, printer)?;
    let default = if form == Form::Png { 2 * RECONSTRUCTIONS } else { examples.len() };
    examples.truncate(args.n.unwrap_or(default).min(examples.len()));
    if form == Form::Png {
        reconstructions(&generator, &examples, args.draw).write(&args.out)?;
    } else {
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        let values = generator.reconstruct(&examples, &indices, args.draw);
        write(&args.out, generator.vae.input(), &values, None)?;
    }
    written(printer, &args.out, examples.len())
}
