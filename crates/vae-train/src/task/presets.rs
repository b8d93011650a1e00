//! The presets: the embedded files of `configs/`.

use std::path::Path;

use super::config::{TrainConfig, ValidConfig};
use super::overrides::Override;
use super::protocols;
use crate::error::TrainError;

/// The name of the default preset.
pub const DEFAULT: &str = "default";

/// Names and texts of all presets, sorted by name.
pub const ALL: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/presets.rs"));

/// Returns the text of the preset `name`.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// Returns the names of the presets with the model and the objective of `config`, sorted.
pub fn alike(config: &TrainConfig) -> Vec<&'static str> {
    let is_alike = |name: &&str| {
        resolve(name, &[])
            .is_ok_and(|own| (&own.model, &own.objective) == (&config.model, &config.objective))
    };
    ALL.iter().map(|(name, _)| *name).filter(is_alike).collect()
}

/// Returns the lines of the description of a preset, which is the comment at the start of its text.
pub fn description(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim)
}

/// Reads the configuration `name`: a preset, or the path of a TOML file.
///
/// # Errors
/// If it is neither, or if the configuration is invalid.
pub fn resolve(name: &str, overrides: &[Override]) -> Result<ValidConfig, TrainError> {
    if let Some(text) = text(name) {
        return TrainConfig::from_toml(&format!("preset {name}"), text, overrides);
    }
    let path = Path::new(name);
    if protocols::ALL.iter().any(|(protocol, _)| *protocol == name) && !path.is_file() {
        return Err(TrainError::Request(format!(
            "`{name}` is the protocol of a paper: `vae-cli repro {name}` trains and evaluates it"
        )));
    }
    if !path.is_file() {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        return Err(TrainError::Request(format!(
            "`{name}` is neither a preset nor a file: name a TOML file or one of {}",
            names.join(", ")
        )));
    }
    read_file(path, overrides)
}

/// Reads the configuration in the TOML file at `path`.
///
/// # Errors
/// If the file cannot be read, or if the configuration is invalid.
fn read_file(path: &Path, overrides: &[Override]) -> Result<ValidConfig, TrainError> {
    let name = path.display();
    // A configuration is a page of text. A file above 1 MiB is not a configuration.
    let length = path.metadata().map_err(|e| TrainError::Request(format!("{name}: {e}")))?.len();
    if length > 1 << 20 {
        let why = format!("{name}: {length} bytes are too many for a configuration");
        return Err(TrainError::Request(why));
    }
    let text =
        std::fs::read_to_string(path).map_err(|e| TrainError::Request(format!("{name}: {e}")))?;
    TrainConfig::from_toml(&name.to_string(), &text, overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_says_what_it_is() {
        assert!(text(DEFAULT).is_some());
        for (name, text) in ALL {
            resolve(name, &[]).unwrap();
            let about: Vec<&str> = description(text).collect();
            assert!(about.first().is_some_and(|line| line.len() > 10), "{name}");
            // The description has a line about the expected results.
            assert!(about.iter().any(|line| line.contains("xpected")), "{name}");
        }
    }

    #[test]
    fn presets_alike_have_the_same_model_and_objective() {
        let sets = ["train.epochs=3", "data.limit=9"].map(|s| Override::set(s).unwrap());
        assert_eq!(alike(&resolve("vamp", &sets).unwrap()), ["vamp"]);
        // By what it is made of, whatever its name was.
        let sets = [
            "model.encoder.hidden=[400, 400]",
            "model.prior.kind=realnvp",
            "model.prior.couplings=6",
            "model.prior.hidden=[128, 128]",
        ];
        let sets = sets.map(|s| Override::set(s).unwrap());
        assert_eq!(alike(&resolve("mnist-mlp", &sets).unwrap()), [DEFAULT]);
        let other = Override::set("model.latent=7").unwrap();
        assert!(alike(&resolve("vamp", &[other]).unwrap()).is_empty());
    }
}
