//! A choice on an axis as people read it: its kind, and the settings that someone changed.

use serde::Serialize;
use serde_json::{Map, Value, json};
use vae_model::config::Choice;
use vae_train::ValidConfig;

/// A choice on one axis, and its settings that are not the default ones of its kind (of tables in it, the whole
/// of each that differs).
pub struct Chosen {
    /// Its name.
    pub kind: &'static str,
    /// Those settings, as JSON.
    pub settings: Map<String, Value>,
}

impl Chosen {
    /// What `choice` is and what was set of it.
    pub fn new<C: Choice + Serialize>(choice: &C) -> Self {
        let settings = |choice: &C| match json!(choice) {
            Value::Object(settings) => settings,
            _ => Map::new(),
        };
        let kind = choice.kind();
        let plain = C::with_defaults(kind);
        let plain = plain.as_ref().map(settings).unwrap_or_default();
        let mut own = settings(choice);
        own.retain(|key, value| key != "kind" && plain.get(key) != Some(value));
        Self { kind, settings: own }
    }

    /// The prior that a model of this configuration is sampled from.
    pub fn of_prior(config: &ValidConfig) -> Self {
        if config.objective.requirements().matches_prior(&config.model) {
            Self::new(&config.model.prior)
        } else {
            Self { kind: "fitted", settings: Map::new() }
        }
    }

    /// In a cell of a table: numbers and names alone, networks and ranges take too much room.
    pub fn text(&self) -> String {
        let settings = self.settings.iter().filter_map(|(key, value)| match value {
            Value::String(name) => Some(format!(" {key}={name}")),
            Value::Number(number) => Some(format!(" {key}={number}")),
            Value::Bool(yes) => Some(format!(" {key}={yes}")),
            _ => None,
        });
        std::iter::once(self.kind.to_owned()).chain(settings).collect()
    }
}
