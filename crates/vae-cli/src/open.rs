//! From flags to what they name: backend, data, model, class.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use burn::tensor::Device;
use indicatif::HumanBytes;
use vae_data::source::{InMemory, Parts, Progress};
use vae_data::{Environment, Examples, OpenedSource, SourceSettings, Split};
use vae_eval::{FeatureNetwork, Generator, PriorSource};
use vae_model::{ModelFile, Vae, compatibility};
use vae_train::data::TrainingData;
use vae_train::{Backend, Checkpoint, CheckpointKind, Override, Run};

use crate::args::{BackendArgs, CheckpointArg, ModelArgs, ReadArgs};
use crate::failure::request;
use crate::output::printer::Printer;
use crate::output::progress::Bar;
use crate::output::text::with_commas;

/// The folder of runs.
pub const RUNS: &str = "runs";

/// Opens the backend that flags name. With `-v` its name is printed.
pub fn backend(args: &BackendArgs, printer: &Printer) -> Result<Backend> {
    let backend = args.open()?;
    printer.detail(&format!("backend: {} on {}", backend.spec, backend.note));
    Ok(backend)
}

/// Parses the values of `--set`: `KEY.PATH=VALUE` each.
///
/// # Errors
/// If a value has another form.
pub fn overrides(arguments: &[String]) -> Result<Vec<Override>> {
    let parse =
        |text: &String| Ok(Override { origin: format!("--set {text}"), ..Override::set(text)? });
    arguments.iter().map(parse).collect()
}

