//! `sample`: draws from a model.

use anyhow::Result;
use vae_data::{Examples, Values};
use vae_eval::{Generator, PriorSource};

use super::{Form, bounded, label, write, written};
use crate::args::{PriorArg, SampleArgs};
use crate::failure::request;
use crate::open;
use crate::printer::Printer;
use crate::progress::{SAMPLES, SAMPLES_OF_EACH, class_sheet};

/// Samples.
pub fn run(args: &SampleArgs, printer: &Printer) -> Result<()> {
    let form = Form::of(&args.out)?;
    if args.nearest && form != Form::Png {
        return Err(request("--nearest shows pairs on a sheet: give --out a name ending in .png"));
    }
    let (mut generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    let label = label(args.label, &generator.vae)?;
    match args.prior {
        None => {}
        Some(PriorArg::Model) => generator.prior = PriorSource::Model,
        Some(PriorArg::Standard) => generator.prior = PriorSource::Standard,
        Some(PriorArg::Fitted) if checkpoint.fitted_prior.is_some() => {}
        Some(PriorArg::Fitted) => {
            return Err(request(
                "--prior fitted: none was fitted; a model that is trained without a prior has one \
                 once its training has ended",
            ));
        }
    }
    let trained = checkpoint.config.objective.requirements().matches_prior(generator.vae.config());
    if !trained && !matches!(generator.prior, PriorSource::Fitted(_)) {
        printer.warn(
            "this model was trained without a prior: these are decodings of N(0, I), which its \
             latent space was never made to match",
        );
    }
    // A conditional model that is told no class shows them all, a row each.
    let in_turn = generator.vae.classes() > 0 && label.is_none();
    let usual = if in_turn { SAMPLES_OF_EACH * generator.vae.classes() } else { SAMPLES };
    let n = args.n.unwrap_or(usual);
    bounded(n, &generator.vae)?;
    let samples = generator.sample(n, label.as_ref().map(std::slice::from_ref), args.draw);
    let dims = generator.vae.shape().to_vec();
    let names = checkpoint.data.settings.columns.as_deref();
    if args.nearest {
        let data_dir = args.data_dir.data_dir.clone();
        let train = open::own_data(data_dir, &checkpoint, printer)?.train;
        let pairs = beside_nearest(&generator, &train, &samples);
        // An even number of columns keeps pairs together.
        let columns = 2 * (n as f64 / 2.0).sqrt().ceil() as usize;
        write(&args.out, &dims, &pairs, Some(columns), names)?;
    } else if in_turn && form == Form::Png {
        class_sheet(&generator, &samples).write(&args.out)?;
    } else {
        write(&args.out, &dims, &samples, None, names)?;
    }
    written(printer, &args.out, n)
}

/// Each sample followed by the training example that is nearest to it.
fn beside_nearest(generator: &Generator, train: &Examples, samples: &[f32]) -> Vec<f32> {
    let scale = if matches!(train.values, Values::Bytes(_)) { 255.0 } else { 1.0 };
    let mut pairs = Vec::with_capacity(2 * samples.len());
    for sample in samples.chunks(generator.vae.numbers()) {
        pairs.extend_from_slice(sample);
        let stored: Vec<f32> = sample.iter().map(|v| v * scale).collect();
        if let Some(index) = train.nearest(&stored) {
            pairs.extend(generator.originals(train, &[index as u32]));
        }
    }
    pairs
}
