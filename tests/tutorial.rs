//! `docs/tutorial.md`: its commands run in its order, and its pictures are theirs.
//!
//! The first training is shortened here. With `VAE_WRITE_TUTORIAL=1` nothing is, and the pictures of the
//! tutorial are written anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use vae_tests::{Program, outcome};

use super::program;

/// The command that gets the program, which the tests have.
const GETS_THE_PROGRAM: &str = "cargo install --path crates/vae-cli";
/// Runs an example of this workspace.
const EXAMPLE: &str = "cargo run --release -p vae-examples --example ";
/// The training on digits, which takes minutes, and what makes it quick.
const FIRST_TRAINING: (&str, &str) = ("train", "train --data digits --limit 500 --max-steps 20");

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The blocks of code of a document: their language and their lines.
fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            blocks.push((language, lines.by_ref().take_while(|line| *line != "```").collect()));
        }
    }
    blocks
}

/// Runs an example that was built with the tests.
fn run_example(program: &Program, line: &str) {
    let (name, arguments) = line.split_once(" -- ").unwrap();
    let built = std::env::current_exe().unwrap();
    let binary = built.ancestors().nth(2).unwrap().join("examples").join(name);
    let mut command = Command::new(&binary);
    program.isolate(&mut command);
    command.args(arguments.split_whitespace());
    assert!(binary.exists(), "{}: build the whole workspace", binary.display());
    let outcome = outcome(command);
    assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
}

/// The share of points whose nearest neighbour has their class, in a table that ends in the columns `x`,
/// `y` and `class`.
fn same_class_as_the_nearest(table: &str) -> f64 {
    let row = |line: &str| -> (String, [f64; 2]) {
        let mut cells = line.rsplit(',');
        let class = cells.next().unwrap().to_owned();
        let mut number = || cells.next().unwrap().parse::<f64>().unwrap();
        (class, [number(), number()])
    };
    let rows: Vec<(String, [f64; 2])> = table.lines().skip(1).map(row).collect();
    let distance = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let same = rows.iter().enumerate().filter(|(i, (class, at))| {
        let others = rows.iter().enumerate().filter(|(j, _)| j != i);
        let nearest = others
            .min_by(|(_, (_, a)), (_, (_, b))| distance(*at, *a).total_cmp(&distance(*at, *b)));
        nearest.is_some_and(|(_, (other, _))| other == class)
    });
    same.count() as f64 / rows.len() as f64
}

#[test]
fn the_commands_of_the_tutorial_work_and_make_its_pictures() {
    let full = std::env::var_os("VAE_WRITE_TUTORIAL").is_some();
    let program = program();
    let text = std::fs::read_to_string(docs().join("tutorial.md")).unwrap();
    let (mut commands, mut said) = (0, String::new());
    for (language, lines) in blocks(&text) {
        match language {
            "toml" => {
                let name = lines[0].strip_prefix("# ").unwrap();
                std::fs::write(program.path(name), lines.join("\n")).unwrap();
            }
            "sh" => {
                for line in lines {
                    let line = line.split(" #").next().unwrap().trim();
                    if let Some(arguments) = line.strip_prefix("vae-cli ") {
                        let quick = !full && arguments == FIRST_TRAINING.0;
                        let outcome = program.ok(if quick { FIRST_TRAINING.1 } else { arguments });
                        said += &outcome.stderr;
                        commands += 1;
                    } else if let Some(example) = line.strip_prefix(EXAMPLE) {
                        run_example(&program, example);
                    } else {
                        assert_eq!(line, GETS_THE_PROGRAM, "what is this?");
                    }
                }
            }
            "text" => {
                for line in lines {
                    assert!(said.contains(line), "`{line}` was not said: {said}");
                }
            }
            other => panic!("nothing checks a block of `{other}`"),
        }
    }
    assert!(commands > 10, "{commands}");

    // Its pictures are files that these commands have written, by their names or those of their runs.
    let pictures: Vec<&str> =
        text.split("](tutorial/").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(pictures.len() > 4, "{pictures:?}");
    for name in pictures {
        let made = match name.strip_suffix("-overview.png") {
            Some(run) => program.path(&format!("runs/{run}/overview.png")),
            None => program.path(name),
        };
        let kept = docs().join("tutorial").join(name);
        if full {
            std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
            std::fs::copy(&made, &kept).unwrap();
        }
        let size = |path: &Path| {
            image::image_dimensions(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        // The width of numbers in labels differs.
        let alike = |a: u32, b: u32| a.abs_diff(b) <= a / 10;
        let (made, kept) = (size(&made), size(&kept));
        assert!(alike(made.0, kept.0) && alike(made.1, kept.1), "{name}: {made:?} {kept:?}");
    }

    // The map of the faces shows what the text says: moods lie apart.
    program.ok("latents --run runs/faces --data faces --out map.csv");
    let table = std::fs::read_to_string(program.path("map.csv")).unwrap();
    let same = same_class_as_the_nearest(&table);
    assert!(same > 0.85, "{same}");
}
