//! Trains and evaluates one run of a sweep, in processes of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use vae_data::source::AUTO;
use vae_model::write_atomically;
use vae_train::{Run, RunLock, TrainConfig, TrainError, ValidConfig, presets};

use super::plan::{Plan, PlannedRun, read_bounded};
use super::seat::Seat;
use crate::args::MeasureArgs;
use crate::failure::request;
use crate::output::text::quoted;
use crate::supervise;

/// How long to wait before another look at a run that another process trains.
const PAUSE: Duration = Duration::from_millis(100);
/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Longest file of figures, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Longest part of an error of a run that is kept.
const LONGEST_ERROR: usize = 2_000;

/// The folder of a sweep, and how its runs are trained and evaluated.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// This program.
    pub program: PathBuf,
    /// It holds `runs/`, `configs/` and `table.csv`.
    pub folder: PathBuf,
    /// The folder of data sets.
    pub data_dir: Option<PathBuf>,
    /// How to evaluate.
    pub measures: Measures,
}

/// How runs are evaluated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Most test examples.
    pub limit: Option<usize>,
    /// What is measured beside the figures that every evaluation has.
    #[serde(flatten)]
    pub asked: MeasureArgs,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is trained, and has these figures.
    Done(Map<String, Value>),
    /// It failed; the message says why.
    Failed(String),
    /// It was stopped, and can go on.
    Stopped,
    /// Its device was lost. It can go on on another.
    Lost(String),
}

/// How a process failed.
struct Failure {
    /// Whether it refused the request.
    refused: bool,
    /// Whether its device was lost.
    lost: bool,
    why: String,
}

impl From<Failure> for Outcome {
    fn from(Failure { lost, why, .. }: Failure) -> Self {
        if lost { Self::Lost(why) } else { Self::Failed(why) }
    }
}

/// The figures of a run, in its folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Evaluated {
    /// The configuration that was asked for.
    config: String,
    protocol: Measures,
    /// The machine that made the figures.
    #[serde(default)]
    machine: String,
    /// The version of the program that made them: another may measure in another way.
    #[serde(default)]
    version: String,
    figures: Map<String, Value>,
}

impl Sweep {
    /// Returns the run of a plan.
    pub fn run(&self, planned: &PlannedRun) -> Run {
        Run::new(self.folder.join("runs").join(&planned.name))
    }

