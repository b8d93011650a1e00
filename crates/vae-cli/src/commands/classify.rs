//! `classify`: classifiers on a trained encoder from few labels, and what a saved one reads.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use vae_data::OpenedSource;
use vae_eval::classify::{Classification, Mode, SavedClassifier, accuracy};
use vae_eval::mean_and_interval;
use vae_model::classifier::FeatureLayer;

use super::Form;
use crate::args::{ClassifyArgs, FeaturesArg, ModeArg};
use crate::failure::request;
use crate::open;
use crate::printer::{Printer, count, table};
use crate::table::Key;

/// Classifies.
pub fn run(args: &ClassifyArgs, printer: &Printer) -> Result<()> {
    if let Some(path) = &args.apply {
        return apply(args, path, printer);
    }
    if args.out.extension().is_none_or(|e| e != "vae") {
        let out = args.out.display();
        return Err(request(format!("--out {out}: the name must end in .vae")));
    }
    let (generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    open::needs_encoder(&checkpoint)?;
    let (resolved, mut test) = open::examples(&args.read, &checkpoint, printer)?;
    if args.read.data.is_some() {
        test.number_classes_as(&checkpoint.data.classes)?;
    }
    let train = open::own_data(args.read.data_dir.data_dir.clone(), &checkpoint, printer)?.train;
    let task = Classification {
        vae: generator.vae,
        transform: generator.transform,
        device: generator.device,
        train,
        labels: args.labels,
        features: match args.features {
            FeaturesArg::Latent => FeatureLayer::Latent,
            FeaturesArg::Trunk => FeatureLayer::Trunk,
        },
        steps: args.steps,
        learning_rate: args.learning_rate,
    };
    let modes: Vec<Mode> = match args.mode {
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
        for seed in (0..args.seeds as u64).map(|i| args.seed.wrapping_add(i)) {
            let classifier = task.train(mode, seed)?;
            let found = accuracy(&task.classify(&classifier, &test), &test);
            let found = found.ok_or_else(|| request("the data to evaluator on has no labels"))?;
            printer.detail(&format!("{} seed {seed}: {:.2} %", mode.name(), 100.0 * found));
            accuracies.push(found);
            // Of several the fine-tuned one is kept, and of the seeds the first.
            let kept = args.mode != ModeArg::All || mode == Mode::FineTune;
            if kept && seed == args.seed {
                let transform = (*task.transform).clone();
                let data = checkpoint.data.clone();
                SavedClassifier { classifier, transform, data }.write(&args.out)?;
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
    // Every mode has seen the same labels, seed by seed: their differences vary less than they do.
    let of = |mode| all.iter().find(|(m, _)| *m == mode).map(|(_, accuracies)| accuracies);
    let mut gain = None;
    if let (Some(tuned), Some(scratch)) = (of(Mode::FineTune), of(Mode::Scratch)) {
        let pairs = tuned.iter().zip(scratch).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let (mean, half) = mean_and_interval(&pairs);
        let interval = half.map(|h| format!("+- {:.2}", 100.0 * h)).unwrap_or_default();
        rows.push(vec!["fine-tune - scratch".into(), format!("{:6.2} %", 100.0 * mean), interval]);
        gain = Some(json!({ "accuracy": mean, "interval": half }));
    }
    let text = format!(
        "accuracy on {} images of {} {}, {} labels of each of {classes} classes, 95 % interval over {} \
         seeds\n{}\n{}",
        count(test.len()),
        resolved.name,
        args.read.split,
        args.labels,
        args.seeds,
        table(&rows),
        args.out.display()
    );
    printer.result(&text, || {
        json!({
            "data": resolved.name, "split": args.read.split, "images": test.len(),
            "labels": args.labels, "classes": classes, "seeds": args.seeds,
            "results": objects, "fine_tune_minus_scratch": gain, "out": args.out.display().to_string(),
        })
    })
}

/// What a saved classifier reads.
fn apply(args: &ClassifyArgs, path: &Path, printer: &Printer) -> Result<()> {
    let form = match &args.predictions {
        Some(path) => Some((path, Form::require_numbers("--predictions", path)?)),
        None => None,
    };
    let backend = open::backend(&args.model.backend, printer)?;
    let saved = SavedClassifier::read(path, &backend.device)?;
    let data_dir = args.read.data_dir.data_dir.clone();
    let data = saved.classifier.spec().data();
    let mut settings = saved.data.settings.clone();
    // Pictures of a folder are brought to the size and channels of those that it was trained on.
    if let &[channels, height, width] = data.shape.as_slice() {
        (settings.size, settings.channels) = (Some((height, width)), Some(channels));
    }
    let spec = args.read.data.as_ref().unwrap_or(&saved.data.source);
    let (resolved, mut examples) = open::with_environment(data_dir, printer, |environment| {
        let opened = OpenedSource::open_other(spec, &settings, environment)?;
        let mut examples = open::split(&opened, &args.read.split, environment)?;
        // Files of 0.1.0 have no names of classes.
        if args.read.data.is_some() && !saved.data.classes.is_empty() {
            examples.number_classes_as(&saved.data.classes)?;
        }
        Ok((opened, examples))
    })?;
    if let Some(limit) = args.read.limit {
        examples.truncate(limit);
    }
    if data.shape != examples.shape.dims() {
        return Err(request(format!(
            "{}: the classifier reads examples of shape {:?}, these are {:?}: name other data with \
             --data",
            resolved.name,
            data.shape,
            examples.shape.dims()
        )));
    }
    saved.transform.check(&examples).with_context(|| resolved.name.clone())?;
    let read = saved.classify(&examples, &backend.device);
    let found = accuracy(&read, &examples);
    match form {
        Some((path, Form::Csv)) => {
            let rows = read.iter().map(|label| [label]);
            let key = Key::of(&resolved, &examples);
            crate::table::write(path, &key, &["class".to_owned()], rows)?;
        }
        Some((path, _)) => {
            let labels: Vec<i64> = read.iter().map(|label| i64::from(*label)).collect();
            crate::array::write(path, &[labels.len()], &labels)?;
        }
        None => {}
    }
    let what = format!("{} images of {} {}", count(read.len()), resolved.name, args.read.split);
    let text = match found {
        Some(found) => format!("{:.2} % of {what} read right", 100.0 * found),
        None => format!("{what} read; their labels are not known"),
    };
    printer.result(&text, || {
        json!({
            "data": resolved.name, "split": args.read.split, "images": read.len(),
            "accuracy": found,
        })
    })
}
