//! `evaluate`: the ELBO, its terms and the nll of a model on data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use vae_eval::{Evaluation, Evaluator, Generator, Mean};
use vae_model::compatibility;
use vae_train::Checkpoint;

use crate::args::{ModelArgs, ReadArgs, count};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::printer::Printer;
use crate::output::progress::Bar;
use crate::output::text::{columns, with_commas};

/// Evaluate a model: neg_elbo and its terms, active units, nll by importance sampling.
///
/// Losses are in nats per example: summed over pixels and latent dimensions, averaged over
/// examples.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  vae-cli evaluate\n  vae-cli evaluate --run runs/gated --samples 500\n  \
    vae-cli evaluate --run runs/vamp --samples 500 --against runs/gated"
)]
pub struct EvaluateArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// Estimate nll with K importance samples per example [default: nll is not estimated].
    #[arg(long, value_name = "K", value_parser = count)]
    pub samples: Option<usize>,
    /// Second model to compare with: the folder of a run, or a .vae file. It is evaluated on the
    /// same examples with the same number of samples. Prints the difference of the two nll and the
    /// standard error of the paired differences. --checkpoint applies to both models if both are
    /// runs.
    #[arg(long, value_name = "DIR", requires = "samples")]
    pub against: Option<PathBuf>,
    /// Seed of the random z, for neg_elbo and nll.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl Execute for EvaluateArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let (generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::require_encoder(&checkpoint)?;
        let samples = self.samples.unwrap_or(0);
        let other = match &self.against {
            Some(run) => Some(open_other(self, run, &checkpoint, printer)?),
            None => None,
        };
        let (resolved, examples) = open::examples(&self.read, &checkpoint, printer)?;
        let (examples, transform) = (Arc::new(examples), generator.transform);
        let evaluator = Evaluator::new(examples, transform, generator.device, self.seed)?;
        evaluator.check(&generator.vae, 0).with_context(|| resolved.name.clone())?;
        evaluator.check(&generator.vae, samples).context("--samples")?;
        if let Some(other) = &other {
            evaluator.check(&other.vae, samples).context("the model of --against")?;
        }
        let images = evaluator.examples().len();
        let rounds = if other.is_some() { 2 } else { 1 };
        // Without importance samples the evaluation takes little time.
        let bar = (samples > 0).then(|| Bar::new(printer, (rounds * images) as u64, 0));
        let show = |done: usize| {
            if let Some(bar) = &bar {
                bar.set_position(done as u64);
            }
        };
        let result = evaluator.evaluate(&generator.vae, samples, &show)?;
        let other = match &other {
            None => None,
            Some(other) => {
                Some(evaluator.evaluate(&other.vae, samples, &|done| show(images + done))?)
            }
        };
        if let Some(bar) = &bar {
            bar.finish();
        }

        let mut text = report(&result, &format!("{} {}", resolved.name, self.read.split), samples);
        let against = self.against.as_ref().zip(other).map(|(run, other)| {
            let difference = Mean::of_differences(&result.nll_each, &other.nll_each);
            (run.display().to_string(), other, difference)
        });
        if let Some((run, other, Some(difference))) = &against {
            let error = difference.stderr.map(|e| format!(" +- {e:.3}")).unwrap_or_default();
            text += &format!(
                "\nnll minus the nll of {run} ({:.3}): {:+.3}{error} (below 0: this model is \
                 better)",
                other.nll.unwrap_or(f64::NAN),
                difference.value
            );
        }
        printer.result(&text, || {
            let mut object = json!(result);
            object["data"] = json!(resolved.name);
            object["split"] = json!(self.read.split);
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
}

/// Opens the model of `--against` and checks that it can be compared with the first.
///
/// # Errors
/// If the splits or the values of x of the two differ, or if only one likelihood is a density or
/// depends on labels.
fn open_other(
    args: &EvaluateArgs,
    run: &Path,
    first: &Checkpoint,
    printer: &Printer,
) -> Result<Generator> {
    if !["test", "all"].contains(&args.read.split.as_str()) {
        return Err(request(format!(
            "--against: the {0} part may not be the same for both runs, so one model may have been \
             trained on what the other held out: replace --split {0} by --split test",
            args.read.split
        )));
    }
    let checkpoint = args.model.checkpoint.filter(|_| !run.is_file());
    let model = ModelArgs { run: Some(run.to_owned()), checkpoint, ..args.model.clone() };
    let (generator, checkpoint) = open::generator(&model, args.seed, printer)?;
    open::require_encoder(&checkpoint)?;
    if checkpoint.transform != first.transform {
        return Err(request(format!(
            "--against {}: the two models were trained on different values of x (data.pixels, \
             data.scale), so their likelihoods cannot be compared: use runs with the same settings",
            run.display()
        )));
    }
    compatibility::check_comparable(first.vae.config(), checkpoint.vae.config())
        .with_context(|| format!("--against {}", run.display()))?;
    Ok(generator)
}

/// Returns the result as a table for people.
fn report(result: &Evaluation, data: &str, samples: usize) -> String {
    let nats = |v: f64| format!("{v:10.3}");
    let missing = || format!("{:>10}", "-");
    let reconstruction = if result.likelihood {
        "-log p(x|z)"
    } else {
        "a loss, not a likelihood: the pixels are not binary, or its constant is left out"
    };
    let row = |name: &str, value: String, what: &str| vec![name.to_owned(), value, what.to_owned()];
    let mut rows = vec![
        row("images", format!("{:>10}", with_commas(result.images)), data),
        row("neg_elbo", result.neg_elbo.map_or_else(missing, nats), "reconstruction + kl"),
        row("reconstruction", nats(result.reconstruction), reconstruction),
        row("kl", result.kl.map_or_else(missing, nats), "KL(q(z|x) || p(z))"),
        row(
            "active_units",
            format!("{:>10}", format!("{}/{}", result.active_units, result.latent)),
            "latent dimensions whose posterior mean has a variance over the data above 0.01",
        ),
    ];
    if let Some(mmd) = result.aggregate_mmd {
        let what = "squared maximum mean discrepancy of q(z) and p(z), without a unit";
        rows.push(row("aggregate_mmd", format!("{mmd:10.5}"), what));
    }
    if let Some(nll) = result.nll {
        let error = result.nll_stderr.map(|e| format!("+- {e:.3}, ")).unwrap_or_default();
        let what = format!("{error}-log p(x) from {samples} importance samples");
        rows.push(row("nll", nats(nll), &what));
    }
    format!("{}\n(losses in nats per example)", columns(&rows))
}
