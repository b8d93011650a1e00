//! `report`: one HTML file about a run, or about several side by side.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use vae_data::Examples;
use vae_eval::{Evaluation, Evaluator, Generator};
use vae_train::{Checkpoint, Run};
use vae_view::{
    Better, Picture, Report, Row, RunReport, Scatter, Sheet, Theme, Warning, draw_figure,
};

use crate::args::{BackendArgs, CheckpointArg, DataDirArgs, ModelArgs, ReadArgs, count};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::axis::choices;
use crate::output::figures;
use crate::output::printer::Printer;
use crate::output::text::{quoted, with_commas};
use crate::pictures::codes::{Method, PERPLEXITY};
use crate::pictures::log::{self, Log};
use crate::pictures::sheets;
use crate::pictures::traversal::Traversal;

/// Write one HTML file about a run, or about several side by side.
///
/// It has curves, figures on the test data, samples, reconstructions, traversals, a map of the codes,
/// the warnings of the training, the configuration, and the commands to repeat it. The file needs no
/// other and asks no server for anything.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli report\n  \
    vae-cli report runs/gated runs/vamp --samples 100 --out both.html")]
pub struct ReportArgs {
    /// Folders of runs [default: the newest run under runs/].
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Checkpoint of each run [default: best if the run has validation data, else last].
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<CheckpointArg>,
    #[command(flatten)]
    pub data_dir: DataDirArgs,
    /// Evaluate on the first N test examples only.
    #[arg(long, value_name = "N", value_parser = count)]
    pub limit: Option<usize>,
    /// Estimate nll with K importance samples per example, where p(x|z) is a likelihood [default: nll
    /// is not estimated].
    #[arg(long, value_name = "K", value_parser = count)]
    pub samples: Option<usize>,
    /// File to write.
    #[arg(long, default_value = "report.html", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// Most runs of a report.
const RUNS: usize = 8;
/// Examples of a map.
const MAP: usize = 2_000;
/// Columns of reconstructions, and how many there are.
const COLUMNS: usize = 8;
const RECONSTRUCTED: usize = 4 * COLUMNS;
/// Dimensions, values and range of a traversal.
const DIMENSIONS: usize = 8;
const VALUES: usize = 9;
const RANGE: f32 = 3.0;
/// Seed of the random z.
const SEED: u64 = 0;

/// A run with what is needed to report on it.
struct Opened {
    run: Run,
    checkpoint: Checkpoint,
    generator: Generator,
    /// Test examples, and the name of their source. `None` if the encoder is not trained.
    examples: Option<(Examples, String)>,
    evaluation: Option<Evaluation>,
}

impl Execute for ReportArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        if self.out.extension().is_none_or(|extension| extension != "html") {
            let path = self.out.display();
            return Err(request(format!("--out {path}: the name must end in .html")));
        }
        let runs = match &self.runs[..] {
            [] => vec![open::newest_run()?],
            folders if folders.len() > RUNS => {
                let n = folders.len();
                return Err(request(format!(
                    "a report is of at most {RUNS} runs, and {n} are named"
                )));
            }
            folders => folders.iter().map(Run::new).collect(),
        };
        let logs = log::logs(&runs)?;
        let opened: Vec<Opened> =
            runs.into_iter().map(|run| self.open(run, printer)).collect::<Result<_>>()?;
        let doubts = opened.iter().zip(&logs).filter_map(|(run, log)| {
            let doubt = figures::doubt(run.evaluation.as_ref()?.ess_median)?;
            Some(format!("{}: {doubt}", log.name))
        });
        let doubts: Vec<String> = doubts.collect();
        doubts.iter().for_each(|doubt| printer.warn(doubt));
        let report = Report {
            title: match &logs[..] {
                [log] => format!("Report on {}", log.name),
                logs => format!("Report on {} runs", logs.len()),
            },
            made_by: format!("vae-cli {}", env!("CARGO_PKG_VERSION")),
            curves: log::panels(&logs, &log::terms(&logs)),
            figures: self.figures(&opened),
            figures_note: format!(
                "In nats per example: summed over pixels and latent dimensions, averaged over the test \
                 examples. {} {}",
                match (opened.len(), comparable(&opened)) {
                    (1, _) => "",
                    (_, true) => "The best is bold.",
                    (_, false) =>
                        "The runs differ in data or likelihood, so their losses cannot be compared.",
                },
                doubts.join(". ")
            ),
            runs: opened
                .iter()
                .zip(logs)
                .map(|(opened, log)| {
                    let name = log.name.clone();
                    opened.report(log).with_context(|| name)
                })
                .collect::<Result<_>>()?,
        };
        report.write(&self.out)?;
        let path = self.out.display().to_string();
        printer.result(&path, || {
            let names: Vec<&str> = report.runs.iter().map(|run| run.name.as_str()).collect();
            let warnings: usize = report.runs.iter().map(|run| run.warnings.len()).sum();
            json!({ "out": path, "runs": names, "warnings": warnings })
        })
    }
}

