//! What may be typed: every command and flag. Parsing only validates; the doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use vae_train::backend;

/// Train, evaluate, explore and ship variational autoencoders.
///
/// A first run: `vae-cli train`, then `vae-cli sample --n 64`.
#[derive(Debug, Parser)]
#[command(name = "vae-cli", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print the result as one JSON object on stdout, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but warnings, errors and the result.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model from a preset or a TOML file.
    Train(TrainArgs),
    /// Draw samples from a model: a sheet (PNG), an array (.npy) or a table (.csv).
    Sample(SampleArgs),
    /// Show images beside what the model makes of them.
    Reconstruct(ReconstructArgs),
    /// Walk through the latent space, between images or between random points.
    Interpolate(InterpolateArgs),
    /// Evaluate a model: neg_elbo, its terms, active units, importance-sampled nll.
    Evaluate(EvaluateArgs),
    /// Train a classifier on the encoder from few labels: linear probe, fine-tuning, or from scratch.
    Classify(ClassifyArgs),
    /// Data to latent codes: the posterior means as a .npy array or a .csv table.
    Encode(EncodeArgs),
    /// Latent codes (.npy) to data: an array (.npy), a table (.csv) or a sheet (PNG).
    Decode(DecodeArgs),
    /// What a run or a model file is.
    Info(InfoArgs),
    /// The runs, newest first, with their scores.
    Runs(RunsArgs),
    /// Every preset as a row of axes.
    Presets(PresetsArgs),
    /// List data sets, fetch one, or show one.
    Data(DataArgs),
    /// Training, evaluation and sampling speed on this machine.
    Bench(BenchArgs),
    /// Devices, data, and whether each backend computes what a CPU backend computes.
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

/// Where to compute.
#[derive(Args, Clone, Debug)]
pub struct BackendArgs {
    /// Which backend; the help is made from the table of backends.
    #[arg(long, default_value = backend::AUTO, value_name = "NAME", value_parser = backend::names(),
        help = backend_help())]
    pub backend: String,
}

/// Where data may be found.
#[derive(Args, Clone, Debug)]
pub struct DataDirArgs {
    /// Folder of data sets, one folder each, such as DIR/mnist.
    #[arg(long, value_name = "DIR", env = "VAE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Which model.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// A run's folder or a .vae file; left out, the newest run under runs/.
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Which checkpoint of a run; left out, best if there was validation, else last.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<CheckpointArg>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub backend: BackendArgs,
}

/// A checkpoint of a run.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CheckpointArg {
    /// The one with the best validation loss.
    Best,
    /// The newest.
    Last,
}

/// Where z is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PriorArg {
    /// The model's own p(z).
    Model,
    /// What was fitted on the codes of the training data when training ended.
    Fitted,
    /// N(0, I), whatever the model was trained with.
    Standard,
}

/// Which data a reader takes.
#[derive(Args, Clone, Debug)]
pub struct ReadArgs {
    /// A set's name, a folder of pictures, a .npy, .csv, .tsv or IDX file, or images.idx,labels.idx;
    /// left out, the data of the run.
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data_dir: DataDirArgs,
    /// Which part of the data. A file that comes in one piece holds a sixth out as its test part; `all`
    /// is the whole of it, in its own order.
    #[arg(long, default_value = "test", value_name = "PART", value_parser = ["train", "validation", "test", "all"])]
    pub split: String,
    /// Only the first N examples of that part.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// `train`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli train\n  vae-cli train mnist-mlp --epochs 20\n  \
    vae-cli train my.toml --set model.latent=2 --out runs/flat\n  \
    vae-cli train --resume --out runs/flat --epochs 40")]
pub struct TrainArgs {
    /// A preset's name (see `vae-cli presets`) or a TOML file; left out, the preset `default`.
    pub config: Option<String>,
    /// The run's folder; left out, runs/NAME with a number if need be.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the run in --out (left out, the newest run).
    #[arg(long)]
    pub resume: bool,
    /// A set's name, a folder of pictures, a .npy, .csv, .tsv or IDX file, or images.idx,labels.idx.
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data_dir: DataDirArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub backend: BackendArgs,
    /// Epochs in all.
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,
    /// Steps in all, if that comes first.
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Examples a step.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Only the first N training examples.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Seed of everything random.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Set any value of the configuration, such as model.latent=10; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `sample`.
#[derive(Args, Debug)]
pub struct SampleArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    /// How many; left out, 64, or 8 of each class of a conditional model.
    #[arg(long, value_name = "N", value_parser = count)]
    pub n: Option<usize>,
    /// The class of all samples, for a model with model.condition = "label"; left out, a row of each.
    #[arg(long, value_name = "CLASS")]
    pub label: Option<u32>,
    /// Where z is drawn from; left out, the prior that was fitted after training if there is one, else the
    /// model's own.
    #[arg(long, value_name = "WHICH")]
    pub prior: Option<PriorArg>,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// A .png sheet or a .npy array, f32 [n, c, h, w] (vectors [n, d]) in the data's own range; vectors
    /// also a .csv table.
    #[arg(long, default_value = "samples.png", value_name = "PATH")]
    pub out: PathBuf,
    /// Draw from p(x|z) instead of taking its mean.
    #[arg(long)]
    pub draw: bool,
    /// Show each sample beside its nearest training image (sheets only).
    #[arg(long)]
    pub nearest: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data_dir: DataDirArgs,
}

/// `reconstruct`.
#[derive(Args, Debug)]
pub struct ReconstructArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: ReadArgs,
    /// How many images; left out, 32 for a sheet and all for an array.
    #[arg(long, value_name = "N", value_parser = count)]
    pub n: Option<usize>,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// A .png sheet (originals above reconstructions) or a .npy array of reconstructions; vectors also a
    /// .csv table, whose first column is that of data.id_column, else `index`.
    #[arg(long, default_value = "reconstructions.png", value_name = "PATH")]
    pub out: PathBuf,
    /// Draw from p(x|z) instead of taking its mean.
    #[arg(long)]
    pub draw: bool,
}