/// Calls `f` with the environment of data sources. Downloads show a progress bar.
pub fn with_environment<T>(
    data_dir: Option<PathBuf>,
    printer: &Printer,
    f: impl FnOnce(&Environment) -> Result<T>,
) -> Result<T> {
    // The file that is being downloaded, and its bar.
    let download: RefCell<Option<(&'static str, Bar)>> = RefCell::new(None);
    let finish = |download: Option<(&'static str, Bar)>| {
        if let Some((_, bar)) = download {
            bar.finish();
        }
    };
    let report = |progress: Progress| {
        let mut download = download.borrow_mut();
        if download.as_ref().is_none_or(|(file, _)| *file != progress.file) {
            finish(download.take());
            *download = Some((progress.file, Bar::new(printer, progress.total, 0)));
        }
        if let Some((file, bar)) = &*download {
            bar.set_position(progress.done);
            bar.set_message(|| {
                format!("{file}  {} of {}", HumanBytes(progress.done), HumanBytes(progress.total))
            });
        }
    };
    let environment = Environment { data_dir, progress: &report, ..Environment::default() };
    let result = f(&environment);
    finish(download.take());
    result
}

/// Returns the path of the `.vae` file that flags name.
///
/// # Errors
/// If there is none; the message says how to make one.
fn model_file(run: Option<&Path>, checkpoint: Option<CheckpointArg>) -> Result<PathBuf> {
    let run = match run {
        Some(file) if file.is_file() => {
            return match checkpoint {
                None => Ok(file.to_owned()),
                Some(_) => Err(request(format!(
                    "{}: --checkpoint chooses a checkpoint of a run, and this is a file: leave \
                     --checkpoint out",
                    file.display()
                ))),
            };
        }
        Some(folder) if folder.is_dir() => Run::new(folder),
        Some(missing) => {
            return Err(request(format!(
                "{}: there is no such folder or file; `vae-cli runs` lists the runs",
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
                "this run has no best checkpoint, because it has no validation data; use \
                 --checkpoint last, or train with --set data.validation=N or data.own_validation=true"
            }
            _ => "this folder holds no checkpoint; `vae-cli runs` lists the runs",
        };
        return Err(request(format!("{}: {why}", run.folder().display())));
    }
    Ok(file)
}

/// The model that comes with the program: `model/digits.toml` says how it was made.
const BUILT_IN: &[u8] = include_bytes!("../model/digits.vae");
/// Its name in messages.
const BUILT_IN_NAME: &str = "the model that comes with the program";

/// Checks that the losses of two models can be compared on what `read` names.
///
/// # Errors
/// If the shapes or the values of x of the two differ, if they were trained on different data and `read` names
/// none, or if only one likelihood is a density or depends on labels.
pub fn check_comparable(first: &Checkpoint, other: &Checkpoint, read: &ReadArgs) -> Result<()> {
    let [one, two] = [first, other].map(|checkpoint| checkpoint.vae.shape());
    if one != two {
        return Err(request(format!(
            "the two models read examples of different shapes, {one:?} and {two:?}, so their losses cannot be \
             compared: leave one of them out"
        )));
    }
    if other.transform != first.transform {
        return Err(request(
            "the two models were trained on different values of x (data.pixels, data.scale), so their \
             likelihoods cannot be compared: use runs with the same settings",
        ));
    }
    let (one, two) = (&first.data, &other.data);
    // Of weights of other programs the data are not known.
    let are_known = ![one, two].iter().any(|data| data.fingerprint.is_empty());
    let differ = are_known && one.fingerprint != two.fingerprint;
    if read.data.is_none() && differ && one.source != two.source {
        return Err(request(format!(
            "the two models were trained on different data, or on different binarizations of them, {} and {}: \
             name with --data what both are to be evaluated on",
            one.source, two.source
        )));
    }
    // Which examples of a source are for training. The seed chooses those that are held out.
    let part = |checkpoint: &Checkpoint| {
        let (data, seed) = (&checkpoint.config.data, checkpoint.config.train.seed);
        (data.limit, data.validation, (data.validation > 0).then_some(seed))
    };
    let is_same_part = one.settings == two.settings && part(first) == part(other);
    if read.data.is_none() && differ && is_same_part {
        return Err(request(format!(
            "{} has changed: the two models were trained on different examples of it (hashes {} and {}); name \
             with --data what both are to be evaluated on",
            one.source, one.fingerprint, two.fingerprint
        )));
    }
    Ok(compatibility::check_comparable(first.vae.config(), other.vae.config())?)
}

/// Checks that a split has the same examples for all runs: that no run was trained on what another held out.
/// `what` begins the error.
///
/// # Errors
/// If it may not.
pub fn check_split_of_several(read: &ReadArgs, what: &str) -> Result<()> {
    if ["test", "all"].contains(&read.split.as_str()) {
        return Ok(());
    }
    let split = &read.split;
    Err(request(format!(
        "{what}: the {split} part may not be the same for all runs, so one model may have been trained on \
         what another held out: replace --split {split} by --split test"
    )))
}

/// Reads the checkpoint that flags name. Before the first run it is the model that comes with the
/// program. Returns what was read, too.
///
/// # Errors
/// If there is no such checkpoint, or if it cannot be read.
pub fn checkpoint(
    run: Option<&Path>,
    which: Option<CheckpointArg>,
    device: &Device,
    printer: &Printer,
) -> Result<(Checkpoint, String)> {
    if run.is_none() && which.is_none() && Run::all(Path::new(RUNS)).is_empty() {
        printer.say(&format!(
            "there is no run under {RUNS}/ yet: this is {BUILT_IN_NAME}; `vae-cli train` trains another"
        ));
        let name = Path::new(BUILT_IN_NAME);
        let file = ModelFile::read_bytes(BUILT_IN.to_vec(), name)?;
        return Ok((Checkpoint::of_file(&file, name, device)?, BUILT_IN_NAME.to_owned()));
    }
    let file = model_file(run, which)?;
    Ok((Checkpoint::read(&file, device)?, file.display().to_string()))
}

/// Returns the newest run under `runs/`.
///
/// # Errors
/// If there is none; the message says how to make one.
pub fn newest_run() -> Result<Run> {
    Run::all(Path::new(RUNS)).into_iter().next().ok_or_else(|| {
        request(format!(
            "there is no trained model under {RUNS}/: train one with\n\n    vae-cli train\n\nor \
             name the folder of a run with --run DIR"
        ))
    })
}

/// Reads the model that flags name and returns it as a generator, with the checkpoint it came from.
pub fn generator(
    args: &ModelArgs,
    seed: u64,
    printer: &Printer,
) -> Result<(Generator, Checkpoint)> {
    let Model { generator, checkpoint, .. } = model(args, seed, printer)?;
    Ok((generator, checkpoint))
}

/// A model that flags name.
pub struct Model {
    /// It generates examples.
    pub generator: Generator,
    /// What the file holds.
    pub checkpoint: Checkpoint,
    /// The file, and how long the model in it was trained.
    pub name: String,
    /// What it is computed on.
    pub backend: String,
}

/// Reads the model that flags name.
pub fn model(args: &ModelArgs, seed: u64, printer: &Printer) -> Result<Model> {
    let backend = backend(&args.backend, printer)?;
    let (checkpoint, name) =
        checkpoint(args.run.as_deref(), args.checkpoint, &backend.device, printer)?;
    let progress = &checkpoint.progress;
    let name = format!("{name}, epoch {}, step {}", progress.epoch, progress.step);
    printer.detail(&format!("model: {name}"));
    let spec = backend.spec.clone();
    let generator = Generator {
        vae: checkpoint.vae.clone(),
        transform: Arc::new(checkpoint.transform.clone()),
        device: backend.device,
        seed,
        prior: checkpoint.prior_source(),
    };
    Ok(Model { generator, checkpoint, name, backend: spec })
}

/// Makes sure that z can be drawn: from N(0, I) if no prior is known. Warns if the model was trained
/// without a prior, and z is not drawn from a fitted one.
pub fn ensure_prior(generator: &mut Generator, checkpoint: &Checkpoint, printer: &Printer) {
    let prior = generator.prior.get_or_insert(PriorSource::Standard);
    if !checkpoint.config.matches_prior() && !matches!(prior, PriorSource::Fitted(_)) {
        printer.warn(
            "this model was trained without a prior: z is drawn from N(0, I), which the codes of \
             the model need not follow",
        );
    }
}

/// Loads the data that a model was trained on, with the same limit and the same validation
/// examples.
pub fn own_data(
    data_dir: Option<PathBuf>,
    checkpoint: &Checkpoint,
    printer: &Printer,
) -> Result<TrainingData> {
    let config = checkpoint.config.clone().with_source(&checkpoint.data.source);
    let data = with_environment(data_dir, printer, |environment| {
        Ok(vae_train::data::load(&config, environment)?)
    })?;
    check_examples(&data.train, checkpoint, &data.resolved.name)?;
    Ok(data)
}

/// Reads a split of a source; `all` reads the whole source.
pub fn split(source: &OpenedSource, split: &str, environment: &Environment) -> Result<Examples> {
    Ok(match split {
        "all" => source.read_all(environment)?,
        split => source.read(split.parse()?, environment)?,
    })
}

/// The network whose features tell how samples compare with examples.
pub enum Features {
    /// It is in the cache.
    Cached(Box<FeatureNetwork>),
    /// It is still to be trained, on these examples, and kept in this file if there is a cache.
    Untrained(Arc<Examples>, Option<PathBuf>),
}

/// Looks for the network of the training split of `source` in the cache.
///
/// # Errors
/// If the data cannot have one, if `examples` are too few, or if the file in the cache is damaged.
pub fn cached_feature_network(
    data_dir: Option<PathBuf>,
    source: &OpenedSource,
    examples: &Examples,
    printer: &Printer,
) -> Result<Features> {
    with_environment(data_dir, printer, |environment| {
        let train = Arc::new(source.read(Split::Train, environment)?);
        FeatureNetwork::check(&train, train.class_count())?;
        FeatureNetwork::check_compared(examples)?;
        let name = FeatureNetwork::name(source, &train);
        let file = environment.features_file(&name);
        let Some(found) = file.as_ref().filter(|file| file.is_file()) else {
            return Ok(Features::Untrained(train, file));
        };
        // The same network whatever the model is computed on.
        let device = Backend::any_cpu()?.device;
        let network = FeatureNetwork::read(found, name, &train, &device).with_context(
            || "the cached classifier cannot be used: delete its file, and it is trained again",
        )?;
        Ok(Features::Cached(Box::new(network)))
    })
}

/// Returns the network whose features tell how samples compare with `examples`: that of the cache, or one that is
/// trained now on the training split of `source`.
///
/// # Errors
/// The errors of [`cached_feature_network`].
pub fn feature_network(
    data_dir: Option<PathBuf>,
    source: &OpenedSource,
    examples: &Examples,
    printer: &Printer,
) -> Result<FeatureNetwork> {
    let found = cached_feature_network(data_dir, source, examples, printer)?;
    if let Some(doubt) = FeatureNetwork::doubt(FeatureNetwork::compared(examples)) {
        printer.warn(&doubt);
    }
    let (train, file) = match found {
        Features::Cached(network) => return Ok(*network),
        Features::Untrained(train, file) => (train, file),
    };
    printer.say(&format!("training the classifier {}, once", FeatureNetwork::name(source, &train)));
    let network = FeatureNetwork::train(source, &train, &Backend::any_cpu()?.device)?;
    if let Some(file) = file {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        network.write(&file)?;
        printer.say(&format!("kept as {}", file.display()));
    }
    Ok(network)
}

/// Returns the settings to read data for a model: those of its training. The columns of a table are
/// those that the model was trained on.
fn source_settings(checkpoint: &Checkpoint) -> SourceSettings {
    let mut settings = checkpoint.config.data.source_settings();
    if let Some(columns) = &checkpoint.data.settings.columns {
        settings.columns = Some(columns.clone());
        settings.drop_columns = Vec::new();
    }
    settings
}

/// Reads the examples that flags name. Without `--data` they are from the data of the model; its
/// training and validation examples are then those of the run.
///
/// # Errors
/// If the data cannot be read, or the model cannot read them.
pub fn examples(
    args: &ReadArgs,
    checkpoint: &Checkpoint,
    printer: &Printer,
) -> Result<(OpenedSource, Examples)> {
    let config = &checkpoint.config.data;
    let of_the_run = match args.split.as_str() {
        "train" => args.data.is_none(),
        "validation" => args.data.is_none() && config.has_validation(),
        _ => false,
    };
    let (resolved, mut examples) = if of_the_run {
        let data = own_data(args.data_dir.data_dir.clone(), checkpoint, printer)?;
        let part = if args.split == "train" { Some(data.train) } else { data.validation };
        let part =
            part.ok_or_else(|| request("--split validation: the run has no validation data"))?;
        (data.resolved, Arc::unwrap_or_clone(part))
    } else {
        with_environment(args.data_dir.data_dir.clone(), printer, |environment| {
            let opened = open_source(args, checkpoint, environment)?;
            let mut examples = split(&opened, &args.split, environment)?;
            number_classes(&mut examples, args, checkpoint)?;
            Ok((opened, examples))
        })?
    };
    check_examples(&examples, checkpoint, &resolved.name)?;
    if let Some(limit) = args.limit {
        examples.truncate(limit);
    }
    if examples.is_empty() {
        return Err(no_examples(&resolved.name));
    }
    printer.detail(&format!(
        "data: {} {} examples of {} ({})",
        with_commas(examples.len()),
        args.split,
        resolved.name,
        resolved.location
    ));
    Ok((resolved, examples))
}

/// Opens the source that flags name, or that of the model.
fn open_source(
    args: &ReadArgs,
    checkpoint: &Checkpoint,
    environment: &Environment,
) -> Result<OpenedSource> {
    let settings = source_settings(checkpoint);
    Ok(match &args.data {
        Some(other) => OpenedSource::open_other(other, &settings, environment)?,
        None => OpenedSource::open(&checkpoint.data.source, &settings, environment)?,
    })
}

/// Numbers the classes of other data as those of the model.
fn number_classes(examples: &mut Examples, args: &ReadArgs, checkpoint: &Checkpoint) -> Result<()> {
    // Model files of version 0.1.0 have no class names.
    let names = &checkpoint.data.classes;
    if args.data.is_some() && checkpoint.vae.classes() > 0 && !names.is_empty() {
        examples.number_classes_as(names)?;
    }
    Ok(())
}

fn no_examples(name: &str) -> anyhow::Error {
    request(format!(
        "{name}: there are no examples to read; name other data with --data, or raise --limit"
    ))
}

/// The examples that flags name, read a part at a time.
pub struct PartReader<'a> {
    /// The source of the examples.
    pub source: OpenedSource,
    parts: Box<dyn Parts>,
    args: &'a ReadArgs,
    checkpoint: &'a Checkpoint,
    /// Examples that are read.
    done: usize,
}

/// Opens the examples that flags name, to read them a part at a time. All examples of a file are not
/// in memory as a whole; a split is, because its examples are chosen from all of them.
///
/// # Errors
/// The errors of [`examples`]. Those of all examples come when they are read.
pub fn parts<'a>(
    args: &'a ReadArgs,
    checkpoint: &'a Checkpoint,
    printer: &Printer,
) -> Result<PartReader<'a>> {
    let (source, parts): (_, Box<dyn Parts>) = if args.split == "all" {
        with_environment(args.data_dir.data_dir.clone(), printer, |environment| {
            let source = open_source(args, checkpoint, environment)?;
            let parts = source.parts(environment)?;
            printer.detail(&format!("data: all of {} ({})", source.name, source.location));
            Ok((source, parts))
        })?
    } else {
        let (source, examples) = examples(args, checkpoint, printer)?;
        (source, Box::new(InMemory::new(examples)))
    };
    Ok(PartReader { source, parts, args, checkpoint, done: 0 })
}

