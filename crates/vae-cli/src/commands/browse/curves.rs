//! `curves`: plots what runs have logged.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};
use vae_train::Run;
use vae_view::{Curves, FigureFormat, Line, Panel, Theme, write_figure};

use crate::args::ThemeArgs;
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::printer::Printer;

/// Plot the loss and its terms over the steps of one run or several.
///
/// Solid lines are averages over training steps, dashed ones the validation data.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli curves\n  \
    vae-cli curves runs/gated runs/vamp --terms loss,kl --out curves.svg")]
pub struct CurvesArgs {
    /// Folders of runs [default: the newest run under runs/].
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Terms to plot, separated by commas [default: all that were logged].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub terms: Vec<String>,
    /// File to write, .png or .svg.
    #[arg(long, default_value = "curves.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub theme: ThemeArgs,
}

/// Keys of a line of the log that are no terms.
const NO_TERMS: [&str; 5] = ["step", "epoch", "split", "average", "images_per_second"];

/// A run and the lines of its log.
struct Log {
    name: String,
    lines: Vec<Map<String, Value>>,
}

impl Execute for CurvesArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        FigureFormat::of(&self.out)?;
        let logs = self.logs()?;
        let terms = self.terms(&logs)?;
        let panels: Vec<Panel> = terms
            .iter()
            .map(|term| Panel {
                title: term.clone(),
                lines: logs.iter().flat_map(|log| log.curves(term)).collect(),
            })
            .collect();
        let title = match &logs[..] {
            [log] => format!("Training of {}", log.name),
            logs => format!("Training of {} runs", logs.len()),
        };
        let x_label = "step".to_owned();
        let figure = Curves { title, x_label, panels, theme: Theme::from(self.theme) };
        write_figure(&figure, &self.out)?;
        let path = self.out.display().to_string();
        let names: Vec<&str> = logs.iter().map(|log| log.name.as_str()).collect();
        printer.result(&path, || json!({ "out": path, "runs": names, "terms": terms }))
    }
}

impl CurvesArgs {
    /// Reads the logs of all runs.
    fn logs(&self) -> Result<Vec<Log>> {
        let runs = match &self.runs[..] {
            [] => vec![open::newest_run()?],
            folders => folders.iter().map(Run::new).collect(),
        };
        let names: Vec<String> = runs.iter().map(Run::name).collect();
        let mut logs = Vec::new();
        for (run, name) in runs.iter().zip(&names) {
            if !run.metrics().is_file() {
                return Err(request(format!(
                    "{}: this folder holds no log of a training; `vae-cli runs` lists the runs",
                    run.folder().display()
                )));
            }
            // Two runs of the same name, in different folders, are told apart by their paths.
            let same = names.iter().filter(|other| *other == name).count() > 1;
            let name = if same { run.folder().display().to_string() } else { name.clone() };
            let lines = run.history()?;
            if lines.is_empty() {
                return Err(request(format!("{}: nothing is logged yet", run.metrics().display())));
            }
            logs.push(Log { name, lines });
        }
        Ok(logs)
    }

    /// Returns the terms to plot, in the order of the logs.
    fn terms(&self, logs: &[Log]) -> Result<Vec<String>> {
        let mut logged: Vec<String> = Vec::new();
        for key in logs.iter().flat_map(|log| &log.lines).flat_map(Map::keys) {
            if !NO_TERMS.contains(&key.as_str()) && !logged.contains(key) {
                logged.push(key.clone());
            }
        }
        if let Some(unknown) = self.terms.iter().find(|term| !logged.contains(term)) {
            return Err(request(format!("--terms {unknown}: logged are {}", logged.join(", "))));
        }
        if !self.terms.is_empty() {
            return Ok(self.terms.clone());
        }
        // A bound that is the loss itself would be drawn twice.
        let lines = || logs.iter().flat_map(|log| &log.lines);
        let is_loss = |term: &str| lines().all(|line| line.get(term) == line.get("loss"));
        logged.retain(|term| term == "loss" || !is_loss(term));
        Ok(logged)
    }
}

impl Log {
    /// Returns the lines of a term: of training, and of validation if there is some.
    fn curves(&self, term: &str) -> Vec<Line> {
        let of = |split: &str, average: &str| -> Vec<(f64, f64)> {
            let is = |line: &Map<String, Value>, key: &str, value: &str| {
                line.get(key).and_then(Value::as_str) == Some(value)
            };
            let lines = self.lines.iter();
            let lines = lines.filter(|l| is(l, "split", split) && is(l, "average", average));
            let number =
                |line: &Map<String, Value>, key: &str| line.get(key).and_then(Value::as_f64);
            lines.filter_map(|line| Some((number(line, "step")?, number(line, term)?))).collect()
        };
        let mut steps = of("train", "steps");
        if steps.is_empty() {
            steps = of("train", "epoch");
        }
        let line = |points, dashed| Line { name: self.name.clone(), points, dashed };
        let curves = [line(steps, false), line(of("validation", "epoch"), true)];
        curves.into_iter().filter(|line| !line.points.is_empty()).collect()
    }
}
