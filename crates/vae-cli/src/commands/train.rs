//! `train`: from a preset or a TOML file to a run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use serde_json::json;
use vae_data::source::AUTO;
use vae_data::{Examples, Split};
use vae_eval::{Generator, PriorSource};
use vae_train::{
    Backend, Checkpoint, CheckpointKind, Ending, MetricsLog, Override, Run, TrainConfig, Trainer,
    ValidConfig, data, presets,
};

use crate::args::TrainArgs;
use crate::failure::request;
use crate::open::{self, RUNS};
use crate::printer::{Printer, count};
use crate::progress::{Console, RECONSTRUCTIONS, Sheets};

/// Trains.
pub fn run(args: &TrainArgs, printer: &Printer) -> Result<()> {
    let overrides = overrides(args)?;
    let run = which_run(args)?;
    let folder = run.folder().to_owned();
    if run.exists() && !args.resume {
        // The lock tells a training under way from one that is done.
        run.lock()?;
        return Err(is_there(&run));
    }

    let backend = Backend::open(&args.backend.backend)?;
    // A run that goes on is locked before it is read; the folder of a new one is not even made before
    // its data is at hand.
    let (mut lock, config, checkpoint) = if args.resume {
        let lock = run.lock()?;
        let last = Checkpoint::read(&run.checkpoint(CheckpointKind::Last), &backend.device)?;
        (Some(lock), config_to_resume(args, &last, &overrides)?, Some(last))
    } else {
        (None, presets::resolve(config_name(args), &overrides)?, None)
    };
    let data_dir = args.data_dir.data_dir.clone();
    let (data, shown) = open::with_environment(data_dir, printer, |environment| {
        let data = data::load(&config, environment)?;
        let mut shown = data.resolved.read(Split::Test, environment)?;
        shown.truncate(2 * RECONSTRUCTIONS);
        Ok((data, shown))
    })?;
    let config = config.with_source(&data.record.source);
    let source = data.resolved.note.clone().unwrap_or_else(|| data.record.source.clone());
    printer.say(&format!("data: {source}; {} training examples", count(data.record.examples)));
    printer.say(&format!("backend: {} on {}", backend.name, backend.note));

    let mut trainer = match checkpoint {
        Some(checkpoint) => Trainer::resume(checkpoint, config.clone(), data.clone(), &backend)?,
        None => Trainer::new(config.clone(), data.clone(), &backend)?,
    };
    run.create()?;
    if lock.is_none() {
        lock = Some(run.lock()?);
        // Somebody else may have been here while the data was read.
        if run.exists() {
            return Err(is_there(&run));
        }
    }
    run.write_config(&trainer.config().to_toml())?;
    let (step, total) = (trainer.progress().step, trainer.total_steps());
    printer.say(&format!(
        "run: {}, {} of {} steps done{}",
        folder.display(),
        count(step as usize),
        count(total as usize),
        match step {
            0 => "",
            step if step < total => ", going on",
            _ => ": nothing is left to do; ask for more --epochs",
        }
    ));

    let stop = stop_on_signal();
    let mut log = MetricsLog::open(&run, step)?;
    let mut console = Console::new(printer, step, total, config.train.epochs);
    let mut sheets = sheets(&run, &config, shown, &data, &trainer, &backend);
    let observers: Vec<&mut dyn vae_train::Observer> = vec![&mut log, &mut sheets, &mut console];
    let ending = trainer.train(Some(&run), observers, &stop);
    console.finish();
    let ending = ending?;
    if ending != Ending::Stopped {
        let fitted =
            trainer.fitted_prior().cloned().map_or(PriorSource::Model, PriorSource::Fitted);
        if let Err(why) = sheets.finish(trainer.progress().epoch, &trainer.vae(), fitted) {
            printer.warn(&why);
        }
    }
    conclude(&run, &trainer, ending, printer)?;
    drop(lock);
    Ok(())
}

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
    all.extend(open::sets(&args.set)?);
    Ok(all)
}

fn is_there(run: &Run) -> anyhow::Error {
    request(format!(
        "{}: there is a run already; go on with it by --resume, or choose another --out",
        run.folder().display()
    ))
}

fn config_name(args: &TrainArgs) -> &str {
    args.config.as_deref().unwrap_or(presets::DEFAULT)
}

fn which_run(args: &TrainArgs) -> Result<Run> {
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
            "{}: nothing to resume, it holds no checkpoint; leave --resume out to train anew",
            run.folder().display()
        )));
    }
    Ok(run)
}

/// The configuration of a run that goes on: its own, or the one that is named, under what flags say.
fn config_to_resume(
    args: &TrainArgs,
    last: &Checkpoint,
    overrides: &[Override],
) -> Result<ValidConfig> {
    let Some(name) = &args.config else {
        let mut own = last.config.clone().into_inner();
        if args.epochs.is_some() {
            // A number of epochs stands in place of an old number of steps.
            own.train.max_steps = None;
        }
        return Ok(TrainConfig::from_toml("the run's configuration", &own.to_toml(), overrides)?);
    };
    let config = presets::resolve(name, overrides)?;
    // What `auto` stood for then, it stands for now.
    let is_auto = config.data.source == AUTO;
    Ok(if is_auto { config.with_source(&last.config.data.source) } else { config })
}

fn sheets(
    run: &Run,
    config: &ValidConfig,
    shown: Examples,
    data: &data::TrainingData,
    trainer: &Trainer,
    backend: &Backend,
) -> Sheets {
    let generator = Generator {
        vae: trainer.vae(),
        transform: Arc::clone(&data.transform),
        device: backend.device.clone(),
        seed: config.train.seed,
        prior: PriorSource::Model,
    };
    let reconstruct = config.objective.requirements().trains_encoder;
    Sheets::new(run.samples(), config.train.sheet_every, shown, generator, reconstruct)
}

/// A flag that Ctrl-C sets; a second Ctrl-C ends the program at once.
fn stop_on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // Where no handler can be set, Ctrl-C does what it always does, and the last checkpoint is whole.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        crate::printer::complain("stopping: writing a checkpoint (once more to stop at once)");
    });
    stop
}

fn conclude(run: &Run, trainer: &Trainer, ending: Ending, printer: &Printer) -> Result<()> {
    let folder = run.folder().display().to_string();
    let progress = trainer.progress();
    match ending {
        Ending::Finished => printer.say(&format!(
            "done after {} steps; now try: vae-cli sample --run {folder}",
            count(progress.step as usize)
        )),
        Ending::Early => printer.say(&format!(
            "stopped early: the validation loss was best after epoch {} and has not become better; \
             best.vae holds those weights",
            progress.best_epoch
        )),
        Ending::Stopped => printer.say(&format!(
            "stopped after {} steps; go on with: vae-cli train --resume --out {folder}",
            count(progress.step as usize)
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
