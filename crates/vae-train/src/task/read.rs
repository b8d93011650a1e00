//! Reads a [`ValidConfig`] from a text. Every error names file and line, or the origin of an
//! override.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vae_model::ConfigError;

use super::config::{LoopConfig, TrainConfig, ValidConfig};
use super::overrides::{Override, put};
use crate::error::TrainError;

/// An error in a text, with its position in bytes if it is known.
struct Located {
    error: ConfigError,
    span: Option<Range<usize>>,
}

impl TrainConfig {
    /// Reads a configuration from the TOML text `text` with `overrides`, and checks it. `name` is
    /// the name of the text in errors.
    ///
    /// # Errors
    /// For an unknown key, a wrong type or an invalid value, with its line and what is valid.
    pub fn from_toml(
        name: &str,
        text: &str,
        overrides: &[Override],
    ) -> Result<ValidConfig, TrainError> {
        // Overrides have positions beyond the end of the text.
        let place = |span: Option<Range<usize>>| match span.map(|span| span.start) {
            Some(start) if start > text.len() => overrides
                .get(start - text.len() - 1)
                .map_or_else(|| name.to_owned(), |o| o.origin.clone()),
            Some(start) => {
                let line = text[..start.min(text.len())].matches('\n').count() + 1;
                format!("{name}:{line}")
            }
            None => name.to_owned(),
        };
        read(text, overrides)
            .map_err(|e| TrainError::Config { place: place(e.span), error: e.error })
    }
}

fn read(text: &str, overrides: &[Override]) -> Result<ValidConfig, Located> {
    let values: Vec<String> = overrides.iter().map(|o| format!("v = {}", o.value)).collect();
    let mut table = DeTable::parse(text)
        .map_err(|e| Located { error: ConfigError::new("", e.message()), span: e.span() })?;
    // Kinds come first, because a new kind removes the settings of the old kind.
    let mut order: Vec<usize> = (0..overrides.len()).collect();
    order.sort_by_key(|i| !overrides[*i].key.ends_with(".kind"));
    for i in order {
        let (o, value) = (&overrides[i], &values[i]);
        let at = text.len() + 1 + i;
        let parsed = DeTable::parse(value).ok().and_then(|t| {
            let table = t.into_inner();
            // More than one key means that the value contains line breaks.
            if table.len() == 1 { table.into_iter().next() } else { None }
        });
        let value = match parsed {
            Some((_, value)) => placed(value.into_inner(), at),
            None => DeValue::String(o.value.as_str().into()),
        };
        put(&mut table, &o.key, value, at)
            .map_err(|error| Located { error, span: Some(at..at) })?;
    }
    put_kinds_first(table.get_mut(), &template());

    let places = table.clone();
    let config = TrainConfig::deserialize(table.into_deserializer()).map_err(|e| {
        let span = e.span();
        let key = span.as_ref().map(|span| key_at(places.get_ref(), span, "")).unwrap_or_default();
        Located { error: ConfigError::new(key, in_words(e.message())), span }
    })?;
    config.validate().map_err(|error| {
        let span = span_of(places.get_ref(), &error.key);
        Located { error, span }
    })
}

/// Returns the message of a reader with the types of Rust in words, such as `usize`.
pub fn in_words(message: &str) -> String {
    let whole = ["usize", "u64", "u32"].map(|name| (name, "a whole number, 0 or larger"));
    let others = [
        ("f64", "a number"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
        ("a tuple of size", "a list of length"),
    ];
    let message = message.replace(" as i128", "");
    whole.into_iter().chain(others).fold(message, |message, (name, words)| {
        message.replace(&format!("expected {name}"), &format!("expected {words}"))
    })
}

/// Returns a value in which everything has the position `at`, also in tables and lists.
fn placed<'a>(value: DeValue<'a>, at: usize) -> DeValue<'a> {
    let place = |value: Spanned<DeValue<'a>>| Spanned::new(at..at, placed(value.into_inner(), at));
    let named = |key: Spanned<Cow<'a, str>>| Spanned::new(at..at, key.into_inner());
    match value {
        DeValue::Array(list) => DeValue::Array(list.into_iter().map(place).collect()),
        DeValue::Table(table) => {
            DeValue::Table(table.into_iter().map(|(key, v)| (named(key), place(v))).collect())
        }
        value => value,
    }
}

