//! `bench`: training, evaluation and sampling speed on this machine.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use vae_data::Environment;
use vae_data::source::{AUTO, Location, named};
use vae_eval::{Evaluator, Generator, PriorSource};
use vae_train::{Event, Observer, Override, Trainer, data, presets};

use crate::args::BenchArgs;
use crate::open;
use crate::printer::{Printer, count, table};

/// Laps that the timed steps are cut into; the median lap is quoted.
const LAPS: usize = 8;

/// Measures.
pub fn run(args: &BenchArgs, printer: &Printer) -> Result<()> {
    let lap_steps = args.steps.div_ceil(LAPS) as u64;
    // The first lap warms up caches, buffers and a GPU's kernels, and is not counted.
    let steps = lap_steps * (LAPS as u64 + 1);
    let mut overrides = vec![
        Override::new("train.log_every", lap_steps, "bench"),
        Override::new("train.max_steps", steps, "bench"),
        Override::new("train.epochs", 1_000_000, "bench"),
    ];
    if let Some(n) = args.batch_size {
        overrides.push(Override::new("train.batch_size", n, format!("--batch-size {n}")));
    }
    overrides.extend(open::sets(&args.set)?);
    let config = presets::resolve(&args.config, &overrides)?;
    let source = &config.data.source;
    let is_here =
        |set: &dyn vae_data::Source| set.location(&Environment::default()) == Location::BuiltIn;
    let config = if source == AUTO || named(source).is_some_and(|set| !is_here(set)) {
        // Images of the same shape, which are always there.
        config.with_source("digits")
    } else {
        config
    };
    let backend = open::backend(&args.backend, printer)?;
    let data =
        open::with_environment(None, printer, |environment| Ok(data::load(&config, environment)?))?;
    let mut trainer = Trainer::new(config.clone(), data.clone(), &backend)?;
    let mut laps = Laps::new(lap_steps, config.train.batch_size);
    trainer.train(None, vec![&mut laps], &AtomicBool::new(false))?;
    let training = laps.median();

    let networks = trainer.networks();
    let mut examples = (*data.train).clone();
    examples.truncate(10_000);
    let n = examples.len();
    let evaluator = Evaluator {
        examples: Arc::new(examples),
        transform: Arc::clone(&data.transform),
        device: backend.device.clone(),
        seed: 0,
    };
    let evaluation = rate(n, || {
        evaluator.objective(&networks, &config.objective);
    });
    let generator = Generator {
        vae: networks.vae.clone(),
        transform: Arc::clone(&data.transform),
        device: backend.device.clone(),
        seed: 0,
        prior: PriorSource::Model,
    };
    let sampling = rate(1_000, || {
        generator.sample(1_000, None, false);
    });

    let row = |name: &str, rate: f64| {
        vec![name.to_owned(), format!("{:>12}", count(rate as usize)), "images/s".to_owned()]
    };
    let rows =
        [row("training", training), row("evaluation", evaluation), row("sampling", sampling)];
    let title = format!(
        "{} on {} ({}), batch {}, median of {LAPS} laps of {lap_steps} steps",
        args.config, backend.name, backend.note, config.train.batch_size
    );
    printer.result(&format!("{title}\n{}", table(&rows)), || {
        json!({
            "config": args.config,
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

/// Speed of each lap but the first.
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
        // The loss is looked at when an epoch ends too, in the middle of a lap.
        if let Event::Step { step, .. } = event
            && step.is_multiple_of(self.steps)
        {
            // The last batch of an epoch may be smaller, which the speed leaves out of account.
            let images = self.steps as f64 * self.batch_size as f64;
            if let Some(last) = self.last.replace(Instant::now()) {
                self.speeds.push(images / last.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }
}

/// Images a second of `work`, which handles `n`: the median of five after one that is not counted.
fn rate(n: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    n as f64 / times[2]
}
