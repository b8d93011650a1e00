//! `NameMap`: from the names of another program to the exported names.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::ExportError;

/// Largest file of a map that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The layers of the VAE with 784-400-20 units in PyTorch's examples (`examples/vae/main.py`), and
/// many after it.
const EXAMPLE: [(&str, &str); 5] = [
    ("fc1", "encoder.layers.0"),
    ("fc21", "posterior.mean.output"),
    ("fc22", "posterior.log_var.output"),
    ("fc3", "decoder.trunk.layers.0"),
    ("fc4", "decoder.output"),
];

/// New names of tensors: their name in a file, and the exported name. An empty name leaves a tensor
/// out. A tensor without an entry keeps its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameMap(pub BTreeMap<String, String>);

impl NameMap {
    /// Reads a TOML file with a line `"their.name" = "our.name"` for each tensor.
    ///
    /// # Errors
    /// If the file cannot be read, or is not such a file.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let io = |e| ExportError::io(path, e);
        let length = path.metadata().map_err(io)?.len();
        if length > MAX_BYTES {
            let why = format!("{length} bytes are too many for a map of names");
            return Err(ExportError::malformed(path, why));
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        Self::parse(&text).map_err(|why| ExportError::malformed(path, why))
    }

    /// Reads the text of such a file. `fc1.weight` without quotes is a table `fc1` with a key
    /// `weight` in TOML, and is the same here.
    fn parse(text: &str) -> Result<Self, String> {
        fn flatten(
            table: toml::Table,
            path: &str,
            names: &mut BTreeMap<String, String>,
        ) -> Result<(), String> {
            for (key, value) in table {
                let name = if path.is_empty() { key } else { format!("{path}.{key}") };
                match value {
                    toml::Value::String(ours) => {
                        if names.insert(name.clone(), ours).is_some() {
                            return Err(format!("`{name}` is named twice"));
                        }
                    }
                    toml::Value::Table(inner) => flatten(inner, &name, names)?,
                    other => {
                        return Err(format!(
                            "`{name}` must be a name in quotes, not {}",
                            other.type_str()
                        ));
                    }
                }
            }
            Ok(())
        }
        let table: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        let mut names = BTreeMap::new();
        flatten(table, "", &mut names)?;
        Ok(Self(names))
    }

    /// Returns the map of the 784-400-20 example models, if `names` has all of their tensors.
    pub fn of_example<'a>(names: impl Iterator<Item = &'a String> + Clone) -> Option<Self> {
        let map: BTreeMap<String, String> = EXAMPLE
            .iter()
            .flat_map(|(theirs, ours)| {
                ["weight", "bias"].map(|of| (format!("{theirs}.{of}"), format!("{ours}.{of}")))
            })
            .collect();
        map.keys().all(|name| names.clone().any(|n| n == name)).then_some(Self(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_quotes_are_the_same() {
        let quoted = NameMap::parse("\"fc1.weight\" = \"encoder.layers.0.weight\"").unwrap();
        let plain = NameMap::parse("fc1.weight = \"encoder.layers.0.weight\"").unwrap();
        assert_eq!(quoted, plain);
        assert_eq!(quoted.0["fc1.weight"], "encoder.layers.0.weight");
    }

    #[test]
    fn what_is_no_map_of_names_is_refused() {
        for (text, word) in [
            ("a = 1", "`a`"),
            ("a.b = [\"c\"]", "`a.b`"),
            ("a.b = \"c\"\n\"a.b\" = \"d\"", "twice"),
            ("a = ", "line 1"),
        ] {
            let error = NameMap::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn the_example_is_recognised_by_all_of_its_names() {
        let mut names: Vec<String> = ["fc1", "fc21", "fc22", "fc3", "fc4"]
            .iter()
            .flat_map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")])
            .collect();
        let map = NameMap::of_example(names.iter()).unwrap();
        assert_eq!(map.0["fc22.bias"], "posterior.log_var.output.bias");
        names.pop();
        assert_eq!(NameMap::of_example(names.iter()), None);
    }
}
