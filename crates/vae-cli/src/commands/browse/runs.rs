//! `runs`: lists the runs under a folder, newest first.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use vae_train::Run;

use crate::commands::Execute;
use crate::output::printer::Printer;
use crate::output::text::columns;

/// List the runs, newest first, with their last losses.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli runs\n  vae-cli runs --json")]
pub struct RunsArgs {
    /// Folder of the runs.
    #[arg(default_value = "runs")]
    pub root: PathBuf,
}

impl Execute for RunsArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let runs = Run::all(&self.root);
        if runs.is_empty() {
            printer.say(&format!("there are no runs under {}", self.root.display()));
        }
        let mut rows = vec![
            ["run", "epoch", "step", "train loss", "validation loss"].map(String::from).to_vec(),
        ];
        let mut objects = Vec::new();
        for run in &runs {
            let train = run.last_metrics("train");
            let validation = run.last_metrics("validation");
            let get = |m: &Option<serde_json::Map<String, Value>>, key: &str| {
                m.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or(Value::Null)
            };
            let nats = |v: &Value| v.as_f64().map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
            let whole = |v: &Value| v.as_u64().map_or_else(|| "-".to_owned(), |v| v.to_string());
            rows.push(vec![
                run.name(),
                whole(&get(&train, "epoch")),
                whole(&get(&train, "step")),
                nats(&get(&train, "loss")),
                nats(&get(&validation, "loss")),
            ]);
            objects.push(json!({
                "run": run.folder().display().to_string(),
                "epoch": get(&train, "epoch"),
                "step": get(&train, "step"),
                "train_loss": get(&train, "loss"),
                "validation_loss": get(&validation, "loss"),
            }));
        }
        let text = if runs.is_empty() { String::new() } else { columns(&rows) };
        printer.result(&text, || json!({ "runs": objects }))
    }
}