    /// Takes the folder for this sweep, checks that the runs that are there already are those of `plan`, and
    /// writes the configuration of each run. The folder is free again when what is returned is dropped, or
    /// when the process ends for any reason.
    ///
    /// # Errors
    /// If another sweep works in the folder, if a run has other settings, or if a file cannot be written.
    pub fn prepare(&self, plan: &Plan) -> Result<RunLock> {
        let folder = || self.folder.display().to_string();
        std::fs::create_dir_all(&self.folder).with_context(folder)?;
        let lock = match Run::new(&self.folder).lock() {
            Err(TrainError::Locked { .. }) => {
                return Err(request(format!(
                    "{}: another sweep works in this folder; wait for it, or choose another --out",
                    folder()
                )));
            }
            lock => lock?,
        };
        self.check_settings(plan)?;
        let configs = self.folder.join("configs");
        for folder in [&configs, &self.folder.join("runs")] {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        for planned in plan.runs() {
            let path = self.config(planned);
            let text = planned.config.to_toml();
            write_atomically(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
        }
        Ok(lock)
    }

    /// Checks that the runs that are there already are those of `plan`.
    ///
    /// # Errors
    /// If a run has other settings.
    pub fn check_settings(&self, plan: &Plan) -> Result<()> {
        for planned in plan.runs() {
            let run = self.run(planned);
            if !run.exists() {
                continue;
            }
            let path = run.config().display().to_string();
            let found = presets::resolve(&path, &[])?;
            // What is chosen at the start of a training: the data that `auto` stands for, and a number of
            // replicas.
            let mut planned = planned.config.clone().into_inner();
            if planned.data.source == AUTO {
                planned.data.source.clone_from(&found.data.source);
            }
            if planned.train.replicas == 0 {
                planned.train.replicas = found.train.replicas;
            }
            if let Some(line) = difference(&planned.to_toml(), &found.to_toml()) {
                return Err(request(format!(
                    "{path}: this run was trained with other settings ({line}): choose another --out, or \
                     move its folder away"
                )));
            }
        }
        Ok(())
    }

    /// Returns the configuration that a run has or will have: with the data that `auto` stood for, if it has
    /// been begun.
    pub(super) fn config_of(&self, planned: &PlannedRun) -> ValidConfig {
        let run = self.run(planned);
        let begun =
            run.exists().then(|| presets::resolve(&run.config().display().to_string(), &[]));
        begun.and_then(Result::ok).unwrap_or_else(|| planned.config.clone())
    }

    /// Returns the file of the configuration of a run.
    pub fn config(&self, planned: &PlannedRun) -> PathBuf {
        self.folder.join("configs").join(format!("{}.toml", planned.name))
    }

    /// Trains and evaluates a run on a device, or goes on where it was left. A run that is done is only
    /// read.
    ///
    /// # Errors
    /// If a process cannot be started, or if its figures cannot be written.
    pub fn finish(&self, planned: &PlannedRun, seat: &Seat, stop: &AtomicBool) -> Result<Outcome> {
        let run = self.run(planned);
        let kept = kept(&run);
        if let Some(evaluated) = self.read(&kept, planned) {
            return Ok(Outcome::Done(evaluated.figures));
        }
        let stopped = || stop.load(Ordering::Relaxed);
        std::fs::create_dir_all(run.folder())
            .with_context(|| run.folder().display().to_string())?;
        let trained = loop {
            // The training of a sweep that was killed may go on. It is this run's, so its end is waited for.
            let existed = match self.wait(&run, stop) {
                Ok(()) => run.exists(),
                Err(outcome) => return Ok(outcome),
            };
            if let Some(evaluated) = self.read(&kept, planned) {
                return Ok(Outcome::Done(evaluated.figures));
            }
            match self.train(planned, &run, seat, stop)? {
                Ok(trained) => break trained,
                Err(_) if stopped() => return Ok(Outcome::Stopped),
                // Another process may have begun it a moment after it was looked for.
                Err(failure)
                    if failure.refused && (run.exists() != existed || run.lock().is_err()) => {}
                Err(failure) => return Ok(failure.into()),
            }
        };
        if stopped() || trained["ending"] == "stopped" {
            return Ok(Outcome::Stopped);
        }
        let has_encoder = planned.config.objective.requirements().trains_encoder;
        let asked = match has_encoder {
            true => self.measures.asked.clone(),
            // Without an encoder only the quality of samples can be measured.
            false => MeasureArgs { quality: self.measures.asked.quality, ..MeasureArgs::default() },
        };
        let mut figures = Map::new();
        if has_encoder || asked.quality {
            match self.evaluate(&run, &asked, seat, stop)? {
                Ok(found) => figures = found,
                Err(_) if stopped() => return Ok(Outcome::Stopped),
                Err(failure) => return Ok(failure.into()),
            }
        }
        if !has_encoder {
            // There is no bound: what is known is the training loss.
            let loss = trained.get("train").and_then(|train| train.get("loss")).cloned();
            figures.extend(loss.map(|loss| ("loss".to_owned(), loss)));
            let protocol = figures.entry("protocol").or_insert_with(|| json!({}));
            protocol["loss"] = json!("training loss, averaged over the last epoch");
        }
        let (config, protocol) = (planned.config.to_toml(), self.measures.clone());
        let (machine, version) = (seat.machine.clone(), VERSION.to_owned());
        let evaluated = Evaluated { config, protocol, machine, version, figures };
        let text = format!("{}\n", json!(evaluated));
        write_atomically(&kept, text.as_bytes()).with_context(|| kept.display().to_string())?;
        Ok(Outcome::Done(evaluated.figures))
    }

    /// Returns the machine that made the figures of a run. `None` if it has none yet.
    pub fn made_on(&self, planned: &PlannedRun) -> Option<String> {
        Some(self.read(&kept(&self.run(planned)), planned)?.machine)
    }

    /// Returns the fingerprint of the examples that a run was evaluated on; empty if its figures do not say, as
    /// those of a model of which only the loss is known. `None` if it has no figures yet.
    pub(super) fn fingerprint(&self, planned: &PlannedRun) -> Option<String> {
        let figures = self.read(&kept(&self.run(planned)), planned)?.figures;
        Some(figures.get("fingerprint").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Waits until no other process trains a run.
    fn wait(&self, run: &Run, stop: &AtomicBool) -> Result<(), Outcome> {
        loop {
            match run.lock() {
                Ok(_) => return Ok(()),
                Err(TrainError::Locked { .. }) if !stop.load(Ordering::Relaxed) => {
                    std::thread::sleep(PAUSE);
                }
                Err(TrainError::Locked { .. }) => return Err(Outcome::Stopped),
                Err(other) => return Err(Outcome::Failed(other.to_string())),
            }
        }
    }

    /// Reads the figures of a run, if it has some of this configuration by this protocol.
    fn read(&self, kept: &Path, planned: &PlannedRun) -> Option<Evaluated> {
        let evaluated: Evaluated =
            serde_json::from_str(&read_bounded(kept, MOST_BYTES).ok()?).ok()?;
        // The text of another build may leave out keys that have their defaults.
        let config = TrainConfig::from_toml("evaluation.json", &evaluated.config, &[]).ok()?;
        let is_it = evaluated.protocol == self.measures
            && evaluated.version == VERSION
            && config.to_toml() == planned.config.to_toml();
        is_it.then_some(evaluated)
    }

    /// Trains, and returns what `train` says at its end.
    fn train(
        &self,
        planned: &PlannedRun,
        run: &Run,
        seat: &Seat,
        stop: &AtomicBool,
    ) -> Result<Result<Value, Failure>> {
        let mut command = self.command("train", seat);
        if run.exists() {
            command.arg("--resume");
        } else {
            command.arg(self.config(planned));
        }
        command.arg("--out").arg(run.folder());
        json_of(command, stop)
    }

    fn evaluate(
        &self,
        run: &Run,
        asked: &MeasureArgs,
        seat: &Seat,
        stop: &AtomicBool,
    ) -> Result<Result<Map<String, Value>, Failure>> {
        let mut command = self.command("evaluate", seat);
        command.arg("--run").arg(run.folder());
        command.args(asked.flags());
        if let Some(limit) = self.measures.limit {
            command.args(["--limit", &limit.to_string()]);
        }
        Ok(json_of(command, stop)?.map(|json| match json {
            Value::Object(figures) => figures,
            _ => Map::new(),
        }))
    }

    /// Returns whether a device can be used, or why it cannot.
    ///
    /// # Errors
    /// If a process cannot be started.
    pub fn answers(&self, seat: &Seat, stop: &AtomicBool) -> Result<Result<(), Outcome>> {
        if !seat.is_elsewhere {
            return Ok(Ok(()));
        }
        let checked = json_of(self.command("doctor", seat), stop)?;
        Ok(checked.map(|_| ()).map_err(Outcome::from))
    }

    /// Returns a command of this program that computes on a device.
    fn command(&self, name: &str, seat: &Seat) -> Command {
        let mut command = Command::new(&self.program);
        command.args([name, "--json", "-q"]).args(&seat.flags);
        if let Some(data_dir) = &self.data_dir {
            command.arg("--data-dir").arg(data_dir);
        }
        command
    }
}

/// Returns the file of the figures of a run.
fn kept(run: &Run) -> PathBuf {
    run.folder().join("evaluation.json")
}

/// Runs a command, and returns the JSON that it prints, or how it failed. It is asked to stop when `stop` is
/// set.
fn json_of(mut command: Command, stop: &AtomicBool) -> Result<Result<Value, Failure>> {
    let output = output_of(&mut command, stop).context("a process cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success());
    Ok(json.ok_or_else(|| {
        let said = said.trim();
        // The end of what was said has the error.
        let from = said.char_indices().rev().nth(LONGEST_ERROR).map_or(0, |(at, _)| at);
        let arguments = command.get_args().map(|argument| quoted(Path::new(argument)));
        let arguments = arguments.collect::<Vec<_>>().join(" ");
        Failure {
            refused: output.status.code() == Some(2),
            lost: supervise::tells_of_loss(said),
            why: format!("vae-cli {arguments}: {}: {}", output.status, &said[from..]),
        }
    }))
}

/// Runs a command to its end, and returns what it printed. When `stop` is set, it gets an interrupt: a training
/// then writes its checkpoint. On a terminal it has got one already, and a second would end it at once.
#[cfg(unix)]
fn output_of(command: &mut Command, stop: &AtomicBool) -> std::io::Result<Output> {
    use std::io::IsTerminal;

    if std::io::stdin().is_terminal() {
        return command.stdin(Stdio::null()).output();
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let number = child.id().to_string();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if stop.load(Ordering::Relaxed) {
                    // If there is no such program, the end of the process is waited for.
                    let _ = Command::new("kill").args(["-INT", &number]).output();
                    return;
                }
                std::thread::park_timeout(PAUSE);
            }
        });
        let output = child.wait_with_output();
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        output
    })
}

/// Runs a command to its end, and returns what it printed. The console's interrupt reaches it.
#[cfg(not(unix))]
fn output_of(command: &mut Command, _stop: &AtomicBool) -> std::io::Result<Output> {
    command.stdin(Stdio::null()).output()
}

/// Returns the first line of `planned` that is not in `found`.
fn difference<'a>(planned: &'a str, found: &str) -> Option<&'a str> {
    let other = planned.lines().find(|line| !found.lines().any(|found| found == *line));
    other.or((planned != found).then_some("a value is missing or in another place"))
}
