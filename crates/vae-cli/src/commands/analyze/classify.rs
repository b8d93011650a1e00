//! `classify`: trains classifiers on a trained encoder from few labels, and applies a saved one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use vae_data::OpenedSource;
use vae_eval::classify::{Classification, Mode, SavedClassifier, accuracy};
use vae_eval::mean_and_interval;
use vae_model::classifier::FeatureLayer;

use crate::args::{ModelArgs, ReadArgs, count, learning_rate};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::array;
use crate::output::file::Format;
use crate::output::printer::Printer;
use crate::output::table::{self, Key};
use crate::output::text::{columns, with_commas};

/// Train a classifier on the encoder from few labels, or apply a saved one.
///
/// Trains on labelled training examples of the run, and prints the accuracy on the data that is
/// read. With --apply, classifies the data with a saved classifier; --run is then not used.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli classify --labels 10\n  \
    vae-cli classify --mode probe --features latent --seeds 10\n  \
    vae-cli classify --apply classifier.vae --data digits --predictions classes.npy")]
pub struct ClassifyArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// Number of labelled training examples per class.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = count)]
    pub labels: usize,
    /// Which weights are trained.
    #[arg(long, default_value = "all", value_name = "WHICH")]
    pub mode: ModeArg,
    /// Input of the new linear layer.
    #[arg(long, default_value = "trunk", value_name = "WHICH")]
    pub features: FeaturesArg,
    /// Number of repetitions, each with other labelled examples and other initial weights.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = count)]
    pub seeds: usize,
    /// Seed of the first repetition; the next ones count up.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Number of steps of Adam, on batches of at most 100 examples.
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = count)]
    pub steps: usize,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", value_parser = learning_rate)]
    pub learning_rate: f64,
    /// File to write the classifier of the first repetition to. With --mode all it is the
    /// fine-tuned classifier.
    #[arg(long, default_value = "classifier.vae", value_name = "PATH")]
    pub out: PathBuf,
    /// Classify the data with this saved classifier; nothing is trained.
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
    /// File to write the predicted classes to: .npy is an array with one i64 per example; .csv is a
    /// table. The first column of the table is the data.id_column of the data, or `index`.
    #[arg(long, value_name = "FILE", requires = "apply")]
    pub predictions: Option<PathBuf>,
}

/// Which weights of the classifier are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Train and compare the three modes below.
    All,
    /// Train the linear layer only; the encoder is frozen.
    Probe,
    /// Train the linear layer and the encoder.
    FineTune,
    /// Train the same network from initial weights, as a baseline.
    Scratch,
}

/// The input of the linear layer of a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FeaturesArg {
    /// The latent code: the mean of q(z|x).
    Latent,
    /// The last hidden layer of the encoder.
    Trunk,
}

