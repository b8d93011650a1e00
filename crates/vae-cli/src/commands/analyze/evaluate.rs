//! `evaluate`: the ELBO, its terms and the nll of a model on data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, json};
use vae_eval::{COMPARED, CurvePoint, Disentanglement, Evaluation, Evaluator, Generator, Mean};
use vae_train::Checkpoint;

use crate::args::{ModelArgs, ReadArgs, count};
use crate::commands::Execute;
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
    /// Score how the latent dimensions separate the generative factors of the data: MIG, DCI, SAP and
    /// others. The data must have factors, as `digits` and `sprites` do.
    #[arg(long)]
    pub disentanglement: bool,
    /// Seed of the random z, for neg_elbo and nll.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

/// Median of the effective sample sizes below which nll is not to be believed.
const BELIEVABLE: f64 = 5.0;

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
        if self.disentanglement {
            evaluator
                .check_disentanglement(&generator.vae)
                .with_context(|| resolved.name.clone())?;
        }
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

        let data = format!("{} {}", resolved.name, self.read.split);
        let scores = self.disentanglement.then(|| evaluator.disentanglement(&generator.vae));
        let scores = scores.transpose()?;
        let mut figures = figures(&result, &data, samples);
        figures.extend(scores.iter().flat_map(of_scores));
        let mut text = report(&figures);
        if result.ess_median.is_some_and(|ess| ess < BELIEVABLE) {
            printer.warn(
                "for half of the examples a few importance weights outweigh all others, so nll is \
                 probably too high: raise --samples, and see how far nll falls",
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
            let scores = json!(scores.unwrap_or(NO_SCORES));
            for (name, score) in scores.as_object().into_iter().flatten() {
                object[name] = score.clone();
            }
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
    open::check_split_of_several(&args.read, "--against")?;
    let checkpoint = args.model.checkpoint.filter(|_| !run.is_file());
    let model = ModelArgs { run: Some(run.to_owned()), checkpoint, ..args.model.clone() };
    let (generator, checkpoint) = open::generator(&model, args.seed, printer)?;
    open::require_encoder(&checkpoint)?;
    open::check_comparable(first, &checkpoint)
        .with_context(|| format!("--against {}", run.display()))?;
    Ok(generator)
}

/// A figure of a model: its name in JSON, its value for people, and what it is.
struct Figure {
    name: &'static str,
    value: String,
    what: String,
}

/// Returns the figures that the model has, in the order in which they are printed.
fn figures(result: &Evaluation, data: &str, samples: usize) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name, value: Option<String>, what: String| {
        figures.extend(value.map(|value| Figure { name, value, what }));
    };
    let nats = |value: f64| format!("{value:.3}");
    let reconstruction = if result.likelihood {
        "-log p(x|z), one draw of z for each"
    } else {
        "a loss, not a likelihood: the pixels are not binary, or its constant is left out"
    };
    let some = with_commas(result.images.min(COMPARED));
    let aggregate = format!("of q(z) over {some} examples");
    let error = |error: Option<f64>| error.map(|e| format!("+- {e:.3}, ")).unwrap_or_default();
    add("images", Some(with_commas(result.images)), data.to_owned());
    add("neg_elbo", result.neg_elbo.map(nats), "reconstruction + kl".to_owned());
    add("reconstruction", Some(nats(result.reconstruction)), reconstruction.to_owned());
    add("kl", result.kl.map(nats), "KL(q(z|x) || p(z))".to_owned());
    add(
        "mutual_information",
        result.mutual_information.map(nats),
        format!("KL(q(z|x) || q(z)), {aggregate}"),
    );
    add(
        "total_correlation",
        result.total_correlation.map(nats),
        format!("KL(q(z) || prod q(z_i)), {aggregate}"),
    );
    add(
        "dimension_wise_kl",
        result.dimension_wise_kl.map(nats),
        format!("sum of KL(q(z_i) || p(z_i)), {aggregate}"),
    );
    add(
        "active_units",
        Some(format!("{}/{}", result.active_units, result.latent)),
        "latent dimensions whose posterior mean has a variance over the data above 0.01".to_owned(),
    );
    add(
        "aggregate_mmd",
        result.aggregate_mmd.map(|mmd| format!("{mmd:.5}")),
        "squared maximum mean discrepancy of q(z) and p(z), without a unit".to_owned(),
    );
    let of_means = "of the decoded mean of q(z|x)";
    add("mse", Some(format!("{:.5}", result.mse)), format!("{of_means}, per number of x"));
    add(
        "psnr",
        result.psnr.map(|psnr| format!("{psnr:.2}")),
        format!("{of_means}, in decibels, averaged over images"),
    );
    add(
        "ssim",
        result.ssim.map(|ssim| format!("{ssim:.4}")),
        format!("structural similarity {of_means}, Gaussian window of 11x11 pixels"),
    );
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    add(
        "knn_accuracy",
        result.knn_accuracy.map(percent),
        format!("classes by five nearest neighbours of the mean of q(z|x), of {some}"),
    );
    add(
        "probe_accuracy",
        result.probe_accuracy.map(percent),
        "classes by a linear classifier on it, trained on half of these, tested on the others"
            .to_owned(),
    );
    add(
        "nll",
        result.nll.map(nats),
        format!("{}-log p(x) from {samples} importance samples", error(result.nll_stderr)),
    );
    let curve = |curve: &Vec<CurvePoint>| {
        let points = curve.iter().map(|point| format!("{} from {}", nats(point.nll), point.k));
        let points = points.collect::<Vec<_>>().join(", ");
        format!("nll by groups of the same samples: {points}")
    };
    let fewer = result.k_curve.as_ref().filter(|curve| curve.len() > 1).map(curve);
    add("k_curve", fewer.as_ref().map(|_| String::new()), fewer.unwrap_or_default());
    add(
        "ess_median",
        result.ess_median.map(|ess| format!("{ess:.1}")),
        format!(
            "effective sample size of {samples}; the smallest is {:.1}",
            result.ess_min.unwrap_or(f64::NAN)
        ),
    );
    add(
        "bits_per_dim",
        result.bits_per_dim.map(|bits| format!("{bits:.4}")),
        format!(
            "{} in bits per number of x",
            if result.nll.is_some() { "nll" } else { "neg_elbo" }
        ),
    );
    figures
}

