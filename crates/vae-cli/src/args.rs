//! The top of the command line, and the flags that several commands share.
//!
//! The flags of one command stand in the file of that command. Doc comments are the help texts: the
//! first paragraph is the short help.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;

#[cfg(feature = "remote")]
use std::env::VarError;

#[cfg(feature = "remote")]
use anyhow::Context;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use vae_eval::MOST_ANNEALING_STEPS;
#[cfg(feature = "remote")]
use vae_train::remote::Token;
use vae_train::{Backend, backend};
use vae_view::Theme;

#[cfg(feature = "remote")]
use crate::addresses;
use crate::commands::Command;

/// Train, evaluate, explore and ship variational autoencoders.
///
/// To start: `vae-cli train` trains a model, then `vae-cli sample` draws a sheet of samples from
/// it.
///
/// Results go to stdout. Progress, warnings and errors go to stderr.
#[derive(Debug, Parser)]
#[command(
    name = "vae-cli",
    version,
    max_term_width = 100,
    after_help = "Exit codes:\n  0  success\n  1  the work failed: disk, device, NaN\n  \
        2  the request was wrong: flag, configuration, unreadable or malformed input"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Print the result as one JSON object on stdout, and nothing else on stdout.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only warnings, errors and the result.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more detail: backend, model, data, checkpoints.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The device to compute on.
#[derive(Args, Clone, Debug)]
pub struct BackendArgs {
    // The help is made from the table of backends.
    #[arg(long, default_value = backend::AUTO, value_name = "NAME", value_parser = BackendName,
        help = backend_help())]
    pub backend: String,
    /// File with the token of the server, for --backend remote:ADDRESS [default: the variable
    /// VAE_REMOTE_TOKEN].
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl BackendArgs {
    /// Opens the backend.
    ///
    /// # Errors
    /// If it is not in this build, finds no hardware, or cannot be reached.
    pub fn open(&self) -> anyhow::Result<Backend> {
        #[cfg(feature = "remote")]
        if let Some(address) = self.backend.strip_prefix("remote:") {
            return Ok(Backend::open_remote(
                &addresses::address(address)?,
                token(self.token_file.as_deref())?.as_ref(),
            )?);
        }
        Ok(Backend::open(&self.backend)?)
    }

    /// Opens the devices that share the batches of a training: those of `train.devices`, or that of
    /// `--backend` if there are none.
    ///
    /// # Errors
    /// Those of [`Self::open`], and if `--backend` is not the first of them.
    pub fn open_all(&self, devices: &[String]) -> anyhow::Result<Backend> {
        let named = |name: &String| {
            let mut args = self.clone();
            args.backend.clone_from(name);
            args.open()
        };
        let Some((first, others)) = devices.split_first() else { return self.open() };
        if self.backend != backend::AUTO && self.backend != *first {
            return Err(crate::failure::request(format!(
                "--backend {} is not the first of train.devices, {first}: leave --backend out, or train on \
                 one device with --set 'train.devices=[]'",
                self.backend
            )));
        }
        #[cfg(feature = "remote")]
        {
            let elsewhere = devices.iter().filter_map(|name| name.strip_prefix("remote:"));
            let elsewhere =
                elsewhere.map(addresses::address).collect::<anyhow::Result<Vec<_>>>()?;
            vae_train::remote::check_exchange(&elsewhere)
                .map_err(|why| crate::failure::request(format!("train.devices: {why}")))?;
        }
        Ok(named(first)?.with(others.iter().map(named).collect::<anyhow::Result<_>>()?))
    }

    /// Checks the address and the token of a backend that is elsewhere, without opening it. Returns its
    /// name, or none for one of this machine.
    ///
    /// # Errors
    /// If address or token are none.
    pub fn elsewhere(&self) -> anyhow::Result<Option<String>> {
        #[cfg(feature = "remote")]
        if let Some(address) = self.backend.strip_prefix("remote:") {
            let address = addresses::address(address)?;
            token(self.token_file.as_deref())?;
            return Ok(Some(format!("remote:{address}")));
        }
        Ok(None)
    }

    /// Returns the flags that make another process open the backend `spec`, or the devices of its
    /// configuration.
    pub fn flags(&self, spec: Option<&String>) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        flags.extend(spec.into_iter().flat_map(|spec| ["--backend".into(), spec.into()]));
        #[cfg(feature = "remote")]
        if let Some(file) = &self.token_file {
            flags.extend(["--token-file".into(), file.into()]);
        }
        flags
    }
}

