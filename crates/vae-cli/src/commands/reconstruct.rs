//! `reconstruct`: images and what the model makes of them.

use anyhow::Result;

use super::{Form, written};
use crate::args::ReconstructArgs;
use crate::printer::Printer;
use crate::progress::{RECONSTRUCTIONS, reconstructions};
use crate::table::{self, Key};
use crate::{array, open};

/// Reconstructs.
pub fn run(args: &ReconstructArgs, printer: &Printer) -> Result<()> {
    let form = Form::of(&args.out)?;
    let (generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    open::needs_encoder(&checkpoint)?;
    Form::for_examples(&args.out, generator.vae.shape())?;
    let (source, mut examples) = open::examples(&args.read, &checkpoint, printer)?;
    let default = if form == Form::Png { 2 * RECONSTRUCTIONS } else { examples.len() };
    examples.truncate(args.n.unwrap_or(default).min(examples.len()));
    let dims = generator.vae.shape();
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let values = || generator.reconstruct(&examples, &indices, args.draw);
    match form {
        Form::Png => reconstructions(&generator, &examples, args.draw).write(&args.out)?,
        Form::Npy => array::write(&args.out, &[&[indices.len()], dims].concat(), &values())?,
        Form::Csv => {
            let len = generator.vae.numbers();
            let names = table::names(examples.columns.as_deref(), 'x', len);
            table::write(&args.out, &Key::of(&source, &examples), &names, values().chunks(len))?;
        }
    }
    written(printer, &args.out, examples.len())
}
