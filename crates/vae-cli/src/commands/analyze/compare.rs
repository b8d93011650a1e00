//! `compare`: figures of several runs on the same data, side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use vae_eval::{Evaluation, Evaluator, Generator, Mean};
use vae_train::Checkpoint;
use vae_view::Better;

use crate::args::{BackendArgs, CheckpointArg, ModelArgs, ReadArgs, count};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::figures;
use crate::output::grid::{Cell, Grid, Spread, Style};
use crate::output::printer::Printer;
use crate::output::progress::Bar;
use crate::output::text::with_commas;

/// Compare runs on the same examples: a row for each, and the best of each column marked.
///
/// nll is compared in pairs: the difference to the best run, example by example, with a 95 % confidence
/// interval. Noise that is common to both cancels. Where there is no nll, neg_elbo is compared instead.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli compare runs/gated runs/vamp\n  \
    vae-cli compare runs/gated runs/vamp --samples 500 --markdown")]
pub struct CompareArgs {
    /// Folders of runs, or .vae files.
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    pub runs: Vec<PathBuf>,
    /// Checkpoint of each run [default: best if the run has validation data, else last].
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<CheckpointArg>,
    #[command(flatten)]
    pub read: ReadArgs,
    /// Importance samples per example, for nll. It is left out where p(x|z) is not a likelihood.
    #[arg(long, value_name = "K", default_value_t = 100, value_parser = count)]
    pub samples: usize,
    /// Seed of the random z, and of pixels that are drawn.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Print the table as CSV.
    #[arg(long, group = "style")]
    pub csv: bool,
    /// Print the table as Markdown.
    #[arg(long, group = "style")]
    pub markdown: bool,
    /// Print the table as LaTeX, for the package booktabs.
    #[arg(long, group = "style")]
    pub latex: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// Most runs of a table.
const MOST: usize = 200;

/// A run with its figures.
struct Compared {
    name: String,
    evaluation: Evaluation,
    /// The loss minus that of the best run, averaged over the examples. `None` without such a loss.
    difference: Option<Difference>,
}

/// What is compared in pairs: nll, or without it neg_elbo.
const PAIRED: [&str; 2] = ["nll", "neg_elbo"];

/// A mean of paired differences.
struct Difference {
    mean: Mean,
    /// Half the width of its 95 % confidence interval. `None` for one example.
    interval: Option<f64>,
}

impl Execute for CompareArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        if printer.prints_json() && (self.csv || self.markdown || self.latex) {
            return Err(request(
                "--json has a form of its own: leave --csv, --markdown or --latex out",
            ));
        }
        if self.runs.len() > MOST {
            let n = self.runs.len();
            return Err(request(format!("a table is of at most {MOST} runs, and {n} are named")));
        }
        open::check_split_of_several(&self.read, "compare")?;
        let opened: Vec<(Generator, Checkpoint)> =
            self.runs.iter().map(|run| self.open(run, printer)).collect::<Result<_>>()?;
        let (_, first) = &opened[0];
        for (run, (_, other)) in self.runs.iter().zip(&opened).skip(1) {
            open::check_comparable(first, other, &self.read)
                .with_context(|| run.display().to_string())?;
        }
        let (source, examples) = open::examples(&self.read, first, printer)?;
        let examples = Arc::new(examples);
        let evaluators = self.runs.iter().zip(&opened).map(|(run, (generator, _))| {
            let transform = Arc::clone(&generator.transform);
            let (examples, device) = (Arc::clone(&examples), generator.device.clone());
            let evaluator = Evaluator::new(examples, transform, device, self.seed)?;
            evaluator.check(&generator.vae, 0).with_context(|| run.display().to_string())?;
            Ok(evaluator)
        });
        let evaluators: Vec<Evaluator> = evaluators.collect::<Result<_>>()?;
        let pairs = || evaluators.iter().zip(&opened);
        // nll of all, or of none: a column with gaps is no comparison.
        let why_no_nll =
            pairs().find_map(|(e, (generator, _))| e.check(&generator.vae, self.samples).err());
        if let Some(why) = &why_no_nll {
            printer.say(&format!("no nll: {why}"));
        }
        let samples = if why_no_nll.is_some() { 0 } else { self.samples };
        let images = examples.len();
        let bar = Bar::new(printer, (images * opened.len()) as u64, 0);
        let evaluations = pairs().enumerate().map(|(i, (evaluator, (generator, _)))| {
            let report = |done: usize| bar.set_position((i * images + done) as u64);
            let evaluation = evaluator.evaluate(&generator.vae, samples, &report);
            bar.set_position(((i + 1) * images) as u64);
            evaluation
        });
        let evaluations: Vec<Evaluation> = evaluations.collect::<Result<_, _>>()?;
        bar.finish();
        let [nll, neg_elbo] = PAIRED;
        let paired = if samples > 0 { nll } else { neg_elbo };
        let losses: Vec<Vec<f64>> = match samples {
            // Without a density of q(z|x) there is neither.
            0 => {
                let each = pairs().map(|(e, (generator, _))| e.neg_elbo_each(&generator.vae));
                let each: Option<Vec<_>> = each.collect::<Result<_, _>>()?;
                each.unwrap_or_default()
            }
            _ => evaluations.iter().map(|evaluation| evaluation.nll_each.clone()).collect(),
        };
        let what = (&*examples, &*opened[0].0.transform);
        let data = figures::of_what(&source.name, &self.read.split, what, self.seed);
        let compared = compared(&self.runs, evaluations, &losses);
        let grid = grid(&compared, paired);
        let style = match (self.csv, self.markdown, self.latex) {
            (true, _, _) => Style::Csv,
            (_, true, _) => Style::Markdown,
            (_, _, true) => Style::Latex,
            _ => Style::Plain,
        };
        for run in &compared {
            if let Some(doubt) = figures::doubt(run.evaluation.ess_median) {
                printer.warn(&format!("{}: {doubt}", run.name));
            }
        }
        let mut estimate = match samples {
            0 => String::new(),
            _ => format!("; nll from {samples} importance samples, behind it its standard error"),
        };
        let is_paired = compared.iter().any(|run| run.difference.is_some());
        if is_paired {
            estimate += "; behind the difference its 95 % interval";
        }
        let n = with_commas(images);
        let about = format!("losses in nats per example, of {n} of {data}{estimate}");
        let table = grid.text(style);
        let text = match style {
            Style::Plain => format!("{table}\n({about}; * marks the best)"),
            Style::Markdown => format!("{table}\n\n{about}"),
            Style::Latex => format!("% {about}\n{table}"),
            Style::Csv => table,
        };
        printer.result(&text, || {
            json!({
                "data": source.name,
                "split": self.read.split,
                "samples": (samples > 0).then_some(samples),
                "why_no_nll": why_no_nll.as_ref().map(ToString::to_string),
                "difference_of": is_paired.then_some(paired),
                "fingerprint": examples.fingerprint(),
                "runs": compared.iter().map(|run| run.json(&data, samples)).collect::<Vec<_>>(),
            })
        })
    }
}