impl Execute for ClassifyArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        if let Some(path) = &self.apply {
            return apply(self, path, printer);
        }
        if self.out.extension().is_none_or(|e| e != "vae") {
            let out = self.out.display();
            return Err(request(format!("--out {out}: the name must end in .vae")));
        }
        let (generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::require_encoder(&checkpoint)?;
        let (resolved, mut test) = open::examples(&self.read, &checkpoint, printer)?;
        if self.read.data.is_some() {
            test.number_classes_as(&checkpoint.data.classes)?;
        }
        let train =
            open::own_data(self.read.data_dir.data_dir.clone(), &checkpoint, printer)?.train;
        let task = Classification {
            vae: generator.vae,
            transform: generator.transform,
            device: generator.device,
            train,
            labels: Some(self.labels),
            features: match self.features {
                FeaturesArg::Latent => FeatureLayer::Latent,
                FeaturesArg::Trunk => FeatureLayer::Trunk,
            },
            steps: self.steps,
            learning_rate: self.learning_rate,
        };
        let modes: Vec<Mode> = match self.mode {
            ModeArg::All => Mode::ALL.to_vec(),
            ModeArg::Probe => vec![Mode::Probe],
            ModeArg::FineTune => vec![Mode::FineTune],
            ModeArg::Scratch => vec![Mode::Scratch],
        };
        let classes = task.spec()?.data().classes;
        let mut rows = Vec::new();
        let mut objects = Vec::new();
        let mut all = Vec::new();
        for mode in modes {
            let mut accuracies = Vec::new();
            for seed in (0..self.seeds as u64).map(|i| self.seed.wrapping_add(i)) {
                let classifier = task.train(mode, seed)?;
                let accuracy = accuracy(&task.classify(&classifier, &test)?, &test);
                let accuracy = accuracy.ok_or_else(|| {
                    request(format!(
                        "{}: the data has no labels, so there is no accuracy; name labelled data \
                         with --data",
                        resolved.name
                    ))
                })?;
                printer.detail(&format!("{} seed {seed}: {:.2} %", mode.name(), 100.0 * accuracy));
                accuracies.push(accuracy);
                // Of several modes the fine-tuned classifier is written, and of the seeds the
                // first.
                let kept = self.mode != ModeArg::All || mode == Mode::FineTune;
                if kept && seed == self.seed {
                    let transform = (*task.transform).clone();
                    let data = checkpoint.data.clone();
                    SavedClassifier { classifier, transform, data }.write(&self.out)?;
                }
            }
            let (mean, half) = mean_and_interval(&accuracies);
            let interval = half.map(|h| format!("+- {:.2}", 100.0 * h)).unwrap_or_default();
            rows.push(vec![mode.name().to_owned(), format!("{:6.2} %", 100.0 * mean), interval]);
            objects.push(json!({
                "mode": mode.name(), "accuracy": mean, "interval": half, "accuracies": accuracies,
            }));
            all.push((mode, accuracies));
        }
        // For each seed both modes use the same labelled examples, so their difference is paired:
        // it varies less than the accuracies.
        let of = |mode| all.iter().find(|(m, _)| *m == mode).map(|(_, accuracies)| accuracies);
        let mut gain = None;
        if let (Some(tuned), Some(scratch)) = (of(Mode::FineTune), of(Mode::Scratch)) {
            let pairs = tuned.iter().zip(scratch).map(|(a, b)| a - b).collect::<Vec<f64>>();
            let (mean, half) = mean_and_interval(&pairs);
            let interval = half.map(|h| format!("+- {:.2}", 100.0 * h)).unwrap_or_default();
            rows.push(vec![
                "fine-tune - scratch".into(),
                format!("{:6.2} %", 100.0 * mean),
                interval,
            ]);
            gain = Some(json!({ "accuracy": mean, "interval": half }));
        }
        let text = format!(
            "accuracy on {} examples of {} {}, {} labels per class, {classes} classes, 95 % \
             interval over {} seeds\n{}\n{}",
            with_commas(test.len()),
            resolved.name,
            self.read.split,
            self.labels,
            self.seeds,
            columns(&rows),
            self.out.display()
        );
        printer.result(&text, || {
            json!({
                "data": resolved.name, "split": self.read.split, "images": test.len(),
                "labels": self.labels, "classes": classes, "seeds": self.seeds,
                "results": objects, "fine_tune_minus_scratch": gain,
                "out": self.out.display().to_string(),
            })
        })
    }
}

/// Classifies the data that flags name with the classifier in `path`.
fn apply(args: &ClassifyArgs, path: &Path, printer: &Printer) -> Result<()> {
    let format = match &args.predictions {
        Some(path) => Some((path, Format::require_numbers("--predictions", path)?)),
        None => None,
    };
    let backend = open::backend(&args.model.backend, printer)?;
    let saved = SavedClassifier::read(path, &backend.device)?;
    let data_dir = args.read.data_dir.data_dir.clone();
    let data = saved.classifier.spec().data();
    let mut settings = saved.data.settings.clone();
    // Images whose size is a setting get the shape that the classifier was trained on.
    if let &[channels, height, width] = data.shape.as_slice() {
        (settings.size, settings.channels) = (Some((height, width)), Some(channels));
    }
    let spec = args.read.data.as_ref().unwrap_or(&saved.data.source);
    let (resolved, mut examples) = open::with_environment(data_dir, printer, |environment| {
        let opened = OpenedSource::open_other(spec, &settings, environment)?;
        let mut examples = open::split(&opened, &args.read.split, environment)?;
        // Model files of version 0.1.0 have no class names.
        if args.read.data.is_some() && !saved.data.classes.is_empty() {
            examples.number_classes_as(&saved.data.classes)?;
        }
        Ok((opened, examples))
    })?;
    if let Some(limit) = args.read.limit {
        examples.truncate(limit);
    }
    let predicted =
        saved.classify(&examples, &backend.device).with_context(|| resolved.name.clone())?;
    let accuracy = accuracy(&predicted, &examples);
    match format {
        Some((path, Format::Csv)) => {
            let rows = predicted.iter().map(|label| [label]);
            let key = Key::of(&resolved, &examples);
            table::write(path, &key, &["class".to_owned()], rows)?;
        }
        Some((path, _)) => {
            let labels: Vec<i64> = predicted.iter().map(|label| i64::from(*label)).collect();
            array::write(path, &[labels.len()], &labels)?;
        }
        None => {}
    }
    let what = format!(
        "{} examples of {} {}",
        with_commas(predicted.len()),
        resolved.name,
        args.read.split
    );
    let text = match accuracy {
        Some(accuracy) => format!("accuracy {:.2} % on {what}", 100.0 * accuracy),
        None => format!("{what} classified; the data has no labels, so there is no accuracy"),
    };
    printer.result(&text, || {
        json!({
            "data": resolved.name, "split": args.read.split, "images": predicted.len(),
            "accuracy": accuracy,
        })
    })
}
