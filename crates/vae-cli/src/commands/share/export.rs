//! `export`: writes a model in the format of other programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use vae_export::weights;
use vae_model::write_atomically;
use vae_train::{Backend, Checkpoint, Run};

use crate::args::CheckpointArg;
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::printer::Printer;

/// Write a model for other programs.
///
/// Names and layouts of the weights are those of PyTorch; docs/pytorch.md lists them. Configuration,
/// shape of the input and transform of the data are in the same file.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli export --out model.safetensors\n  \
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

/// A format of other programs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// A file of weights.
    Safetensors,
    /// A folder for a model hub: model.safetensors, config.json, and README.md with the figures of
    /// the run.
    Hub,
}

impl Execute for ExportArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        if let FormatArg::Safetensors = self.format
            && self.out.extension().is_none_or(|extension| extension != "safetensors")
        {
            let path = self.out.display();
            return Err(request(format!("--out {path}: the name must end in .safetensors")));
        }
        let file = open::model_file(self.run.as_deref(), self.checkpoint)?;
        let checkpoint = Checkpoint::read(&file, &Backend::any_cpu()?.device)?;
        match self.format {
            FormatArg::Safetensors => {
                write(&self.out, &weights::to_safetensors(&checkpoint)?)?;
            }
            FormatArg::Hub => self.write_hub(&checkpoint, &file)?,
        }
        let out = self.out.display().to_string();
        printer.result(&out, || json!({ "out": out, "model": file.display().to_string() }))
    }
}

impl ExportArgs {
    /// Writes the folder of the model in the checkpoint `file`. It has the name of its run, and the
    /// figures of the run's log.
    fn write_hub(&self, checkpoint: &Checkpoint, file: &Path) -> Result<()> {
        if self.out.is_file() {
            let path = self.out.display();
            return Err(request(format!("--out {path}: this is a file, and a folder is written")));
        }
        let (name, log) = match run_of(file) {
            Some(run) if run.metrics().is_file() => (run.name(), run.history()?),
            Some(run) => (run.name(), Vec::new()),
            None => (file.file_stem().unwrap_or_default().to_string_lossy().into(), Vec::new()),
        };
        let files = weights::hub_files(checkpoint, &name, &log)?;
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        for (name, bytes) in files {
            write(&self.out.join(name), &bytes)?;
        }
        Ok(())
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
