//! `evaluate`: the ELBO, its terms and the nll of a model on data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use vae_data::{Examples, OpenedSource};
use vae_eval::{Annealed, Evaluation, Evaluator, FeatureNetwork, Generator, Mean, Quality};
use vae_train::Checkpoint;

use crate::args::{MeasureArgs, ModelArgs, ReadArgs};
use crate::commands::Execute;
use crate::open;
use crate::output::figures::{self, ANNEALING, DISENTANGLEMENT, Figure, QUALITY};
use crate::output::printer::Printer;
use crate::output::progress::Bar;
use crate::output::text::with_commas;

/// Evaluate a model: neg_elbo and its terms, active units, nll by importance sampling, quality of samples.
///
/// Losses are in nats per example: summed over pixels and latent dimensions, averaged over
/// examples. Of a model without an encoder, such as a GAN, --quality alone can be measured.
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
    /// Seed of the random z, and of pixels that are drawn. Models are compared with the same seed.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl Execute for EvaluateArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let model = open::model(&self.model, self.seed, printer)?;
        let open::Model { generator, checkpoint, .. } = &model;
        if let Err(why) = open::require_encoder(checkpoint) {
            return match self.asks_for_quality_alone() {
                true => self.quality_alone(&model, printer),
                false => Err(why.context(
                    "of a model without an encoder, --quality can be measured, without other measures",
                )),
            };
        }
        let samples = self.measure.samples.unwrap_or(0);
        let other = match &self.against {
            Some(run) => Some(open_other(self, run, checkpoint, printer)?),
            None => None,
        };
        let (resolved, examples) = open::examples(&self.read, checkpoint, printer)?;
        let (examples, transform) = (Arc::new(examples), Arc::clone(&generator.transform));
        let evaluator = Evaluator::new(examples, transform, generator.device.clone(), self.seed)?;
        evaluator.check(&generator.vae, 0).with_context(|| resolved.name.clone())?;
        evaluator.check(&generator.vae, samples).context("--samples")?;
        if let Some(steps) = self.measure.ais {
            evaluator.check_annealing(generator.vae.spec(), steps).context("--ais")?;
        }
        if self.measure.disentanglement {
            evaluator
                .check_disentanglement(generator.vae.spec())
                .with_context(|| resolved.name.clone())?;
        }
        if let Some(other) = &other {
            evaluator.check(&other.vae, samples).context("the model of --against")?;
        }
        // First what may be refused: nll can take hours, and the classifier minutes.
        let examples = evaluator.examples();
        let scores =
            self.measure.disentanglement.then(|| evaluator.disentanglement(&generator.vae));
        let scores = scores.transpose().with_context(|| resolved.name.clone())?;
        let quality =
            self.measure.quality.then(|| self.quality(generator, &resolved, examples, printer));
        let quality = quality.transpose().context("--quality")?;
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

        let data = self.data(&resolved, examples, generator);
        let mut figures = figures::of_evaluation(&result, &data, samples);
        let annealed =
            self.measure.ais.map(|steps| self.annealed(&evaluator, generator, steps, printer));
        let annealed = annealed.transpose()?;
        figures.extend(annealed.iter().flat_map(figures::of_annealing));
        figures.extend(quality.iter().flat_map(|measured| measured.figures(examples)));
        figures.extend(scores.iter().flat_map(figures::of_disentanglement));
        let mut text = self.table(&figures, &model);
        if let Some(doubt) = figures::doubt(result.ess_median) {
            printer.warn(doubt);
        }
        let of_other = other.as_ref().and_then(|other| figures::doubt(other.ess_median));
        if let Some((run, doubt)) = self.against.as_ref().zip(of_other) {
            printer.warn(&format!("{}: {doubt}", run.display()));
        }
        if let Some(doubt) =
            annealed.as_ref().and_then(|found| figures::doubt_of_chains(found.ess[1]))
        {
            printer.warn(doubt);
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
            add(&mut object, &QUALITY, quality.as_ref().map(Measured::json).as_ref());
            add(&mut object, &DISENTANGLEMENT, scores.map(|scores| json!(scores)).as_ref());
            let against = against.as_ref().map(|(run, other, difference)| {
                json!({
                    "run": run,
                    "nll": other.nll,
                    "nll_stderr": other.nll_stderr,
                    "difference": difference.map(|d| d.value),
                    "difference_stderr": difference.and_then(|d| d.stderr),
                })
            });
            object["samples"] = json!((samples > 0).then_some(samples));
            object["against"] = json!(against);
            self.finished(object, &figures, (&resolved, examples), &model)
        })
    }
}

