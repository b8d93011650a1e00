//! `interpolate`: ways through the latent space.

use anyhow::Result;

use super::{Form, write, written};
use crate::args::InterpolateArgs;
use crate::failure::request;
use crate::open;
use crate::printer::Printer;

/// Interpolates.
pub fn run(args: &InterpolateArgs, printer: &Printer) -> Result<()> {
    Form::of(&args.out)?;
    let (generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    let latent = generator.vae.config().latent;
    let ends = if args.random {
        generator.prior(2 * args.n)
    } else {
        let (_, examples) = open::examples(&args.read, &checkpoint, printer)?;
        let indices = match (args.from, args.to) {
            (Some(from), Some(to)) => vec![from as u32, to as u32],
            _ => (0..2 * args.n as u32).collect(),
        };
        if let Some(index) = indices.iter().find(|i| **i as usize >= examples.len()) {
            return Err(request(format!(
                "there is no example {index}: the {} part has {} (0 to {})",
                args.read.split,
                examples.len(),
                examples.len() - 1
            )));
        }
        generator.encode(&examples, &indices)
    };
    let mut values = Vec::new();
    for pair in ends.chunks(2 * latent) {
        values.extend(generator.interpolate(&pair[..latent], &pair[latent..], args.steps));
    }
    write(&args.out, generator.vae.input(), &values, Some(args.steps))?;
    written(printer, &args.out, values.len() / generator.vae.numbers())
}
