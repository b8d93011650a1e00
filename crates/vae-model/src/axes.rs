//! Tests: every file in an axis's folder is a kind of that axis, and every kind has a file.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::Choice;
use crate::likelihood::LikelihoodConfig;
use crate::network::NetworkConfig;
use crate::objective::ObjectiveConfig;
use crate::posterior::PosteriorConfig;
use crate::prior::PriorConfig;

/// Checks that the files in `folder` are the kinds of `C`, the helpers `shared`, and `mod`.
fn check<C: Choice>(folder: &str, shared: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let files: BTreeSet<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().replace('_', "-"))
        .collect();
    let expected: BTreeSet<String> =
        C::KINDS.iter().chain(shared).chain(&["mod"]).map(|name| (*name).to_owned()).collect();
    assert_eq!(files, expected, "the files of {folder} and the lines of its `choice!`");
}

#[test]
fn every_file_of_an_axis_is_a_kind_and_every_kind_has_a_file() {
    check::<LikelihoodConfig>("likelihood", &["counts", "spread"]);
    check::<PosteriorConfig>("posterior", &["iaf"]);
    check::<PriorConfig>("prior", &["codes"]);
    check::<NetworkConfig>("network", &[]);
    check::<ObjectiveConfig>("objective", &["requirements"]);
}

#[test]
fn every_kind_round_trips_whether_its_kind_key_is_first_or_last() {
    fn check<
        C: Choice + serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    >() {
        for kind in C::KINDS {
            let choice = C::with_defaults(kind).unwrap();
            assert_eq!(choice.kind(), *kind);
            let text = toml::to_string(&choice).unwrap();
            assert!(text.starts_with("kind = "), "{text}");
            assert_eq!(toml::from_str::<C>(&text).unwrap(), choice);
            // Formats that sort their keys do not write `kind` first.
            let (first, rest) = text.split_once('\n').unwrap();
            if !rest.contains('[') {
                assert_eq!(toml::from_str::<C>(&format!("{rest}{first}\n")).unwrap(), choice);
            }
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<C>(&json).unwrap(), choice);
        }
        assert_eq!(toml::from_str::<C>("").unwrap(), C::default());
        let unknown = toml::from_str::<C>("kind = \"nonsense\"").unwrap_err().to_string();
        assert!(unknown.contains(C::KINDS[0]), "{unknown}");
    }
    check::<LikelihoodConfig>();
    check::<PosteriorConfig>();
    check::<PriorConfig>();
    check::<NetworkConfig>();
    check::<ObjectiveConfig>();
}
