//! `export`: writes a model in the format of other programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use vae_export::onnx::OnnxExport;
use vae_export::weights;
use vae_model::{compatibility, write_atomically};
use vae_train::{Backend, Checkpoint, Run, presets};

use crate::args::CheckpointArg;
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::printer::Printer;

/// Write a model for other programs.
///
/// Weights have the names and layouts of PyTorch; docs/pytorch.md lists them. Configuration, shape of
/// the input and transform of the data are in the same file. docs/onnx.md says what the graphs take and
/// give.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    vae-cli export --format safetensors --out model.safetensors\n  \
    vae-cli export --format onnx --out onnx\n  \
    vae-cli export --run runs/flat --format hub --out flat-hub")]
pub struct ExportArgs {
    /// Folder of a run, or a .vae file [default: the newest run under runs/].
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Checkpoint of the run [default: best if the run has validation data, else last].
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<CheckpointArg>,
    /// What to write.
    #[arg(long, default_value = "safetensors", value_name = "FORMAT")]
    pub format: FormatArg,
    /// File or folder to write. Files that are there already are replaced.
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
}

/// A format of other programs, or a smaller one of this program.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// A file of weights.
    Safetensors,
    /// A folder for a model hub: model.safetensors, config.json, and README.md with the figures of
    /// the run.
    Hub,
    /// A folder with graphs for onnxruntime: encoder.onnx (x -> mean, log_var) and decoder.onnx
    /// (z -> x).
    Onnx,
    /// A .vae file without what only `train --resume` needs. With Adam it is a third as large or less.
    Vae,
}

impl FormatArg {
    /// Returns the ending of the name of its file. `None` for a folder.
    fn extension(self) -> Option<&'static str> {
        match self {
            Self::Safetensors => Some("safetensors"),
            Self::Vae => Some("vae"),
            Self::Hub | Self::Onnx => None,
        }
    }
}

impl Execute for ExportArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        self.check_out()?;
        let device = Backend::any_cpu()?.device;
        let (mut checkpoint, file) =
            open::checkpoint(self.run.as_deref(), self.checkpoint, &device, printer)?;
        let files = match self.format {
            FormatArg::Safetensors => {
                write(&self.out, &weights::to_safetensors(&checkpoint)?)?;
                vec![self.out.clone()]
            }
            FormatArg::Vae => {
                checkpoint.strip();
                checkpoint.write(&self.out)?;
                vec![self.out.clone()]
            }
            FormatArg::Hub => self.write_hub(&checkpoint, Path::new(&file))?,
            FormatArg::Onnx => self.write_onnx(&checkpoint, printer)?,
        };
        let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let out = self.out.display().to_string();
        printer.result(&files.join("\n"), || json!({ "out": out, "files": files, "model": file }))
    }
}

impl ExportArgs {
    /// Checks that the name of --out fits the format.
    fn check_out(&self) -> Result<()> {
        let path = self.out.display();
        match self.format.extension() {
            Some(expected) if self.out.extension().is_none_or(|found| found != expected) => {
                Err(request(format!("--out {path}: the name must end in .{expected}")))
            }
            None if self.out.is_file() => {
                Err(request(format!("--out {path}: this is a file, and a folder is written")))
            }
            _ => Ok(()),
        }
    }

    /// Writes the folder of the model in the checkpoint `file`. It has the name of its run, and the
    /// figures of the run's log.
    fn write_hub(&self, checkpoint: &Checkpoint, file: &Path) -> Result<Vec<PathBuf>> {
        let (name, log) = match run_of(file) {
            Some(run) if run.metrics().is_file() => (run.name(), run.history()?),
            Some(run) => (run.name(), Vec::new()),
            None => (file.file_stem().unwrap_or_default().to_string_lossy().into(), Vec::new()),
        };
        let files = weights::hub_files(checkpoint, &name, &log)?;
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        let mut written = Vec::new();
        for (name, bytes) in files {
            written.push(self.out.join(name));
            write(&self.out.join(name), &bytes)?;
        }
        Ok(written)
    }

    fn write_onnx(&self, checkpoint: &Checkpoint, printer: &Printer) -> Result<Vec<PathBuf>> {
        let encoder = compatibility::check_encoder(&checkpoint.config.objective.requirements());
        let export = OnnxExport {
            vae: &checkpoint.vae,
            transform: &checkpoint.transform,
            trains_encoder: encoder.is_ok(),
            metadata: metadata(checkpoint),
        };
        let files = export.write(&self.out)?;
        match (encoder, export.why_no_log_var()) {
            (Err(why), _) => printer.say(&format!("no encoder.onnx: {why}")),
            (Ok(()), Some(why)) => printer.say(&format!("no output log_var: {why}")),
            (Ok(()), None) => {}
        }
        Ok(files)
    }
}

/// Returns the run of a checkpoint, if the file is in one.
fn run_of(checkpoint: &Path) -> Option<Run> {
    let path = checkpoint.canonicalize().ok()?;
    let checkpoints = path.parent().filter(|folder| folder.ends_with("checkpoints"))?;
    checkpoints.parent().map(Run::new)
}

/// Writes a file atomically.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes).with_context(|| path.display().to_string())
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
