//! `--help`: every command ends its help with examples, and every example works.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use vae_tests::{Program, run_python};

use super::program;

/// Commands of the program, from its own help.
fn commands(program: &Program) -> Vec<String> {
    let help = program.ok("--help").stdout;
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let list = list.split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// What makes an example quick: these arguments are added to it.
fn quick(command: &str) -> &'static str {
    match command {
        "train" => "--max-steps 12 --batch-size 50 --limit 600 --backend flex -q",
        "bench" => "--steps 1 --samples 5 --time-limit 1 --batch-size 16 --backend flex",
        "classify" => "--limit 120 --steps 30 --backend flex",
        "evaluate" | "encode" | "latents" | "manifold" | "traverse" | "report" | "reconstruct"
        | "compare" => "--limit 120 --backend flex",
        "sample" | "interpolate" | "decode" => "--backend flex",
        "sweep" => "--limit 100 --backend flex -q",
        _ => "",
    }
}

/// Examples that need other arguments than their command to be quick.
fn quick_instead(example: &str) -> Option<&'static str> {
    match example {
        // The resumed run has more steps to do.
        _ if example.contains("train --resume") => Some("--max-steps 20 --backend flex -q"),
        // A limit changes the test data that they must be the same as.
        _ if example.contains("--apply") => Some("--limit 120 --backend flex"),
        _ => None,
    }
}

/// Makes what the examples name.
fn prepare(program: &Program) {
    let train = "--backend flex --data digits --limit 400 --batch-size 50 --epochs 1 -q";
    for (preset, out) in [
        ("vamp", "runs/vamp"),
        ("gated", "runs/gated"),
        ("conditional", "runs/conditional"),
        ("mnist-mlp", "runs/flat"),
    ] {
        program.ok(&format!("train {preset} {train} --out {out}"));
    }
    let presets = program.ok("presets mnist-mlp").stdout;
    fs::write(program.path("my.toml"), presets.replace("\"auto\"", "\"digits\"")).unwrap();
    program.ok("encode --run runs/conditional --backend flex --limit 20 --out z.npy");
    program.ok("data show digits --n 50 --out digits.npy");
    // Weights: of PyTorch, of another program that names them alike, and of this one.
    run_python("python/example_vae.py", &[&program.path("digits.npy"), program.folder.path()]);
    program.ok("export --run runs/flat --out exported.safetensors");
    fs::copy(program.path("exported.safetensors"), program.path("other.safetensors")).unwrap();
    let map = "\"encoder.layers.0.weight\" = \"encoder.layers.0.weight\"\n";
    fs::write(program.path("names.toml"), map).unwrap();
    let sweep = "base = \"my.toml\"\n[set]\n\"data.source\" = \"digits\"\n\"data.limit\" = 150\n\"train.epochs\" = 1\n[grid]\n\
                 \"objective.beta\" = [1.0, 4.0]\n";
    fs::write(program.path("beta.toml"), sweep).unwrap();
    let table = "<!-- results of `vae-cli repro` -->\n<!-- end of results -->\n";
    fs::write(program.path("results.md"), table).unwrap();
    for codes in ["codes.npy", "codes.npz"] {
        program.ok(&format!("encode --run runs/flat --backend flex --limit 20 --out {codes}"));
    }
}

#[test]
fn every_command_has_examples_and_each_of_them_works() {
    let program = program();
    prepare(&program);
    let mut examples: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for command in commands(&program) {
        let help = program.ok(&format!("{command} --help")).stdout;
        let lines = help.lines().map(str::trim).filter(|line| line.starts_with("vae-cli "));
        let found: Vec<String> = lines.map(str::to_owned).collect();
        assert!(!found.is_empty(), "`{command} --help` has no example");
        examples.insert(command, found);
    }
    assert!(examples.len() > 15, "{:?}", examples.keys());
    // Last those that make runs, which the others would find as the newest.
    let makes_runs = |command: &&String| ["import", "train"].contains(&command.as_str());
    let order: Vec<&String> = examples.keys().filter(|c| !makes_runs(c)).collect();
    let order = order.into_iter().chain(examples.keys().filter(makes_runs));
    let mut failures = Vec::new();
    for (command, example) in order.flat_map(|c| examples[c].iter().map(move |e| (c, e))) {
        // A redirection is the shell's.
        let arguments = example.split(" > ").next().unwrap();
        let arguments = arguments.strip_prefix("vae-cli ").unwrap();
        if arguments.contains(".pt ") && !program.path("vae.pt").exists() {
            // There is no Python that could have made it.
            continue;
        }
        if command == "serve-device" {
            // It serves until it is stopped, and another program may have this port.
            let mut server = program.command(&arguments.replace("--port 7700", "--port 0"));
            let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
            server.kill().unwrap();
            server.wait().unwrap();
            assert!(line.contains("--backend remote:"), "{example}: {line}");
            continue;
        }
        let added = quick_instead(example).unwrap_or_else(|| quick(command));
        let limited = arguments.contains("--limit");
        let added = if limited { added.replace("--limit 120", "") } else { added.to_owned() };
        // Presets would look for MNIST; a file and a run say what they want.
        let is_preset = command == "train" && !arguments.contains("--resume");
        let data = if is_preset { "--data digits" } else { "" };
        if is_preset && arguments.contains("runs/flat") {
            fs::remove_dir_all(program.path("runs/flat")).unwrap();
        }
        let outcome = program.run(&format!("{arguments} {added} {data}"));
        // Protocols of papers have the data of the papers.
        let lacks_data = outcome.stderr.contains("mnist is not on this machine");
        if outcome.code != 0 && !(command == "repro" && lacks_data) {
            failures.push(format!("{example}: {}", outcome.stderr));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn manual_pages_are_written_for_the_program_and_each_command() {
    let program = program();
    program.ok("man --out man1");
    let page = fs::read_to_string(program.path("man1/vae-cli-train.1")).unwrap();
    assert!(page.contains("--resume") || page.contains("\\-\\-resume"), "{page}");
    let pages = fs::read_dir(program.path("man1")).unwrap().count();
    assert_eq!(pages, 1 + commands(&program).len());
    assert!(program.path("man1/vae-cli.1").exists());
}
