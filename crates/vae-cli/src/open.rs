//! Opening what flags name: backends, data, models.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use vae_data::source::Progress;
use vae_data::{Environment, Examples, OpenedSource, SourceSettings};
use vae_eval::Generator;
use vae_model::compatibility;
use vae_train::data::TrainingData;
use vae_train::{Backend, Checkpoint, CheckpointKind, Override, Run};

use crate::args::{BackendArgs, CheckpointArg, ModelArgs, ReadArgs};
use crate::failure::request;
use crate::printer::{Printer, count};

/// Where runs are kept.
pub const RUNS: &str = "runs";

/// Opens the backend and says which it is.
pub fn backend(args: &BackendArgs, printer: &Printer) -> Result<Backend> {
    let backend = Backend::open(&args.backend)?;
    printer.detail(&format!("backend: {} on {}", backend.name, backend.note));
    Ok(backend)
}

/// The overrides that `--set` asks for, a `KEY.PATH=VALUE` each.
///
/// # Errors
/// If one of them is no such text.
pub fn sets(arguments: &[String]) -> Result<Vec<Override>> {
    let named =
        |text: &String| Ok(Override { origin: format!("--set {text}"), ..Override::set(text)? });
    arguments.iter().map(named).collect()
}

/// Calls `f` with the environment of data sources, with a progress bar for downloads.
pub fn with_environment<T>(
    data_dir: Option<PathBuf>,
    printer: &Printer,
    f: impl FnOnce(&Environment) -> Result<T>,
) -> Result<T> {
    let bar: RefCell<Option<(&'static str, ProgressBar)>> = RefCell::new(None);
    let report = |progress: Progress| {
        if !printer.has_bar() {
            return;
        }
        let mut bar = bar.borrow_mut();
        if bar.as_ref().is_none_or(|(file, _)| *file != progress.file) {
            let new = ProgressBar::new(progress.total);
            let style = "{msg} {bar:30} {bytes}/{total_bytes} {eta}";
            new.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            new.set_message(progress.file);
            *bar = Some((progress.file, new));
        }
        if let Some((_, bar)) = &*bar {
            bar.set_position(progress.done);
        }
    };
    let environment = Environment { data_dir, progress: &report, ..Environment::default() };
    let result = f(&environment);
    if let Some((_, bar)) = bar.into_inner() {
        bar.finish_and_clear();
    }
    result
}

/// The `.vae` file that flags name.
///
/// # Errors
/// If there is none, with the command that makes one.
pub fn model_file(run: Option<&Path>, checkpoint: Option<CheckpointArg>) -> Result<PathBuf> {
    let run = match run {
        Some(file) if file.is_file() => {
            return match checkpoint {
                None => Ok(file.to_owned()),
                Some(_) => Err(request(format!(
                    "--checkpoint chooses within a run, and {} is a file: leave it out",
                    file.display()
                ))),
            };
        }
        Some(folder) if folder.is_dir() => Run::new(folder),
        Some(missing) => {
            return Err(request(format!(
                "{}: no such run or file; `vae-cli runs` lists the runs",
                missing.display()
            )));
        }
        None => newest_run()?,
    };
    let file = match checkpoint {
        None => run.best_or_last(),
        Some(CheckpointArg::Best) => run.checkpoint(CheckpointKind::Best),
        Some(CheckpointArg::Last) => run.checkpoint(CheckpointKind::Last),
    };
    if !file.is_file() {
        let why = match checkpoint {
            Some(CheckpointArg::Best) => {
                "there is no best checkpoint without validation; train with --set \
                 data.validation=N, or take --checkpoint last"
            }
            _ => "it holds no checkpoint",
        };
        return Err(request(format!("{}: {why}", run.folder().display())));
    }
    Ok(file)
}

/// The newest run under `runs/`.
///
/// # Errors
/// If there is none, with the command that makes one.
pub fn newest_run() -> Result<Run> {
    Run::all(Path::new(RUNS)).into_iter().next().ok_or_else(|| {
        request(format!(
            "no trained model under {RUNS}/: train one first with\n\n    vae-cli train\n\nor name \
             one with --run DIR"
        ))
    })
}

/// A model ready to make things, and what belongs to it.
pub fn generator(
    args: &ModelArgs,
    seed: u64,
    printer: &Printer,
) -> Result<(Generator, Checkpoint)> {
    let file = model_file(args.run.as_deref(), args.checkpoint)?;
    let backend = backend(&args.backend, printer)?;
    let checkpoint = Checkpoint::read(&file, &backend.device)?;
    printer.detail(&format!(
        "model: {}, epoch {}, step {}",
        file.display(),
        checkpoint.progress.epoch,
        checkpoint.progress.step
    ));
    let generator = Generator {
        vae: checkpoint.vae.clone(),
        transform: Arc::new(checkpoint.transform.clone()),
        device: backend.device,
        seed,
        prior: checkpoint.prior_source(),
    };
    Ok((generator, checkpoint))
}

/// The data that a model was trained on, cut as it was then: what was held out is held out again.
pub fn own_data(
    data_dir: Option<PathBuf>,
    checkpoint: &Checkpoint,
    printer: &Printer,
) -> Result<TrainingData> {
    let config = checkpoint.config.clone().with_source(&checkpoint.data.source);
    let data = with_environment(data_dir, printer, |environment| {
        Ok(vae_train::data::load(&config, environment)?)
    })?;
    fits(&data.train, checkpoint, &data.resolved.name)?;
    Ok(data)
}

/// Reads one split of a source, or `all` of it.
pub fn split(source: &OpenedSource, split: &str, environment: &Environment) -> Result<Examples> {
    Ok(match split {
        "all" => source.read_all(environment)?,
        split => source.read(split.parse()?, environment)?,
    })
}

/// The settings by which a model's own data is read, and other data for it: the columns of a table are
/// those that it was trained on.
fn settings(checkpoint: &Checkpoint) -> SourceSettings {
    let mut settings = checkpoint.config.data.source_settings();
    if let Some(columns) = &checkpoint.data.settings.columns {
        settings.columns = Some(columns.clone());
        settings.drop_columns = Vec::new();
    }
    settings
}

/// The examples that a reader's flags name: by default those of the model's own data, of which training
/// and validation examples are those of the run.
pub fn examples(
    args: &ReadArgs,
    checkpoint: &Checkpoint,
    printer: &Printer,
) -> Result<(OpenedSource, Examples)> {
    let config = &checkpoint.config.data;
    let of_the_run = match args.split.as_str() {
        "train" => args.data.is_none(),
        "validation" => args.data.is_none() && config.validation > 0,
        _ => false,
    };
    let (resolved, mut examples) = if of_the_run {
        let data = own_data(args.data_dir.data_dir.clone(), checkpoint, printer)?;
        let part = if args.split == "train" { Some(data.train) } else { data.validation };
        let part = part.ok_or_else(|| request("the run held no examples out"))?;
        (data.resolved, Arc::unwrap_or_clone(part))
    } else {
        with_environment(args.data_dir.data_dir.clone(), printer, |environment| {
            let settings = settings(checkpoint);
            let opened = match &args.data {
                Some(other) => OpenedSource::open_other(other, &settings, environment)?,
                None => OpenedSource::open(&checkpoint.data.source, &settings, environment)?,
            };
            let mut examples = split(&opened, &args.split, environment)?;
            // Files of 0.1.0 have no names of classes.
            let names = &checkpoint.data.classes;
            if args.data.is_some() && checkpoint.vae.classes() > 0 && !names.is_empty() {
                examples.number_classes_as(names)?;
            }
            Ok((opened, examples))
        })?
    };
    fits(&examples, checkpoint, &resolved.name)?;
    if let Some(limit) = args.limit {
        examples.truncate(limit);
    }
    if examples.is_empty() {
        return Err(request(format!("{}: no examples to read", resolved.name)));
    }
    printer.detail(&format!(
        "data: {} {} examples of {} ({})",
        count(examples.len()),
        args.split,
        resolved.name,
        resolved.location
    ));
    Ok((resolved, examples))
}

/// Refuses what reads the encoder of a model whose objective trained none.
pub fn needs_encoder(checkpoint: &Checkpoint) -> Result<()> {
    Ok(compatibility::check_encoder(&checkpoint.config.objective)?)
}

/// Checks that a model can read `examples`.
pub fn fits(examples: &Examples, checkpoint: &Checkpoint, name: &str) -> Result<()> {
    let labels = examples.labels.as_ref();
    let largest = labels.and_then(|labels| labels.iter().max()).copied();
    let shape = examples.shape.dims();
    compatibility::check_examples(&checkpoint.vae, &shape, labels.is_some(), largest)
        .with_context(|| name.to_owned())?;
    checkpoint.transform.check(examples).with_context(|| name.to_owned())?;
    Ok(())
}
