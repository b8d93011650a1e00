//! `bench`: measures the speed of training, evaluation and sampling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use burn::tensor::{Device, Distribution, Tensor};
use clap::{Args, ValueEnum};
use serde_json::json;
use vae_data::rng::Stream;
use vae_data::source::{AUTO, Location, Setting, named};
use vae_data::{DataError, Environment, Examples, Shape, Source, SourceSettings, Split, Values};
use vae_eval::{Evaluator, Generator, PriorSource};
use vae_model::Multiplications;
use vae_train::data::TrainingData;
use vae_train::{Backend, Event, Observer, Override, Trainer, ValidConfig, data, presets};

use crate::args::{BackendArgs, count};
use crate::commands::Execute;
use crate::open;
use crate::output::printer::Printer;
use crate::output::text::{columns, with_commas};

/// Measure the speed of training, evaluation and sampling on this machine.
///
/// Trains on the data of the configuration if it is built in or a file, else on digits, or on random
/// pictures of its size. Each speed is a median after a warm-up. GFLOP/s counts the multiplications
/// and additions of matrix products and convolutions. The roof is the backend's own product of two
/// large matrices, measured in the same run.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli bench\n  vae-cli bench conv --only training --json")]
pub struct BenchArgs {
    /// Name of a preset (see `vae-cli presets`), or a TOML file.
    #[arg(default_value = "mnist-mlp")]
    pub config: String,
    #[command(flatten)]
    pub backend: BackendArgs,
    /// Number of examples per training step.
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Number of training steps to time, at most.
    #[arg(long, default_value_t = 400, value_name = "N", value_parser = count)]
    pub steps: usize,
    /// Number of importance samples per example.
    #[arg(long, default_value_t = 5_000, value_name = "K", value_parser = count)]
    pub samples: usize,
    /// Time for each part (training, evaluation, importance samples, sampling), in seconds.
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = count)]
    pub time_limit: usize,
    /// Measure only this part. May be repeated.
    #[arg(long, value_name = "PART")]
    pub only: Vec<Name>,
    /// Set any value of the configuration, such as model.latent=10. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// The name of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Steps of training, in images per second.
    Training,
    /// The loss of examples, in images per second.
    Evaluation,
    /// Importance samples of the log-likelihood, in samples per second.
    Importance,
    /// Samples of the model, in images per second.
    Sampling,
}

/// The timed steps are divided into this many laps; the median lap is reported.
const LAPS: usize = 8;
/// Most examples that are evaluated or sampled at once.
const MOST: usize = 10_000;