/// `interpolate`.
#[derive(Args, Debug)]
pub struct InterpolateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: ReadArgs,
    /// Index of the image to start from; with --to, one row between those two.
    #[arg(long, value_name = "I", requires = "to", conflicts_with = "random")]
    pub from: Option<usize>,
    /// Index of the image to end at.
    #[arg(long, value_name = "I", requires = "from")]
    pub to: Option<usize>,
    /// Between random points of the prior instead of images.
    #[arg(long)]
    pub random: bool,
    /// Rows: pairs of consecutive images, or of random points.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = count)]
    pub n: usize,
    /// Points on each way, ends included.
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = at_least_two)]
    pub steps: usize,
    /// Seed of the random points.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// A .png sheet, a row a way, or a .npy array; vectors also a .csv table.
    #[arg(long, default_value = "interpolation.png", value_name = "PATH")]
    pub out: PathBuf,
}

/// `evaluate`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli evaluate --samples 500\n  \
    vae-cli evaluate --run runs/vamp --samples 500 --against runs/gated")]
pub struct EvaluateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: ReadArgs,
    /// Importance samples an image for nll; without it nll is not estimated.
    #[arg(long, value_name = "K", value_parser = count)]
    pub samples: Option<usize>,
    /// Another run's folder or .vae file, judged by the same images and as many samples: tells by how much
    /// nll differs, with the standard error of the paired differences. --checkpoint holds for both, if both
    /// are runs.
    #[arg(long, value_name = "DIR", requires = "samples")]
    pub against: Option<PathBuf>,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

/// `classify`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli classify --labels 10\n  \
    vae-cli classify --mode probe --features latent --seeds 10\n  \
    vae-cli classify --apply classifier.vae --data mnist --predictions classes.npy")]
pub struct ClassifyArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: ReadArgs,
    /// Labelled training examples of each class.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = count)]
    pub labels: usize,
    /// What is trained.
    #[arg(long, default_value = "all", value_name = "WHICH")]
    pub mode: ModeArg,
    /// What the new linear layer reads.
    #[arg(long, default_value = "trunk", value_name = "WHICH")]
    pub features: FeaturesArg,
    /// How often: with other labelled examples and another start each time.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = count)]
    pub seeds: usize,
    /// The first seed.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Steps of Adam on batches of up to 100.
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = count)]
    pub steps: usize,
    /// Its step size.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", value_parser = rate)]
    pub learning_rate: f64,
    /// The classifier of the first seed (with --mode all the fine-tuned one).
    #[arg(long, default_value = "classifier.vae", value_name = "PATH")]
    pub out: PathBuf,
    /// Read the data with a saved classifier instead of training one.
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
    /// Write the classes that it reads: a .npy array, one i64 an example, or a .csv table, whose first
    /// column is that of data.id_column, else `index`.
    #[arg(long, value_name = "FILE", requires = "apply")]
    pub predictions: Option<PathBuf>,
}

/// What a classifier trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// All three, side by side.
    All,
    /// A linear layer on the encoder as it is.
    Probe,
    /// The linear layer and the encoder.
    FineTune,
    /// The same network from initial weights.
    Scratch,
}

/// What of the encoder a classifier reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FeaturesArg {
    /// The code: the mean of q(z|x).
    Latent,
    /// The last layer before the heads of the posterior.
    Trunk,
}

