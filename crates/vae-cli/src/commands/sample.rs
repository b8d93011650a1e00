//! `sample`: draws from a model.

use anyhow::Result;
use vae_data::{Examples, Values};
use vae_model::posterior::PosteriorConfig;
use vae_train::Generator;

use super::{Form, bounded, write, written};
use crate::args::SampleArgs;
use crate::failure::request;
use crate::open;
use crate::printer::Printer;

/// Samples.
pub fn run(args: &SampleArgs, printer: &Printer) -> Result<()> {
    let form = Form::of(&args.out)?;
    if args.nearest && form == Form::Npy {
        return Err(request("--nearest shows pairs on a sheet: give --out a name ending in .png"));
    }
    let (generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    if matches!(generator.vae.config().posterior, PosteriorConfig::Point(_)) {
        printer.warn(
            "an autoencoder has no prior: these are decodings of N(0, I), which its latent space \
             was never made to match",
        );
    }
    bounded(args.n, &generator.vae)?;
    let samples = generator.sample(args.n, args.draw);
    let dims = generator.vae.input().to_vec();
    if args.nearest {
        let data_dir = args.data_dir.data_dir.clone();
        let train = open::own_data(data_dir, &checkpoint, printer)?.train;
        let pairs = beside_nearest(&generator, &train, &samples);
        // An even number of columns keeps pairs together.
        let columns = 2 * (args.n as f64 / 2.0).sqrt().ceil() as usize;
        write(&args.out, &dims, &pairs, Some(columns))?;
    } else {
        write(&args.out, &dims, &samples, None)?;
    }
    written(printer, &args.out, args.n)
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