/// The variable with the token of a server.
#[cfg(feature = "remote")]
pub const TOKEN_VARIABLE: &str = "VAE_REMOTE_TOKEN";

/// Returns the token of a file, or else of the environment, if there is one.
///
/// # Errors
/// If it is none.
#[cfg(feature = "remote")]
pub fn token(file: Option<&std::path::Path>) -> anyhow::Result<Option<Token>> {
    if let Some(file) = file {
        return Ok(Some(Token::read(file)?));
    }
    match std::env::var(TOKEN_VARIABLE) {
        Ok(text) => Ok(Some(Token::new(&text).context(TOKEN_VARIABLE)?)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(crate::failure::request(format!("{TOKEN_VARIABLE} is not a text")))
        }
    }
}

/// What is measured of a model only if it is asked for.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MeasureArgs {
    /// Estimate nll with K importance samples per example [default: nll is not estimated].
    #[arg(long, value_name = "K", value_parser = count)]
    pub samples: Option<usize>,
    /// Estimate nll by annealed importance sampling too, in STEPS steps from p(z) to p(z) p(x|z), with 16
    /// chains per example. It does not use q(z|x). 1,000 steps take about a second per image on two cores:
    /// choose some with --limit.
    #[arg(long, value_name = "STEPS", value_parser = annealing_steps)]
    pub ais: Option<usize>,
    /// Compare samples with examples by the features of a classifier of the same data set: Frechet and
    /// kernel distance, precision, recall. The first time, the classifier is trained, and kept in the cache.
    #[arg(long)]
    pub quality: bool,
    /// Score how the latent dimensions separate the generative factors of the data: MIG, DCI, SAP and
    /// others. The data must have factors, as `digits` and `sprites` do.
    #[arg(long)]
    pub disentanglement: bool,
}

impl MeasureArgs {
    /// Returns the flags of `evaluate` that ask for the same.
    pub fn flags(&self) -> Vec<String> {
        let Self { samples, ais, quality, disentanglement } = self;
        let numbers = [("--samples", samples), ("--ais", ais)].into_iter();
        let numbers =
            numbers.filter_map(|(flag, n)| Some([flag.to_owned(), n.as_ref()?.to_string()]));
        let switches = [("--quality", quality), ("--disentanglement", disentanglement)].into_iter();
        let switches = switches.filter(|(_, on)| **on).map(|(flag, _)| flag.to_owned());
        numbers.flatten().chain(switches).collect()
    }
}

/// Where data sets are stored.
#[derive(Args, Clone, Debug)]
pub struct DataDirArgs {
    /// Folder of data sets, with one folder per set, such as DIR/mnist.
    #[arg(long, value_name = "DIR", env = "VAE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// The trained model to use.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// Folder of a run, or a .vae file [default: the newest run under runs/].
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Checkpoint of the run [default: best if the run has validation data, else last].
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<CheckpointArg>,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// A checkpoint of a run.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CheckpointArg {
    /// The checkpoint with the lowest validation loss.
    Best,
    /// The newest checkpoint.
    Last,
}

/// The examples that a command reads.
#[derive(Args, Clone, Debug)]
pub struct ReadArgs {
    /// Data to read: the name of a set (see `vae-cli data list`), a folder of pictures, a .npy,
    /// .csv, .tsv or IDX file, or images.idx,labels.idx [default: the data of the run].
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    #[command(flatten)]
    pub data_dir: DataDirArgs,
    /// Part of the data to read. A single file has no test part of its own: a sixth of it is held
    /// out as test part. `all` reads the whole data; a single file is read in its own order.
    #[arg(long, default_value = "test", value_name = "PART",
        value_parser = ["train", "validation", "test", "all"])]
    pub split: String,
    /// Read only the first N examples of that part.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// The look of a picture.
