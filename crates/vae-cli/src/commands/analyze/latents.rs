//! `latents`: a map of the codes of data.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use vae_view::{FigureFormat, Theme, write_figure};

use crate::args::{ModelArgs, ReadArgs, ThemeArgs, perplexity};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::file::print_written;
use crate::output::printer::Printer;
use crate::output::show::ShowArgs;
use crate::output::table::{self, Key};
use crate::output::text::with_commas;
use crate::pictures::codes::{Method, PERPLEXITY};

/// Plot the codes of data in two dimensions, coloured by class.
///
/// The codes are the means of q(z|x). More than 60 classes are not told apart.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli latents\n  \
    vae-cli latents --method tsne --limit 3000 --out latents.svg\n  vae-cli latents --out map.csv")]
pub struct LatentsArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// How codes become points [default: plain if z has two dimensions, else pca].
    #[arg(long, value_name = "METHOD")]
    pub method: Option<Method>,
    /// Effective number of neighbours of each code, for t-SNE.
    #[arg(long, default_value_t = PERPLEXITY, value_name = "P", value_parser = perplexity)]
    pub perplexity: f32,
    /// File to write: .png or .svg is a plot; .csv is a table with identifiers and classes.
    #[arg(long, default_value = "latents.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub show: ShowArgs,
    #[command(flatten)]
    pub theme: ThemeArgs,
}

/// Examples of a map by t-SNE without `--limit`: it takes minutes for more.
const TSNE_EXAMPLES: usize = 5_000;

impl Execute for LatentsArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        self.show.check(&self.out, printer)?;
        let as_table = self.out.extension().is_some_and(|extension| extension == "csv");
        if !as_table && FigureFormat::of(&self.out).is_err() {
            let path = self.out.display();
            return Err(request(format!("--out {path}: the name must end in .png, .svg or .csv")));
        }
        let (generator, checkpoint) = open::generator(&self.model, 0, printer)?;
        open::require_encoder(&checkpoint)?;
        let method = self.method.unwrap_or(Method::of(generator.vae.config().latent));
        let (source, mut examples) = open::examples(&self.read, &checkpoint, printer)?;
        if method == Method::Tsne && self.read.limit.is_none() && examples.len() > TSNE_EXAMPLES {
            examples = examples.spread(TSNE_EXAMPLES);
            printer.say(&format!(
                "t-SNE of {} of the examples, evenly spread; --limit N takes the first N",
                with_commas(TSNE_EXAMPLES)
            ));
        }
        let map = method.map(&generator, &examples, self.perplexity)?;
        if as_table {
            let columns = ["x", "y", "class"].map(str::to_owned);
            let has_classes = examples.labels.is_some();
            let rows = map.points.iter().enumerate().map(|(i, [x, y])| {
                let class = examples.labels.as_ref().map(|labels| labels[i].to_string());
                [Some(x.to_string()), Some(y.to_string()), class].into_iter().flatten()
            });
            let columns = &columns[..if has_classes { 3 } else { 2 }];
            table::write(&self.out, &Key::of(&source, &examples), columns, rows)?;
        } else {
            let data = format!("{} ({})", source.name, self.read.split);
            write_figure(&map.scatter(&examples, &data, Theme::from(self.theme)), &self.out)?;
        }
        self.show.draw(&self.out)?;
        print_written(printer, &self.out, examples.len())
    }
}