impl ReportArgs {
    /// Opens and evaluates a run.
    fn open(&self, run: Run, printer: &Printer) -> Result<Opened> {
        let model = ModelArgs {
            run: Some(run.folder().to_owned()),
            checkpoint: self.checkpoint,
            backend: self.backend.clone(),
        };
        let (mut generator, checkpoint) = open::generator(&model, SEED, printer)?;
        open::ensure_prior(&mut generator, &checkpoint, printer);
        let mut opened = Opened { run, checkpoint, generator, examples: None, evaluation: None };
        if !opened.checkpoint.config.objective.requirements().trains_encoder {
            return Ok(opened);
        }
        let read = ReadArgs {
            data: None,
            data_dir: self.data_dir.clone(),
            split: "test".to_owned(),
            limit: self.limit,
        };
        let (source, examples) = open::examples(&read, &opened.checkpoint, printer)?;
        let Generator { vae, transform, device, .. } = &opened.generator;
        let (shared, transform) = (Arc::new(examples.clone()), Arc::clone(transform));
        let evaluator = Evaluator::new(shared, transform, device.clone(), SEED)?;
        // A model without a likelihood has no nll, and all the rest.
        let samples = self.samples.filter(|samples| evaluator.check(vae, *samples).is_ok());
        opened.evaluation = Some(evaluator.evaluate(vae, samples.unwrap_or(0), &|_| {})?);
        opened.examples = Some((examples, source.name.clone()));
        Ok(opened)
    }