impl Execute for BenchArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let limit = Duration::from_secs(self.time_limit as u64);
        let config = self.config_of(&[])?;
        let backend = self.backend.open_all(&config.train.devices)?;
        for backend in [&backend].into_iter().chain(&backend.others) {
            printer.detail(&format!("backend: {} on {}", backend.spec, backend.note));
        }
        let data = self.data(&config, printer)?;
        let roof = roof(&backend.device);
        let wants = |name| self.only.is_empty() || self.only.contains(&name);
        let (trainer, steps, training) = if wants(Name::Training) {
            let (trainer, steps, speed) = self.training(&data, &backend, limit)?;
            (trainer, steps, Some(speed))
        } else {
            (Trainer::new(config.clone(), data.clone(), &backend)?, 0, None)
        };

        let networks = trainer.networks();
        let objective = &config.objective;
        let evaluator = |n: usize| {
            let mut examples = (*data.train).clone();
            examples.truncate(n);
            let transform = Arc::clone(&data.transform);
            Evaluator::new(Arc::new(examples), transform, backend.device.clone(), 0)
        };
        let most = MOST.min(data.train.len());
        let least = objective.requirements().min_batch.max(1);
        let evaluation = || {
            rate(limit, least..=most, |n| {
                let evaluator = evaluator(n)?;
                Ok(timed(|| evaluator.objective(&networks, objective))?)
            })
        };
        let importance = || {
            rate(limit, 1..=most, |n| {
                let evaluator = evaluator(n)?;
                Ok(timed(|| evaluator.nll_each(&networks.vae, self.samples))?)
            })
        };
        let generator = Generator {
            vae: networks.vae.clone(),
            transform: Arc::clone(&data.transform),
            device: backend.device.clone(),
            seed: 0,
            prior: Some(trainer.prior_source().unwrap_or(PriorSource::Standard)),
        };
        let sampling =
            || rate(limit, 1..=1_000, |n| Ok(timed(|| generator.sample(n, None, false))?));
        // Not every model has a log-likelihood that can be estimated.
        let check = evaluator(1)?.check(&networks.vae, 1);
        let can_estimate = check.is_ok();
        if self.only.contains(&Name::Importance) {
            check?;
        }
        let evaluation = wants(Name::Evaluation).then(evaluation).transpose()?;
        let importance = (wants(Name::Importance) && can_estimate).then(importance).transpose()?;
        let importance = importance.map(|images| images * self.samples as f64);
        let sampling = wants(Name::Sampling).then(sampling).transpose()?;

        let work = networks.vae.multiplications();
        let draws = objective.requirements().decodings;
        let decoding = Multiplications { encoder: 0, ..work }.of_forward(1) as f64;
        let parts = [
            Part::new("training", "images", training, Some(work.of_training(draws) as f64)),
            Part::new("evaluation", "images", evaluation, None),
            Part::new("importance", "samples", importance, Some(decoding)),
            Part::new("sampling", "images", sampling, Some(decoding)),
        ];
        let peak = peak_memory();
        let mut rows: Vec<Vec<String>> = parts.iter().filter_map(|part| part.row(roof)).collect();
        rows.push(vec![
            "roof".to_owned(),
            String::new(),
            String::new(),
            format!("{:>7.1} GFLOP/s", roof / 1e9),
        ]);
        if let Some(peak) = peak {
            rows.push(vec![
                "peak memory".to_owned(),
                format!("{:>12}", with_commas(peak as usize / 1_000_000)),
                "MB".to_owned(),
            ]);
        }
        let title = format!(
            "{} on {} ({}), batch {}",
            self.config, backend.name, backend.note, config.train.batch_size
        );
        printer.result(&format!("{title}\n{}", columns(&rows)), || {
            json!({
                "config": self.config,
                "backend": backend.name,
                "device": backend.note,
                "batch_size": config.train.batch_size,
                "steps": steps,
                "images_per_second": training.map(f64::round),
                "evaluation_images_per_second": evaluation.map(f64::round),
                "importance_samples_per_second": importance.map(f64::round),
                "samples_per_second": sampling.map(f64::round),
                "training_gflops": parts[0].flops().map(|flops| flops / 1e9),
                "importance_gflops": parts[2].flops().map(|flops| flops / 1e9),
                "roof_gflops": roof / 1e9,
                "peak_memory_bytes": peak,
            })
        })
    }
}

impl BenchArgs {
    /// Returns the configuration, with settings of the measurement.
    fn config_of(&self, measurement: &[Override]) -> Result<ValidConfig> {
        let mut overrides = measurement.to_vec();
        if let Some(n) = self.batch_size {
            overrides.push(Override::new("train.batch_size", n, format!("--batch-size {n}")));
        }
        overrides.extend(open::overrides(&self.set)?);
        Ok(presets::resolve(&self.config, &overrides)?)
    }

    /// Returns the data of the configuration, or others of the same shape that need no files.
    fn data(&self, config: &ValidConfig, printer: &Printer) -> Result<TrainingData> {
        let source = &config.data.source;
        let environment = Environment::default();
        let set = named(source);
        let is_built_in = set.is_some_and(|s| s.location(&environment) == Location::BuiltIn);
        if is_built_in || (set.is_none() && source != AUTO) {
            return open::with_environment(None, printer, |environment| {
                Ok(data::load(config, environment)?)
            });
        }
        if config.data.size.is_none() && config.data.channels.is_none() {
            // Built in, and of the same shape as mnist.
            return Ok(data::load(&config.clone().with_source("digits"), &environment)?);
        }
        let (height, width) = config.data.size.unwrap_or((28, 28));
        let pictures = Pictures { channels: config.data.channels.unwrap_or(1), height, width };
        Ok(data::load_from(config, Box::new(pictures), &environment)?)
    }

