//! The protocols of papers: the embedded files of `configs/papers/`. A protocol is a preset with fixed
//! settings, how to evaluate it, and the figure that the paper reports.

use serde::Deserialize;
use toml::Table;
use vae_model::ConfigError;

use super::overrides::{Override, flat};
use super::presets;
use crate::error::TrainError;

/// Names and texts of all protocols, sorted by name.
pub const ALL: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/papers.rs"));

/// The protocol of a paper.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// A preset, or another protocol, whose settings come first.
    pub base: String,
    /// Seeds of the runs.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// Settings, by dotted keys.
    #[serde(default)]
    pub set: Table,
    /// Lists of values, by dotted keys: a run for each combination. The last is the system of the paper, and
    /// is compared with the others.
    #[serde(default)]
    pub grid: Table,
    /// Settings of the short schedule. A key of `grid` has another list of values.
    pub short: Table,
    /// What is measured at the end.
    #[serde(default)]
    pub evaluate: Table,
    /// What the paper reports.
    pub paper: Paper,
}

/// What a paper reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Where it stands.
    pub source: String,
    /// The name of the figure, a key of an evaluation.
    pub figure: String,
    /// Its value. `None` if the paper has none of this kind.
    pub value: Option<f64>,
    /// Which values are better.
    #[serde(default)]
    pub better: Better,
}

/// Which values of a figure are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Lower ones, such as of nll.
    #[default]
    Lower,
    /// Higher ones.
    Higher,
}

/// The seed of a protocol that names none.
fn one_seed() -> Vec<u64> {
    vec![0]
}

impl Protocol {
    /// Returns the protocol `name`. `None` if there is none.
    ///
    /// # Errors
    /// If its file is not valid.
    pub fn named(name: &str) -> Result<Option<Self>, TrainError> {
        let found = ALL.iter().find(|(n, _)| *n == name);
        let parsed = found.map(|(_, text)| {
            toml::from_str(text).map_err(|e| TrainError::Config {
                place: format!("protocol {name}"),
                error: ConfigError::new("", e.to_string()),
            })
        });
        parsed.transpose()
    }

    /// Returns the name of the preset that it starts from, and the settings that come before its own: those of
    /// the protocols that it is based on.
    ///
    /// # Errors
    /// If a file is not valid.
    pub fn origin(&self) -> Result<(String, Vec<Override>), TrainError> {
        // A preset of the same name comes first, so that no protocol is based on itself.
        if presets::text(&self.base).is_some() {
            return Ok((self.base.clone(), Vec::new()));
        }
        let Some(base) = Self::named(&self.base)? else {
            return Ok((self.base.clone(), Vec::new()));
        };
        let (preset, mut settings) = base.origin()?;
        settings.extend(Override::of_table(&base.set)?);
        Ok((preset, settings))
    }

    /// Returns the settings that come after `set`, and the grid, by dotted keys: those of the short schedule
    /// if `short` is set.
    ///
    /// # Errors
    /// If a key is there twice.
    pub fn schedule(&self, short: bool) -> Result<(Table, Table), TrainError> {
        let mut grid: Table = flat(&self.grid)?.into_iter().collect();
        let mut set = Table::new();
        if short {
            for (key, value) in flat(&self.short)? {
                let table = if grid.contains_key(&key) { &mut grid } else { &mut set };
                table.insert(key, value);
            }
        }
        Ok((set, grid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_valid_in_full_and_in_short() {
        for (name, text) in ALL {
            let protocol = Protocol::named(name).unwrap().unwrap();
            let (preset, mut settings) = protocol.origin().unwrap();
            settings.extend(Override::of_table(&protocol.set).unwrap());
            let full = presets::resolve(&preset, &settings).unwrap();
            settings.extend(Override::of_table(&protocol.schedule(true).unwrap().0).unwrap());
            let short = presets::resolve(&preset, &settings).unwrap();
            assert!(short.train.epochs < full.train.epochs, "{name}");
            assert!(!protocol.paper.source.is_empty() && presets::description(text).count() > 0);
        }
    }

    #[test]
    fn a_list_of_the_short_schedule_takes_the_place_of_one_of_the_grid() {
        let protocol: Protocol = toml::from_str(
            "base = \"default\"\n[grid]\nobjective.beta = [1, 2]\nmodel.latent = [3]\n\
             [short]\n\"objective.beta\" = [4]\ntrain.epochs = 5\n\
             [paper]\nsource = \"none\"\nfigure = \"nll\"",
        )
        .unwrap();
        let text = |short| {
            let (set, grid) = protocol.schedule(short).unwrap();
            [set, grid].map(|table| toml::Value::Table(table).to_string())
        };
        assert_eq!(text(false), ["{}", "{ \"objective.beta\" = [1, 2], \"model.latent\" = [3] }"]);
        assert_eq!(
            text(true),
            ["{ \"train.epochs\" = 5 }", "{ \"objective.beta\" = [4], \"model.latent\" = [3] }"]
        );
    }

    #[test]
    fn a_protocol_has_the_settings_of_the_one_that_it_is_based_on() {
        let protocol = Protocol::named("iwae-1l-k50").unwrap().unwrap();
        let (preset, mut settings) = protocol.origin().unwrap();
        assert_eq!(preset, "iwae");
        settings.extend(Override::of_table(&protocol.set).unwrap());
        let config = presets::resolve(&preset, &settings).unwrap();
        assert_eq!(config.train.epochs, 3280);
        assert!(config.to_toml().contains("samples = 50"), "{}", config.to_toml());
    }
}