/// `encode`.
#[derive(Args, Debug)]
pub struct EncodeArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: ReadArgs,
    /// The codes, a .npy array f32 [n, latent], or a .csv table, whose first column is that of
    /// data.id_column, else `index`.
    #[arg(long, default_value = "codes.npy", value_name = "PATH")]
    pub out: PathBuf,
}

/// `decode`.
#[derive(Args, Debug)]
pub struct DecodeArgs {
    /// The codes, a .npy array f32 or f64 [n, latent].
    pub codes: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// A .npy array, f32 [n, c, h, w] (vectors [n, d]) in the data's own range, or a .png sheet; vectors
    /// also a .csv table.
    #[arg(long, default_value = "decoded.npy", value_name = "PATH")]
    pub out: PathBuf,
    /// Draw from p(x|z) instead of taking its mean.
    #[arg(long)]
    pub draw: bool,
    /// The class of all codes, for a model with model.condition = "label".
    #[arg(long, value_name = "CLASS")]
    pub label: Option<u32>,
}

/// `info`.
#[derive(Args, Debug)]
pub struct InfoArgs {
    /// A run's folder or a .vae file; left out, the newest run under runs/.
    pub run: Option<PathBuf>,
}

/// `runs`.
#[derive(Args, Debug)]
pub struct RunsArgs {
    /// The folder of runs.
    #[arg(default_value = "runs")]
    pub root: PathBuf,
}

/// `presets`.
#[derive(Args, Debug)]
pub struct PresetsArgs {
    /// Print this preset's TOML, to start a configuration of your own from.
    pub name: Option<String>,
}

/// `data`.
#[derive(Args, Debug)]
pub struct DataArgs {
    #[command(subcommand)]
    #[allow(missing_docs)]
    pub command: DataCommand,
}

/// The commands of `data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// The sets that have a name, and where each is.
    List(DataDirArgs),
    /// Download a set to the user's cache, checked by its SHA-256.
    Fetch {
        /// Which set.
        name: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        data_dir: DataDirArgs,
    },
    /// Show images of a set: a sheet, or arrays for other programs.
    Show(ShowArgs),
}

/// `data show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// A set's name, a folder of pictures, a .npy, .csv, .tsv or IDX file, or images.idx,labels.idx.
    #[arg(default_value = "auto")]
    pub data: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data_dir: DataDirArgs,
    /// Which part of the data.
    #[arg(long, default_value = "train", value_name = "PART", value_parser = ["train", "validation", "test"])]
    pub split: String,
    /// How many; left out, 100 for a sheet and all for arrays.
    #[arg(long, alias = "limit", value_name = "N", value_parser = count)]
    pub n: Option<usize>,
    /// A .png sheet (sorted by class), or a .npy array of the stored values (u8 [n, c, h, w], vectors
    /// f32 [n, d]); vectors also a .csv table.
    #[arg(long, default_value = "data.png", value_name = "PATH")]
    pub out: PathBuf,
    /// Write the labels too, one i64 an example.
    #[arg(long, value_name = "FILE.npy")]
    pub labels: Option<PathBuf>,
    /// Write the generative factors too, a row of f32 an example, and their names in FILE.json beside it.
    #[arg(long, value_name = "FILE.npy")]
    pub factors: Option<PathBuf>,
}

/// `bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// A preset's name or a TOML file.
    #[arg(default_value = "mnist-mlp")]
    pub config: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub backend: BackendArgs,
    /// Examples a step.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Training steps that are timed.
    #[arg(long, default_value_t = 400, value_name = "N", value_parser = count)]
    pub steps: usize,
    /// Set any value of the configuration; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data_dir: DataDirArgs,
}

/// `completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// Which shell.
    pub shell: Shell,
}

/// What `--help` says of `--backend`.
fn backend_help() -> String {
    let otherwise = backend::fallback().map(|entry| format!(", else {}", entry.name));
    let names: Vec<&str> = backend::TABLE.iter().map(|entry| entry.name).collect();
    format!(
        "auto (a GPU if there is one{}), or a backend of this build: {}",
        otherwise.unwrap_or_default(),
        names.join(", ")
    )
}

fn number(text: &str, least: usize) -> Result<usize, String> {
    let n: usize = text.parse().map_err(|_| "not a number".to_owned())?;
    // More cannot be wanted, and could not be held.
    if (least..=10_000_000).contains(&n) {
        Ok(n)
    } else {
        Err(format!("must be {least} to 10000000"))
    }
}

fn count(text: &str) -> Result<usize, String> {
    number(text, 1)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if rate > 0.0 && rate <= 1.0 { Ok(rate) } else { Err("must be above 0 and at most 1".into()) }
}

fn at_least_two(text: &str) -> Result<usize, String> {
    number(text, 2)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
