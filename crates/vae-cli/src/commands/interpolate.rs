//! `interpolate`: ways through the latent space.

use anyhow::Result;
use vae_eval::labels_of;

use super::{Form, bounded, write, written};
use crate::args::InterpolateArgs;
use crate::failure::request;
use crate::open;
use crate::printer::Printer;

/// Interpolates.
pub fn run(args: &InterpolateArgs, printer: &Printer) -> Result<()> {
    Form::of(&args.out)?;
    let (generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    let latent = generator.vae.config().latent;
    bounded(args.n.saturating_mul(args.steps), &generator.vae)?;
    let (ends, labels) = if args.random {
        (generator.draw_prior(2 * args.n, None), None)
    } else {
        open::needs_encoder(&checkpoint)?;
        let (_, examples) = open::examples(&args.read, &checkpoint, printer)?;
        let indices: Vec<usize> = match (args.from, args.to) {
            (Some(from), Some(to)) => vec![from, to],
            _ => (0..2 * args.n.min((examples.len() / 2).max(1))).collect(),
        };
        if let Some(index) = indices.iter().find(|i| **i >= examples.len()) {
            return Err(request(format!(
                "there is no example {index}: the {} part has {} (0 to {})",
                args.read.split,
                examples.len(),
                examples.len() - 1
            )));
        }
        let indices: Vec<u32> = indices.into_iter().map(|i| i as u32).collect();
        (generator.encode(&examples, &indices), labels_of(&examples, &indices))
    };
    let mut values = Vec::new();
    for (i, pair) in ends.chunks(2 * latent).enumerate() {
        let (from, to) = pair.split_at(latent);
        // The class of a conditional model is that of the first end, or of random ends all in turn.
        let classes = generator.vae.classes() as u32;
        let in_turn = (classes > 0).then(|| i as u32 % classes.max(1));
        let label = labels.as_ref().map(|labels| labels[2 * i]).or(in_turn);
        values.extend(generator.interpolate(from, to, args.steps, label));
    }
    let names = checkpoint.data.settings.columns.as_deref();
    write(&args.out, generator.vae.shape(), &values, Some(args.steps), names)?;
    written(printer, &args.out, values.len() / generator.vae.numbers())
}
