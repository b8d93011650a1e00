//! `traverse`: varies one latent dimension at a time.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use vae_view::{Sheet, Theme};

use crate::args::{ModelArgs, ReadArgs, ThemeArgs, at_least_two, count, positive};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::file::Format;
use crate::output::printer::Printer;
use crate::output::show::ShowArgs;
use crate::output::{array, frames};
use crate::pictures::traversal::Traversal;

/// Vary one latent dimension at a time: a row per dimension, those with the largest KL first.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli traverse\n  \
    vae-cli traverse --from 7 --dims 20 --range 2 --out traversal.gif")]
pub struct TraverseArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// Index of the example whose z is varied, counted from 0.
    #[arg(long, default_value_t = 0, value_name = "I")]
    pub from: usize,
    /// Number of latent dimensions to vary.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = count)]
    pub dims: usize,
    /// Number of values of each dimension.
    #[arg(long, default_value_t = 11, value_name = "N", value_parser = at_least_two)]
    pub steps: usize,
    /// Largest value. The smallest is its negative. Where the KL has no closed form, as with most learned
    /// priors, values count standard deviations of the codes of the data from their mean.
    #[arg(long, default_value_t = 3.0, value_name = "R", value_parser = positive)]
    pub range: f32,
    /// File to write: .png is a sheet; .gif is an animation; .npy is an array
    /// [dims * steps, c, h, w], dimension by dimension.
    #[arg(long, default_value = "traversal.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub show: ShowArgs,
    #[command(flatten)]
    pub theme: ThemeArgs,
}

impl Execute for TraverseArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        self.show.check(&self.out, printer)?;
        let animated = frames::is_animation(&self.out);
        let format = if animated { None } else { Some(Format::of(&self.out)?) };
        if format == Some(Format::Csv) {
            let path = self.out.display();
            return Err(request(format!("--out {path}: the name must end in .png, .gif or .npy")));
        }
        let (generator, checkpoint) = open::generator(&self.model, 0, printer)?;
        open::require_encoder(&checkpoint)?;
        let latent = generator.vae.config().latent;
        open::check_size(self.dims.min(latent).saturating_mul(self.steps), &generator.vae)?;
        let (_, examples) = open::examples(&self.read, &checkpoint, printer)?;
        open::check_index(self.from, &examples, &self.read)?;
        let traversal =
            Traversal::new(&generator, &examples, self.from, self.dims, self.range, self.steps)?;
        let Traversal { dimensions, values, decoded, summary } = &traversal;
        let (shape, theme) = (generator.vae.shape(), Theme::from(self.theme));
        match format {
            None => {
                let title = |step: usize| Some(format!("{:+.2}", values[step]));
                frames::write(&self.out, shape, decoded, self.steps, theme, title)?;
            }
            Some(Format::Npy) => {
                let n = dimensions.len() * self.steps;
                array::write(&self.out, &[&[n], shape].concat(), decoded)?;
            }
            Some(_) => {
                Sheet::check(shape, dimensions.len() * self.steps)?;
                let title = format!("Example {}, one latent dimension at a time", self.from);
                traversal.sheet(shape, theme).title(&title).write(&self.out)?;
            }
        }
        self.show.draw(&self.out)?;
        let path = self.out.display().to_string();
        printer.result(&path, || {
            let kl = summary.kl.as_ref().map(|kl| dimensions.iter().map(|d| kl[*d]).collect());
            json!({
                "out": path,
                "n": dimensions.len() * self.steps,
                "dimensions": dimensions.iter().map(|d| d + 1).collect::<Vec<_>>(),
                "kl": kl.unwrap_or_else(Vec::<f64>::new),
            })
        })
    }
}
