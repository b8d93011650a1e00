//! `train`: trains a model from a preset or a TOML file, and writes a run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use vae_data::source::AUTO;
use vae_data::{Examples, Split};
use vae_eval::{Generator, PriorSource};
use vae_train::{
    Backend, Checkpoint, CheckpointKind, Ending, MetricsLog, Observer, Override, Run, Speeds,
    TensorBoard, TrainConfig, Trainer, ValidConfig, data, presets,
};
use vae_view::Theme;

use super::Execute;
use crate::args::{BackendArgs, DataDirArgs};
use crate::failure::request;
use crate::open::{self, RUNS};
use crate::output::printer::Printer;
use crate::output::show::ShowArgs;
use crate::output::text::{quoted, with_commas};
use crate::output::training::{Console, LatentHistograms, Sheets};
use crate::pictures::sheets::RECONSTRUCTIONS;
use crate::pictures::{log, overview};
use crate::signal::stop_on_signal;
use crate::supervise;

/// Train a model from a preset or a TOML file.
///
/// Writes a run: a folder with config.toml, metrics.jsonl, checkpoints/ and samples/. Ctrl-C writes
/// a checkpoint and stops; --resume continues from it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli train\n  vae-cli train mnist-mlp --epochs 20\n  \
    vae-cli train my.toml --set model.latent=2 --out runs/flat\n  \
    vae-cli train --resume --out runs/flat --epochs 40")]
pub struct TrainArgs {
    /// Name of a preset (see `vae-cli presets`), or a TOML file [default: the preset `default`, or
    /// the configuration of the run with --resume].
    pub config: Option<String>,
    /// Folder of the run [default: runs/NAME, or runs/NAME-2 and so on if that is taken].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Continue the run in --out, or without --out the newest run. --epochs and --max-steps may
    /// grow, and logging, --backend and train.devices may change; all else must be as it was.
    #[arg(long)]
    pub resume: bool,
    /// Data to train on: the name of a set (see `vae-cli data list`), a folder of pictures, a .npy,
    /// .csv, .tsv or IDX file, or images.idx,labels.idx [default: data.source of the
    /// configuration].
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    #[command(flatten)]
    pub data_dir: DataDirArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
    /// Number of epochs in total, those before --resume included.
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,
    /// Number of steps in total. Training ends when --epochs or --max-steps is reached.
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Number of examples per step.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Train on the first N training examples only.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Seed of all random numbers: weights, order of the examples, noise.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub show: ShowArgs,
    /// Set any value of the configuration, such as model.latent=10. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl Execute for TrainArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let overrides = overrides(self)?;
        let run = run_of(self)?;
        let overview = run.folder().join("overview.png");
        self.show.check(&overview, printer)?;
        let folder = run.folder().to_owned();
        if run.exists() && !self.resume {
            // If the run is being trained, the error is that of the lock.
            run.lock()?;
            return Err(run_exists(&run));
        }

        let devices = devices(self, &run, &overrides)?;
        let backend = self.backend.open_all(&devices)?;
        // A run to resume is locked before it is read. The folder of a new run is created only once
        // its data is loaded, so that a refused request leaves no folder.
        let (mut lock, config, checkpoint) = if self.resume {
            let lock = run.lock()?;
            let last = Checkpoint::read(&run.checkpoint(CheckpointKind::Last), &backend.device)?;
            last.check_resumable()?;
            let config = config_to_resume(self, &last, &overrides)?.on_devices(devices.clone());
            (Some(lock), config, Some(last))
        } else {
            (None, presets::resolve(config_name(self), &overrides)?, None)
        };
        if self.show.show && config.train.sheet_every == 0 {
            let why = "--show draws overview.png, and train.sheet_every = 0 asks for no pictures";
            return Err(request(why));
        }
        let data_dir = self.data_dir.data_dir.clone();
        let (data, shown) = open::with_environment(data_dir, printer, |environment| {
            let data = data::load(&config, environment)?;
            let shown = data.resolved.read(Split::Test, environment)?.spread(overview::EXAMPLES);
            Ok((data, shown))
        })?;
        let config = config.with_source(&data.record.source);
        let source = data.resolved.note.clone().unwrap_or_else(|| data.record.source.clone());
        printer.say(&format!(
            "data: {source}; {} training examples",
            with_commas(data.record.examples)
        ));
        printer.say(&format!("backend: {} on {}", backend.spec, backend.note));
        for other in &backend.others {
            printer.say(&format!("and: {} on {}", other.spec, other.note));
        }
        if !backend.others.is_empty() {
            printer.say(&told(Speeds::measure(&config, &data, &backend)?, devices.len()));
        }

