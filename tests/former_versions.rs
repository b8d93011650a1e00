//! Checkpoints of former versions load, and their training goes on as that version went on.
//! `fixtures/make.py` made them; a folder under `fixtures` is a version.

use std::path::{Path, PathBuf};

use serde_json::Value;
use vae_data::Environment;
use vae_model::init::Stored;
use vae_model::parameters::parameters;
use vae_tests::{Program, losses, reference};
use vae_train::{Checkpoint, Trainer, data};

/// The step that `fixtures/make.py` went on to, and the one before it.
const STEPS: u64 = 5;
const MORE: u64 = 9;

/// Other processors round sums otherwise.
const RELATIVE: f64 = 1e-4;

/// The versions that fixtures are there of. Their checkpoints name their data by paths that start
/// here.
fn versions() -> Vec<PathBuf> {
    let folders = std::fs::read_dir("fixtures").unwrap().map(|entry| entry.unwrap().path());
    let versions: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    assert!(!versions.is_empty());
    versions
}

/// The checkpoints of a version and what each is expected to become.
fn checkpoints(version: &Path) -> Vec<(PathBuf, Value)> {
    let text = std::fs::read_to_string(version.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let files = std::fs::read_dir(version).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|e| e == "vae"));
    let found: Vec<(PathBuf, Value)> = files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let expected = expected.get(name).unwrap_or_else(|| panic!("{name} is not expected"));
            (path.clone(), expected.clone())
        })
        .collect();
    assert_eq!(found.len(), expected.len(), "a checkpoint is missing in {version:?}");
    found
}

/// The sum of all numbers, and of their absolute values.
fn sums<'a>(stored: impl IntoIterator<Item = &'a Stored>) -> [f64; 2] {
    let numbers = stored.into_iter().flat_map(|stored| &stored.values).map(|v| f64::from(*v));
    numbers.fold([0.0, 0.0], |[sum, size], v| [sum + v, size + v.abs()])
}

fn check(path: &Path, expected: &Value) -> Result<(), String> {
    let backend = reference();
    let told = |e: vae_train::TrainError| e.to_string();
    let checkpoint = Checkpoint::read(path, &backend.device).map_err(told)?;
    if checkpoint.progress.step != STEPS {
        return Err(format!("step {} is not {STEPS}", checkpoint.progress.step));
    }
    let mut config = checkpoint.config.clone().into_inner();
    config.train.max_steps = Some(MORE);
    let config = config.validate().unwrap();
    let data = data::load(&config, &Environment::default()).map_err(told)?;
    let mut trainer = Trainer::resume(checkpoint, config, data, &backend).map_err(told)?;
    let found = losses(&mut trainer);

    let number = |value: &Value| value.as_f64().unwrap();
    let golden: Vec<f64> = expected["losses"].as_array().unwrap().iter().map(number).collect();
    let near = |a: &f64, b: &f64| (a - b).abs() <= RELATIVE * b.abs() + 1e-6;
    if found.len() != golden.len() || !found.iter().zip(&golden).all(|(a, b)| near(a, b)) {
        return Err(format!("losses {found:?} are not {golden:?}"));
    }
    let networks = trainer.networks();
    let model = sums(parameters(&networks.vae).values());
    let critic = sums(parameters(&networks.auxiliaries).values());
    for ([sum, size], of) in [(model, ""), (critic, "critic_")] {
        let golden = ["sum", "size"].map(|key| expected[format!("{of}{key}")].as_f64());
        let [golden_sum, golden_size] = golden.map(Option::unwrap_or_default);
        let allowed = RELATIVE * golden_size;
        if (sum - golden_sum).abs() > allowed || (size - golden_size).abs() > allowed {
            return Err(format!("{of}sums {sum} {size} are not {golden_sum} {golden_size}"));
        }
    }
    Ok(())
}

#[test]
fn training_goes_on_from_every_checkpoint_as_the_version_that_wrote_it_went_on() {
    let mut failures = Vec::new();
    for version in versions() {
        for (path, expected) in checkpoints(&version) {
            if let Err(why) = check(&path, &expected) {
                failures.push(format!("{}: {why}", path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_program_tells_of_a_checkpoint_of_a_former_version_and_samples_from_it() {
    for version in versions() {
        let program = Program::new(env!("CARGO_BIN_EXE_vae-cli-tested"));
        let path = version.join("default.vae").canonicalize().unwrap();
        let path = path.display();
        let info = program.ok(&format!("info {path} --json")).json();
        assert_eq!(info["progress"]["step"], STEPS, "{info}");
        program.ok(&format!("sample --run {path} --n 4 --backend flex --out samples.npy"));
        assert!(program.path("samples.npy").is_file());
    }
}