    /// Returns the rows of the table.
    fn figures(&self, runs: &[Opened]) -> Vec<Row> {
        let lower = if comparable(runs) { Better::Lower } else { Better::Neither };
        let row =
            |name: &str, note: &str, better, get: &dyn Fn(&Evaluation) -> Option<(f64, String)>| {
                let values: Vec<_> =
                    runs.iter().map(|run| run.evaluation.as_ref().and_then(get)).collect();
                values.iter().any(Option::is_some).then(|| Row {
                    name: name.to_owned(),
                    note: note.to_owned(),
                    values,
                    better,
                })
            };
        let nats = |value: f64| (value, format!("{value:.2}"));
        let samples =
            self.samples.map(|k| format!("from {k} importance samples")).unwrap_or_default();
        [
            row("neg_elbo", "reconstruction + kl", lower, &|e| e.neg_elbo.map(nats)),
            row("reconstruction", "\u{2212}E log p(x|z), or the loss in its place", lower, &|e| {
                Some(nats(e.reconstruction))
            }),
            row("kl", "KL(q(z|x) || p(z))", Better::Neither, &|e| e.kl.map(nats)),
            row("nll", &samples, lower, &|e| {
                let error = e.nll_stderr.map(|s| format!(" \u{b1} {s:.2}")).unwrap_or_default();
                e.nll.map(|nll| (nll, format!("{nll:.2}{error}")))
            }),
            row(
                "active units",
                "their posterior means vary over the data",
                Better::Neither,
                &|e| Some((e.active_units as f64, format!("{} of {}", e.active_units, e.latent))),
            ),
            row("aggregate MMD", "between q(z) and p(z), squared", Better::Neither, &|e| {
                e.aggregate_mmd.map(|mmd| (mmd, format!("{mmd:.5}")))
            }),
            row("examples", "of the test data", Better::Neither, &|e| {
                Some((e.images as f64, with_commas(e.images)))
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Opened {
    /// Returns what is said of the run.
    fn report(&self, log: Log) -> Result<RunReport> {
        let warnings = log
            .advice
            .iter()
            .map(|given| Warning { warning: given.warning.clone(), advice: given.advice.clone() });
        Ok(RunReport {
            warnings: warnings.collect(),
            facts: self.facts(),
            pictures: self.pictures()?,
            config: self.checkpoint.config.to_toml(),
            commands: self.commands(&log.name),
            name: log.name,
        })
    }

    fn facts(&self) -> Vec<(String, String)> {
        let c = &self.checkpoint;
        let fact = |name: &str, fact: String| (name.to_owned(), fact);
        let (epochs, steps) = (c.progress.epoch, with_commas(c.progress.step as usize));
        let data = format!("{}, {} examples", c.data.source, with_commas(c.data.examples));
        let mut facts = vec![fact("data", data)];
        facts.extend(choices(&c.config).into_iter().map(|(name, choice)| fact(name, choice)));
        facts.extend([
            fact("trained", format!("{epochs} epochs, {steps} steps")),
            fact("seed", c.config.train.seed.to_string()),
            fact("on", format!("{}, {}", c.run.backend, c.run.device)),
            fact("version", c.run.version.clone()),
        ]);
        facts
    }

    /// Returns the pictures that there are of this model.
    fn pictures(&self) -> Result<Vec<Picture>> {
        let generator = &self.generator;
        let mut pictures = vec![of_sheet("Samples", sheets::samples(generator)?)?];
        let Some((examples, source)) = &self.examples else { return Ok(pictures) };
        let few = examples.spread(RECONSTRUCTED);
        let made = sheets::reconstructions(generator, &few, COLUMNS, false)?;
        pictures.push(of_sheet("Originals, and below each its reconstruction", made)?);
        if generator.check_continuous().is_ok() {
            let traversal = Traversal::new(generator, examples, 0, DIMENSIONS, RANGE, VALUES)?;
            let caption = "A test example, with one latent dimension at a time varied";
            pictures.push(Picture::new(caption, |theme| {
                traversal.sheet(generator.vae.shape(), theme).draw()
            })?);
        }
        let latent = generator.vae.config().latent;
        if latent > 1 {
            let some = examples.spread(MAP);
            let map = Method::of(latent).map(generator, &some, PERPLEXITY)?;
            let scatter = map.scatter(&some, source, Theme::Light);
            pictures.push(Picture::new("The means of q(z|x) of test examples", |theme| {
                draw_figure(&Scatter { theme, ..scatter.clone() })
            })?);
        }
        Ok(pictures)
    }

    /// Returns the commands to repeat the run. Its configuration has every value.
    fn commands(&self, name: &str) -> Vec<String> {
        let config = quoted(&self.run.config());
        let again = quoted(&PathBuf::from(format!("{}-again", self.run.folder().display())));
        let backend = &self.checkpoint.run.backend;
        let mut commands = vec![
            format!(
                "# the configuration below is {config}; {name} was trained by version {}",
                self.checkpoint.run.version
            ),
            format!("vae-cli train {config} --backend {backend} --out {again}"),
            format!("vae-cli sample --run {again} --n {}", sheets::SAMPLES),
        ];
        if self.examples.is_some() {
            commands.insert(2, format!("vae-cli evaluate --run {again}"));
        }
        commands
    }
}

/// Returns whether the losses of runs can be compared: they are of the same data, with the same values of
/// x and the same likelihood.
fn comparable(runs: &[Opened]) -> bool {
    let same = |a: &Checkpoint, b: &Checkpoint| {
        a.data.source == b.data.source
            && a.transform == b.transform
            && a.config.model.likelihood == b.config.model.likelihood
    };
    runs.windows(2).all(|pair| same(&pair[0].checkpoint, &pair[1].checkpoint))
}

/// Returns a sheet in both themes.
fn of_sheet(caption: &str, sheet: Sheet) -> Result<Picture> {
    Ok(Picture::new(caption, |theme| sheet.clone().theme(theme).draw())?)
}