/// The quality of samples, and the network that measured it.
struct Measured {
    network: FeatureNetwork,
    quality: Quality,
}

impl Measured {
    fn figures(&self, examples: &Examples) -> Vec<Figure> {
        figures::of_quality(&self.quality, &self.network.name, FeatureNetwork::compared(examples))
    }

    fn json(&self) -> Value {
        let mut object = json!(self.quality);
        object["features"] = json!(self.network.name);
        object
    }
}

impl EvaluateArgs {
    fn asks_for_quality_alone(&self) -> bool {
        let MeasureArgs { samples, ais, quality, disentanglement } = self.measure;
        quality && samples.is_none() && ais.is_none() && !disentanglement
    }

    /// Says what is evaluated, for the protocol.
    fn data(&self, source: &OpenedSource, examples: &Examples, generator: &Generator) -> String {
        let what = (examples, &*generator.transform);
        figures::of_what(&source.name, &self.read.split, what, self.seed)
    }

    /// Measures the quality of samples, with the network of the cache or one that is trained now.
    fn quality(
        &self,
        generator: &Generator,
        source: &OpenedSource,
        examples: &Examples,
        printer: &Printer,
    ) -> Result<Measured> {
        let data_dir = self.read.data_dir.data_dir.clone();
        let network = open::feature_network(data_dir, source, examples, printer)?;
        let quality = network.quality(generator, examples)?;
        Ok(Measured { network, quality })
    }

    /// Evaluates a model without an encoder. All other figures are null.
    fn quality_alone(&self, model: &open::Model, printer: &Printer) -> Result<()> {
        let open::Model { generator, checkpoint, .. } = model;
        let (source, examples) = open::examples(&self.read, checkpoint, printer)?;
        let measured = self.quality(generator, &source, &examples, printer).context("--quality")?;
        let data = self.data(&source, &examples, generator);
        let mut figures = vec![Figure::new("images", with_commas(examples.len()), data)];
        figures.extend(measured.figures(&examples));
        printer.result(&self.table(&figures, model), || {
            let mut object = json!(Evaluation::default());
            let keys = object.as_object_mut().into_iter().flat_map(|object| object.values_mut());
            keys.for_each(|value| *value = Value::Null);
            object["images"] = json!(examples.len());
            for keys in [&ANNEALING[..], &DISENTANGLEMENT, &["samples", "against"]] {
                add(&mut object, keys, None);
            }
            add(&mut object, &QUALITY, Some(&measured.json()));
            self.finished(object, &figures, (&source, &examples), model)
        })
    }

    /// Returns the figures as a table for people.
    fn table(&self, figures: &[Figure], model: &open::Model) -> String {
        format!(
            "{}\n(losses in nats per example; {}; seed {}, {})",
            figures::table(figures),
            model.name,
            self.seed,
            model.backend
        )
    }

    /// Adds to the figures in JSON what they are of, and how each was made.
    fn finished(
        &self,
        mut object: Value,
        figures: &[Figure],
        (source, examples): (&OpenedSource, &Examples),
        model: &open::Model,
    ) -> Value {
        let mut protocol = figures::protocol(figures, &object);
        protocol["model"] = json!(model.name);
        protocol["noise"] = json!(format!("seed {}, {}", self.seed, model.backend));
        object["protocol"] = protocol;
        object["fingerprint"] = json!(examples.fingerprint());
        object["data"] = json!(source.name);
        object["split"] = json!(self.read.split);
        object
    }

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

/// Adds the keys with the values of `found`, or null if it was not asked for.
fn add(object: &mut Value, keys: &[&str], found: Option<&Value>) {
    for key in keys {
        object[*key] = found.map_or(Value::Null, |found| found[*key].clone());
    }
}

/// Opens the model of `--against` and checks that it can be compared with the first.
///
/// # Errors
/// The errors of [`open::check_comparable`], and those of the split.
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
    open::check_comparable(first, &checkpoint, &args.read)
        .with_context(|| format!("--against {}", run.display()))?;
    Ok(generator)
}
