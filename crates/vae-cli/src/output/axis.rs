//! A choice on an axis of a model, for people: its kind, and the settings that are not defaults.

use serde::Serialize;
use serde_json::{Map, Value, json};
use vae_model::config::Choice;
use vae_train::ValidConfig;

/// A choice on one axis, and those of its settings that differ from the defaults of its kind. A
/// table among the settings is kept whole if any of it differs.
pub struct Chosen {
    /// The name of the choice, such as `gaussian`.
    pub kind: &'static str,
    /// The settings that differ from the defaults.
    pub settings: Map<String, Value>,
}

impl Chosen {
    /// Describes `choice`.
    pub fn new<C: Choice + Serialize>(choice: &C) -> Self {
        let settings = |choice: &C| match json!(choice) {
            Value::Object(settings) => settings,
            _ => Map::new(),
        };
        let kind = choice.kind();
        let defaults = C::with_defaults(kind);
        let defaults = defaults.as_ref().map(settings).unwrap_or_default();
        let mut changed = settings(choice);
        changed.retain(|key, value| key != "kind" && defaults.get(key) != Some(value));
        Self { kind, settings: changed }
    }

    /// Describes the prior that models of this configuration are sampled from.
    pub fn of_prior(config: &ValidConfig) -> Self {
        if config.matches_prior() {
            Self::new(&config.model.prior)
        } else {
            Self { kind: "fitted", settings: Map::new() }
        }
    }

    /// Returns the choice as one cell of a table. Lists and tables among the settings are left out.
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

/// Returns the choices on all axes, each with its name.
pub fn choices(config: &ValidConfig) -> Vec<(&'static str, String)> {
    let model = &config.model;
    let posterior = Chosen::new(&model.posterior).text();
    vec![
        ("encoder", model.encoder.summary()),
        ("posterior", format!("{posterior}, latent {}", model.latent)),
        ("prior", Chosen::of_prior(config).text()),
        ("decoder", model.decoder.summary()),
        ("likelihood", Chosen::new(&model.likelihood).text()),
        ("objective", Chosen::new(&config.objective).text()),
    ]
}
