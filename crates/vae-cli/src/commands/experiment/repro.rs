//! `repro`: trains and evaluates by the protocol of a paper, and compares with its figure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde_json::{Value, json};
use vae_train::protocols::{self, Protocol};
use vae_train::{Run, presets};

use crate::args::{BackendArgs, DataDirArgs, MeasureArgs, count};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::figures;
use crate::output::printer::Printer;
use crate::output::progress::Bar;
use crate::output::text::{columns, with_commas};
use crate::repro::result::Reproduced;
use crate::repro::table::{check, duration, fill};
use crate::signal::stop_on_signal;
use crate::sweep::crew::News;
use crate::sweep::plan::{Plan, PlannedRun};
use crate::sweep::results::Results;
use crate::sweep::seat::Seat;
use crate::sweep::work::{Measures, Outcome, Sweep};

/// Train and evaluate by the protocol of a paper, and compare with the paper's figure.
///
/// A protocol is a preset whose settings are fixed. Without a name, lists the protocols and their results.
/// The same command goes on after any interruption. Full schedules take hours to days; it says how long
/// first.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli repro\n  vae-cli repro iwae-1l-k1 --short\n  \
    vae-cli repro --fill results.md")]
pub struct ReproArgs {
    /// Name of the protocol [default: list them].
    pub name: Option<String>,
    /// Train with the short settings of the protocol: fewer epochs, and for some smaller networks or images.
    #[arg(long)]
    pub short: bool,
    /// Folder for the runs and results of all protocols.
    #[arg(long, default_value = "repro", value_name = "DIR")]
    pub out: PathBuf,
    /// Put the results into the table of this Markdown file.
    #[arg(long, value_name = "FILE")]
    pub fill: Option<PathBuf>,
    /// Runs that are trained at the same time.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count)]
    pub jobs: usize,
    #[command(flatten)]
    pub data_dir: DataDirArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// How often the bar looks at the logs.
const LOOK: Duration = Duration::from_millis(500);
/// Seconds to measure the speed of training, and of importance sampling.
const MEASURED: &str = "3";
/// Examples that are evaluated: the test part of the data sets of all protocols.
const TEST_EXAMPLES: f64 = 10_000.0;

impl Execute for ReproArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        match &self.name {
            Some(name) => self.reproduce(name, printer),
            None if self.short => Err(request("--short: name the protocol")),
            None => self.list(printer),
        }
    }
}

impl ReproArgs {
    /// The folder of a protocol.
    fn folder(&self, name: &str, short: bool) -> PathBuf {
        self.out.join(if short { format!("{name}-short") } else { name.to_owned() })
    }

    /// The sweep that trains and evaluates the runs of a protocol.
    fn sweep(&self, name: &str, short: bool, protocol: &Protocol) -> Result<Sweep> {
        Ok(Sweep {
            program: std::env::current_exe().context("the path of this program is not known")?,
            folder: self.folder(name, short),
            data_dir: self.data_dir.data_dir.clone(),
            measures: Measures { limit: None, asked: asked(protocol)? },
        })
    }

    /// The result that is in the folder of a protocol. One of other settings, such as those of an earlier
    /// version, is not of this protocol.
    fn result(
        &self,
        name: &str,
        short: bool,
        protocol: &Protocol,
        plan: &Plan,
    ) -> Result<Option<Reproduced>> {
        let sweep = self.sweep(name, short, protocol)?;
        let found = Reproduced::read(&sweep.folder.join("result.json"));
        Ok(found.filter(|_| plan.runs().all(|run| sweep.made_on(run).is_some())))
    }

    fn list(&self, printer: &Printer) -> Result<()> {
        let mut rows = vec![
            ["protocol", "epochs (short)", "figure", "paper", "here", "source"]
                .map(str::to_owned)
                .to_vec(),
        ];
        let (mut objects, mut results) = (Vec::new(), Vec::new());
        for (name, text) in protocols::ALL {
            let Some(protocol) = Protocol::named(name)? else { continue };
            let (mut epochs, mut found) = ([0; 2], Vec::new());
            for (i, short) in [false, true].into_iter().enumerate() {
                let plan = Plan::of_protocol(&protocol, short)?;
                epochs[i] = plan.runs().next().map_or(0, |run| run.config.train.epochs);
                found.extend(self.result(name, short, &protocol, &plan)?);
            }
            let [full, short] = epochs;
            let here = found.iter().map(|result| {
                let kind = if result.short { " short" } else { "" };
                format!("{:.2}{kind}", result.value)
            });
            let here = here.collect::<Vec<_>>().join(", ");
            let about = presets::description(text).collect::<Vec<_>>().join(" ");
            rows.push(vec![
                (*name).to_owned(),
                format!("{full} ({short})"),
                protocol.paper.figure.clone(),
                protocol.paper.value.map_or_else(|| "-".to_owned(), |value| value.to_string()),
                if here.is_empty() { "-".to_owned() } else { here },
                protocol.paper.source.clone(),
            ]);
            objects.push(json!({
                "protocol": name,
                "about": about,
                "epochs": full,
                "short_epochs": short,
                "figure": protocol.paper.figure,
                "paper": protocol.paper.value,
                "source": protocol.paper.source,
                "results": found,
            }));
            results.extend(found);
        }
        self.fill(&results, printer)?;
        printer.result(&columns(&rows), || json!({ "protocols": objects }))
    }

