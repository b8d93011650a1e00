//! Trains a VAE on the built-in digits and writes it to one file.
//!
//! ```sh
//! cargo run --release -p vae-examples --example train
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use vae_data::Environment;
use vae_train::{Backend, Event, Observer, TrainConfig, Trainer, data};

/// Prints the averages of each epoch. An observer that fails is left out; the training goes on.
struct Print;

impl Observer for Print {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        if let Event::Epoch { epoch, train, .. } = event {
            let terms: Vec<String> = train.iter().map(|(k, v)| format!("{k} {v:.2}")).collect();
            println!("epoch {epoch}: {}", terms.join(", "));
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Values that are left out have defaults: an mlp, a gaussian posterior, a standard prior, a
    // bernoulli likelihood, and the ELBO as the objective.
    let text = r#"
        model.latent = 8
        data.source = "digits"
        data.limit = 6000
        train.epochs = 5
    "#;
    let config = TrainConfig::from_toml("train.rs", text, &[])?;
    let data = data::load(&config, &Environment::default())?;
    let mut trainer = Trainer::new(config, data, &Backend::any_cpu()?)?;

    // Another thread may set `stop` to end the training early.
    let stop = AtomicBool::new(false);
    trainer.train(None, vec![&mut Print], &stop)?;

    // One file holds the weights, the optimizer, the configuration and the progress.
    let path = Path::new("runs/example.vae");
    std::fs::create_dir_all("runs")?;
    trainer.snapshot().write(path)?;
    println!("wrote {}; the example `sample` reads it", path.display());
    Ok(())
}
