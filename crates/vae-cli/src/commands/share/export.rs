//! `export`: writes a trained model in the format of other programs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;
use vae_export::onnx::OnnxExport;
use vae_model::compatibility;
use vae_train::{Checkpoint, presets};

use crate::args::ModelArgs;
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::printer::Printer;

/// Write a trained model in the format of other programs.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli export --format onnx --out onnx\n  \
    vae-cli export --run runs/conv --checkpoint last --format onnx --out conv-onnx")]
pub struct ExportArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Format to write.
    #[arg(long, value_name = "FORMAT")]
    pub format: FormatArg,
    /// Where to write; for onnx a folder.
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
}

/// A format of other programs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// Graphs for onnxruntime: encoder.onnx (x -> mean, log_var) and decoder.onnx (z -> x).
    Onnx,
}

impl Execute for ExportArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        match self.format {
            FormatArg::Onnx => self.onnx(printer),
        }
    }
}

impl ExportArgs {
    fn onnx(&self, printer: &Printer) -> Result<()> {
        if self.out.is_file() {
            let path = self.out.display();
            return Err(request(format!("--out {path}: is a file; name a folder")));
        }
        let (_, checkpoint) = open::generator(&self.model, 0, printer)?;
        let encoder = compatibility::check_encoder(&checkpoint.config.objective.requirements());
        let export = OnnxExport {
            vae: &checkpoint.vae,
            transform: &checkpoint.transform,
            trains_encoder: encoder.is_ok(),
            metadata: metadata(&checkpoint),
        };
        let files = export.write(&self.out)?;
        match (encoder, export.why_no_log_var()) {
            (Err(why), _) => printer.say(&format!("no encoder.onnx: {why}")),
            (Ok(()), Some(why)) => printer.say(&format!("no output log_var: {why}")),
            (Ok(()), None) => {}
        }
        let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let out = self.out.display().to_string();
        printer.result(&files.join("\n"), || json!({ "out": out, "files": files }))
    }
}

/// Returns what a file says of its model: configuration, presets alike, version, names.
fn metadata(checkpoint: &Checkpoint) -> BTreeMap<String, String> {
    let presets = presets::alike(&checkpoint.config).join(", ");
    let names =
        |names: &[String]| if names.is_empty() { String::new() } else { json!(names).to_string() };
    let texts = [
        ("config", checkpoint.config.to_toml()),
        ("presets", presets),
        ("version", checkpoint.run.version.clone()),
        ("classes", names(&checkpoint.data.classes)),
        ("columns", names(checkpoint.data.settings.columns.as_deref().unwrap_or_default())),
    ];
    texts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| (key.to_owned(), text))
        .collect()
}
