//! `sweep`: trains and evaluates a grid of settings, each with several seeds.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde_json::{Value, json};
use vae_view::{Better, Theme, write_figure};

use crate::args::{BackendArgs, BackendName, DataDirArgs, MeasureArgs, ThemeArgs, count};
use crate::commands::Execute;
use crate::failure::request;
use crate::output::figures;
use crate::output::grid::{Cell, Grid, Spread, Style};
use crate::output::printer::Printer;
use crate::signal::stop_on_signal;
use crate::sweep::crew::News;
use crate::sweep::plan::{Plan, PlannedRun};
use crate::sweep::results::{Comparable, Results};
use crate::sweep::seat::Seat;
use crate::sweep::work::{Measures, Outcome, Sweep};

/// Train and evaluate a grid of settings, each with several seeds.
///
/// Each run has a process and a folder of its own, like any other run. The same command goes on after any
/// interruption, and repeats what failed. A failed run does not stop the others. Data that are not there, have
/// changed, or lack what is to be measured are refused before any training. Of models without an encoder, only
/// the loss and --quality are measured.
///
/// table.csv has the mean of each figure over the seeds, and its standard error over them as FIGURE_stderr. On
/// one machine the same sweep gives the same bytes; on another, figures may differ by rounding.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli sweep beta.toml --out sweeps/beta\n  \
    vae-cli sweep beta.toml --out sweeps/beta --plot rate,distortion\n\n\
    A file of a sweep, such as beta.toml:\n  \
    base = \"mnist-mlp\"              # a preset, or the path of a TOML file\n  \
    seeds = [0, 1, 2]\n  \
    [set]                           # fixed values\n  \
    \"train.epochs\" = 5\n  \
    [grid]                          # lists of values, which may be whole tables\n  \
    \"objective.beta\" = [1.0, 2.0, 4.0]")]
pub struct SweepArgs {
    /// File of the sweep.
    pub file: PathBuf,
    /// Folder for runs/ and table.csv.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Runs that are trained at the same time. More than one pays where a run leaves cores or memory idle.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count)]
    pub jobs: usize,
    /// Devices to train on, one run at a time on each, as --backend names them, such as
    /// flex,remote:ws://HOST:PORT. A run whose device is lost goes on on another; a device that comes
    /// back is used again.
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 1,
        value_parser = BackendName, conflicts_with_all = ["jobs", "backend"])]
    pub devices: Vec<String>,
    #[command(flatten)]
    pub measure: MeasureArgs,
    /// Evaluate on the first N test examples only.
    #[arg(long, value_name = "N", value_parser = count)]
    pub limit: Option<usize>,
    /// Two columns of the table to plot, x and y, into DIR/plot.png.
    #[arg(long, value_name = "X,Y", value_delimiter = ',', num_args = 1)]
    pub plot: Vec<String>,
    #[command(flatten)]
    pub data_dir: DataDirArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
    #[command(flatten)]
    pub theme: ThemeArgs,
}

/// Figures of the table on the screen; table.csv has all.
const SHOWN: [(&str, Better); 9] = [
    ("neg_elbo", Better::Lower),
    ("nll", Better::Lower),
    ("nll_ais", Better::Lower),
    ("kl", Better::Neither),
    ("active_units", Better::Neither),
    ("mse", Better::Lower),
    ("mig", Better::Higher),
    ("frechet_distance", Better::Lower),
    ("loss", Better::Neither),
];

/// Those of them that depend on what kind of likelihood p(x|z) is.
const LOSSES: [&str; 3] = ["neg_elbo", "nll", "nll_ais"];

