//! Choices: enums of configurations, selected by the key `kind` of a table. serde can read and
//! write them in any format.

use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A choice on one axis: an enum of configurations with names.
pub trait Choice: Sized + Default {
    /// The valid values of `kind`.
    const KINDS: &'static [&'static str];

    /// Returns the name of this choice.
    fn kind(&self) -> &'static str;

    /// Reads the settings of the choice called `kind`, one of [`Self::KINDS`].
    ///
    /// # Errors
    /// For an unknown kind, an unknown setting or a wrong type.
    fn read<'de, D: Deserializer<'de>>(kind: &str, settings: D) -> Result<Self, D::Error>;

    /// Returns the choice called `kind` with its default settings; `None` for an unknown name or a
    /// kind that has settings without a default.
    fn with_defaults(kind: &str) -> Option<Self> {
        Self::read(kind, Value::Object(Map::new())).ok()
    }
}

/// Declares an axis: an enum with one configuration per variant, selected by `kind`.
///
/// With `: Trait` after its name, the enum dereferences to the `dyn Trait` of its configuration, so
/// callers need not match on the variants.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident: $role:ident {
        $($(#[$variant_meta:meta])* $kind:literal => $variant:ident($config:ty)),* $(,)?
    }) => {
        $crate::choice! {
            $(#[$meta])*
            pub enum $name { $($(#[$variant_meta])* $kind => $variant($config)),* }
        }

        impl std::ops::Deref for $name {
            type Target = dyn $role;

            fn deref(&self) -> &Self::Target {
                match self { $(Self::$variant(config) => config),* }
            }
        }

        $(impl From<$config> for $name {
            fn from(config: $config) -> Self {
                Self::$variant(config)
            }
        })*
    };
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

            fn read<'de, D: serde::Deserializer<'de>>(
                kind: &str,
                settings: D,
            ) -> Result<Self, D::Error> {
                match kind {
                    $($kind => <$config as serde::Deserialize>::deserialize(settings)
                        .map(Self::$variant),)*
                    unknown => Err($crate::config::unknown_kind::<Self, D::Error>(unknown)),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::config::deserialize_choice(from)
            }
        }
    };
}

/// Returns the error for a `kind` that `C` does not have.
pub fn unknown_kind<C: Choice, E: serde::de::Error>(kind: &str) -> E {
    let names: Vec<String> = C::KINDS.iter().map(|name| format!("`{name}`")).collect();
    E::custom(format!("unknown kind `{kind}`, expected one of {}", names.join(", ")))
}

/// Deserializes a choice from a map.
///
/// If `kind` is the first key, the settings are read directly, so that errors have their position
/// in the text. Otherwise the settings are collected first. Without a `kind`, it is that of the
/// default choice.
///
/// # Errors
/// For an unknown kind, an unknown setting or a wrong type.
pub fn deserialize_choice<'de, C: Choice, D: Deserializer<'de>>(from: D) -> Result<C, D::Error> {
    struct ChoiceVisitor<C>(PhantomData<C>);

    impl<'de, C: Choice> Visitor<'de> for ChoiceVisitor<C> {
        type Value = C;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a table")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<C, A::Error> {
            let Some(first) = map.next_key::<String>()? else {
                let none = std::iter::empty::<(&str, &str)>();
                return C::read(C::default().kind(), MapDeserializer::<_, A::Error>::new(none));
            };
            if first == "kind" {
                let kind = map.next_value_seed(Kind::<C>(PhantomData))?;
                return C::read(&kind, MapAccessDeserializer::new(map));
            }
            let mut settings = Map::new();
            settings.insert(first, map.next_value()?);
            let mut kind = None;
            while let Some(key) = map.next_key::<String>()? {
                if key == "kind" {
                    kind = Some(map.next_value_seed(Kind::<C>(PhantomData))?);
                } else {
                    settings.insert(key, map.next_value()?);
                }
            }
            let kind = kind.unwrap_or_else(|| C::default().kind().to_owned());
            C::read(&kind, Value::Object(settings)).map_err(A::Error::custom)
        }
    }

    /// Reads the name of a kind and checks it, so that the error has the position of the name.
    struct Kind<C>(PhantomData<C>);

    impl<'de, C: Choice> DeserializeSeed<'de> for Kind<C> {
        type Value = String;

        fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
            let kind = String::deserialize(from)?;
            if C::KINDS.contains(&kind.as_str()) {
                Ok(kind)
            } else {
                Err(unknown_kind::<C, _>(&kind))
            }
        }
    }

    from.deserialize_map(ChoiceVisitor(PhantomData))
}