/// Returns the default configuration with all optional tables.
fn template() -> toml::Table {
    let default = LoopConfig::default();
    let train = LoopConfig { critic_optimizer: Some(default.optimizer.clone()), ..default };
    let whole = TrainConfig { train, ..TrainConfig::default() };
    match toml::Table::try_from(whole) {
        Ok(table) => table,
        Err(why) => unreachable!("the default configuration can be written as TOML: {why}"),
    }
}

/// Moves `kind` to the front of every table that has one, and inserts the default kind if it is
/// missing. A choice that starts with its kind is read directly, so that errors in it have their
/// position.
fn put_kinds_first<'a>(table: &mut DeTable<'a>, template: &toml::Table) {
    let default = template.get("kind").and_then(toml::Value::as_str);
    let own = table.remove("kind");
    let kind = own.or_else(|| {
        let kind = default?.to_owned();
        Some(Spanned::new(0..0, DeValue::String(kind.into())))
    });
    if let Some(kind) = kind {
        let rest = std::mem::take(table);
        table.insert(Spanned::new(kind.span(), "kind".into()), kind);
        table.extend(rest);
    }
    let empty = toml::Table::new();
    for (key, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut() {
            let template = template.get(key.get_ref().as_ref()).and_then(toml::Value::as_table);
            put_kinds_first(inner, template.unwrap_or(&empty));
        }
    }
}

/// Returns the innermost dotted key whose name or value is at `span`; empty if there is none.
fn key_at(table: &DeTable<'_>, span: &Range<usize>, path: &str) -> String {
    for (key, value) in table {
        let join = if path.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{path}.{}", key.get_ref())
        };
        if let DeValue::Table(inner) = value.get_ref() {
            let found = key_at(inner, span, &join);
            if !found.is_empty() {
                return found;
            }
        }
        if key.span() == *span || value.span() == *span {
            return join;
        }
    }
    String::new()
}

/// Returns the position of a key that the text or an override sets.
fn span_of(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let mut table = table;
    let mut names = key.split('.').peekable();
    while let Some(name) = names.next() {
        let (key, value) = table.get_key_value(name)?;
        if names.peek().is_none() {
            // An inserted default kind has no position.
            return Some(key.span()).filter(|span| *span != (0..0));
        }
        table = match value.get_ref() {
            DeValue::Table(table) => table,
            _ => return None,
        };
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the error of a text with overrides.
    pub(crate) fn error(text: &str, sets: &[&str]) -> String {
        let overrides: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
        TrainConfig::from_toml("x.toml", text, &overrides).unwrap_err().to_string()
    }

    /// Returns the configuration of a text with overrides.
    pub(crate) fn config(text: &str, sets: &[&str]) -> ValidConfig {
        let overrides: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
        TrainConfig::from_toml("x.toml", text, &overrides).unwrap()
    }

    #[test]
    fn a_wrong_type_is_told_in_words() {
        for (set, words) in [
            ("model.latent=two", "expected a whole number, 0 or larger"),
            ("train.epochs=-1", "expected a whole number, 0 or larger"),
            ("train.optimizer.learning_rate=fast", "expected a number"),
            ("train.tensorboard=1", "expected true or false"),
        ] {
            let message = error("", &[set]);
            assert!(message.ends_with(words), "{message}");
        }
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
        assert!(message.starts_with("x.toml:2: model.encoder: "), "{message}");
        assert!(message.contains("expected a table"), "{message}");
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
