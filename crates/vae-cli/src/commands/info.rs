//! `info`: what a run or a model file is.

use anyhow::Result;
use serde_json::{Value, json};
use vae_model::Condition;
use vae_model::parameters::parameters;
use vae_train::{Backend, Checkpoint};

use crate::args::InfoArgs;
use crate::axis::Chosen;
use crate::open;
use crate::printer::{Printer, count, table};

/// Tells.
pub fn run(args: &InfoArgs, printer: &Printer) -> Result<()> {
    let file = open::model_file(args.run.as_deref(), None)?;
    let backend = Backend::any_cpu()?;
    let c = Checkpoint::read(&file, &backend.device)?;
    let weights: usize = parameters(&c.vae).values().map(|p| p.values.len()).sum();
    let model = &c.config.model;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("file", file.display().to_string()),
        row("input", format!("{:?}", c.vae.shape())),
        row("encoder", model.encoder.summary()),
        row(
            "posterior",
            format!("{}, latent {}", Chosen::new(&model.posterior).text(), model.latent),
        ),
        row("prior", Chosen::of_prior(&c.config).text()),
        row("decoder", model.decoder.summary()),
        row("likelihood", Chosen::new(&model.likelihood).text()),
        row("objective", Chosen::new(&c.config.objective).text()),
        row("weights", count(weights)),
        row("data", format!("{}, {} examples", c.data.source, count(c.data.examples))),
        row("trained", format!("{} epochs, {} steps", c.progress.epoch, c.progress.step)),
        row("backend", format!("{} on {}", c.run.backend, c.run.device)),
        row("version", c.run.version.clone()),
    ];
    if model.condition == Condition::Label {
        rows.push(row("condition", format!("{} classes", c.vae.classes())));
    }
    if let Some(best) = c.progress.best {
        let text = format!("{best:.3} after epoch {}", c.progress.best_epoch);
        rows.push(row("validation", text));
    }
    if let Some(note) = &c.run.note {
        rows.push(row("note", note.clone()));
    }
    printer.result(&table(&rows), || {
        let config: Value = toml::from_str(&c.config.to_toml()).unwrap_or(Value::Null);
        json!({
            "file": file.display().to_string(),
            "input": c.vae.shape(),
            "weights": weights,
            "config": config,
            "data": c.data,
            "progress": c.progress,
            "run": c.run,
        })
    })
}
