//! `info`: describes a run or a model file.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use vae_model::parameters::parameters;
use vae_train::Backend;

use crate::commands::Execute;
use crate::open;
use crate::output::axis::choices;
use crate::output::printer::Printer;
use crate::output::text::{columns, with_commas};

/// Describe a run or a model file: architecture, data, progress.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli info\n  vae-cli info runs/flat --json")]
pub struct InfoArgs {
    /// Folder of a run, or a .vae file [default: the newest run under runs/].
    pub run: Option<PathBuf>,
}

impl Execute for InfoArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let backend = Backend::any_cpu()?;
        let (c, file) = open::checkpoint(self.run.as_deref(), None, &backend.device, printer)?;
        let weights: usize = parameters(&c.vae).values().map(|p| p.values.len()).sum();
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows =
            vec![row("file", file.clone()), row("input", format!("{:?}", c.vae.shape()))];
        rows.extend(choices(&c.config).into_iter().map(|(name, choice)| row(name, choice)));
        rows.push(row("weights", with_commas(weights)));
        let trained =
            row("trained", format!("{} epochs, {} steps", c.progress.epoch, c.progress.step));
        // An imported file need not say how it was trained.
        if c.data.examples > 0 {
            let data = format!("{}, {} examples", c.data.source, with_commas(c.data.examples));
            rows.extend([row("data", data), trained]);
        }
        rows.push(match &c.run.imported {
            Some(file) => row("imported", format!("from {file}")),
            None => row("backend", format!("{} on {}", c.run.backend, c.run.device)),
        });
        rows.push(row("version", c.run.version.clone()));
        if c.vae.classes() > 0 {
            rows.push(row("condition", format!("{} classes", c.vae.classes())));
        }
        if let Some(best) = c.progress.best {
            let text = format!("{best:.3} after epoch {}", c.progress.best_epoch);
            rows.push(row("validation", text));
        }
        if let Some(note) = &c.run.note {
            rows.push(row("note", note.clone()));
        }
        printer.result(&columns(&rows), || {
            let config: Value = match toml::from_str(&c.config.to_toml()) {
                Ok(config) => config,
                Err(e) => unreachable!("a configuration is read as it is written: {e}"),
            };
            json!({
                "file": file,
                "input": c.vae.shape(),
                "weights": weights,
                "config": config,
                "data": c.data,
                "progress": c.progress,
                "run": c.run,
            })
        })
    }
}