/// Scores that were not asked for. NaN is null in JSON.
const NO_SCORES: Disentanglement = Disentanglement {
    mig: f64::NAN,
    dci_disentanglement: f64::NAN,
    dci_completeness: f64::NAN,
    dci_informativeness: f64::NAN,
    sap: f64::NAN,
    modularity: f64::NAN,
    factor_vae_score: f64::NAN,
    beta_vae_score: f64::NAN,
};

/// Returns the scores of disentanglement, from 0 to 1.
fn of_scores(scores: &Disentanglement) -> Vec<Figure> {
    let figure = |name, score: f64, what: &str| Figure {
        name,
        value: format!("{score:.4}"),
        what: what.to_owned(),
    };
    vec![
        figure("mig", scores.mig, "mutual information gap of the factors (Chen et al. 2018)"),
        figure(
            "dci_disentanglement",
            scores.dci_disentanglement,
            "each dimension predicts one factor, by random forests (Eastwood and Williams 2018)",
        ),
        figure("dci_completeness", scores.dci_completeness, "each factor has one dimension"),
        figure(
            "dci_informativeness",
            scores.dci_informativeness,
            "accuracy of the forests on the second half",
        ),
        figure(
            "sap",
            scores.sap,
            "gap of the best predictions by one dimension (Kumar et al. 2018)",
        ),
        figure(
            "modularity",
            scores.modularity,
            "each dimension has information on one factor (Ridgeway and Mozer 2018)",
        ),
        figure(
            "factor_vae_score",
            scores.factor_vae_score,
            "the fixed factor, from the dimension that varies least (Kim and Mnih 2018)",
        ),
        figure(
            "beta_vae_score",
            scores.beta_vae_score,
            "the shared factor, from differences of codes (Higgins et al. 2017)",
        ),
    ]
}

/// Returns the result as a table for people.
fn report(figures: &[Figure]) -> String {
    let row = |figure: &Figure| {
        vec![figure.name.to_owned(), format!("{:>10}", figure.value), figure.what.clone()]
    };
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    format!("{}\n(losses in nats per example)", columns(&rows))
}