        let mut trainer = match checkpoint {
            Some(checkpoint) => {
                Trainer::resume(checkpoint, config.clone(), data.clone(), &backend)?
            }
            None => Trainer::new(config.clone(), data.clone(), &backend)?,
        };
        run.create()?;
        if lock.is_none() {
            lock = Some(run.lock()?);
            // Another process may have trained here while the data was loaded.
            if run.exists() {
                return Err(run_exists(&run));
            }
        }
        run.write_config(&trainer.config().to_toml())?;
        if self.resume && run.metrics().is_file() {
            let said = run.history()?.into_iter().filter_map(|mut line| line.remove("code"));
            trainer.coach().skip(said.filter_map(|code| code.as_str().map(str::to_owned)));
        }
        let (step, total) = (trainer.progress().step, trainer.total_steps());
        printer.say(&format!(
            "run: {}, {} of {} steps done{}",
            folder.display(),
            with_commas(step as usize),
            with_commas(total as usize),
            match step {
                0 => "",
                step if step < total => ", continuing",
                _ => ": nothing left to do; to continue, raise --epochs or --max-steps",
            }
        ));

        supervise::advise({
            let one = backend.others.is_empty();
            let (run, flags) = (run.clone(), self.backend.flags(one.then_some(&backend.spec)));
            move || how_to_go_on(&run, &flags, one)
        });
        let stop = stop_on_signal("stopping: writing a checkpoint");
        let mut log = MetricsLog::open(&run, step)?;
        let mut console = Console::new(printer, step, total, config.train.epochs);
        let mut tensorboard = match config.train.tensorboard {
            true => Some(TensorBoard::start(&run, step)?),
            false => None,
        };
        let generator = generator(&config, &data, &trainer, &backend);
        let trains_encoder = config.objective.requirements().trains_encoder;
        let mut latents = tensorboard
            .clone()
            .filter(|_| trains_encoder)
            .map(|tensorboard| LatentHistograms::new(tensorboard, &shown, generator.clone()));
        let few = shown.spread(2 * RECONSTRUCTIONS);
        let mut sheets = Sheets::new(
            run.samples(),
            config.train.sheet_every,
            few,
            generator,
            trains_encoder,
            tensorboard.clone(),
        );
        let mut observers: Vec<&mut dyn Observer> = vec![&mut log, &mut sheets, &mut console];
        observers.extend(tensorboard.as_mut().map(|observer| observer as &mut dyn Observer));
        observers.extend(latents.as_mut().map(|observer| observer as &mut dyn Observer));
        let ending = trainer.train(Some(&run), observers, &stop);
        console.finish();
        let ending = ending?;
        if ending != Ending::Stopped {
            let (progress, vae) = (trainer.progress(), trainer.vae());
            let prior = trainer.prior_source();
            if let Err(why) = sheets.finish(progress.step, progress.epoch, &vae, prior) {
                printer.warn(&why);
            }
            if config.train.sheet_every > 0 {
                let written = write_overview(&overview, &run, sheets.generator(), &config, &shown);
                if let Err(why) = written.and_then(|()| self.show.draw(&overview)) {
                    printer.warn(&format!("{why:#}"));
                }
            }
        }
        conclude(&run, &trainer, ending, printer)?;
        drop(lock);
        Ok(())
    }
}

/// Returns what to do after the device of a training was lost.
fn how_to_go_on(run: &Run, backend: &[OsString], on_one: bool) -> String {
    let last = run.checkpoint(CheckpointKind::Last);
    if !last.is_file() {
        return "there is no checkpoint yet: run the same command again".to_owned();
    }
    let backend = backend.iter().map(|flag| format!(" {}", quoted(Path::new(flag))));
    let other = match on_one {
        true => "another backend",
        false => "other devices, or on one with --set 'train.devices=[]'",
    };
    format!(
        "the last checkpoint is {}; to go on: vae-cli train --resume --out {}{}, or with {other}",
        last.display(),
        quoted(run.folder()),
        backend.collect::<String>()
    )
}

/// Tells how fast a training is on one and on all of its `n` devices.
fn told(Speeds { one, all }: Speeds, n: usize) -> String {
    let speeds = format!("{one:.1} steps/s on the first device alone, {all:.1} on {n}");
    if all > one {
        return speeds;
    }
    format!(
        "{speeds}: one is faster, as it is for a model that computes little for each number that the devices \
         exchange, and where another device is slow; --set 'train.devices=[]' trains on one"
    )
}

/// Returns what flags set in the configuration.
fn overrides(args: &TrainArgs) -> Result<Vec<Override>> {
    let mut all: Vec<Override> = Vec::new();
    let numbers = [
        ("--epochs", "train.epochs", args.epochs),
        ("--max-steps", "train.max_steps", args.max_steps),
        ("--batch-size", "train.batch_size", args.batch_size.map(|n| n as u64)),
        ("--limit", "data.limit", args.limit.map(|n| n as u64)),
        ("--seed", "train.seed", args.seed),
    ];
    for (flag, key, value) in numbers {
        all.extend(value.map(|value| Override::new(key, value, format!("{flag} {value}"))));
    }
    let text = |data: &String| Override::text("data.source", data, format!("--data {data}"));
    all.extend(args.data.as_ref().map(text));
    all.extend(open::overrides(&args.set)?);
    Ok(all)
}

