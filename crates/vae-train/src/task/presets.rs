//! The presets: every file of `configs/`, embedded.

use std::path::Path;

use super::config::{TrainConfig, ValidConfig};
use super::overrides::Override;
use crate::error::TrainError;

/// The preset that a first run uses.
pub const DEFAULT: &str = "default";

/// Every preset: its name and its text, in order of names.
pub const ALL: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/presets.rs"));

/// The text of the preset called `name`.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// What a preset says of itself: the comment that its text starts with, a line each.
pub fn description(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim)
}

/// The configuration that `name` stands for: a preset, or the path of a TOML file.
///
/// # Errors
/// If it is neither, or its content is wrong.
pub fn resolve(name: &str, overrides: &[Override]) -> Result<ValidConfig, TrainError> {
    if let Some(text) = text(name) {
        return TrainConfig::from_toml(&format!("preset {name}"), text, overrides);
    }
    let path = Path::new(name);
    if !path.is_file() {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        return Err(TrainError::Request(format!(
            "`{name}` is neither a preset nor a file: name a TOML file or one of {}",
            names.join(", ")
        )));
    }
    resolve_file(path, overrides)
}

/// The configuration in the TOML file at `path`.
///
/// # Errors
/// If it cannot be read or its content is wrong.
pub fn resolve_file(path: &Path, overrides: &[Override]) -> Result<ValidConfig, TrainError> {
    let name = path.display();
    // A configuration is a page of text; more than a mebibyte is none.
    let length = path.metadata().map_err(|e| TrainError::Request(format!("{name}: {e}")))?.len();
    if length > 1 << 20 {
        return Err(TrainError::Request(format!("{name}: {length} bytes are no configuration")));
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
            // What who trains it may expect, or that nobody can say.
            assert!(about.iter().any(|line| line.contains("xpected")), "{name}");
        }
    }
}
