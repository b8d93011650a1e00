//! Opening what flags name: backends, data, models.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use vae_data::source::{Options, Progress, Resolved};
use vae_data::{Examples, Source, Values};
use vae_eval::Generator;
use vae_train::data::TrainingData;
use vae_train::{Backend, Checkpoint, Override, Run, Which};

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

/// Options for reading data, with a progress bar for downloads.
pub fn with_options<T>(
    data_dir: Option<PathBuf>,
    config: Option<&vae_train::config::DataConfig>,
    printer: &Printer,
    f: impl FnOnce(&Options) -> Result<T>,
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
    let options = Options {
        data_dir,
        image_size: config.and_then(|c| c.size),
        channels: config.and_then(|c| c.channels),
        progress: &report,
        ..Options::default()
    };
    let result = f(&options);
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
        Some(CheckpointArg::Best) => run.checkpoint(Which::Best),
        Some(CheckpointArg::Last) => run.checkpoint(Which::Last),
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
    let mut config = checkpoint.config.clone();
    config.data.source.clone_from(&checkpoint.data.source);
    let data = with_options(data_dir, Some(&config.data), printer, |options| {
        Ok(vae_train::data::load(&config, options)?)
    })?;
    fits(&data.train, checkpoint, &data.resolved.name)?;
    Ok(data)
}

/// One part of the data that `spec` names, or `all` of it.
pub fn part(spec: &str, split: &str, options: &Options) -> Result<(Resolved, Examples)> {
    let resolved = spec.parse::<Source>()?.resolve(options)?;
    let examples = match split {
        "all" => resolved.load_all(options)?,
        part => resolved.load(part.parse()?, options)?,
    };
    Ok((resolved, examples))
}

/// The examples that a reader's flags name: by default those of the model's own data, of which training
/// and validation examples are those of the run.
pub fn examples(
    args: &ReadArgs,
    checkpoint: &Checkpoint,
    printer: &Printer,
) -> Result<(Resolved, Examples)> {
    let spec = args.data.as_ref().unwrap_or(&checkpoint.data.source);
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
        with_options(args.data_dir.data_dir.clone(), Some(config), printer, |options| {
            part(spec, &args.split, options)
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
        resolved.origin
    ));
    Ok((resolved, examples))
}

/// Refuses what reads the encoder of a model whose objective trained none.
pub fn needs_encoder(checkpoint: &Checkpoint) -> Result<()> {
    if checkpoint.config.objective.trains_encoder() {
        return Ok(());
    }
    Err(request(
        "this model has no trained encoder: its objective, a critic on x, trained the decoder alone. \
         Sample from it, or train with objective.over = \"xz\" to have an encoder too",
    ))
}

/// Checks that a model can take `examples`.
pub fn fits(examples: &Examples, checkpoint: &Checkpoint, name: &str) -> Result<()> {
    let dims = examples.shape.dims();
    if dims != checkpoint.vae.input() {
        return Err(request(format!(
            "{name} holds examples of shape {dims:?}, the model was trained on {:?}: name other \
             data with --data",
            checkpoint.vae.input()
        )));
    }
    if checkpoint.vae.classes() > 0 {
        let classes = checkpoint.vae.classes();
        match examples.labels.as_ref().map(|labels| labels.iter().max()) {
            None => {
                return Err(request(format!(
                    "{name} has no labels, and the model is conditional on them: name labelled data \
                     with --data"
                )));
            }
            Some(Some(largest)) if *largest as usize >= classes => {
                return Err(request(format!(
                    "{name} has a class {largest}, the model knows 0 to {}: name other data with \
                     --data",
                    classes - 1
                )));
            }
            Some(_) => {}
        }
    }
    let bytes = matches!(examples.values, Values::Bytes(_));
    let pixels = matches!(checkpoint.transform, vae_data::Transform::Pixels(_));
    if bytes != pixels {
        return Err(request(format!(
            "{name} holds {}, the model was trained on {}",
            if bytes { "images" } else { "vectors" },
            if pixels { "images" } else { "vectors" }
        )));
    }
    Ok(())
}