    fn fill(&self, results: &[Reproduced], printer: &Printer) -> Result<()> {
        let Some(path) = &self.fill else { return Ok(()) };
        fill(path, results)?;
        printer.say(&format!("{}: {} rows written", path.display(), results.len()));
        Ok(())
    }

    fn reproduce(&self, name: &str, printer: &Printer) -> Result<()> {
        let protocol = Protocol::named(name)?.ok_or_else(|| {
            let names: Vec<&str> = protocols::ALL.iter().map(|(name, _)| *name).collect();
            request(format!("there is no protocol `{name}`; there are {}", names.join(", ")))
        })?;
        let plan = Plan::of_protocol(&protocol, self.short)?;
        let seat = Seat::new(&self.backend)?;
        // Before any work: is there a place for the result?
        self.fill.as_deref().map_or(Ok(()), check)?;
        let sweep = self.sweep(name, self.short, &protocol)?;
        let folder = sweep.folder.clone();
        let runs: Vec<&PlannedRun> = plan.runs().collect();
        let left: Vec<&PlannedRun> =
            runs.iter().copied().filter(|run| sweep.made_on(run).is_none()).collect();
        // Data that cannot be had are reported before any work.
        let examples = match left.first() {
            None => 0,
            Some(run) => {
                let data_dir = self.data_dir.data_dir.clone();
                open::with_environment(data_dir, printer, |environment| {
                    Ok(vae_train::data::load(&run.config, environment)?.train.len())
                })?
            }
        };
        let lock = sweep.prepare(&plan)?;
        let folders: Vec<Run> = runs.iter().map(|run| sweep.run(run)).collect();
        printer.say(&format!(
            "{name}: {} {}, {} epochs each{}",
            runs.len(),
            if runs.len() == 1 { "run" } else { "runs" },
            with_commas(runs.first().map_or(0, |run| run.config.train.epochs) as usize),
            if self.short { ", the short schedule" } else { "" }
        ));
        let steps = runs.iter().map(|run| steps(run, examples)).sum();
        if !left.is_empty() {
            self.estimate(&sweep, &seat, (&left, examples), printer)?;
        }
        let stop = stop_on_signal("stopping when the training has stopped");
        let outcomes = with_bar(printer, steps, &folders, || {
            let seats = vec![seat; self.jobs.min(runs.len())];
            sweep.finish_all(&plan, &seats, &stop, |news| match news {
                News::Ended(i, outcomes) => {
                    let name = &runs[i].name;
                    match &outcomes[i] {
                        Some(Outcome::Failed(why)) => {
                            printer.warn(&format!("{name} failed: {why}"));
                        }
                        Some(Outcome::Done(figures)) => {
                            for doubt in figures::doubts_of_json(figures) {
                                printer.warn(&format!("{name}: {doubt}"));
                            }
                        }
                        _ => {}
                    }
                    Results::new(&plan, outcomes).write(&folder.join("table.csv"))
                }
                News::Lost(..) | News::Back(..) => {
                    news.tell(printer);
                    Ok(())
                }
            })
        })?;
        drop(lock);
        let failed = outcomes.iter().filter(|o| !matches!(o, Some(Outcome::Done(_)))).count();
        if stop.load(Ordering::Relaxed) {
            printer.say("stopped; the same command goes on");
            let (all, done) = (runs.len(), runs.len() - failed);
            if printer.prints_json() {
                printer.result("", || {
                    json!({
                        "protocol": name, "short": self.short, "ending": "stopped", "runs": all, "done": done,
                    })
                })?;
            }
            return Ok(());
        }
        if failed > 0 {
            return Err(anyhow!("{name}: {failed} runs failed; the same command tries them again"));
        }
        let mut machines: Vec<String> = runs.iter().filter_map(|run| sweep.made_on(run)).collect();
        machines.dedup();
        let about = (&folders[..], machines.join("; "));
        let result = Reproduced::new(name, self.short, &protocol, &plan, &outcomes, about);
        let result = result.ok_or_else(|| {
            let figure = &protocol.paper.figure;
            anyhow!("{name}: {figure} of a run is not a number, see {}", folder.display())
        })?;
        result.write(&folder.join("result.json"))?;
        printer.result(&report(&result), || json!(result))?;
        self.fill(std::slice::from_ref(&result), printer)
    }