#[derive(Args, Clone, Copy, Debug)]
pub struct ThemeArgs {
    /// Colours of the picture.
    #[arg(long, default_value = "light", value_name = "THEME")]
    pub theme: ThemeArg,
}

/// A set of colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ThemeArg {
    /// Dark text on white.
    Light,
    /// Light text on dark grey.
    Dark,
}

impl From<ThemeArgs> for Theme {
    fn from(args: ThemeArgs) -> Self {
        match args.theme {
            ThemeArg::Light => Self::Light,
            ThemeArg::Dark => Self::Dark,
        }
    }
}

/// Returns the help of `--backend`.
fn backend_help() -> String {
    let auto = match (backend::looks_for_gpus(), backend::fallback()) {
        (true, Some(otherwise)) => format!("auto (a GPU if there is one, else {})", otherwise.name),
        (true, None) => "auto (a GPU if there is one)".to_owned(),
        (false, _) => "auto".to_owned(),
    };
    let names: Vec<String> = backend::TABLE.iter().map(named).collect();
    let names = names.join(", ");
    let left_out = match backend::LEFT_OUT {
        [] => String::new(),
        names => format!("; building with --features NAME adds {}", names.join(", ")),
    };
    format!("Backend to compute on: {auto}, or one of this build: {names}{left_out}")
}

/// Returns how an entry of the table is named on the command line.
fn named(entry: &backend::Entry) -> String {
    match entry.address {
        Some(address) => format!("{}:{address}", entry.name),
        None => entry.name.to_owned(),
    }
}

/// Parses the name of a backend, with an address for one that is elsewhere. Names that this build
/// leaves out are parsed too: opening them says how to add them.
#[derive(Clone, Debug)]
pub struct BackendName;

impl TypedValueParser for BackendName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let has_address = |name: &str| {
            let left_out = backend::LEFT_OUT.contains(&name);
            left_out || backend::TABLE.iter().any(|e| e.name == name && e.address.is_some())
        };
        match value.to_str() {
            Some(text) if text.split_once(':').is_some_and(|(name, _)| has_address(name)) => {
                Ok(text.to_owned())
            }
            _ => PossibleValuesParser::new(backend_names()).parse_ref(command, argument, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(backend_names().into_iter()))
    }
}

/// Returns the names of backends.
fn backend_names() -> Vec<PossibleValue> {
    let left_out = backend::LEFT_OUT.iter().map(|name| PossibleValue::new(*name).hide(true));
    backend::names().into_iter().map(PossibleValue::new).chain(left_out).collect()
}

/// The largest count that a flag takes; more could not be held in memory.
const MAX_COUNT: usize = 10_000_000;

fn parse_in(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let n: usize = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if range.contains(&n) {
        Ok(n)
    } else {
        Err(format!("must be {} to {}", range.start(), range.end()))
    }
}

/// Parses a count of at least 1.
pub fn count(text: &str) -> Result<usize, String> {
    parse_in(text, 1..=MAX_COUNT)
}

/// Parses a count of at least 2.
pub fn at_least_two(text: &str) -> Result<usize, String> {
    parse_in(text, 2..=MAX_COUNT)
}

/// Parses the number of steps of annealed importance sampling.
pub fn annealing_steps(text: &str) -> Result<usize, String> {
    parse_in(text, 1..=MOST_ANNEALING_STEPS)
}

/// Parses a number above 0.
pub fn positive(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number > 0.0 && number <= 1e6 { Ok(number) } else { Err("must be above 0".to_owned()) }
}

/// Parses a perplexity, at least 1: an effective number of neighbours.
pub fn perplexity(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1.0..=1e6).contains(&number) { Ok(number) } else { Err("must be at least 1".to_owned()) }
}

/// Parses a temperature, 0 to 100.
pub fn temperature(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=100.0).contains(&number) { Ok(number) } else { Err("must be 0 to 100".to_owned()) }
}

/// Parses a learning rate, above 0 and at most 1.
pub fn learning_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if rate > 0.0 && rate <= 1.0 { Ok(rate) } else { Err("must be above 0 and at most 1".into()) }
}