    /// Returns a trainer after its training, the number of timed steps, and examples per second.
    fn training(
        &self,
        data: &TrainingData,
        backend: &Backend,
        limit: Duration,
    ) -> Result<(Trainer, u64, f64)> {
        let trainer = |lap: u64, steps: u64| -> Result<Trainer> {
            let config = self.config_of(&[
                Override::new("train.log_every", lap, "bench"),
                Override::new("train.max_steps", steps, "bench"),
                Override::new("train.epochs", 1_000_000, "bench"),
            ])?;
            Ok(Trainer::new(config, data.clone(), backend)?)
        };
        // A few steps say how many there is time for. The first warms up.
        let batch = self.config_of(&[])?.train.batch_size;
        let mut first = Laps::new(1, batch);
        let mut warm = trainer(1, 4)?;
        let start = Instant::now();
        warm.train(None, vec![&mut first], &AtomicBool::new(false))?;
        let seconds_per_step = batch as f64 / first.median();
        let left = limit.saturating_sub(start.elapsed()).as_secs_f64();
        // The first lap is not counted: it warms up caches, buffers and GPU kernels.
        let possible = (left / seconds_per_step / (LAPS as f64 + 1.0)) as usize;
        let lap = self.steps.div_ceil(LAPS).min(possible).max(1) as u64;
        if possible == 0 {
            return Ok((warm, first.speeds.len() as u64, first.median()));
        }
        let mut laps = Laps::new(lap, batch);
        let mut trainer = trainer(lap, lap * (LAPS as u64 + 1))?;
        let stop = AtomicBool::new(false);
        laps.end = Some((start + limit, &stop));
        trainer.train(None, vec![&mut laps], &stop)?;
        Ok(match laps.speeds.len() as u64 {
            0 => (trainer, first.speeds.len() as u64, first.median()),
            counted => (trainer, counted * lap, laps.median()),
        })
    }
}

/// One line of the result.
struct Part {
    name: &'static str,
    unit: &'static str,
    /// Examples or samples per second. `None` if it cannot be measured.
    speed: Option<f64>,
    /// Operations of one, if they are counted.
    operations: Option<f64>,
}

impl Part {
    fn new(
        name: &'static str,
        unit: &'static str,
        speed: Option<f64>,
        operations: Option<f64>,
    ) -> Self {
        Self { name, unit, speed, operations }
    }

    /// Returns operations per second.
    fn flops(&self) -> Option<f64> {
        Some(self.speed? * self.operations?)
    }

    /// Returns the cells of the line.
    fn row(&self, roof: f64) -> Option<Vec<String>> {
        let speed = format!("{:>12}", with_commas(self.speed? as usize));
        let mut row = vec![self.name.to_owned(), speed, format!("{}/s", self.unit)];
        if let Some(flops) = self.flops() {
            row.push(format!("{:>7.1} GFLOP/s", flops / 1e9));
            row.push(format!("{:>3.0} % of the roof", 100.0 * flops / roof));
        }
        Some(row)
    }
}

/// Returns operations per second of the backend's product of two matrices.
fn roof(device: &Device) -> f64 {
    const SIDE: usize = 1024;
    let matrix = || Tensor::<2>::random([SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), device);
    let (a, b) = (matrix(), matrix());
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut repeats = 0;
    while repeats < 3 || (start.elapsed() < Duration::from_secs(1) && repeats < 50) {
        let at = Instant::now();
        // Reading a number waits for the product.
        let _ = a.clone().matmul(b.clone()).slice([0..1, 0..1]).into_data();
        best = best.min(at.elapsed().as_secs_f64());
        repeats += 1;
    }
    2.0 * (SIDE as f64).powi(3) / best
}

/// Returns the largest size that the process has had in memory, in bytes, where Linux says it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Random pictures: a source that needs no files, for configurations with a size of their own.
#[derive(Debug)]
struct Pictures {
    channels: usize,
    height: usize,
    width: usize,
}

impl Source for Pictures {
    fn name(&self) -> String {
        "random pictures".to_owned()
    }

