//! Overrides: values that replace values of a configuration text.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vae_model::ConfigError;

use crate::error::TrainError;

/// A value that replaces the value in a configuration text.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The dotted path of the key, such as `model.latent`.
    pub key: String,
    /// The value in TOML syntax. Values that are not valid TOML are read as strings.
    pub value: String,
    /// The origin of the value, such as a flag. It is the position in error messages.
    pub origin: String,
}

impl Override {
    /// Makes the override of `key` by a value in TOML syntax.
    pub fn new(key: &str, value: impl std::fmt::Display, origin: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.to_string(), origin: origin.into() }
    }

    /// Makes the override of `key` by a string, even if it is valid TOML of another type.
    pub fn text(key: &str, value: &str, origin: impl Into<String>) -> Self {
        Self::new(key, toml::Value::String(value.to_owned()), origin)
    }

    /// Returns an override for each value of a table, by dotted keys: `"model.latent" = 2` and
    /// `model.latent = 2` alike.
    ///
    /// # Errors
    /// If a key is there twice.
    pub fn of_table(table: &toml::Table) -> Result<Vec<Self>, TrainError> {
        let values = flat(table)?.into_iter();
        Ok(values.map(|(key, value)| Self::new(&key, &value, format!("{key} = {value}"))).collect())
    }

    /// Parses `key.path=value`. The text is the origin of the value in error messages.
    ///
    /// # Errors
    /// If there is no `=` or no key.
    pub fn set(text: &str) -> Result<Self, TrainError> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Self::new(key.trim(), value.trim(), text))
            }
            _ => Err(TrainError::Override { text: text.to_owned() }),
        }
    }
}

/// Returns the values of a table by dotted keys.
///
/// # Errors
/// If a key is there twice.
pub fn flat(table: &toml::Table) -> Result<Vec<(String, toml::Value)>, TrainError> {
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = flat(inner)?;
                all.extend(inner.into_iter().map(|(rest, v)| (format!("{key}.{rest}"), v)));
            }
            _ => all.push((key.clone(), value.clone())),
        }
    }
    let mut keys = std::collections::BTreeSet::new();
    match all.iter().find(|(key, _)| !keys.insert(key.clone())) {
        Some((key, _)) => Err(TrainError::Request(format!("{key} is there twice"))),
        None => Ok(all),
    }
}

/// Keys that were renamed after version 0.1.0: their table, the old name and the new name. serde
/// reads both names (an alias). An override with one name replaces a value with the other name.
const RENAMED: [(&str, [&str; 2]); 2] = [
    ("model.posterior", ["codes", "num_embeddings"]),
    ("model.posterior", ["width", "embedding_dim"]),
];

/// Inserts `value` at the dotted path `key`, and makes missing tables. `at` is the position for
/// errors.
pub(super) fn put<'a>(
    table: &mut Spanned<DeTable<'a>>,
    key: &'a str,
    value: DeValue<'a>,
    at: usize,
) -> Result<(), ConfigError> {
    let mut table = table.get_mut();
    let (parents, leaf) = match key.rsplit_once('.') {
        Some((parents, leaf)) => (parents.split('.').collect(), leaf),
        None => (Vec::new(), key),
    };
    for parent in parents {
        let entry = table
            .entry(Spanned::new(at..at, parent.into()))
            .or_insert_with(|| Spanned::new(at..at, DeValue::Table(DeTable::new())));
        table = match entry.get_mut() {
            DeValue::Table(table) => table,
            _ => {
                return Err(ConfigError::new(key, format!("`{parent}` is a value, not a table")));
            }
        };
    }
    // Another kind has other settings, so the settings of the old kind are removed.
    let old_kind = table.get(leaf).map(Spanned::get_ref).and_then(DeValue::as_str);
    let is_new_kind = leaf == "kind" && old_kind.is_some_and(|old| Some(old) != value.as_str());
    if is_new_kind {
        table.clear();
    }
    // The old entry is removed first, because replacing its value would keep its position.
    table.remove(leaf);
    for (parents, names) in RENAMED {
        if names.iter().any(|name| key == format!("{parents}.{name}")) {
            names.iter().for_each(|name| drop(table.remove(*name)));
        }
    }
    table.insert(Spanned::new(at..at, leaf.into()), Spanned::new(at..at, value));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::optimizer::OptimizerConfig;
    use crate::task::read::tests::{config, error};

    #[test]
    fn a_bad_override_names_its_origin() {
        let message = error("", &["model.latnet=3"]);
        assert!(message.starts_with("model.latnet=3: "), "{message}");
        let message = error("", &["model.latent=many"]);
        assert!(message.starts_with("model.latent=many: "), "{message}");
        let message = error("", &["model.latent.deep=3"]);
        assert!(message.contains("model.latent"), "{message}");
        for part in ["alpha = -1", "alpah = 1"] {
            let set = format!("objective={{ kind = \"tc\", {part} }}");
            let message = error("", &[&set]);
            assert!(message.starts_with(&format!("{set}: ")), "{message}");
        }
        assert!(Override::set("model.latent").is_err());
    }

    #[test]
    fn overrides_replace_values_of_the_text_and_strings_need_no_quotes() {
        let c = config(
            "[model]\nlatent = 3\n[train]\nepochs = 5\n",
            &["model.latent=7", "data.source=digits", "model.encoder.hidden=[64, 32]"],
        );
        assert_eq!((c.model.latent, c.train.epochs), (7, 5));
        assert_eq!(c.data.source, "digits");
    }

    #[test]
    fn a_renamed_key_is_overridden_by_its_old_and_its_new_name() {
        for [in_text, set] in [["codes", "num_embeddings"], ["num_embeddings", "codes"]] {
            let text =
                format!("[model.posterior]\nkind = \"vq\"\n{in_text} = 8\n[objective]\nbeta = 0\n");
            let c = config(&text, &[&format!("model.posterior.{set}=16")]);
            let json = serde_json::to_value(&c.model).unwrap();
            assert_eq!(json["posterior"]["num_embeddings"], 16);
        }
        for (_, names) in RENAMED {
            let text =
                "[model]\nlatent = 8\n[model.posterior]\nkind = \"vq\"\n[objective]\nbeta = 0\n";
            let set = |name| config(text, &[&format!("model.posterior.{name}=4")]);
            assert_eq!(*set(names[0]), *set(names[1]));
        }
    }

    #[test]
    fn another_kind_drops_the_settings_of_the_old_one() {
        let text = "[train.optimizer]\nkind = \"adam\"\nbeta1 = 0.5\n";
        let c = config(text, &["train.optimizer.kind=sgd"]);
        assert_eq!(c.train.optimizer, OptimizerConfig::Sgd(Default::default()));
        // Settings of the new kind are kept, in any order of the overrides.
        let sets = ["train.optimizer.learning_rate=0.05", "train.optimizer.kind=sgd"];
        assert_eq!(config(text, &sets).train.optimizer.learning_rate(), 0.05);
        // The default kind, if the text names none, is not another kind.
        let c = config("[model.encoder]\nhidden = [77]\n", &["model.encoder.kind=mlp"]);
        assert_eq!(c.model.encoder.summary(), "mlp 77");
    }
}