impl PartReader<'_> {
    /// Returns the next `most` examples. There are fewer only at the end, and `None` after it.
    ///
    /// # Errors
    /// If they cannot be read, if the model cannot read them, or if there are none at all.
    pub fn next(&mut self, most: usize) -> Result<Option<Examples>> {
        let left = self.args.limit.unwrap_or(usize::MAX) - self.done;
        let part = if left == 0 { None } else { self.parts.next(most.min(left))? };
        let Some(mut examples) = part else {
            return if self.done == 0 { Err(no_examples(&self.source.name)) } else { Ok(None) };
        };
        number_classes(&mut examples, self.args, self.checkpoint)?;
        check_examples(&examples, self.checkpoint, &self.source.name)?;
        self.done += examples.len();
        Ok(Some(examples))
    }
}

/// Checks that the encoder of a model was trained.
///
/// # Errors
/// If its objective trains no encoder.
pub fn require_encoder(checkpoint: &Checkpoint) -> Result<()> {
    Ok(compatibility::check_encoder(&checkpoint.config.objective.requirements())?)
}

/// Checks that a model can read `examples` of the data called `name`.
///
/// # Errors
/// If shape, labels or values do not fit.
pub fn check_examples(examples: &Examples, checkpoint: &Checkpoint, name: &str) -> Result<()> {
    vae_eval::check_examples(checkpoint.vae.spec(), &checkpoint.transform, examples)
        .with_context(|| name.to_owned())
}

