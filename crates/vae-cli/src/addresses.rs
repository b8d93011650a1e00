//! Names for addresses of devices elsewhere: the table `[remote]` of the user's configuration.
//!
//! ```toml
//! [remote]
//! gpu = "iroh:ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6"
//! box = "ws://box.lan:7700"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use vae_train::remote::{Address, FORM};

use crate::failure::request;
use crate::sweep::plan::read_bounded;

/// Longest configuration, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// What a user configures for all commands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    /// Addresses by name.
    #[serde(default)]
    remote: BTreeMap<String, String>,
}

/// Returns the file of the user's configuration, if the system has a place for it.
fn file() -> Option<PathBuf> {
    Some(dirs::config_dir()?.join("vae-cli").join("config.toml"))
}

/// Returns the address that a text is, or names: `NAME`, or `NAME#N` for the device `N`.
///
/// # Errors
/// If it is neither, or if the configuration cannot be read.
pub fn address(text: &str) -> Result<Address> {
    if text.contains(':') {
        return text.parse().map_err(request);
    }
    named(text, file().as_deref())
}

fn named(text: &str, file: Option<&Path>) -> Result<Address> {
    let (name, device) = text.split_once('#').map_or((text, None), |(name, n)| (name, Some(n)));
    let shown = file.map(|file| file.display().to_string());
    let configuration = match file.filter(|file| file.exists()) {
        None => Configuration::default(),
        Some(file) => {
            let place = |e: &dyn std::fmt::Display| request(format!("{}: {e}", file.display()));
            let text = read_bounded(file, MOST_BYTES).map_err(|e| place(&e))?;
            toml::from_str(&text).map_err(|e| place(&e))?
        }
    };
    let Some(address) = configuration.remote.get(name) else {
        let table = shown.map_or_else(String::new, |file| {
            format!(", and no name in the table [remote] of {file}")
        });
        return Err(request(format!(
            "remote:{text}: `{name}` is no address{table}; expected {FORM}, as `vae-cli serve-device` \
             prints it"
        )));
    };
    let whole = match device {
        None => address.clone(),
        Some(n) => format!("{address}#{n}"),
    };
    whole.parse().map_err(|why: String| {
        request(format!("{}: remote.{name}: {why}", shown.unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let named = |text: &str| named(text, Some(&file)).map(|address| address.to_string());
        let refused = |text: &str| named(text).unwrap_err().to_string();
        assert!(refused("gpu").contains("config.toml") && refused("gpu").contains(FORM));
        std::fs::write(&file, "[remote]\ngpu = \"ws://gpu:7700\"\nbad = \"gpu:7700\"").unwrap();
        assert_eq!(named("gpu").unwrap(), "ws://gpu:7700");
        assert_eq!(named("gpu#2").unwrap(), "ws://gpu:7700#2");
        assert!(refused("gpu#x").contains("`x` is no number"));
        assert!(refused("box").contains("`box` is no address"));
        assert!(refused("bad").contains("remote.bad"));
        for wrong in ["[remot]\n", "remote = 1", "[remote]\na = 1", "no toml"] {
            std::fs::write(&file, wrong).unwrap();
            assert!(refused("gpu").contains("config.toml"), "{wrong}");
        }
        assert_eq!(address("ws://a:7").unwrap().to_string(), "ws://a:7");
    }
}
