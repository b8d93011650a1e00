//! The model that comes with the program: it is small, it works before any training, and it is what its
//! configuration makes.

use std::path::Path;

use vae_tests::{Program, read_npy};

use super::program;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/vae-cli/model");

fn neg_elbo(program: &Program, run: &str) -> f64 {
    let found = program.ok(&format!("evaluate {run} --backend flex --limit 2000 --json")).json();
    found["neg_elbo"].as_f64().unwrap()
}

#[test]
fn in_a_fresh_folder_the_first_commands_have_a_model() {
    let program = program();
    assert!(Path::new(FOLDER).join("digits.vae").metadata().unwrap().len() <= 1_000_000);
    let made = program.ok("sample --backend flex --label 3 --n 8 --out threes.npy");
    made.says(&["comes with the program", "vae-cli train"]);
    assert_eq!(read_npy(&program.path("threes.npy")).0, [8, 1, 28, 28]);
    program.ok("interpolate --backend flex --n 2");
    program.ok("traverse --backend flex --limit 100");
    program.ok("manifold --backend flex --limit 100 --n 4");
    program.ok("info");
    // What needs a log of its own says how to get one.
    program.fails(2, "curves", &["vae-cli train"]);
}

#[test]
fn its_configuration_makes_it_again() {
    let program = program();
    let config = Path::new(FOLDER).join("digits.toml");
    let there = neg_elbo(&program, "");
    program.ok(&format!("train {} --backend flex --out runs/again -q", config.display()));
    let again = neg_elbo(&program, "--run runs/again");
    assert!((there - again).abs() < 0.5, "{there} and {again}");
}