/// Checks the class that `--label` names. A model has classes if its encoder and decoder depend on
/// labels (`model.condition`) or its prior does (`model.prior.condition`).
///
/// # Errors
/// If the model has no such class.
pub fn check_label(label: Option<u32>, vae: &Vae) -> Result<()> {
    let classes = vae.classes();
    match label {
        Some(_) if classes == 0 => Err(request(
            "--label: this model has no classes; leave --label out, or train a model with --set \
             model.condition=label or --set model.prior.condition=label",
        )),
        Some(label) if label as usize >= classes => Err(request(format!(
            "--label {label}: the classes of this model are 0 to {}",
            classes - 1
        ))),
        _ => Ok(()),
    }
}

/// Returns whether the decoder of a model depends on the class.
pub fn has_conditional_decoder(vae: &Vae) -> bool {
    vae.config().conditions_networks()
}

/// Checks that there is an example of this index.
///
/// # Errors
/// If there is none; the message says which there are.
pub fn check_index(index: usize, examples: &Examples, args: &ReadArgs) -> Result<()> {
    if index < examples.len() {
        return Ok(());
    }
    Err(request(format!(
        "there is no example {index}: {} examples of the {} part are read, 0 to {}",
        examples.len(),
        args.split,
        examples.len() - 1
    )))
}

/// Checks that `n` generated examples can be held in memory.
///
/// # Errors
/// If they cannot.
pub fn check_size(n: usize, vae: &Vae) -> Result<()> {
    const MAX_NUMBERS: usize = 1 << 29;
    if n.saturating_mul(vae.numbers()) > MAX_NUMBERS {
        return Err(request(format!(
            "{n} examples of {} numbers each do not fit in memory: ask for at most {}",
            vae.numbers(),
            MAX_NUMBERS / vae.numbers()
        )));
    }
    Ok(())
}
