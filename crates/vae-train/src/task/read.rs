//! From a text to a [`TrainConfig`]: every error names its file and line, or the origin of an
//! override.

use toml::de::{DeTable, DeValue};
use vae_model::config::Section;
use vae_model::{ConfigError, VaeConfig};

use super::config::{DataConfig, LoopConfig, TrainConfig};
use super::overrides::{Override, put};
use crate::error::TrainError;

impl TrainConfig {
    /// Reads a configuration from TOML `text`, called `name` in errors, with `overrides`
    /// above it.
    ///
    /// # Errors
    /// For an unknown key, a wrong type or an impossible value, with its line and what is valid
    /// there.
    pub fn from_toml(name: &str, text: &str, overrides: &[Override]) -> Result<Self, TrainError> {
        // An override is given a place beyond the text, which tells it apart.
        let place = |error: &ConfigError| match error.span.as_ref().map(|span| span.start) {
            Some(start) if start > text.len() => overrides
                .get(start - text.len() - 1)
                .map_or_else(|| name.to_owned(), |o| o.origin.clone()),
            Some(start) => {
                let line = text[..start.min(text.len())].matches('\n').count() + 1;
                format!("{name}:{line}")
            }
            None => name.to_owned(),
        };
        Self::read(text, overrides)
            .map_err(|error| TrainError::Config { place: place(&error), error })
    }

    fn read(text: &str, overrides: &[Override]) -> Result<Self, ConfigError> {
        let values: Vec<String> = overrides.iter().map(|o| format!("v = {}", o.value)).collect();
        let mut table = DeTable::parse(text).map_err(|e| ConfigError {
            key: String::new(),
            message: e.message().to_owned(),
            span: e.span(),
        })?;
        // Kinds first: another kind clears the settings of the old one, not those that come with
        // it.
        let mut order: Vec<usize> = (0..overrides.len()).collect();
        order.sort_by_key(|i| !overrides[*i].key.ends_with(".kind"));
        for i in order {
            let (o, value) = (&overrides[i], &values[i]);
            let at = text.len() + 1 + i;
            let parsed = DeTable::parse(value).ok().and_then(|t| {
                let table = t.into_inner();
                // More than one key means that the value held a line break and more.
                if table.len() == 1 { table.into_iter().next() } else { None }
            });
            let value = match parsed {
                Some((_, value)) => value.into_inner(),
                None => DeValue::String(o.value.as_str().into()),
            };
            put(&mut table, &o.key, value, at)?;
        }
        let mut document = Section::new("", table);
        let mut config = Self {
            model: VaeConfig::read(document.section("model")?)?,
            objective: document.choice("objective")?,
            data: match document.section("data")? {
                Some(section) => section.rest()?,
                None => DataConfig::default(),
            },
            train: LoopConfig::read(document.section("train")?)?,
        };
        document.finish()?;
        config.validate().map_err(|error| with_span(error, text, overrides))?;
        if config.objective.critic_steps() == 0 {
            // An override may have chosen another objective: what is not used is not kept.
            config.train.critic_optimizer = None;
        }
        config.data.source = config.data.source.trim().to_owned();
        Ok(config)
    }
}

/// Gives an error about an impossible value the place of its key, where the text or an override
/// sets it.
fn with_span(mut error: ConfigError, text: &str, overrides: &[Override]) -> ConfigError {
    let by_override = overrides.iter().rposition(|o| o.key == error.key);
    error.span = by_override.map(|i| text.len() + 1 + i..text.len() + 1 + i).or_else(|| {
        let document = DeTable::parse(text).ok()?;
        let mut table = document.get_ref();
        let mut names = error.key.split('.').peekable();
        while let Some(name) = names.next() {
            let (key, value) = table.get_key_value(name)?;
            if names.peek().is_none() {
                return Some(key.span());
            }
            table = match value.get_ref() {
                DeValue::Table(table) => table,
                _ => return None,
            };
        }
        None
    });
    error
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The error of a text with overrides.
    pub(crate) fn error(text: &str, sets: &[&str]) -> String {
        let overrides: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
        TrainConfig::from_toml("x.toml", text, &overrides).unwrap_err().to_string()
    }

    /// The configuration of a text with overrides.
    pub(crate) fn config(text: &str, sets: &[&str]) -> TrainConfig {
        let overrides: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
        TrainConfig::from_toml("x.toml", text, &overrides).unwrap()
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_valid_keys() {
        for (text, line, valid) in [
            ("[model]\nlatnet = 3\n", 2, "`latent`"),
            ("\n[model.encoder]\nkind = \"mlp\"\nhiden = [3]\n", 4, "`hidden`"),
            ("[train]\nepoch = 3\n", 2, "`epochs`"),
            ("[data]\nsorce = \"digits\"\n", 2, "`source`"),
            ("[trian]\n", 1, "`train`"),
            ("[train.optimizer]\nlr = 0.1\n", 2, "`learning_rate`"),
        ] {
            let message = error(text, &[]);
            assert!(message.starts_with(&format!("x.toml:{line}: ")), "{message}");
            assert!(message.contains(valid), "{message}");
        }
    }

    #[test]
    fn an_unknown_kind_names_its_line_and_the_valid_kinds() {
        let message = error("[model]\nlatent = 2\n[model.prior]\nkind = \"vamp-prior\"\n", &[]);
        assert!(message.starts_with("x.toml:4: model.prior.kind: "), "{message}");
        assert!(message.contains("`standard`"), "{message}");
    }

    #[test]
    fn a_wrong_type_names_its_line() {
        let message = error("[model]\nlatent = \"twenty\"\n", &[]);
        assert!(message.starts_with("x.toml:2: model.latent: "), "{message}");
        let message = error("[model]\nencoder = 3\n", &[]);
        assert!(message.starts_with("x.toml:2: model.encoder: expected a table"), "{message}");
    }

    #[test]
    fn an_impossible_value_names_its_line_or_its_origin() {
        let message = error("[train]\nepochs = 2\nbatch_size = 0\n", &[]);
        assert!(message.starts_with("x.toml:3: train.batch_size: "), "{message}");
        let message = error("[train]\nepochs = 2\n", &["train.optimizer.learning_rate=7"]);
        assert!(message.starts_with("train.optimizer.learning_rate=7: "), "{message}");
    }

    #[test]
    fn malformed_toml_names_its_line() {
        let message = error("[model]\nlatent = = 3\n", &[]);
        assert!(message.starts_with("x.toml:2: "), "{message}");
    }
}
