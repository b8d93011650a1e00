//! A map of the codes of data: points of a plane, coloured by class.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::ValueEnum;
use vae_data::Examples;
use vae_eval::{Generator, PrincipalAxes};
use vae_view::{Scatter, Theme};

use crate::failure::request;
use crate::output::text::with_commas;

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

/// The default effective number of neighbours of t-SNE.
pub const PERPLEXITY: f32 = 30.0;
/// Steps of t-SNE, and its trade of accuracy for speed (van der Maaten 2014).
const TSNE_STEPS: usize = 1_000;
const TSNE_THETA: f32 = 0.5;

/// The codes of examples as points of a plane.
pub struct Map {
    /// A point for each example.
    pub points: Vec<[f32; 2]>,
    /// What the two axes are.
    pub axes: [String; 2],
}

impl Method {
    /// Returns the method for `latent` dimensions.
    pub fn of(latent: usize) -> Self {
        if latent == 2 { Self::Plain } else { Self::Pca }
    }

    /// Returns the map of the codes of `examples`. t-SNE reads `perplexity`.
    ///
    /// # Errors
    /// If the model cannot read the examples, if z has one dimension and the method needs two, or if
    /// there are too few examples for the perplexity.
    pub fn map(self, generator: &Generator, examples: &Examples, perplexity: f32) -> Result<Map> {
        let latent = generator.vae.config().latent;
        if self == Self::Plain && latent < 2 {
            return Err(request("z of this model has one dimension: --method plain needs two"));
        }
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        let codes = generator.encode(examples, &indices)?;
        Ok(match self {
            Self::Plain => Map {
                points: codes.chunks(latent).map(|z| [z[0], z[1]]).collect(),
                axes: ["z1", "z2"].map(str::to_owned),
            },
            Self::Pca => {
                let axes = PrincipalAxes::of(&codes, latent, 2, &generator.device)?;
                let share = |i: usize| {
                    // Codes that are all the same have no variance.
                    let all = axes.total_variance.max(f64::MIN_POSITIVE);
                    let share = axes.variance.get(i).map_or(0.0, |v| v / all);
                    format!("principal axis {} ({:.0} % of the variance)", i + 1, 100.0 * share)
                };
                let points = pairs(&axes.project(&codes), axes.axes.len());
                Map { points, axes: [share(0), share(1)] }
            }
            Self::Tsne => {
                let start = PrincipalAxes::of(&codes, latent, 2, &generator.device)?;
                let points = tsne(&codes, latent, &start, perplexity)?;
                Map { points, axes: ["t-SNE 1", "t-SNE 2"].map(str::to_owned) }
            }
        })
    }
}

impl Map {
    /// Returns the plot of the map of `examples`, which are from the data called `source`.
    pub fn scatter(self, examples: &Examples, source: &str, theme: Theme) -> Scatter {
        let (classes, class_names) = numbered(examples);
        let [x_label, y_label] = self.axes;
        let title = format!("Codes of {} examples of {source}", with_commas(self.points.len()));
        Scatter { title, x_label, y_label, points: self.points, class_names, classes, theme }
    }
}

/// Returns the points of t-SNE. It starts from the principal axes (Kobak and Berens 2019), so that
/// maps of the same codes look alike. They are not equal: the library's threads add in any order.
fn tsne(
    codes: &[f32],
    latent: usize,
    axes: &PrincipalAxes,
    perplexity: f32,
) -> Result<Vec<[f32; 2]>> {
    let rows: Vec<&[f32]> = codes.chunks(latent).collect();
    // Each code needs three times as many neighbours as its effective number.
    if rows.len() as f32 - 1.0 < 3.0 * perplexity {
        return Err(request(format!(
            "--perplexity {}: t-SNE needs more than {} examples, and {} are read: lower it",
            perplexity,
            (3.0 * perplexity) as usize,
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
        .perplexity(perplexity)
        .epochs(TSNE_STEPS)
        .initial_embedding(start)
        .barnes_hut(TSNE_THETA, distance)
        .embedding();
    Ok(pairs(&points, 2))
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
