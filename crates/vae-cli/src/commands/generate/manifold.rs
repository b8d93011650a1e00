//! `manifold`: decodes a plane of the latent space.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use vae_data::Examples;
use vae_eval::{Generator, PrincipalAxes, normal_quantile};
use vae_view::{Sheet, Theme};

use crate::args::{ModelArgs, ReadArgs, ThemeArgs, at_least_two};
use crate::commands::Execute;
use crate::failure::request;
use crate::open;
use crate::output::array;
use crate::output::file::{Format, print_written};
use crate::output::printer::Printer;
use crate::output::show::ShowArgs;

/// Decode a plane of the latent space: a grid of z at equal steps of probability.
///
/// With two latent dimensions the grid is that of N(0, I) (Kingma and Welling 2014, appendix A). With
/// more, it is a plane through the mean of the codes of data.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli manifold\n  \
    vae-cli manifold --n 30 --plane axes --out plane.png")]
pub struct ManifoldArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// Rows and columns of the grid.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = at_least_two)]
    pub n: usize,
    /// The plane, for a model with more than two latent dimensions [default: dims].
    #[arg(long, value_name = "PLANE")]
    pub plane: Option<Plane>,
    /// Class of all samples, for a model whose decoder depends on the class [default: 0].
    #[arg(long, value_name = "CLASS")]
    pub label: Option<u32>,
    /// File to write: .png is a sheet; .npy is an array [n * n, c, h, w], row by row from the top.
    #[arg(long, default_value = "manifold.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub show: ShowArgs,
    #[command(flatten)]
    pub theme: ThemeArgs,
}

/// A plane of the latent space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Plane {
    /// The two dimensions with the largest KL.
    Dims,
    /// The two principal axes of the codes of data.
    Axes,
}

/// A grid of z, and what its axes are.
struct Grid {
    /// Row by row from the top, `[n * n, latent]`.
    z: Vec<f32>,
    axes: [String; 2],
}

impl Execute for ManifoldArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        self.show.check(&self.out, printer)?;
        let format = Format::of(&self.out)?;
        if format == Format::Csv {
            let path = self.out.display();
            return Err(request(format!("--out {path}: the name must end in .png or .npy")));
        }
        let (generator, checkpoint) = open::generator(&self.model, 0, printer)?;
        generator.check_continuous()?;
        open::check_size(self.n.saturating_mul(self.n), &generator.vae)?;
        let conditional = open::has_conditional_decoder(&generator.vae);
        open::check_label(self.label, &generator.vae)?;
        if self.label.is_some() && !conditional {
            return Err(request("--label: the decoder of this model does not depend on the class"));
        }
        let latent = generator.vae.config().latent;
        let grid = match latent {
            1 => return Err(request("z of this model has one dimension, and a plane needs two")),
            2 if self.plane.is_some() => {
                return Err(request("--plane: z of this model has two dimensions, all its plane"));
            }
            2 => self.prior_plane(),
            _ => {
                open::require_encoder(&checkpoint)?;
                let (_, examples) = open::examples(&self.read, &checkpoint, printer)?;
                self.data_plane(&generator, &examples)?
            }
        };
        let label = conditional.then_some([self.label.unwrap_or(0)]);
        let decoded = generator.decode(&grid.z, label.as_ref().map(|l| l.as_slice()), false)?;
        let shape = generator.vae.shape();
        if format == Format::Npy {
            array::write(&self.out, &[&[self.n * self.n], shape].concat(), &decoded)?;
        } else {
            Sheet::check(shape, self.n * self.n)?;
            let [x, y] = &grid.axes;
            let mut sheet = Sheet::new(shape, self.n)
                .theme(Theme::from(self.theme))
                .title(&format!("{x} to the right, {y} upwards"));
            sheet.cover(&decoded);
            sheet.extend(&decoded);
            sheet.write(&self.out)?;
        }
        self.show.draw(&self.out)?;
        print_written(printer, &self.out, self.n * self.n)
    }
}

impl ManifoldArgs {
    /// Returns the positions of the grid, right and upwards, in standard deviations.
    fn positions(&self) -> Vec<[f64; 2]> {
        let at = |i: usize| normal_quantile((i as f64 + 0.5) / self.n as f64);
        let row = |row: usize| (0..self.n).map(move |column| [at(column), at(self.n - 1 - row)]);
        (0..self.n).flat_map(row).collect()
    }

    /// Returns the plane of a model with two latent dimensions.
    fn prior_plane(&self) -> Grid {
        let z = self.positions().into_iter().flatten().map(|z| z as f32).collect();
        Grid { z, axes: ["z1", "z2"].map(str::to_owned) }
    }

    /// Returns a plane through the mean of the codes of `examples`, with their spread along it.
    fn data_plane(&self, generator: &Generator, examples: &Examples) -> Result<Grid> {
        let latent = generator.vae.config().latent;
        if self.plane == Some(Plane::Axes) {
            let indices: Vec<u32> = (0..examples.len() as u32).collect();
            let codes = generator.encode(examples, &indices)?;
            let axes = PrincipalAxes::of(&codes, latent, 2, &generator.device)?;
            let z = self.positions().into_iter().flat_map(|[x, y]| {
                axes.point(&[x * axes.variance[0].sqrt(), y * axes.variance[1].sqrt()])
            });
            return Ok(Grid {
                z: z.collect(),
                axes: ["principal axis 1", "principal axis 2"].map(str::to_owned),
            });
        }
        let summary = generator.latent_summary(examples)?;
        let order = summary.order();
        let [first, second] = [order[0], order[1]];
        let mut z = Vec::with_capacity(self.n * self.n * latent);
        for [x, y] in self.positions() {
            let mut point = summary.mean.clone();
            point[first] += x * summary.variance[first].sqrt();
            point[second] += y * summary.variance[second].sqrt();
            z.extend(point.into_iter().map(|z| z as f32));
        }
        Ok(Grid { z, axes: [first, second].map(|d| format!("z{}", d + 1)) })
    }
}
