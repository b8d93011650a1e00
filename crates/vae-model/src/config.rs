//! Reading configuration tables so that every error keeps its place in the text.
//!
//! A table that picks a variant of an axis names it by `kind`. The kind is read first and the rest of
//! the table then becomes the configuration of that variant, so an unknown key or a wrong type is
//! reported at its own line with the names that are valid there.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::ConfigError;

/// A choice on one axis: an enum of configurations, each with a name.
pub trait Choice: Sized + Default {
    /// The names a table may give as its `kind`.
    const KINDS: &'static [&'static str];

    /// The name of this choice.
    fn kind(&self) -> &'static str;

    /// The choice called `kind` with the settings in `table`; `None` if there is none of that name.
    fn read(kind: &str, table: Spanned<DeTable<'_>>) -> Option<Result<Self, toml::de::Error>>;
}

/// Declares an axis: an enum whose variants hold a configuration each and are told apart by `kind`.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $kind:literal => $variant:ident($config:ty)),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(tag = "kind")]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $kind)] $variant($config)),*
        }

        impl $crate::config::Choice for $name {
            const KINDS: &'static [&'static str] = &[$($kind),*];

            fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind),* }
            }

            fn read(
                kind: &str,
                table: toml::Spanned<toml::de::DeTable<'_>>,
            ) -> Option<Result<Self, toml::de::Error>> {
                match kind {
                    $($kind => Some($crate::config::parse::<$config>(table).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

/// Deserializes a table by serde; errors carry the bytes they are about.
pub fn parse<T: for<'de> Deserialize<'de>>(
    table: Spanned<DeTable<'_>>,
) -> Result<T, toml::de::Error> {
    T::deserialize(table.into_deserializer())
}

/// A table on its way to becoming a configuration: entries are taken out one by one and what is left
/// at the end is unknown.
pub struct Section<'a> {
    path: String,
    table: Spanned<DeTable<'a>>,
    known: Vec<String>,
}

impl<'a> Section<'a> {
    /// The whole text as a table.
    pub fn document(text: &'a str) -> Result<Self, ConfigError> {
        let table = DeTable::parse(text).map_err(|e| located("", e))?;
        Ok(Self::new("", table))
    }

    /// A table found at `path` (empty for a document).
    pub fn new(path: &str, table: Spanned<DeTable<'a>>) -> Self {
        Self { path: path.to_owned(), table, known: Vec::new() }
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(key.to_owned());
        self.table.get_mut().remove(key)
    }

    /// The table called `key`, if there.
    pub fn section(&mut self, key: &str) -> Result<Option<Section<'a>>, ConfigError> {
        let path = self.join(key);
        self.take(key).map(|value| Ok(Section::new(&path, as_table(&path, value)?))).transpose()
    }

    /// The value called `key`, if there.
    pub fn value<T: for<'de> Deserialize<'de>>(
        &mut self,
        key: &str,
    ) -> Result<Option<T>, ConfigError> {
        let path = self.join(key);
        self.take(key)
            .map(|value| T::deserialize(value.into_deserializer()).map_err(|e| located(&path, e)))
            .transpose()
    }

    /// The choice made in the table called `key`; the default choice if there is no such table.
    pub fn choice<C: Choice>(&mut self, key: &str) -> Result<C, ConfigError> {
        self.choice_or(key, C::default)
    }

    /// The choice made in the table called `key`; what `otherwise` gives if there is no such table.
    pub fn choice_or<C: Choice>(
        &mut self,
        key: &str,
        otherwise: impl FnOnce() -> C,
    ) -> Result<C, ConfigError> {
        Ok(self.optional_choice(key)?.unwrap_or_else(otherwise))
    }

    /// The choice made in the table called `key`, if there is such a table.
    pub fn optional_choice<C: Choice>(&mut self, key: &str) -> Result<Option<C>, ConfigError> {
        let Some(mut section) = self.section(key)? else { return Ok(None) };
        let at = section.table.get_ref().get("kind").map(Spanned::span);
        let kind =
            section.value::<String>("kind")?.unwrap_or_else(|| C::default().kind().to_owned());
        match C::read(&kind, section.table) {
            Some(read) => read.map(Some).map_err(|e| located(&section.path, e)),
            None => Err(ConfigError {
                key: format!("{}.kind", section.path),
                message: format!("unknown kind `{kind}`, expected one of {}", names(C::KINDS)),
                span: at,
            }),
        }
    }

    /// What is left of this table, as one configuration.
    pub fn rest<T: for<'de> Deserialize<'de>>(self) -> Result<T, ConfigError> {
        parse(self.table).map_err(|e| located(&self.path, e))
    }

    /// Ends the reading: an entry that nothing has taken is an error that names the valid ones.
    pub fn finish(self) -> Result<(), ConfigError> {
        match self.table.get_ref().iter().next() {
            None => Ok(()),
            Some((key, _)) => Err(ConfigError {
                key: self.join(key.get_ref()),
                message: format!("unknown key, expected one of {}", names(&self.known)),
                span: Some(key.span()),
            }),
        }
    }
}

fn as_table<'a>(
    path: &str,
    value: Spanned<DeValue<'a>>,
) -> Result<Spanned<DeTable<'a>>, ConfigError> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Ok(Spanned::new(span, table)),
        _ => Err(ConfigError {
            key: path.to_owned(),
            message: "expected a table".to_owned(),
            span: Some(span),
        }),
    }
}

fn located(key: &str, error: toml::de::Error) -> ConfigError {
    ConfigError { key: key.to_owned(), message: error.message().to_owned(), span: error.span() }
}

fn names<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    quoted.join(", ")
}
