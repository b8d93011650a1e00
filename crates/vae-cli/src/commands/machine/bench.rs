//! `bench`: measures the speed of training, evaluation and sampling.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use vae_data::Environment;
use vae_data::source::{AUTO, Location, named};
use vae_eval::{Evaluator, Generator, PriorSource};
use vae_train::{Event, Observer, Override, Trainer, data, presets};

use crate::args::{BackendArgs, count};
use crate::commands::Execute;
use crate::open;
use crate::output::printer::Printer;
use crate::output::text::{columns, with_commas};

/// Measure the speed of training, evaluation and sampling on this machine.
///
/// Trains on the data of the configuration if it is built in or a file, else on digits. Each speed
/// is a median after a warm-up.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Name of a preset (see `vae-cli presets`), or a TOML file.
    #[arg(default_value = "mnist-mlp")]
    pub config: String,
    #[command(flatten)]
    pub backend: BackendArgs,
    /// Number of examples per training step.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Number of training steps to time.
    #[arg(long, default_value_t = 400, value_name = "N", value_parser = count)]
    pub steps: usize,
    /// Set any value of the configuration, such as model.latent=10. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// The timed steps are divided into this many laps; the median lap is reported.
const LAPS: usize = 8;

impl Execute for BenchArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let lap_steps = self.steps.div_ceil(LAPS) as u64;
        // The first lap warms up caches, buffers and GPU kernels; it is not counted.
        let steps = lap_steps * (LAPS as u64 + 1);
        let mut overrides = vec![
            Override::new("train.log_every", lap_steps, "bench"),
            Override::new("train.max_steps", steps, "bench"),
            Override::new("train.epochs", 1_000_000, "bench"),
        ];
        if let Some(n) = self.batch_size {
            overrides.push(Override::new("train.batch_size", n, format!("--batch-size {n}")));
        }
        overrides.extend(open::overrides(&self.set)?);
        let config = presets::resolve(&self.config, &overrides)?;
        let source = &config.data.source;
        let is_built_in =
            |set: &dyn vae_data::Source| set.location(&Environment::default()) == Location::BuiltIn;
        let config = if source == AUTO || named(source).is_some_and(|set| !is_built_in(set)) {
            // Built in, and of the same shape as mnist.
            config.with_source("digits")
        } else {
            config
        };
        let backend = open::backend(&self.backend, printer)?;
        let data = open::with_environment(None, printer, |environment| {
            Ok(data::load(&config, environment)?)
        })?;
        let mut trainer = Trainer::new(config.clone(), data.clone(), &backend)?;
        let mut laps = Laps::new(lap_steps, config.train.batch_size);
        trainer.train(None, vec![&mut laps], &AtomicBool::new(false))?;
        let training = laps.median();

        let networks = trainer.networks();
        let mut examples = (*data.train).clone();
        examples.truncate(10_000);
        let n = examples.len();
        let (examples, transform) = (Arc::new(examples), Arc::clone(&data.transform));
        let evaluator = Evaluator::new(examples, transform, backend.device.clone(), 0)?;
        let evaluation = examples_per_second(n, || {
            evaluator.objective(&networks, &config.objective).map(|_| ())
        })?;
        let generator = Generator {
            vae: networks.vae.clone(),
            transform: Arc::clone(&data.transform),
            device: backend.device.clone(),
            seed: 0,
            prior: Some(trainer.prior_source().unwrap_or(PriorSource::Standard)),
        };
        let sampling =
            examples_per_second(1_000, || generator.sample(1_000, None, false).map(|_| ()))?;

        let row = |name: &str, rate: f64| {
            vec![
                name.to_owned(),
                format!("{:>12}", with_commas(rate as usize)),
                "images/s".to_owned(),
            ]
        };
        let rows =
            [row("training", training), row("evaluation", evaluation), row("sampling", sampling)];
        let title = format!(
            "{} on {} ({}), batch {}, median of {LAPS} laps of {lap_steps} steps",
            self.config, backend.name, backend.note, config.train.batch_size
        );
        printer.result(&format!("{title}\n{}", columns(&rows)), || {
            json!({
                "config": self.config,
                "backend": backend.name,
                "device": backend.note,
                "batch_size": config.train.batch_size,
                "steps": lap_steps * LAPS as u64,
                "images_per_second": training.round(),
                "evaluation_images_per_second": evaluation.round(),
                "samples_per_second": sampling.round(),
            })
        })
    }
}

/// Measures the speed of each lap of a training except the first.
struct Laps {
    steps: u64,
    batch_size: usize,
    last: Option<Instant>,
    speeds: Vec<f64>,
}

impl Laps {
    fn new(steps: u64, batch_size: usize) -> Self {
        Self { steps, batch_size, last: None, speeds: Vec::new() }
    }

    /// Returns the median speed in examples per second, or NaN if no lap was measured.
    fn median(&mut self) -> f64 {
        self.speeds.sort_by(f64::total_cmp);
        let middle = self.speeds.len() / 2;
        match self.speeds.get(middle.wrapping_sub(1)..=middle) {
            Some([a, b]) if self.speeds.len().is_multiple_of(2) => (a + b) / 2.0,
            _ => self.speeds.get(middle).copied().unwrap_or(f64::NAN),
        }
    }
}

impl Observer for Laps {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        // Steps are also reported when an epoch ends, in the middle of a lap.
        if let Event::Step { step, .. } = event
            && step.is_multiple_of(self.steps)
        {
            // The last batch of an epoch may be smaller; the speed ignores that.
            let images = self.steps as f64 * self.batch_size as f64;
            if let Some(last) = self.last.replace(Instant::now()) {
                self.speeds.push(images / last.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }
}

/// Returns the examples per second of `work`, which handles `n` examples: the median of five calls
/// after one that is not counted.
fn examples_per_second<E>(n: usize, mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    work()?;
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            work()?;
            Ok(start.elapsed().as_secs_f64())
        })
        .collect::<Result<_, E>>()?;
    times.sort_by(f64::total_cmp);
    Ok(n as f64 / times[2])
}