impl Execute for SweepArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let columns: Vec<&str> = self.plot.iter().map(|column| column.trim()).collect();
        if ![0, 2].contains(&columns.len()) {
            return Err(request("--plot X,Y: name two columns, such as objective.beta,kl"));
        }
        let plan = Plan::read(&self.file)?;
        // Chosen now and not by each run.
        let seats = match &self.devices[..] {
            [] => vec![Seat::new(&self.backend)?; self.jobs.min(plan.runs().count())],
            names => Seat::all(names, &self.backend)?,
        };
        let sweep = Sweep {
            program: std::env::current_exe().context("the path of this program is not known")?,
            folder: self.out.clone(),
            data_dir: self.data_dir.data_dir.clone(),
            measures: Measures { limit: self.limit, asked: self.measure.clone() },
        };
        // Before any work: is there such a plot?
        let empty = Results::new(&plan, &vec![None; plan.runs().count()]);
        let asked = self.measure.flags();
        columns.iter().try_for_each(|column| empty.check_column(column, &asked, &plan))?;
        sweep.check_settings(&plan)?;
        sweep.check_measures(&plan, printer)?;
        let lock = sweep.prepare(&plan)?;
        // On a terminal the trainings get the signal too, and write their checkpoints.
        let stop = stop_on_signal("stopping the sweep when its trainings have stopped");
        let table = self.out.join("table.csv");
        let runs: Vec<&PlannedRun> = plan.runs().collect();
        let mut distinct: Vec<&Seat> = seats.iter().collect();
        distinct.dedup_by_key(|seat| &seat.name);
        // At once: one that does not answer takes its time.
        let answers: Vec<Result<_>> = std::thread::scope(|scope| {
            let (sweep, stop) = (&sweep, &*stop);
            let ask = |seat| scope.spawn(move || sweep.answers(seat, stop));
            let asked: Vec<_> = distinct.into_iter().map(ask).collect();
            asked
                .into_iter()
                .map(|a| a.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        for answer in answers {
            match answer? {
                Ok(()) => {}
                Err(Outcome::Lost(why)) => printer.warn(&format!("not there yet: {why}")),
                Err(_) if stop.load(Ordering::Relaxed) => break,
                Err(Outcome::Failed(why)) => return Err(request(why)),
                Err(_) => {}
            }
        }
        let outcomes = sweep.finish_all(&plan, &seats, &stop, |news| {
            let News::Ended(i, outcomes) = news else {
                news.tell(printer);
                return Ok(());
            };
            let done = outcomes.iter().flatten().count();
            let name = &runs[i].name;
            match &outcomes[i] {
                Some(Outcome::Done(figures)) => {
                    printer.say(&format!("{done}/{}  {name}", runs.len()));
                    for doubt in figures::doubts_of_json(figures) {
                        printer.warn(&format!("{name}: {doubt}"));
                    }
                }
                Some(Outcome::Failed(why)) => printer.warn(&format!("{name} failed: {why}")),
                Some(Outcome::Stopped | Outcome::Lost(_)) | None => {}
            }
            Results::new(&plan, outcomes).write(&table)
        })?;
        let results = Results::new(&plan, &outcomes);
        results.write(&table)?;
        let done = outcomes.iter().flatten().filter(|o| matches!(o, Outcome::Done(_))).count();
        let failures = runs.iter().zip(&outcomes).filter_map(|(run, outcome)| match outcome {
            Some(Outcome::Failed(why)) => Some(json!({ "run": run.name, "why": why })),
            _ => None,
        });
        let failures: Vec<Value> = failures.collect();
        let plot = self.out.join("plot.png");
        let comparable = results.comparable();
        let about = match comparable {
            Comparable::All => "",
            Comparable::NoLosses => {
                "no best loss is marked, because some likelihoods are densities and others are not, or some models \
                 depend on labels; "
            }
            Comparable::Nothing => "no best is marked, because examples or values of x differ; ",
        };
        let text = format!(
            "{}\n({about}all figures: {})",
            grid(&results, comparable).text(Style::Plain),
            table.display()
        );
        printer.result(&text, || {
            json!({
                "table": table.display().to_string(),
                "plot": (!self.plot.is_empty()).then(|| plot.display().to_string()),
                "runs": runs.len(),
                "done": done,
                "failed": failures.len(),
                "failures": failures,
                "comparable": comparable == Comparable::All,
                "cells": results.json(),
            })
        })?;
        drop(lock);
        match &columns[..] {
            [x, y] if done > 0 => {
                write_figure(&results.plot(x, y, Theme::from(self.theme))?, &plot)?;
                printer.say(&format!("plot: {}", plot.display()));
            }
            [_, _] => printer.say("no plot: no run is done"),
            _ => {}
        }
        let left = runs.len() - done - failures.len();
        if left > 0 && !stop.load(Ordering::Relaxed) {
            return Err(anyhow!("no device is left for {left} runs; the same command goes on"));
        }
        if left > 0 {
            printer.say("stopped; the same command goes on");
        } else if done == 0 {
            return Err(anyhow!("all runs failed; the same command tries them again"));
        } else if !failures.is_empty() {
            let n = failures.len();
            printer.warn(&format!(
                "{n} {} failed; the same command tries again, from the start if the folder of the run is \
                 deleted",
                if n == 1 { "run" } else { "runs" }
            ));
        }
        Ok(())
    }
}

/// Returns the table for people: a row for each cell.
fn grid(results: &Results, comparable: Comparable) -> Grid {
    let name = |values: &Vec<String>| {
        let parts = results.keys.iter().zip(values).map(|(key, value)| format!("{key} {value}"));
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "all".to_owned() } else { parts.join(", ") }
    };
    let mut grid = Grid::new("cell", results.cells.iter().map(|c| name(&c.values)).collect());
    let count = |n: usize| Cell { value: n as f64, text: n.to_string(), plus_minus: None };
    let runs = results.cells.iter().map(|cell| Some(count(cell.runs)));
    grid.column("runs", Better::Neither, runs.collect());
    let failed = results.cells.iter().map(|cell| (cell.failed > 0).then(|| count(cell.failed)));
    grid.column("failed", Better::Neither, failed.collect());
    for (figure, better) in SHOWN {
        let Some(i) = results.figures.iter().position(|name| name == figure) else { continue };
        let cells = results.cells.iter().map(|cell| {
            let mean = cell.means[i]?;
            let digits = if mean.value.abs() < 1.0 { 4 } else { 2 };
            let text = format!("{:.digits$}", mean.value);
            let plus_minus = mean.stderr.map(|error| (Spread::StandardError, error));
            Some(Cell { value: mean.value, text, plus_minus })
        });
        let is_marked = match comparable {
            Comparable::All => true,
            Comparable::NoLosses => !LOSSES.contains(&figure),
            Comparable::Nothing => false,
        };
        grid.column(figure, if is_marked { better } else { Better::Neither }, cells.collect());
    }
    grid
}
