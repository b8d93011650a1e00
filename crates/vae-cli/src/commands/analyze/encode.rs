//! `encode`: writes the latent codes of data.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use vae_data::Examples;
use vae_eval::{CHUNK, Encoding};

use crate::args::{self, ModelArgs, ReadArgs};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::file::print_written;
use crate::output::printer::Printer;
use crate::output::rows::{Field, Kind, RowFormat, Rows, Values};
use crate::output::table;

/// Encode data: write the mean of q(z|x) of each example.
///
/// With --split all, a file or a folder is read a part at a time, so that it need not fit into
/// memory.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli encode --out codes.npy\n  \
    vae-cli encode --data digits.npy --split all --out codes.csv\n  \
    vae-cli encode --with log-var,labels --draws 5 --out codes.npz")]
pub struct EncodeArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// What to write beside the mean, separated by commas.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub with: Vec<Extra>,
    /// Write K draws from q(z|x) of each example too.
    #[arg(long, value_name = "K", value_parser = args::count)]
    pub draws: Option<usize>,
    /// Seed of --draws.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// File to write. .npy is an array, f32 [n, latent]. .npz has the arrays `mean` and, where there
    /// are such, `log_var`, `draws` [n, K, latent], `labels` and `ids`. .csv and .parquet are tables
    /// with the columns z1 ..., log_var1 ..., draw1_z1 ... and label. Their first column is the
    /// data.id_column of the data, or `index`.
    #[arg(long, default_value = "codes.npy", value_name = "PATH")]
    pub out: PathBuf,
}

/// Largest count of drawn numbers in memory.
const MOST_DRAWN: usize = 1 << 28;

/// What can be written beside the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Extra {
    /// Logarithms of the variances of q(z|x).
    LogVar,
    /// The classes of the data.
    Labels,
}

impl Execute for EncodeArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let format = RowFormat::of_out(&self.out)?.ok_or_else(|| {
            request(format!(
                "--out {}: the name must end in .npy, .npz, .csv or .parquet",
                self.out.display()
            ))
        })?;
        let (generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::require_encoder(&checkpoint)?;
        let (latent, draws) = (generator.vae.config().latent, self.draws.unwrap_or(0));
        let most = MOST_DRAWN / (CHUNK * latent);
        if draws > most {
            return Err(request(format!(
                "--draws {draws}: draws of {latent} numbers do not fit in memory: ask for at most \
                 {most}"
            )));
        }
        let mut reader = open::parts(&self.read, &checkpoint, printer)?;
        let mut file: Option<Rows> = None;
        let mut done = 0;
        while let Some(examples) = reader.next(CHUNK)? {
            let encoding = generator.encoding(done, &examples, draws)?;
            let (fields, values): (Vec<Field>, Vec<Values>) =
                self.fields(format, &examples, &encoding, latent)?.into_iter().unzip();
            let file = match &mut file {
                Some(file) => file,
                None => {
                    let key = reader.source.settings().id_column.as_deref();
                    let key = key.filter(|_| examples.ids.is_some());
                    file.insert(Rows::create(&self.out, format, key, fields)?)
                }
            };
            file.write(examples.len(), &values)?;
            done += examples.len();
        }
        let Some(file) = file else { unreachable!("data without examples are refused") };
        print_written(printer, &self.out, file.finish()?)
    }
}

impl EncodeArgs {
    /// Returns the fields of the file, with their values for `examples`.
    ///
    /// # Errors
    /// If the posterior or the data lack what is asked for.
    fn fields<'a>(
        &self,
        format: RowFormat,
        examples: &'a Examples,
        encoding: &'a Encoding,
        latent: usize,
    ) -> Result<Vec<(Field, Values<'a>)>> {
        let floats = |name, columns, dims| Field { name, columns, dims, kind: Kind::Floats };
        let mut fields = Vec::new();
        if let Some(ids) = examples.ids.as_ref().filter(|_| format != RowFormat::Npy) {
            let field = Field { name: "ids", columns: vec![], dims: vec![], kind: Kind::Ids };
            fields.push((field, Values::Ids(ids)));
        }
        let means = floats("mean", table::names(None, "z", latent), vec![latent]);
        fields.push((means, Values::Floats(&encoding.mean)));
        if self.with.contains(&Extra::LogVar) {
            let log_var = encoding.log_var.as_ref().ok_or_else(|| {
                request(
                    "--with log-var: q(z|x) of this model is not a Gaussian of independent \
                     dimensions, so it has no variances: leave log-var out",
                )
            })?;
            let columns = table::names(None, "log_var", latent);
            fields.push((floats("log_var", columns, vec![latent]), Values::Floats(log_var)));
        }
        if let Some(draws) = self.draws {
            let of_draw = |draw| table::names(None, &format!("draw{draw}_z"), latent);
            let columns = (1..=draws).flat_map(of_draw).collect();
            let dims = vec![draws, latent];
            fields.push((floats("draws", columns, dims), Values::Floats(&encoding.draws)));
        }
        if self.with.contains(&Extra::Labels) {
            let labels = examples.labels.as_ref().ok_or_else(|| {
                request("--with labels: these data have no labels: leave labels out")
            })?;
            let columns = vec!["label".to_owned()];
            let field = Field { name: "labels", columns, dims: vec![], kind: Kind::Labels };
            fields.push((field, Values::Labels(labels)));
        }
        Ok(fields)
    }
}