impl CompareArgs {
    fn open(&self, run: &Path, printer: &Printer) -> Result<(Generator, Checkpoint)> {
        let model = ModelArgs {
            run: Some(run.to_owned()),
            checkpoint: self.checkpoint.filter(|_| !run.is_file()),
            backend: self.backend.clone(),
        };
        let (generator, checkpoint) = open::generator(&model, self.seed, printer)?;
        open::require_encoder(&checkpoint).with_context(|| run.display().to_string())?;
        Ok((generator, checkpoint))
    }
}

impl Compared {
    fn json(&self, data: &str, samples: usize) -> Value {
        let mut object = json!(self.evaluation);
        let figures = figures::of_evaluation(&self.evaluation, data, samples);
        object["protocol"] = figures::protocol(&figures, &object);
        object["run"] = json!(self.name);
        let difference = self.difference.as_ref();
        object["difference"] = json!(difference.map(|d| d.mean.value));
        object["difference_stderr"] = json!(difference.and_then(|d| d.mean.stderr));
        object["difference_interval"] = json!(difference.and_then(|d| d.interval));
        object
    }
}

/// Pairs each run with the best one, that of the lowest mean loss. `losses` are those of each example, of every
/// run or of none.
fn compared(runs: &[PathBuf], evaluations: Vec<Evaluation>, losses: &[Vec<f64>]) -> Vec<Compared> {
    let mean = |losses: &&Vec<f64>| Mean::of(losses).map_or(f64::NAN, |mean| mean.value);
    let finite = losses.iter().filter(|losses| mean(losses).is_finite());
    let best = finite.min_by(|a, b| mean(a).total_cmp(&mean(b)));
    let difference = |i: usize| {
        let (own, best) = losses.get(i).zip(best)?;
        let mean = Mean::of_differences(own, best)?;
        Some(Difference { mean, interval: mean.interval(best.len()) })
    };
    let pair = |(i, (run, evaluation)): (usize, (&PathBuf, Evaluation))| Compared {
        name: run.display().to_string(),
        evaluation,
        difference: difference(i),
    };
    runs.iter().zip(evaluations).enumerate().map(pair).collect()
}