    fn about(&self) -> String {
        "random pixels".to_owned()
    }

    fn location(&self, _: &Environment) -> Location {
        Location::BuiltIn
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting::Size, Setting::Channels]
    }

    fn read(&self, _: Split, _: &SourceSettings, _: &Environment) -> Result<Examples, DataError> {
        let Self { channels, height, width } = *self;
        let shape = Shape::Image { channels, height, width };
        // At most 64 MB.
        let n = (64_000_000 / shape.len().max(1)).clamp(256, MOST);
        let mut numbers = Stream::new(0, "pictures of bench").sequence();
        let words = (n * shape.len()).div_ceil(4);
        let mut bytes: Vec<u8> = (0..words).flat_map(|_| numbers.word().to_le_bytes()).collect();
        bytes.truncate(n * shape.len());
        let labels = (0..n as u32).map(|i| i % 10).collect();
        Ok(Examples { labels: Some(labels), ..Examples::new(shape, Values::Bytes(bytes)) })
    }
}

/// Measures the speed of each lap of a training except the first.
struct Laps<'a> {
    steps: u64,
    batch_size: usize,
    last: Option<Instant>,
    speeds: Vec<f64>,
    /// When training is to stop, and what stops it.
    end: Option<(Instant, &'a AtomicBool)>,
}

impl Laps<'_> {
    fn new(steps: u64, batch_size: usize) -> Self {
        Self { steps, batch_size, last: None, speeds: Vec::new(), end: None }
    }

    /// Returns the median speed in examples per second, or NaN if no lap was measured.
    fn median(&self) -> f64 {
        median(self.speeds.clone())
    }
}

impl Observer for Laps<'_> {
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
            if let Some((end, stop)) = self.end
                && Instant::now() > end
            {
                stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// Returns the median of `values`, or NaN if there are none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle.wrapping_sub(1)..=middle) {
        Some([a, b]) if values.len().is_multiple_of(2) => (a + b) / 2.0,
        _ => values.get(middle).copied().unwrap_or(f64::NAN),
    }
}

/// Returns how long `work` takes.
fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// Returns the examples per second of `work`, which handles as many examples as it is told and
/// returns how long it took. The number grows until it takes a fifteenth of `limit`; then it is the
/// median of five calls, or of as many as there is time for.
fn rate(
    limit: Duration,
    sizes: std::ops::RangeInclusive<usize>,
    mut work: impl FnMut(usize) -> Result<Duration>,
) -> Result<f64> {
    let start = Instant::now();
    let mut n = *sizes.start();
    let mut last = work(n)?;
    while last < limit / 15 && n < *sizes.end() && start.elapsed() < limit / 2 {
        n = (2 * n).min(*sizes.end());
        last = work(n)?;
    }
    let mut speeds = vec![n as f64 / last.as_secs_f64()];
    if start.elapsed() + last < limit {
        // What was measured so far has warmed up.
        speeds.clear();
    }
    while speeds.len() < 5 && (speeds.is_empty() || start.elapsed() + last < limit) {
        last = work(n)?;
        speeds.push(n as f64 / last.as_secs_f64());
    }
    match median(speeds) {
        speed if speed.is_finite() => Ok(speed),
        _ => Err(anyhow!("the clock of this machine is too coarse to measure {n} examples")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_slow_part_ends_after_one_call_and_a_fast_one_grows() {
        let limit = Duration::from_secs(15);
        let mut calls = Vec::new();
        let speed = rate(limit, 1..=1_000, |n| {
            calls.push(n);
            Ok(Duration::from_millis(n as u64 * 10))
        });
        assert!((speed.unwrap() - 100.0).abs() < 1e-9);
        // It grows to a second, then five calls are measured.
        assert_eq!(calls, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128, 128, 128, 128]);
        let mut calls = 0;
        let speed = rate(limit, 1..=1_000, |_| {
            calls += 1;
            Ok(Duration::from_secs(40))
        });
        assert!((speed.unwrap() - 1.0 / 40.0).abs() < 1e-9);
        assert_eq!(calls, 1);
    }
}
