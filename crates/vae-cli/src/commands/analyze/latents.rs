//! `latents`: a map of the codes of data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use vae_data::Examples;
use vae_eval::PrincipalAxes;
use vae_view::{FigureFormat, Scatter, Theme, write_figure};

use crate::args::{ModelArgs, ReadArgs, ThemeArgs, perplexity};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::file::print_written;
use crate::output::printer::Printer;
use crate::output::table::{self, Key};
use crate::output::text::with_commas;

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
    #[arg(long, default_value_t = 30.0, value_name = "P", value_parser = perplexity)]
    pub perplexity: f32,
    /// File to write: .png or .svg is a plot; .csv is a table with identifiers and classes.
    #[arg(long, default_value = "latents.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub theme: ThemeArgs,
}

/// How codes become points of a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// The first two dimensions of z.
    Plain,
    /// The two principal axes.
    Pca,
    /// t-SNE (van der Maaten and Hinton 2008), which keeps neighbours together; distances between
    /// groups mean nothing.
    Tsne,
}

/// Examples of a map by t-SNE without `--limit`: it takes minutes for more.
const TSNE_EXAMPLES: usize = 5_000;
/// Steps of t-SNE, and its trade of accuracy for speed (van der Maaten 2014).
const TSNE_STEPS: usize = 1_000;
const TSNE_THETA: f32 = 0.5;

impl Execute for LatentsArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let as_table = self.out.extension().is_some_and(|extension| extension == "csv");
        if !as_table && FigureFormat::of(&self.out).is_err() {
            let path = self.out.display();
            return Err(request(format!("--out {path}: the name must end in .png, .svg or .csv")));
        }
        let (generator, checkpoint) = open::generator(&self.model, 0, printer)?;
        open::require_encoder(&checkpoint)?;
        let latent = generator.vae.config().latent;
        let method = self.method.unwrap_or(if latent == 2 { Method::Plain } else { Method::Pca });
        if method == Method::Plain && latent < 2 {
            return Err(request("z of this model has one dimension: --method plain needs two"));
        }
        let (source, mut examples) = open::examples(&self.read, &checkpoint, printer)?;
        if method == Method::Tsne && self.read.limit.is_none() && examples.len() > TSNE_EXAMPLES {
            examples.truncate(TSNE_EXAMPLES);
            printer.say(&format!(
                "t-SNE of the first {} examples; --limit N takes more",
                with_commas(TSNE_EXAMPLES)
            ));
        }
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        let codes = generator.encode(&examples, &indices)?;
        let (points, axes) = match method {
            Method::Plain => {
                let points = codes.chunks(latent).map(|z| [z[0], z[1]]).collect();
                (points, ["z1", "z2"].map(str::to_owned))
            }
            Method::Pca => {
                let axes = PrincipalAxes::of(&codes, latent, 2, &generator.device)?;
                let share = |i: usize| {
                    // Codes that are all the same have no variance.
                    let all = axes.total_variance.max(f64::MIN_POSITIVE);
                    let share = axes.variance.get(i).map_or(0.0, |v| v / all);
                    format!("principal axis {} ({:.0} % of the variance)", i + 1, 100.0 * share)
                };
                (pairs(&axes.project(&codes), axes.axes.len()), [share(0), share(1)])
            }
            Method::Tsne => {
                let start = PrincipalAxes::of(&codes, latent, 2, &generator.device)?;
                let points = self.tsne(&codes, latent, &start)?;
                (points, ["t-SNE 1", "t-SNE 2"].map(str::to_owned))
            }
        };
        if as_table {
            let columns = ["x", "y", "class"].map(str::to_owned);
            let has_classes = examples.labels.is_some();
            let rows = points.iter().enumerate().map(|(i, [x, y])| {
                let class = examples.labels.as_ref().map(|labels| labels[i].to_string());
                [Some(x.to_string()), Some(y.to_string()), class].into_iter().flatten()
            });
            let columns = &columns[..if has_classes { 3 } else { 2 }];
            table::write(&self.out, &Key::of(&source, &examples), columns, rows)?;
        } else {
            let (classes, class_names) = numbered(&examples);
            let [x_label, y_label] = axes;
            let scatter = Scatter {
                title: format!(
                    "Codes of {} examples of {} ({})",
                    with_commas(points.len()),
                    source.name,
                    self.read.split
                ),
                x_label,
                y_label,
                points,
                class_names,
                classes,
                theme: Theme::from(self.theme),
            };
            write_figure(&scatter, &self.out)?;
        }
        print_written(printer, &self.out, examples.len())
    }
}

impl LatentsArgs {
    /// Returns the points of t-SNE. It starts from the principal axes (Kobak and Berens 2019), so that
    /// maps of the same codes look alike. They are not equal: the library's threads add in any order.
    fn tsne(&self, codes: &[f32], latent: usize, axes: &PrincipalAxes) -> Result<Vec<[f32; 2]>> {
        let rows: Vec<&[f32]> = codes.chunks(latent).collect();
        // Each code needs three times as many neighbours as its effective number.
        if rows.len() as f32 - 1.0 < 3.0 * self.perplexity {
            return Err(request(format!(
                "--perplexity {}: t-SNE needs more than {} examples, and {} are read: lower it",
                self.perplexity,
                (3.0 * self.perplexity) as usize,
                rows.len()
            )));
        }
        let start = pairs(&axes.project(codes), axes.axes.len());
        let spread = axes.variance.first().map_or(1.0, |v| v.sqrt()).max(1e-12) as f32;
        let start: Vec<f32> = start.into_iter().flatten().map(|x| x / spread * 1e-4).collect();
        let distance = |a: &&[f32], b: &&[f32]| {
            a.iter().zip(*b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
        };
        let points = bhtsne::tSNE::<f32, &[f32], 2>::new(&rows)
            .perplexity(self.perplexity)
            .epochs(TSNE_STEPS)
            .initial_embedding(start)
            .barnes_hut(TSNE_THETA, distance)
            .embedding();
        Ok(pairs(&points, 2))
    }
}

/// Most classes that are told apart.
const CLASSES: usize = 60;

/// Returns the class of each example, numbered from 0 among those that occur, and their names. Without
/// labels, or with too many classes, there are none.
fn numbered(examples: &Examples) -> (Option<Vec<u32>>, Vec<String>) {
    let Some(labels) = &examples.labels else { return (None, Vec::new()) };
    let found: BTreeSet<u32> = labels.iter().copied().collect();
    if found.len() > CLASSES {
        return (None, Vec::new());
    }
    let numbers: BTreeMap<u32, u32> = found.iter().copied().zip(0..).collect();
    let name = |class: &u32| match examples.classes.get(*class as usize) {
        Some(name) => name.clone(),
        None => class.to_string(),
    };
    (Some(labels.iter().map(|label| numbers[label]).collect()), found.iter().map(name).collect())
}

/// Returns the first two of each row of `width` numbers; a missing one is 0.
fn pairs(rows: &[f32], width: usize) -> Vec<[f32; 2]> {
    rows.chunks(width).map(|row| [row[0], row.get(1).copied().unwrap_or(0.0)]).collect()
}