    /// Measures how fast this machine trains and evaluates, and says how long what is left will take. An epoch
    /// has `examples` examples.
    fn estimate(
        &self,
        sweep: &Sweep,
        seat: &Seat,
        (left, examples): (&[&PlannedRun], usize),
        printer: &Printer,
    ) -> Result<()> {
        let bench = |config: &Path, part: &str, samples: usize, key: &str| -> Result<f64> {
            let mut command = Command::new(&sweep.program);
            command.args(["bench", "--json", "-q"]).args(&seat.flags);
            command.arg(config).args(["--only", part, "--time-limit", MEASURED]);
            command.args(["--samples", &samples.to_string()]);
            let output = command.stdin(Stdio::null()).output();
            let output = output.context("a process cannot be started")?;
            let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            Ok(found[key].as_f64().unwrap_or(f64::NAN))
        };
        let mut seconds = 0.0;
        // Runs that differ in the seed are equally fast.
        let kind = |run: &PlannedRun| {
            run.name.rsplit_once("seed=").map_or_else(String::new, |(kind, _)| kind.to_owned())
        };
        let mut speeds: BTreeMap<String, Speeds> = BTreeMap::new();
        for run in left {
            let config = sweep.config(run);
            let found = match speeds.get(&kind(run)) {
                Some(found) => *found,
                None => {
                    let training = bench(&config, "training", 1, "images_per_second")?;
                    let evaluation = match sweep.measures.asked.samples {
                        None => 0.0,
                        Some(k) => {
                            let key = "importance_samples_per_second";
                            TEST_EXAMPLES * k as f64 / bench(&config, "importance", k, key)?
                        }
                    };
                    let found = Speeds { training, evaluation };
                    speeds.insert(kind(run), found);
                    found
                }
            };
            let steps = steps(run, examples).saturating_sub(sweep.run(run).steps_logged());
            let batch = run.config.train.batch_size as f64;
            seconds += steps as f64 * batch / found.training + found.evaluation;
        }
        if seconds.is_finite() {
            printer
                .say(&format!("this machine needs about {} for what is left", duration(seconds)));
        }
        Ok(())
    }
}

/// Returns the number of steps of a run, in epochs of `examples` examples.
fn steps(run: &PlannedRun, examples: usize) -> u64 {
    run.config.train.epochs * examples.div_ceil(run.config.train.batch_size) as u64
}

/// How fast this machine does the runs of a kind.
#[derive(Clone, Copy)]
struct Speeds {
    /// Examples per second of training.
    training: f64,
    /// Seconds of an evaluation.
    evaluation: f64,
}

/// Sets a flag when it is dropped, also by a panic.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns what a protocol measures.
///
/// # Errors
/// If there is no such measure.
fn asked(protocol: &Protocol) -> Result<MeasureArgs> {
    let known = json!(MeasureArgs::default());
    if let Some(key) = protocol.evaluate.keys().find(|key| known.get(key).is_none()) {
        return Err(request(format!("evaluate: there is no measure `{key}`")));
    }
    protocol.evaluate.clone().try_into().context("evaluate")
}

/// Does work while a bar shows how many of `steps` steps the runs have done.
fn with_bar<T>(
    printer: &Printer,
    steps: u64,
    runs: &[Run],
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let logged = || runs.iter().map(Run::steps_logged).sum::<u64>();
    let bar = Bar::new(printer, steps, logged());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ended = Ended(&is_over);
        let watcher = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                bar.set_position(logged());
                std::thread::park_timeout(LOOK);
            }
            bar.finish();
        });
        let done = work();
        drop(ended);
        watcher.thread().unpark();
        done
    })
}

/// Returns the result for people.
fn report(result: &Reproduced) -> String {
    let number = |value: f64| format!("{value:.3}");
    let plus_minus =
        |error: Option<f64>| error.map(|e| format!(" +- {}", number(e))).unwrap_or_default();
    let mut rows = vec![
        vec!["figure".to_owned(), result.figure.clone()],
        vec![
            "paper".to_owned(),
            format!("{} ({})", result.paper.map_or_else(|| "-".to_owned(), number), result.source),
        ],
        vec!["here".to_owned(), number(result.value) + &plus_minus(result.stderr)],
    ];
    for other in &result.others {
        rows.push(vec![
            other.name.clone(),
            format!(
                "{}; difference {}{}",
                number(other.value),
                number(other.difference),
                other.interval.map(|i| format!(" +- {} (95 %)", number(i))).unwrap_or_default()
            ),
        ]);
    }
    rows.push(vec!["verdict".to_owned(), result.verdict.clone()]);
    rows.push(vec!["training".to_owned(), duration(result.training_seconds)]);
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_measures_its_figure() {
        for (name, _) in protocols::ALL {
            let protocol = Protocol::named(name).unwrap().unwrap();
            let asked = asked(&protocol).unwrap();
            let is_measured = match protocol.paper.figure.as_str() {
                "nll" => asked.samples.is_some(),
                "mig" => asked.disentanglement,
                "knn_accuracy" => true,
                _ => false,
            };
            assert!(is_measured, "{name}");
        }
        let mut protocol = Protocol::named("iwae-1l-k1").unwrap().unwrap();
        protocol.evaluate.insert("smaples".to_owned(), 5.into());
        assert!(asked(&protocol).unwrap_err().to_string().contains("smaples"));
    }
}
