//! `import`: makes a run from the weights of another program.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde_json::json;
use vae_export::weights::{Input, NameMap, WeightFile, import};
use vae_train::{Backend, CheckpointKind, Run, TrainConfig, ValidConfig, presets};

use crate::args::count;
use crate::commands::Execute;
use crate::failure::request;
use crate::open::{self, RUNS};
use crate::output::printer::Printer;
use crate::output::text::quoted;

/// Make a run from the weights of another program.
///
/// Reads a safetensors file, or a state dict that torch.save wrote (.pt, .pth). The pickle in such a
/// file is never run, and one with anything but tensors is refused. All commands can use the run, except
/// those that need a training: `train --resume`, `curves` and `report`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli import vae.pt --config mnist-mlp\n  \
    vae-cli import other.safetensors --config my.toml --map names.toml --out runs/other\n  \
    vae-cli import exported.safetensors\n\n\
    The names of tensors are those of `export` (docs/pytorch.md). --map FILE renames others:\n  \
    \"their.weight\" = \"encoder.layers.0.weight\"\n\
    fc1, fc21, fc22, fc3 and fc4 of PyTorch's example VAE are known without --map.")]
pub struct ImportArgs {
    /// File of weights: .safetensors, .pt or .pth.
    pub file: PathBuf,
    /// The model: name of a preset (see `vae-cli presets`), or a TOML file [default: the
    /// configuration in the file, if `export` wrote it].
    #[arg(long, value_name = "PRESET|TOML")]
    pub config: Option<String>,
    /// Set any value of the configuration, such as model.latent=10. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// TOML file with a line "their name" = "our name" for each tensor that has another name. ""
    /// leaves a tensor out.
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Shape of an example, such as 1,28,28 or 256 [default: that in the file, or of the data set
    /// that the configuration names].
    #[arg(long, value_name = "SHAPE", value_delimiter = ',', value_parser = count)]
    pub input: Vec<usize>,
    /// Number of label classes [default: as for --input].
    #[arg(long, value_name = "N", value_parser = count)]
    pub classes: Option<usize>,
    /// Folder of the run, which must not exist [default: runs/NAME, or runs/NAME-2 and so on if that
    /// is taken].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl Execute for ImportArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let run = self.run();
        if run.folder().exists() {
            let path = run.folder().display();
            return Err(request(format!(
                "--out {path}: this exists already, choose another --out"
            )));
        }
        if ![0, 1, 3].contains(&self.input.len()) {
            return Err(request(
                "--input: a shape is channels,height,width for images, or one number for vectors",
            ));
        }
        let map = self.map.as_deref().map(NameMap::read).transpose()?;
        let file = WeightFile::open(&self.file)?;
        let config = self.config(&file)?;
        let input = Input {
            shape: (!self.input.is_empty()).then(|| self.input.clone()),
            classes: self.classes,
        };
        let device = Backend::any_cpu()?.device;
        let checkpoint = import(&file, config, input, map.as_ref(), &device)?;
        run.create()?;
        run.write_config(&checkpoint.config.to_toml())?;
        checkpoint.write(&run.checkpoint(CheckpointKind::Last))?;
        let folder = run.folder().display().to_string();
        printer.say(&format!("done; next: vae-cli sample --run {}", quoted(run.folder())));
        printer.result(&folder, || json!({ "run": folder }))
    }
}

impl ImportArgs {
    /// Returns the run to make.
    fn run(&self) -> Run {
        match &self.out {
            Some(folder) => Run::new(folder.clone()),
            None => {
                let name = self.file.file_stem().unwrap_or_default();
                Run::free(Path::new(RUNS), &name.to_string_lossy())
            }
        }
    }

    /// Returns the configuration that flags name, or that of the file.
    fn config(&self, file: &WeightFile) -> Result<ValidConfig> {
        let overrides = open::overrides(&self.set)?;
        let path = file.path().display();
        match (&self.config, file.metadata("config")) {
            (Some(name), _) => Ok(presets::resolve(name, &overrides)?),
            (None, Some(text)) => {
                let name = format!("the configuration in {path}");
                Ok(TrainConfig::from_toml(&name, text, &overrides)?)
            }
            (None, None) => Err(request(format!(
                "{path}: the file does not say which model it is: name it with --config PRESET or \
                 --config FILE"
            ))),
        }
    }
}
