//! `data`: lists, downloads and shows data sets.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;
use vae_data::{Examples, OpenedSource, Pixels, Scale, SourceSettings, Transform, Values, source};
use vae_model::write_atomically;

use crate::args::{DataDirArgs, count};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::array;
use crate::output::file::{Format, print_written, write};
use crate::output::printer::Printer;
use crate::output::table::{self, Key};
use crate::output::text::columns;

/// List, download or show data sets.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli data list\n  vae-cli data show digits")]
pub struct DataArgs {
    #[command(subcommand)]
    pub command: DataCommand,
}

/// The commands of `data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets that have a name, and where each is.
    List(DataDirArgs),
    /// Download a data set to the cache of the user, and check its SHA-256.
    Fetch {
        /// Name of the set, as `vae-cli data list` prints it.
        name: String,
        #[command(flatten)]
        data_dir: DataDirArgs,
    },
    /// Show examples of a data set as a sheet, or write them for other programs.
    Show(ShowArgs),
}

/// The flags of `data show`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli data show digits\n  \
    vae-cli data show digits --out x.npy --labels y.npy --factors f.npy")]
pub struct ShowArgs {
    /// Data to show: the name of a set (see `vae-cli data list`), a folder of pictures, a .npy,
    /// .csv, .tsv or IDX file, or images.idx,labels.idx. `auto` is mnist if it can be had, else
    /// digits.
    #[arg(default_value = "auto")]
    pub data: String,
    #[command(flatten)]
    pub data_dir: DataDirArgs,
    /// Part of the data to show.
    #[arg(long, default_value = "train", value_name = "PART",
        value_parser = ["train", "validation", "test"])]
    pub split: String,
    /// Number of examples [default: 100 for a sheet, else all].
    #[arg(long, alias = "limit", value_name = "N", value_parser = count)]
    pub n: Option<usize>,
    /// File to write: .png is a sheet, sorted by class; .npy is an array of the stored values, u8
    /// [n, c, h, w] (vectors: f32 [n, d]); .csv is a table (vectors only).
    #[arg(long, default_value = "data.png", value_name = "PATH")]
    pub out: PathBuf,
    /// File to write the labels to, one i64 per example.
    #[arg(long, value_name = "FILE.npy")]
    pub labels: Option<PathBuf>,
    /// File to write the generative factors to, f32 [n, factors]. Their names go to FILE.json
    /// beside it.
    #[arg(long, value_name = "FILE.npy")]
    pub factors: Option<PathBuf>,
}

impl Execute for DataArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        match &self.command {
            DataCommand::List(dir) => {
                let sets = open::with_environment(dir.data_dir.clone(), printer, |environment| {
                    Ok(source::list(environment))
                })?;
                let rows: Vec<Vec<String>> = sets
                    .iter()
                    .map(|set| vec![set.name.clone(), set.location.to_string(), set.about.clone()])
                    .collect();
                printer.result(&columns(&rows), || {
                    let list = sets.iter().map(|set| {
                        json!({
                            "name": set.name,
                            "about": set.about,
                            "location": set.location.to_string(),
                            "here": set.location != source::Location::Absent,
                        })
                    });
                    json!({ "sets": list.collect::<Vec<_>>() })
                })
            }
            DataCommand::Fetch { name, data_dir } => {
                let folder =
                    open::with_environment(data_dir.data_dir.clone(), printer, |environment| {
                        Ok(source::fetch(name, environment)?)
                    })?;
                let folder = folder.display().to_string();
                printer.result(&folder, || json!({ "name": name, "location": folder }))
            }
            DataCommand::Show(args) => show(args, printer),
        }
    }
}

/// Writes the examples, labels and factors that flags ask for.
fn show(args: &ShowArgs, printer: &Printer) -> Result<()> {
    let format = Format::of(&args.out)?;
    for (flag, path) in [("--labels", &args.labels), ("--factors", &args.factors)] {
        if let Some(path) = path {
            Format::require_npy(flag, path)?;
        }
    }
    let (resolved, mut examples) =
        open::with_environment(args.data_dir.data_dir.clone(), printer, |environment| {
            let settings = SourceSettings::default();
            let resolved = OpenedSource::open(&args.data, &settings, environment)?;
            let examples = resolved.read(args.split.parse()?, environment)?;
            Ok((resolved, examples))
        })?;
    if let Some(note) = &resolved.note {
        printer.say(&format!("data: {note}"));
    }
    let name = &resolved.name;
    let missing = |what: &str| request(format!("{name}: this data has no {what}"));
    match (format, args.n) {
        (Format::Png, n) => examples = examples.spread(n.unwrap_or(100)),
        (_, Some(n)) => examples.truncate(n),
        (_, None) => {}
    }
    let n = examples.len();
    Format::for_examples(&args.out, &examples.shape.dims())?;
    if let Some(path) = &args.labels {
        let labels =
            examples.labels.as_ref().ok_or_else(|| missing("labels: leave --labels out"))?;
        let labels: Vec<i64> = labels.iter().map(|l| i64::from(*l)).collect();
        array::write(path, &[n], &labels)?;
    }
    if let Some(path) = &args.factors {
        let factors = examples
            .factors
            .as_ref()
            .ok_or_else(|| missing("generative factors: leave --factors out"))?;
        array::write(path, &[n, factors.names.len()], &factors.values)?;
        let names = path.with_extension("json");
        let text = format!("{}\n", json!(factors.names));
        write_atomically(&names, text.as_bytes()).with_context(|| names.display().to_string())?;
    }
    match (format, &examples.values) {
        (Format::Npy, Values::Bytes(bytes)) => {
            array::write(&args.out, &[&[n], &examples.shape.dims()[..]].concat(), bytes)?;
        }
        (Format::Npy, Values::Floats(values)) => {
            array::write(&args.out, &[&[n], &examples.shape.dims()[..]].concat(), values)?;
        }
        (Format::Csv, Values::Floats(values)) => {
            let len = examples.shape.len();
            let names = table::names(examples.columns.as_deref(), "x", len);
            table::write(&args.out, &Key::of(&resolved, &examples), &names, values.chunks(len))?;
        }
        (Format::Csv, Values::Bytes(_)) => unreachable!("`Format::for_examples` refused images"),
        (Format::Png, _) => sheet(&by_class(&examples), args)?,
    }
    print_written(printer, &args.out, n)
}

/// Sorts the examples by class, if they have labels.
fn by_class(examples: &Examples) -> Examples {
    let Some(labels) = &examples.labels else { return examples.clone() };
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|i| labels[*i]);
    examples.select(&order)
}

/// Writes a sheet of all examples.
fn sheet(examples: &Examples, args: &ShowArgs) -> Result<()> {
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let transform = Transform::fit(examples, Pixels::Grey, Scale::None)?;
    let values = transform.gather(examples, &indices, &vae_data::rng::Stream::new(0, "unused"));
    write(&args.out, &examples.shape.dims(), &values, None, None)
}
