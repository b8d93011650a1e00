//! Exports and imports, held against the programs that they are for; and files that are refused.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use vae_tests::{Program, read_npy, run_python};

use crate::program;

/// Runs a Python script on files of the program's folder. Returns whether there is a Python.
fn python(program: &Program, script: &str, files: &[&str]) -> bool {
    let paths: Vec<_> = files.iter().map(|name| program.path(name)).collect();
    let paths: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
    run_python(script, &paths).is_some()
}

/// The largest difference of two arrays of one shape.
fn difference(program: &Program, a: &str, b: &str) -> f32 {
    let ((shape_a, a), (shape_b, b)) = (read_npy(&program.path(a)), read_npy(&program.path(b)));
    assert_eq!(shape_a, shape_b);
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn pytorch_reconstructs_an_export_in_the_same_numbers() {
    for (settings, data) in [
        ("mnist-mlp", "digits"),
        (
            "mnist-mlp --set model.encoder.hidden=[30,20] --set model.encoder.gated=true \
             --set model.encoder.head_depth=2 --set data.pixels=binary",
            "digits",
        ),
        (
            "conv --set model.encoder.channels=[8,16] --set model.encoder.hidden=[32] \
             --set model.encoder.residual=1 --set model.encoder.groups=4 \
             --set model.encoder.activation=silu --set data.pixels=signed \
             --set model.likelihood.kind=gaussian --set model.likelihood.output=tanh \
             --set model.likelihood.spread=pixel",
            "digits",
        ),
        (
            "mnist-mlp --set model.encoder.activation=elu --set model.likelihood.kind=gaussian \
             --set data.scale=standardize",
            "curves",
        ),
    ] {
        let program = program();
        program.ok(&format!(
            "train {settings} --backend flex --data {data} --limit 200 --batch-size 50 --epochs 2 \
             --out runs/r -q"
        ));
        program.ok("export --out m.safetensors");
        program.ok(&format!("data show {data} --split test --n 20 --out originals.npy"));
        program.ok("reconstruct --backend flex --n 20 --out ours.npy");
        let files = ["m.safetensors", "originals.npy", "theirs.npy"];
        if !python(&program, "../docs/load_export.py", &files) {
            return;
        }
        let difference = difference(&program, "ours.npy", "theirs.npy");
        assert!(difference < 1e-5, "{settings}: {difference}");
    }
}

#[test]
fn a_model_of_pytorch_is_imported_and_gives_the_same_numbers() {
    let program = program();
    program.ok("data show digits --split test --n 20 --out originals.npy");
    if !python(&program, "python/example_vae.py", &["originals.npy", "."]) {
        return;
    }
    for (file, tolerance) in [("vae.pt", 1e-5), ("vae.safetensors", 1e-5), ("half.pt", 1e-2)] {
        let arguments = format!("import {file} --config mnist-mlp --out runs/{file} --json");
        assert_eq!(program.ok(&arguments).json()["run"], format!("runs/{file}"));
        program.ok(&format!(
            "reconstruct --run runs/{file} --backend flex --data digits --n 20 --out ours.npy"
        ));
        let difference = difference(&program, "ours.npy", "reconstructions.npy");
        assert!(difference < tolerance, "{file}: {difference}");
    }
    // A checkpoint with more than the model: each tensor under its path, the others left out.
    let layers = [
        ("fc1", "encoder.layers.0"),
        ("fc21", "posterior.mean.output"),
        ("fc22", "posterior.log_var.output"),
        ("fc3", "decoder.trunk.layers.0"),
        ("fc4", "decoder.output"),
    ];
    let lines = layers.map(|(theirs, ours)| {
        let line = |of| format!("\"model.{theirs}.{of}\" = \"{ours}.{of}\"\n");
        line("weight") + &line("bias")
    });
    let map = format!("{}\"optimizer.step\" = \"\"\n", lines.concat());
    std::fs::write(program.path("map.toml"), map).unwrap();
    program.ok("import nested.pt --config mnist-mlp --map map.toml --out runs/nested");
    program.ok("reconstruct --run runs/nested --backend flex --data digits --n 20 --out ours.npy");
    assert!(difference(&program, "ours.npy", "reconstructions.npy") < 1e-5);

    // Nothing of a pickle is run.
    let words = ["code.pt", "`posix.system`", "nothing was run", "state_dict"];
    program.fails(2, "import code.pt --config mnist-mlp --out runs/bad", &words);
    assert!(!program.path("code-ran").exists());
    for (file, words) in [
        ("model.pt", ["model.pt", "`__main__.VAE`"]),
        ("old.pt", ["old.pt", "before PyTorch 1.6"]),
        ("nan.pt", ["nan.pt", "`fc3.bias` has NaN"]),
        ("nested.pt", ["missing:\n", "    `model.fc1.weight` [400, 784]\n"]),
    ] {
        program.fails(2, &format!("import {file} --config mnist-mlp --out runs/bad"), &words);
    }
    let whole = std::fs::read(program.path("vae.pt")).unwrap();
    for length in [10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(program.path("cut.pt"), &whole[..length]).unwrap();
        program.fails(2, "import cut.pt --config mnist-mlp --out runs/bad", &["cut.pt"]);
    }
    assert!(!program.path("runs/bad").exists(), "a refused file leaves no run behind");
}

#[test]
fn an_export_is_imported_as_the_same_run() {
    let program = program();
    program
        .ok("train mnist-mlp --backend flex --data digits --limit 300 --batch-size 50 --epochs 1 \
         --set data.validation=100 --set model.condition=label --out runs/small -q");
    program.ok("export --run runs/small --out m.safetensors");
    assert_eq!(program.ok("import m.safetensors --json").json()["run"], "runs/m");
    for command in ["sample --n 3", "reconstruct --n 3", "reconstruct --split train --n 3"] {
        for (run, out) in [("small", "a.npy"), ("m", "b.npy")] {
            program.ok(&format!("{command} --backend flex --run runs/{run} --out {out}"));
        }
        assert_eq!(difference(&program, "a.npy", "b.npy"), 0.0, "{command}");
    }
    let [small, imported] = ["runs/small", "runs/m"].map(|run| {
        let evaluate = format!("evaluate --backend flex --limit 50 --json --run {run}");
        let mut found = program.ok(&evaluate).json();
        let model = found["protocol"]["model"].take();
        assert!(model.as_str().unwrap().starts_with(run), "{model}");
        found
    });
    assert_eq!(small, imported);
    let info = program.ok("info runs/m --json").json();
    assert_eq!(info["run"]["imported"], "m.safetensors");
    assert_eq!(info["progress"]["step"], 4);
    assert!(program.ok("info runs/m").stdout.contains("from m.safetensors"));
    let words = ["cannot resume", "imported from m.safetensors"];
    program.fails(2, "train --resume --out runs/m --backend flex", &words);
    let other = "import m.safetensors --set data.pixels=binary --out runs/other";
    program.fails(2, other, &["data.pixels", "\"binary\"", "\"grey\""]);
    // And from the run that was imported.
    program.ok("export --run runs/m --out again.safetensors");
    let tensors = |name| Weights::read(&program.path(name));
    assert!(tensors("m.safetensors") == tensors("again.safetensors"));
}

#[test]
fn a_hub_folder_has_weights_configuration_and_the_figures_of_the_run() {
    let program = program();
    program
        .ok("train mnist-mlp --backend flex --data digits --limit 300 --batch-size 50 --epochs 2 \
         --set data.validation=100 --set train.ema_decay=0.5 --out runs/small -q");
    program.ok("export --format hub --checkpoint last --out hub");
    program.ok("export --checkpoint last --out m.safetensors");
    let read = |name: &str| std::fs::read(program.path(name)).unwrap();
    let tensors = |name| Weights::read(&program.path(name));
    assert!(tensors("hub/model.safetensors") == tensors("m.safetensors"));
    let config: serde_json::Value = serde_json::from_slice(&read("hub/config.json")).unwrap();
    assert_eq!(config["input"], serde_json::json!([1, 28, 28]));
    assert_eq!(config["config"]["model"]["encoder"]["hidden"][0], 400);
    assert_eq!(config["transform"]["pixels"], "grey");
    let card = String::from_utf8(read("hub/README.md")).unwrap();
    let log = std::fs::read_to_string(program.path("runs/small/metrics.jsonl")).unwrap();
    let last = log.lines().rfind(|line| line.contains("validation")).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    let loss = format!("| validation | 2 | {:.3} |", last["loss"].as_f64().unwrap());
    let data = "200 training examples of `digits`";
    let average = ["a decay of 0.5.", "with the average of the weights"];
    for part in ["# small", "| encoder | mlp 400 |", data, &loss, average[0], average[1]] {
        assert!(card.contains(part), "{part}: {card}");
    }
    // Once more, into the folder that is there.
    program.ok("export --format hub --out hub");
    program.fails(2, "export --format hub --out m.safetensors", &["m.safetensors", "a file"]);
    program.fails(2, "export --out weights.bin", &["weights.bin", ".safetensors"]);
    program.ok("import hub/model.safetensors --out runs/from-hub");

    // The card of a model without an encoder speaks of none.
    program.ok("train gan --backend flex --data digits --limit 100 --batch-size 50 --epochs 1 \
         --out runs/gan -q");
    program.ok("export --run runs/gan --format hub --out gan-hub");
    let card = String::from_utf8(read("gan-hub/README.md")).unwrap();
    assert!(card.contains("vae-cli sample --run"), "{card}");
    for wrong in ["vae-cli reconstruct", "- kl", "neg_elbo", "vae-cli evaluate"] {
        assert!(!card.contains(wrong), "{wrong}: {card}");
    }
}

#[test]
fn an_exported_vae_file_is_the_model_without_its_training() {
    let program = program();
    program.small_run();
    program.ok("export --format vae --out m.vae");
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    let whole = program.path("runs/small/checkpoints/last.vae");
    assert!(2 * size(&program.path("m.vae")) < size(&whole));
    program.ok("sample --n 3 --backend flex --out a.npy");
    program.ok("sample --n 3 --backend flex --run m.vae --out b.npy");
    assert_eq!(difference(&program, "a.npy", "b.npy"), 0.0);
    std::fs::copy(program.path("m.vae"), &whole).unwrap();
    program.fails(2, "train --resume --backend flex", &["cannot resume", "was exported"]);
}

/// Tensors of a safetensors file that can be compared and changed.
#[derive(PartialEq)]
struct Weights(BTreeMap<String, (Vec<usize>, Vec<u8>)>);

impl Weights {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let owned = |(name, view): (String, TensorView<'_>)| {
            (name, (view.shape().to_vec(), view.data().to_vec()))
        };
        Self(file.tensors().into_iter().map(owned).collect())
    }

    fn write(&self, path: &Path) {
        let views = self.0.iter().map(|(name, (shape, bytes))| {
            (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }
}

#[test]
fn weights_that_are_not_those_of_the_model_are_refused() {
    let program = program();
    program.small_run();
    program.ok("export --out m.safetensors");
    let whole = || Weights::read(&program.path("m.safetensors"));
    let import = "import bad.safetensors --config mnist-mlp --out runs/bad";
    let refused = |weights: &Weights, arguments: &str, words: &[&str]| {
        weights.write(&program.path("bad.safetensors"));
        program.fails(2, arguments, words);
    };

    // Without metadata, but with a configuration: whole weights pass.
    whole().write(&program.path("bad.safetensors"));
    program.ok(&import.replace("runs/bad", "runs/good"));
    program.fails(2, &import.replace("runs/bad", "runs/good"), &["exists already", "--out"]);
    program.fails(2, "import bad.safetensors --out runs/bad", &["--config"]);

    // Missing, extra and mis-shaped tensors in one error.
    let mut weights = whole();
    weights.0.remove("decoder.output.bias");
    weights.0.remove("encoder.layers.0.weight");
    weights.0.insert("decoder.more".into(), (vec![2], vec![0; 8]));
    weights.0.get_mut("posterior.mean.output.weight").unwrap().0 = vec![400, 20];
    let words = [
        "bad.safetensors",
        "missing:\n    `decoder.output.bias` [784]\n    `encoder.layers.0.weight` [400, 784]\n",
        "not in the model:\n    `decoder.more` [2]\n",
        "of another shape:\n    `posterior.mean.output.weight` [400, 20], must be [20, 400]\n",
    ];
    refused(&weights, import, &words);

    for (value, word) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let mut weights = whole();
        let bias = &mut weights.0.get_mut("decoder.output.bias").unwrap().1;
        bias[8..12].copy_from_slice(&value.to_le_bytes());
        refused(&weights, import, &["`decoder.output.bias`", word, "number 2"]);
    }

    // Maps.
    let map = |text: &str| std::fs::write(program.path("map.toml"), text).unwrap();
    let mapped = format!("{import} --map map.toml");
    map("fc9.weight = \"encoder.layers.0.weight\"\n\"decoder.output.bias\" = \"nonsense\"");
    let words =
        ["`fc9.weight` is not in the file", "`nonsense`", "missing:\n    `decoder.output.bias`"];
    refused(&whole(), &mapped, &words);
    map("decoder.output.bias = \"encoder.layers.0.bias\"");
    refused(&whole(), &mapped, &["are both `encoder.layers.0.bias`"]);
    map("a = 7");
    refused(&whole(), &mapped, &["map.toml", "`a`"]);
    program.fails(2, &format!("{import} --map nowhere.toml"), &["nowhere.toml"]);

    // What a file does not say.
    whole().write(&program.path("bad.safetensors"));
    let other = format!("{import} --set data.source=pictures");
    program.fails(2, &other, &["`pictures`", "--input 1,28,28"]);
    program.ok(&format!("{} --input 1,28,28", other.replace("runs/bad", "runs/pictures")));
    program.fails(2, &format!("{import} --input 28,28"), &["--input"]);
    let labels = format!("{other} --input 1,28,28 --set model.condition=label");
    program.fails(2, &labels, &["--classes"]);
    program.fails(2, &format!("{import} --input 784 --set data.scale=minmax"), &["data.scale"]);

    let whole = std::fs::read(program.path("m.safetensors")).unwrap();
    for length in [0, 3, 100, whole.len() - 1] {
        std::fs::write(program.path("bad.safetensors"), &whole[..length]).unwrap();
        program.fails(2, import, &["bad.safetensors"]);
    }
    program.fails(2, "import nowhere.pt --config mnist-mlp --out runs/bad", &["nowhere.pt"]);
    program.fails(2, "import runs --config mnist-mlp --out runs/bad", &["not a file"]);
    std::fs::write(program.path("zip.pt"), b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
        .unwrap();
    program.fails(2, "import zip.pt --config mnist-mlp --out runs/bad", &["zip.pt", "data.pkl"]);
    assert!(!program.path("runs/bad").exists(), "a refused file leaves no run behind");
}