/// Returns the error of a run that exists and is not to be resumed.
fn run_exists(run: &Run) -> anyhow::Error {
    request(format!(
        "{}: this run exists already; continue it with --resume, or choose another --out",
        run.folder().display()
    ))
}

/// Returns the name of the preset or file to train.
fn config_name(args: &TrainArgs) -> &str {
    args.config.as_deref().unwrap_or(presets::DEFAULT)
}

/// Returns the run that flags name, or a new one.
///
/// # Errors
/// If there is nothing to resume.
fn run_of(args: &TrainArgs) -> Result<Run> {
    let run = match &args.out {
        Some(folder) => Run::new(folder.clone()),
        None if args.resume => open::newest_run()?,
        None => {
            let name = Path::new(config_name(args)).file_stem().unwrap_or_default();
            Run::free(Path::new(RUNS), &name.to_string_lossy())
        }
    };
    if args.resume && !run.checkpoint(CheckpointKind::Last).is_file() {
        return Err(request(format!(
            "{}: there is nothing to resume, this folder holds no checkpoint; leave --resume out \
             to start a new run",
            run.folder().display()
        )));
    }
    Ok(run)
}

/// Returns the devices that share the batches; none is the one of `--backend`. They are chosen before the
/// checkpoint of a run to resume is read onto the first, so they are those of its last start.
fn devices(args: &TrainArgs, run: &Run, overrides: &[Override]) -> Result<Vec<String>> {
    let of_run = run.config().display().to_string();
    let named = match args.resume && args.config.is_none() {
        true if run.config().is_file() => &of_run,
        _ => config_name(args),
    };
    Ok(presets::resolve(named, overrides)?.train.devices.clone())
}

/// Returns the configuration to resume with: that of the run, or the one that is named, changed by
/// the flags.
fn config_to_resume(
    args: &TrainArgs,
    last: &Checkpoint,
    overrides: &[Override],
) -> Result<ValidConfig> {
    let Some(name) = &args.config else {
        let mut own = last.config.clone().into_inner();
        if args.epochs.is_some() {
            // --epochs replaces a --max-steps of the run.
            own.train.max_steps = None;
        }
        return Ok(TrainConfig::from_toml("the run's configuration", &own.to_toml(), overrides)?);
    };
    let config = presets::resolve(name, overrides)?;
    // `auto` stands for the data that the run was trained on.
    let is_auto = config.data.source == AUTO;
    Ok(if is_auto { config.with_source(&last.config.data.source) } else { config })
}

/// Returns the generator of a training, for what it draws while it runs.
fn generator(
    config: &ValidConfig,
    data: &data::TrainingData,
    trainer: &Trainer,
    backend: &Backend,
) -> Generator {
    Generator {
        vae: trainer.vae(),
        transform: Arc::clone(&data.transform),
        device: backend.device.clone(),
        seed: config.train.seed,
        prior: Some(trainer.prior_source().unwrap_or(PriorSource::Standard)),
    }
}

/// Writes `overview.png` of a trained model.
fn write_overview(
    path: &Path,
    run: &Run,
    generator: &Generator,
    config: &ValidConfig,
    shown: &Examples,
) -> Result<()> {
    let log = log::logs(std::slice::from_ref(run))?.swap_remove(0);
    let trains_encoder = config.objective.requirements().trains_encoder;
    let source = format!("{} (test)", config.data.source);
    let examples = trains_encoder.then_some((shown, source.as_str()));
    Ok(overview::page(generator, examples, log, Theme::Light)?.write(path)?)
}

/// Prints how the training ended, and the result.
fn conclude(run: &Run, trainer: &Trainer, ending: Ending, printer: &Printer) -> Result<()> {
    let folder = run.folder().display().to_string();
    let progress = trainer.progress();
    match ending {
        Ending::Finished => printer.say(&format!(
            "done after {} steps; next: vae-cli sample --run {}",
            with_commas(progress.step as usize),
            quoted(run.folder())
        )),
        Ending::Early => printer.say(&format!(
            "stopped early: the validation loss has not improved since epoch {}; best.vae holds \
             the weights of that epoch",
            progress.best_epoch
        )),
        Ending::Stopped => printer.say(&format!(
            "stopped after {} steps; to continue: vae-cli train --resume --out {}",
            with_commas(progress.step as usize),
            quoted(run.folder())
        )),
    }
    let last = run.last_metrics("train");
    printer.result(&folder, || {
        json!({
            "run": folder,
            "ending": match ending {
                Ending::Finished => "finished",
                Ending::Early => "early",
                Ending::Stopped => "stopped",
            },
            "epoch": progress.epoch,
            "step": progress.step,
            "train": last,
            "validation": run.last_metrics("validation"),
        })
    })
}
