//! `decode`: turns latent codes into data.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use vae_data::source::Parts;
use vae_data::{Examples, Values};
use vae_eval::{CHUNK, Generator};

use crate::args::ModelArgs;
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::file::{Format, print_written, write};
use crate::output::printer::Printer;
use crate::output::rows::{self, Field, Kind, RowFormat, Rows};
use crate::output::table;

/// Decode latent codes to data: write the mean of p(x|z) of each code.
///
/// Codes are read a part at a time, so that they need not fit into memory.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli decode codes.npy --out decoded.npy\n  \
    vae-cli decode z.npy --run runs/conditional --label 7 --out sevens.png\n  \
    vae-cli decode codes.npz --array mean --out decoded.npz")]
pub struct DecodeArgs {
    /// The codes, as `vae-cli encode` writes them: a .npy array, f32 or f64 [n, latent]; an .npz
    /// archive with such an array; or a .csv or .parquet table with the columns z1 and so on.
    pub codes: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Array of an .npz archive to read [default: mean, or the only one].
    #[arg(long, value_name = "NAME")]
    pub array: Option<String>,
    /// Seed of --draw.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// File to write: .npy is an array, f32 [n, c, h, w] (vectors: [n, d]), in the range of the
    /// data; .npz is an archive with this array as `x`; .png is a sheet; .csv and .parquet are
    /// tables (vectors only).
    #[arg(long, default_value = "decoded.npy", value_name = "PATH")]
    pub out: PathBuf,
    /// Write a sample of p(x|z) instead of its mean.
    #[arg(long)]
    pub draw: bool,
    /// Class of all codes. Required if the decoder depends on the class (model.condition =
    /// "label").
    #[arg(long, value_name = "CLASS")]
    pub label: Option<u32>,
}

impl Execute for DecodeArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let format = RowFormat::of_out(&self.out)?;
        if format.is_none() {
            Format::of(&self.out)?;
        }
        let (generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::check_label(self.label, &generator.vae)?;
        match (self.label, open::has_conditional_decoder(&generator.vae)) {
            (None, true) => {
                return Err(request(
                    "the decoder of this model depends on the class: choose one with --label CLASS",
                ));
            }
            (Some(label), false) => {
                return Err(request(format!(
                    "--label {label}: only the prior of this model depends on the class, not its \
                     decoder: leave --label out"
                )));
            }
            _ => {}
        }
        let latent = generator.vae.config().latent;
        let columns = table::names(None, "z", latent);
        let mut codes = vae_data::source::open_codes(&self.codes, self.array.as_deref(), &columns)
            .with_context(|| format!("reading codes of {latent} numbers"))?;
        let names = checkpoint.data.settings.columns.as_deref();
        let n = match format {
            Some(format) => self.write_rows(format, &mut *codes, &generator, names)?,
            None => {
                let Some(codes) = codes.next(usize::MAX)? else { return Err(self.no_codes()) };
                let n = codes.len();
                let decoded = self.decode(0, codes, &generator)?;
                write(&self.out, generator.vae.shape(), &decoded, None, names)?;
                n
            }
        };
        print_written(printer, &self.out, n)
    }
}

impl DecodeArgs {
    /// Decodes codes a part at a time and writes them. Returns their number.
    fn write_rows(
        &self,
        format: RowFormat,
        codes: &mut dyn Parts,
        generator: &Generator,
        names: Option<&[String]>,
    ) -> Result<usize> {
        let shape = generator.vae.shape();
        if format.is_table() && shape.len() != 1 {
            return Err(request(format!(
                "--out {}: a table holds vectors, and these are images: use .png, .npy or .npz",
                self.out.display()
            )));
        }
        let columns = table::names(names, "x", shape.iter().product());
        let field = Field { name: "x", columns, dims: shape.to_vec(), kind: Kind::Floats };
        let mut file: Option<Rows> = None;
        let mut done = 0;
        while let Some(part) = codes.next(CHUNK)? {
            let n = part.len();
            let decoded = self.decode(done, part, generator)?;
            let file = match &mut file {
                Some(file) => file,
                None => file.insert(Rows::create(&self.out, format, None, vec![field.clone()])?),
            };
            file.write(n, &[rows::Values::Floats(&decoded)])?;
            done += n;
        }
        file.ok_or_else(|| self.no_codes())?.finish()
    }

    /// Decodes the codes from the row `first` on.
    fn decode(&self, first: usize, codes: Examples, generator: &Generator) -> Result<Vec<f32>> {
        let latent = generator.vae.config().latent;
        let Values::Floats(z) = &codes.values else {
            return Err(request(format!(
                "{}: holds bytes; codes are floating-point numbers [n, {latent}]",
                self.codes.display()
            )));
        };
        if codes.shape.dims() != [latent] {
            return Err(request(format!(
                "{}: holds rows of shape {:?}; codes of this model are [n, {latent}]",
                self.codes.display(),
                codes.shape.dims()
            )));
        }
        let label = self.label.as_ref().map(std::slice::from_ref);
        Ok(generator.decode_from(first, z, label, self.draw)?)
    }

    fn no_codes(&self) -> anyhow::Error {
        request(format!("{}: holds no codes", self.codes.display()))
    }
}
