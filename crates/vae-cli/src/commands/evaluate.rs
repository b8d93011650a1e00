//! `evaluate`: what a model is worth on held-out data.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use serde_json::json;
use vae_data::Examples;
use vae_eval::{Evaluation, Evaluator, Generator, Mean, support_of};
use vae_model::compatibility;
use vae_train::Checkpoint;

use crate::args::{EvaluateArgs, ModelArgs};
use crate::failure::request;
use crate::open;
use crate::printer::{Printer, count, table};

/// Evaluates.
pub fn run(args: &EvaluateArgs, printer: &Printer) -> Result<()> {
    let (generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    open::needs_encoder(&checkpoint)?;
    let samples = args.samples.unwrap_or(0);
    let other = match &args.against {
        Some(run) => Some(rival(args, run, &checkpoint, printer)?),
        None => None,
    };
    let (resolved, examples) = open::examples(&args.read, &checkpoint, printer)?;
    if samples > 0 {
        has_nll("--samples", &generator, &examples)?;
    }
    if let Some((rival, theirs)) = &other {
        open::fits(&examples, theirs, &resolved.name)?;
        has_nll("--against", rival, &examples)?;
    }
    let evaluator = Evaluator {
        examples: Arc::new(examples),
        transform: generator.transform,
        device: generator.device,
        seed: args.seed,
    };
    let images = evaluator.examples.len();
    let rounds = if other.is_some() { 2 } else { 1 };
    let bar = if printer.has_bar() && samples > 0 {
        ProgressBar::new((rounds * images) as u64)
    } else {
        ProgressBar::hidden()
    };
    let result = evaluator.evaluate(&generator.vae, samples, &|done| bar.set_position(done as u64));
    let other = other.map(|(rival, _)| {
        evaluator.evaluate(&rival.vae, samples, &|done| bar.set_position((images + done) as u64))
    });
    bar.finish_and_clear();

    let mut text = report(&result, &format!("{} {}", resolved.name, args.read.split), samples);
    let against = args.against.as_ref().zip(other).map(|(run, other)| {
        let difference = Mean::of_differences(&result.nll_each, &other.nll_each);
        (run.display().to_string(), other, difference)
    });
    if let Some((run, other, Some(difference))) = &against {
        let error = difference.stderr.map(|e| format!(" +- {e:.3}")).unwrap_or_default();
        text += &format!(
            "\nnll less that of {run}, {:.3}: {:+.3}{error} (below 0: this model is better)",
            other.nll.unwrap_or(f64::NAN),
            difference.value
        );
    }
    printer.result(&text, || {
        let mut object = json!(result);
        object["data"] = json!(resolved.name);
        object["split"] = json!(args.read.split);
        if samples > 0 {
            object["samples"] = json!(samples);
        }
        if let Some((run, other, difference)) = &against {
            object["against"] = json!({
                "run": run,
                "nll": other.nll,
                "nll_stderr": other.nll_stderr,
                "difference": difference.map(|d| d.value),
                "difference_stderr": difference.and_then(|d| d.stderr),
            });
        }
        object
    })
}

/// The model to compare with, which must see images as the first does.
fn rival(
    args: &EvaluateArgs,
    run: &Path,
    first: &Checkpoint,
    printer: &Printer,
) -> Result<(Generator, Checkpoint)> {
    if !["test", "all"].contains(&args.read.split.as_str()) {
        return Err(request(format!(
            "--against: --split {} need not be the same images for both runs, one may have been trained \
             on what the other held out: compare by --split test",
            args.read.split
        )));
    }
    let checkpoint = args.model.checkpoint.filter(|_| !run.is_file());
    let model = ModelArgs { run: Some(run.to_owned()), checkpoint, ..args.model.clone() };
    let (generator, checkpoint) = open::generator(&model, args.seed, printer)?;
    open::needs_encoder(&checkpoint)?;
    if checkpoint.transform != first.transform {
        return Err(request(format!(
            "--against {}: it was trained on other values of the data (data.pixels, data.scale), so \
             its likelihood is of something else: compare runs with the same",
            run.display()
        )));
    }
    compatibility::check_comparable(&first.vae, &checkpoint.vae)
        .with_context(|| format!("--against {}", run.display()))?;
    Ok((generator, checkpoint))
}

/// Refuses a model whose likelihood of these examples cannot be estimated.
fn has_nll(flag: &str, generator: &Generator, examples: &Examples) -> Result<()> {
    let support = support_of(&generator.transform, examples);
    compatibility::check_nll(generator.vae.config(), support).with_context(|| flag.to_owned())
}

fn report(result: &Evaluation, data: &str, samples: usize) -> String {
    let nats = |v: f64| format!("{v:10.3}");
    let missing = || format!("{:>10}", "-");
    let reconstruction = if result.likelihood {
        "-log p(x|z)"
    } else {
        "a loss, no likelihood: its constant or the binary pixels are missing"
    };
    let row = |name: &str, value: String, what: &str| vec![name.to_owned(), value, what.to_owned()];
    let mut rows = vec![
        row("images", format!("{:>10}", count(result.images)), data),
        row("neg_elbo", result.neg_elbo.map_or_else(missing, nats), "reconstruction + kl"),
        row("reconstruction", nats(result.reconstruction), reconstruction),
        row("kl", result.kl.map_or_else(missing, nats), "KL(q(z|x) || p(z))"),
        row(
            "active_units",
            format!("{:>10}", format!("{}/{}", result.active_units, result.latent)),
            "latent dimensions whose posterior mean varies over the data by more than 0.01",
        ),
    ];
    if let Some(mmd) = result.aggregate_mmd {
        let what = "squared maximum mean discrepancy of q(z) and p(z), no unit";
        rows.push(row("aggregate_mmd", format!("{mmd:10.5}"), what));
    }
    if let Some(nll) = result.nll {
        let error = result.nll_stderr.map(|e| format!("+- {e:.3}, ")).unwrap_or_default();
        let what = format!("{error}-log p(x) from {samples} importance samples");
        rows.push(row("nll", nats(nll), &what));
    }
    format!("{}\n(nats per image)", table(&rows))
}
