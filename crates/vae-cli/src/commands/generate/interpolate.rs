//! `interpolate`: decodes paths through the latent space.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use vae_eval::{Generator, Path};
use vae_train::Checkpoint;
use vae_view::Theme;

use crate::args::{ModelArgs, ReadArgs, at_least_two, count};
use crate::commands::Execute;
use crate::open;
use crate::output::file::{Format, print_written, write};
use crate::output::frames;
use crate::output::printer::Printer;
use crate::output::show::ShowArgs;

/// Interpolate in the latent space, between examples or between random z.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli interpolate\n  \
    vae-cli interpolate --from 3 --to 8 --steps 20\n  vae-cli interpolate --random --n 4")]
pub struct InterpolateArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    /// Index of the example to start from, counted from 0. With --to, the result is one path.
    #[arg(long, value_name = "I", requires = "to", conflicts_with = "random")]
    pub from: Option<usize>,
    /// Index of the example to end at, counted from 0.
    #[arg(long, value_name = "I", requires = "from")]
    pub to: Option<usize>,
    /// Interpolate between random z from the prior. No data is read.
    #[arg(long)]
    pub random: bool,
    /// Follow a straight line. The default, --spherical, keeps to the sphere on which most mass of the
    /// prior is.
    #[arg(long)]
    pub linear: bool,
    /// Follow a great circle: the direction of z turns, its length changes linearly [default].
    #[arg(long, conflicts_with = "linear")]
    pub spherical: bool,
    /// Number of paths: between consecutive examples, or between random z.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = count)]
    pub n: usize,
    /// Number of z on each path, both ends included.
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = at_least_two)]
    pub steps: usize,
    /// Seed of the random z.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// File to write: .png is a sheet with a row per path; .gif is an animation of all paths; .npy is
    /// an array; .csv is a table (vectors only).
    #[arg(long, default_value = "interpolation.png", value_name = "PATH")]
    pub out: PathBuf,
    #[command(flatten)]
    pub show: ShowArgs,
}

/// The ends of all paths.
struct Ends {
    /// z of the start and of the end of each path, row-major.
    z: Vec<f32>,
    /// The class of each path, for a model that depends on the class: that of its start.
    labels: Option<Vec<u32>>,
}

impl Execute for InterpolateArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        self.show.check(&self.out, printer)?;
        if !frames::is_animation(&self.out) {
            Format::of(&self.out)?;
        }
        let (mut generator, checkpoint) = open::generator(&self.model, self.seed, printer)?;
        open::check_size(self.n.saturating_mul(self.steps), &generator.vae)?;
        let ends = if self.random {
            open::ensure_prior(&mut generator, &checkpoint, printer);
            self.random_ends(&generator)?
        } else {
            self.example_ends(&generator, &checkpoint, printer)?
        };
        let latent = generator.vae.config().latent;
        let path = if self.linear { Path::Linear } else { Path::Spherical };
        let mut values = Vec::new();
        for (i, pair) in ends.z.chunks(2 * latent).enumerate() {
            let (from, to) = pair.split_at(latent);
            let label = ends.labels.as_ref().map(|labels| labels[i]);
            values.extend(generator.interpolate(path, from, to, self.steps, label)?);
        }
        if frames::is_animation(&self.out) {
            frames::write(
                &self.out,
                generator.vae.shape(),
                &values,
                self.steps,
                Theme::Dark,
                |_| None,
            )?;
        } else {
            let names = checkpoint.data.settings.columns.as_deref();
            write(&self.out, generator.vae.shape(), &values, Some(self.steps), names)?;
        }
        self.show.draw(&self.out)?;
        print_written(printer, &self.out, values.len() / generator.vae.numbers())
    }
}

impl InterpolateArgs {
    /// Draws the ends from the prior. The paths of a model with classes take the classes in turn;
    /// both ends of a path are of its class.
    fn random_ends(&self, generator: &Generator) -> Result<Ends> {
        let classes = generator.vae.classes();
        if classes == 0 {
            return Ok(Ends { z: generator.draw_prior(2 * self.n, None)?, labels: None });
        }
        let labels: Vec<u32> = (0..self.n).map(|path| (path % classes) as u32).collect();
        let of_ends: Vec<u32> = labels.iter().flat_map(|label| [*label, *label]).collect();
        Ok(Ends { z: generator.draw_prior(2 * self.n, Some(&of_ends))?, labels: Some(labels) })
    }

    /// Encodes the examples that flags name.
    fn example_ends(
        &self,
        generator: &Generator,
        checkpoint: &Checkpoint,
        printer: &Printer,
    ) -> Result<Ends> {
        open::require_encoder(checkpoint)?;
        let (_, examples) = open::examples(&self.read, checkpoint, printer)?;
        let indices: Vec<usize> = match (self.from, self.to) {
            (Some(from), Some(to)) => vec![from, to],
            _ => (0..2 * self.n.min((examples.len() / 2).max(1))).collect(),
        };
        for index in &indices {
            open::check_index(*index, &examples, &self.read)?;
        }
        let indices: Vec<u32> = indices.into_iter().map(|i| i as u32).collect();
        let labels = examples.labels_at(&indices);
        Ok(Ends {
            z: generator.encode(&examples, &indices)?,
            labels: labels.map(|labels| labels.into_iter().step_by(2).collect()),
        })
    }
}
