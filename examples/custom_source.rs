//! Trains on data of one's own: a struct that implements the trait `Source`.
//!
//! ```sh
//! cargo run --release -p vae-examples --example custom_source
//! ```
//!
//! Each example is a day: the temperature of each hour, in degrees. The days are made here; a real
//! source would read a file or a database.

use std::error::Error;
use std::f32::consts::TAU;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use vae_data::rng::Stream;
use vae_data::source::Location;
use vae_data::{DataError, Environment, Examples, Shape, Source, SourceSettings, Split, Values};
use vae_eval::{Evaluator, Generator};
use vae_train::{Backend, TrainConfig, Trainer, data};

/// Hours in a day: the numbers in one example.
const HOURS: usize = 24;

/// Days of made temperatures.
#[derive(Debug)]
struct Days;

impl Source for Days {
    fn name(&self) -> String {
        "days".into()
    }

    fn about(&self) -> String {
        "2,000 + 500 made days of hourly temperatures".into()
    }

    fn location(&self, _: &Environment) -> Location {
        Location::BuiltIn
    }

    fn read(
        &self,
        split: Split,
        _: &SourceSettings,
        _: &Environment,
    ) -> Result<Examples, DataError> {
        // Refuses a validation split: this source has none.
        self.require(split)?;
        let days = if split == Split::Train { 0..2_000 } else { 2_000..2_500 };
        let mut values = Vec::new();
        for day in days {
            // A stream for each day: the same day is the same on every machine.
            let mut draw = Stream::new(1, "days").derive(day).sequence();
            let (mean, swing) = (15.0 + 8.0 * draw.normal(), draw.range(2.0, 8.0));
            for hour in 0..HOURS {
                let phase = TAU * (hour as f32 - 15.0) / HOURS as f32;
                values.push(mean + swing * phase.cos() + 0.5 * draw.normal());
            }
        }
        Ok(Examples::new(Shape::Vector { len: HOURS }, Values::Floats(values)))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let text = r#"
        model.latent = 2
        model.encoder.hidden = [64]
        data.source = "days"
        data.scale = "standardize"
        train.epochs = 30

        [model.likelihood]
        kind = "gaussian"
        spread = "global"
    "#;
    let config = TrainConfig::from_toml("custom_source.rs", text, &[])?;
    let environment = Environment::default();
    // The source stands in for what `data.source` names.
    let data = data::load_from(&config, Box::new(Days), &environment)?;
    let (transform, source) = (data.transform.clone(), data.resolved.clone());
    let backend = Backend::any_cpu()?;
    let mut trainer = Trainer::new(config, data, &backend)?;
    trainer.train(None, vec![], &AtomicBool::new(false))?;

    // Evaluate on days that were not trained on. The density is that of x, which is standardized.
    let device = backend.device;
    let (test, seed) = (Arc::new(source.read(Split::Test, &environment)?), 0);
    let evaluator = Evaluator::new(test, transform.clone(), device.clone(), seed)?;
    let evaluation = evaluator.evaluate(&trainer.vae(), 0, &|_| {})?;
    if let Some(neg_elbo) = evaluation.neg_elbo {
        println!("{} test days: neg_elbo {neg_elbo:.2} nats a day", evaluation.images);
    }

    // Sampled days, in degrees again.
    let prior = trainer.prior_source();
    let generator = Generator { vae: trainer.vae(), transform, device, seed, prior };
    for day in generator.sample(3, None, false)?.chunks(HOURS) {
        let day: Vec<String> = day.iter().map(|degrees| format!("{degrees:.0}")).collect();
        println!("{}", day.join(" "));
    }
    Ok(())
}
