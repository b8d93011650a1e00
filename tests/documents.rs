//! The documents name every choice, every key and every preset.

use std::path::Path;

use vae_model::ObjectiveConfig;
use vae_model::config::Choice;
use vae_model::likelihood::LikelihoodConfig;
use vae_model::network::NetworkConfig;
use vae_model::posterior::PosteriorConfig;
use vae_model::prior::PriorConfig;
use vae_train::optimizer::OptimizerConfig;
use vae_train::schedule::ScheduleConfig;
use vae_train::{TrainConfig, presets};

const MODELS: &str = include_str!("../docs/models.md");

/// The keys of the table that `text` ends in, as the error for an unknown key lists them.
fn keys(text: &str) -> Vec<String> {
    let text = format!("{text}\nnonsense = 1\n");
    let error = TrainConfig::from_toml("c.toml", &text, &[]).unwrap_err().to_string();
    let (_, after) = error.split_once("`nonsense`, ").unwrap_or_else(|| panic!("{text}: {error}"));
    after.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Checks that docs/models.md has these names as code.
fn assert_named(what: &str, names: &[String]) {
    for name in names {
        assert!(MODELS.contains(&format!("`{name}`")), "{what}: `{name}` is not in docs/models.md");
    }
}

fn assert_choices_are_named<C: Choice>(table: &str) {
    for kind in C::KINDS {
        assert_named(table, &[(*kind).to_owned()]);
        assert_named(&format!("{table}, {kind}"), &keys(&format!("[{table}]\nkind = \"{kind}\"")));
    }
}

#[test]
fn docs_models_names_every_choice_and_every_key() {
    assert_choices_are_named::<NetworkConfig>("model.encoder");
    assert_choices_are_named::<PosteriorConfig>("model.posterior");
    assert_choices_are_named::<PriorConfig>("model.prior");
    assert_choices_are_named::<LikelihoodConfig>("model.likelihood");
    assert_choices_are_named::<ObjectiveConfig>("objective");
    assert_choices_are_named::<OptimizerConfig>("train.optimizer");
    assert_choices_are_named::<ScheduleConfig>("train.schedule");
    for (table, least) in [("model", 7), ("data", 14), ("train", 13)] {
        let keys = keys(&format!("[{table}]"));
        assert!(keys.len() >= least, "{table}: {keys:?}");
        // Tables in them have sections of their own.
        let tables = ["encoder", "decoder", "posterior", "prior", "likelihood"];
        let (tables, plain): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| tables.contains(&key.as_str()));
        assert!(tables.iter().all(|key| MODELS.contains(&format!("`[model.{key}]`"))));
        let sections = ["optimizer", "critic_optimizer", "schedule"];
        let (sections, plain): (Vec<_>, Vec<_>) =
            plain.into_iter().partition(|key| sections.contains(&key.as_str()));
        assert!(sections.iter().all(|key| MODELS.contains(&format!("`[train.{key}]`"))));
        assert_named(table, &plain);
    }
    let critic = "[objective]\nkind = \"adversarial\"\n[objective.critic]";
    assert_named("objective.critic", &keys(critic));
}

#[test]
fn docs_architecture_names_tests_and_files_that_exist() {
    const ARCHITECTURE: &str = include_str!("../docs/architecture.md");
    fn sources(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|e| e == "rs") {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = String::new();
    for folder in ["crates", "tests"] {
        sources(&root.join(folder), &mut all);
    }
    let named: Vec<&str> = ARCHITECTURE.split('`').skip(1).step_by(2).collect();
    let tests: Vec<&&str> = named.iter().filter(|name| name.matches('_').count() > 4).collect();
    assert!(tests.len() > 4, "{tests:?}");
    for name in tests {
        assert!(all.contains(&format!("fn {name}(")), "there is no test {name}");
    }
    let is_path = |name: &&&str| {
        (name.starts_with("vae-") || name.starts_with("../"))
            && name.contains('/')
            && !name.contains("NAME")
    };
    for path in named.iter().filter(is_path) {
        assert!(root.join("crates").join(path).exists(), "there is no {path}");
    }
}

#[test]
fn docs_models_names_every_preset() {
    let names: Vec<String> = presets::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_named("presets", &names);
}
