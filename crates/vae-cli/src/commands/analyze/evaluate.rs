//! `evaluate`: the ELBO, its terms and the nll of a model on data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};
use vae_eval::{Annealed, EvalError, Evaluator, FeatureNetwork, Generator, Mean};
use vae_train::Checkpoint;

use crate::args::{MeasureArgs, ModelArgs, ReadArgs};
use crate::commands::Execute;
use crate::open;
use crate::output::figures;
use crate::output::printer::Printer;
use crate::output::progress::Bar;

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
    #[command(flatten)]
    pub measure: MeasureArgs,
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

/// Median of the effective sample sizes below which nll is not to be believed.
const BELIEVABLE: f64 = 5.0;
/// The same of chains of annealed importance sampling, for nll_ais.
const BELIEVABLE_CHAINS: f64 = 2.0;

impl Execute for EvaluateArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let (generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::require_encoder(&checkpoint)?;
        let samples = self.measure.samples.unwrap_or(0);
        let other = match &self.against {
            Some(run) => Some(open_other(self, run, &checkpoint, printer)?),
            None => None,
        };
        let (resolved, examples) = open::examples(&self.read, &checkpoint, printer)?;
        let (examples, transform) = (Arc::new(examples), Arc::clone(&generator.transform));
        let evaluator = Evaluator::new(examples, transform, generator.device.clone(), self.seed)?;
        evaluator.check(&generator.vae, 0).with_context(|| resolved.name.clone())?;
        evaluator.check(&generator.vae, samples).context("--samples")?;
        if let Some(steps) = self.measure.ais {
            evaluator.check_annealing(&generator.vae, steps).context("--ais")?;
        }
        let network = self.measure.quality.then(|| {
            let data_dir = self.read.data_dir.data_dir.clone();
            open::feature_network(data_dir, &resolved, printer)
        });
        let network = network.transpose().context("--quality")?;
        if self.measure.disentanglement {
            evaluator
                .check_disentanglement(&generator.vae)
                .with_context(|| resolved.name.clone())?;
        }
        if let Some(other) = &other {
            evaluator.check(&other.vae, samples).context("the model of --against")?;
        }
        // First what may be refused: nll can take hours.
        let examples = evaluator.examples();
        let quality = network
            .as_ref()
            .map(|network| Ok::<_, EvalError>((network, network.quality(&generator, examples)?)));
        let quality = quality.transpose().context("--quality")?;
        let scores =
            self.measure.disentanglement.then(|| evaluator.disentanglement(&generator.vae));
        let scores = scores.transpose()?;
        let images = examples.len();
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

        let data = format!("{} {}", resolved.name, self.read.split);
        let mut figures = figures::of_evaluation(&result, &data, samples);
        let annealed =
            self.measure.ais.map(|steps| self.annealed(&evaluator, &generator, steps, printer));
        let annealed = annealed.transpose()?;
        figures.extend(annealed.iter().flat_map(figures::of_annealing));
        figures.extend(quality.iter().flat_map(|(network, quality)| {
            figures::of_quality(quality, &network.name, FeatureNetwork::compared(examples))
        }));
        figures.extend(scores.iter().flat_map(figures::of_disentanglement));
        let mut text = figures::table(&figures);
        if result.ess_median.is_some_and(|ess| ess < BELIEVABLE) {
            printer.warn(
                "for half of the examples a few importance weights outweigh all others, so nll is \
                 probably too high: raise --samples, and see how far nll falls",
            );
        }
        if annealed.as_ref().is_some_and(|found| found.ess[1] < BELIEVABLE_CHAINS) {
            printer.warn(
                "for half of the examples one chain outweighs the others, so nll_ais is probably too high: raise \
                 --ais, and see how far it falls",
            );
        }
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
            let protocol =
                figures.iter().map(|figure| (figure.name.to_owned(), json!(figure.what)));
            object["protocol"] = protocol.collect::<Map<_, _>>().into();
            let annealed = annealed.as_ref().map(|found| {
                json!({
                    "nll_ais": found.nll,
                    "nll_ais_stderr": found.nll_stderr,
                    "ais_steps": found.steps,
                    "ais_chains": found.chains,
                    "ais_ess_min": found.ess[0],
                    "ais_ess_median": found.ess[1],
                })
            });
            add(&mut object, &ANNEALING, annealed.as_ref());
            let quality = quality.as_ref().map(|(network, quality)| {
                let mut quality = json!(quality);
                quality["features"] = json!(network.name);
                quality
            });
            add(&mut object, &QUALITY, quality.as_ref());
            add(&mut object, &DISENTANGLEMENT, scores.map(|scores| json!(scores)).as_ref());
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

impl EvaluateArgs {
    /// Runs annealed importance sampling, with a bar.
    fn annealed(
        &self,
        evaluator: &Evaluator,
        generator: &Generator,
        steps: usize,
        printer: &Printer,
    ) -> Result<Annealed> {
        let bar = Bar::new(printer, evaluator.examples().len() as u64, 0);
        let report = |done: usize| bar.set_position(done as u64);
        let found = evaluator.annealed(&generator.vae, steps, &report)?;
        bar.finish();
        Ok(found)
    }
}

/// Keys of what is only measured if it is asked for.
const ANNEALING: [&str; 6] =
    ["nll_ais", "nll_ais_stderr", "ais_steps", "ais_chains", "ais_ess_min", "ais_ess_median"];
const QUALITY: [&str; 5] =
    ["frechet_distance", "kernel_distance", "precision", "recall", "features"];
const DISENTANGLEMENT: [&str; 8] = [
    "mig",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "sap",
    "modularity",
    "factor_vae_score",
    "beta_vae_score",
];

/// Adds the keys with the values of `found`, or null if it was not asked for.
fn add(object: &mut Value, keys: &[&str], found: Option<&Value>) {
    for key in keys {
        object[*key] = found.map_or(Value::Null, |found| found[*key].clone());
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
    open::check_split_of_several(&args.read, "--against")?;
    let checkpoint = args.model.checkpoint.filter(|_| !run.is_file());
    let model = ModelArgs { run: Some(run.to_owned()), checkpoint, ..args.model.clone() };
    let (generator, checkpoint) = open::generator(&model, args.seed, printer)?;
    open::require_encoder(&checkpoint)?;
    open::check_comparable(first, &checkpoint)
        .with_context(|| format!("--against {}", run.display()))?;
    Ok(generator)
}