/// Returns the table, without the columns that no run has.
fn grid(runs: &[Compared], paired: &str) -> Grid {
    let mut grid = Grid::new("run", runs.iter().map(|run| run.name.clone()).collect());
    type Found = (f64, String, Option<(Spread, f64)>);
    let mut column = |name: &str, better, get: &dyn Fn(&Compared) -> Option<Found>| {
        let cell = |run| get(run).map(|(value, text, plus_minus)| Cell { value, text, plus_minus });
        grid.column(name, better, runs.iter().map(cell).collect());
    };
    let nats = |value: f64| (value, format!("{value:.2}"), None);
    let percent = |share: f64| (share, format!("{:.2} %", 100.0 * share), None);
    let difference = |run: &Compared| {
        let difference = run.difference.as_ref()?;
        let (value, text, _) = nats(difference.mean.value);
        Some((value, text, difference.interval.map(|half| (Spread::Interval, half))))
    };
    let [nll, neg_elbo] = PAIRED;
    let of_pairs = format!("{paired} - best");
    column(neg_elbo, Better::Lower, &|run| run.evaluation.neg_elbo.map(nats));
    if paired == neg_elbo {
        column(&of_pairs, Better::Neither, &difference);
    }
    column("reconstruction", Better::Lower, &|run| Some(nats(run.evaluation.reconstruction)));
    column("kl", Better::Neither, &|run| run.evaluation.kl.map(nats));
    column(nll, Better::Lower, &|run| {
        let (value, text, _) = nats(run.evaluation.nll?);
        let error = run.evaluation.nll_stderr.map(|error| (Spread::StandardError, error));
        Some((value, text, error))
    });
    if paired == nll {
        column(&of_pairs, Better::Neither, &difference);
    }
    column("active units", Better::Neither, &|run| {
        let Evaluation { active_units, latent, .. } = run.evaluation;
        Some((active_units as f64, format!("{active_units} of {latent}"), None))
    });
    column("mse", Better::Lower, &|run| {
        Some((run.evaluation.mse, format!("{:.5}", run.evaluation.mse), None))
    });
    column("ssim", Better::Higher, &|run| {
        run.evaluation.ssim.map(|ssim| (ssim, format!("{ssim:.4}"), None))
    });
    column("knn accuracy", Better::Higher, &|run| run.evaluation.knn_accuracy.map(percent));
    column("probe accuracy", Better::Higher, &|run| run.evaluation.probe_accuracy.map(percent));
    grid
}
