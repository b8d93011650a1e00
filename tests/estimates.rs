//! What `evaluate` measures only if it is asked to: annealed importance sampling, and the quality of
//! samples.

use crate::bad_input::idx;
use crate::cli::explains_all;
use crate::program;

/// 300 pictures of 8x8 pixels in two classes, bright on the left or below.
pub fn two_classes(program: &vae_tests::Program) {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for i in 0..300u32 {
        let class = i % 2;
        for at in 0..64u32 {
            let is_bright = if class == 0 { at % 8 < 4 } else { at / 8 > 3 };
            let shade = (i * 37 + at * 11) % 60;
            images.push(if is_bright { 255 - shade as u8 } else { shade as u8 });
        }
        labels.push(class as u8);
    }
    std::fs::write(program.path("i.idx"), idx(0x0803, &[300, 8, 8], &images)).unwrap();
    std::fs::write(program.path("l.idx"), idx(0x0801, &[300], &labels)).unwrap();
}

#[test]
fn samples_are_compared_by_a_classifier_that_is_trained_once() {
    let program = program();
    two_classes(&program);
    let train = "train mnist-mlp --backend flex --data i.idx,l.idx --batch-size 20 -q --out";
    program.ok(&format!("{train} runs/long --epochs 30"));
    program.ok(&format!("{train} runs/short --max-steps 1"));
    let evaluate = "evaluate --backend flex --split all --quality --json --run";
    let first = program.ok(&format!("{evaluate} runs/short"));
    assert!(first.stderr.contains("training the classifier"), "{first:?}");
    let second = program.ok(&format!("{evaluate} runs/long"));
    assert!(!second.stderr.contains("training the classifier"), "{second:?}");
    let [short, long] = [first.json(), second.json()];
    assert_eq!(short["features"], long["features"]);
    let of = |found: &serde_json::Value, key: &str| found[key].as_f64().unwrap();
    for key in ["frechet_distance", "kernel_distance"] {
        assert!(of(&long, key) < 0.5 * of(&short, key), "{key}: {long} {short}");
    }
    // An untrained model makes nothing that looks like the data, and nothing that the data are near to.
    assert!(of(&short, "precision") + of(&short, "recall") < 0.1, "{short}");
    assert!(of(&long, "recall") > 0.3, "{long}");
    let protocol = &long["protocol"]["frechet_distance"];
    assert!(protocol.as_str().unwrap().contains(long["features"].as_str().unwrap()), "{protocol}");

    // A damaged file in the cache is no reason to guess.
    let cache = program.path("cache/vae/features");
    let file = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    program.fails(2, &format!("{evaluate} runs/long"), &["delete", "cache"]);
    let text =
        "base = \"mnist-mlp\"\n[set]\n\"data.source\" = \"i.idx,l.idx\"\n\"train.batch_size\" = 20";
    std::fs::write(program.path("sweep.toml"), text).unwrap();
    program.fails(2, "sweep sweep.toml --backend flex --quality --out s", &["--quality", "delete"]);
    assert!(!program.path("s").exists());
    std::fs::write(&file, &bytes).unwrap();

    // A model without an encoder has its samples.
    program.ok("train gan --backend flex --data i.idx,l.idx --batch-size 20 --max-steps 1 -q --out runs/gan");
    let gan = program.ok(&format!("{evaluate} runs/gan")).json();
    assert!(of(&gan, "frechet_distance") > of(&long, "frechet_distance"), "{gan}");
    assert_eq!(gan["features"], long["features"]);
    [&gan, &long].into_iter().for_each(explains_all);
    assert!(gan["neg_elbo"].is_null() && gan["mse"].is_null() && gan["images"] == 300, "{gan}");
    let keys = |found: &serde_json::Value| {
        found.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(keys(&gan), keys(&long));
    for other in ["", "--samples 5", "--quality --ais 5"] {
        let evaluate = format!("evaluate --backend flex --run runs/gan {other}");
        program.fails(2, &evaluate, &["no trained encoder", "--quality"]);
    }
}

#[test]
fn few_examples_are_refused_before_the_classifier_is_trained_or_come_with_a_warning() {
    let program = program();
    two_classes(&program);
    program
        .ok("train mnist-mlp --backend flex --data i.idx,l.idx --batch-size 20 --max-steps 1 -q");
    let evaluate = "evaluate --backend flex --split all --quality --limit";
    let refused = program.run(&format!("{evaluate} 4"));
    assert!(refused.code == 2 && refused.stderr.contains("at least 5"), "{refused:?}");
    assert!(!program.path("cache/vae/features").exists(), "{refused:?}");
    program.ok(&format!("{evaluate} 30")).says(&["frechet_distance is too high"]);
}

#[test]
fn quality_needs_pictures_with_classes() {
    let program = program();
    two_classes(&program);
    std::fs::write(program.path("v.csv"), "a,b\n1,2\n2,1\n3,5\n4,1\n1,1\n2,7\n9,2\n8,8\n").unwrap();
    for data in ["i.idx", "v.csv"] {
        let likelihood = "--set model.likelihood.kind=gaussian";
        program.ok(&format!(
            "train mnist-mlp --backend flex --data {data} --batch-size 2 --max-steps 1 -q --out \
             runs/{data} {likelihood}"
        ));
        let evaluate = format!("evaluate --backend flex --quality --run runs/{data}");
        program.fails(2, &evaluate, &["--quality", "classes"]);
    }
}

#[test]
fn annealing_estimates_what_importance_sampling_does() {
    let program = program();
    two_classes(&program);
    let train = "train mnist-mlp --backend flex --data i.idx,l.idx --batch-size 20 -q --set \
                 data.pixels=binary --set model.latent=4 --set model.encoder.hidden=[32] --out";
    program.ok(&format!("{train} runs/binary --epochs 20"));
    let evaluate = "evaluate --backend flex --limit 20 --samples 2000 --ais 100 --json";
    let found = program.ok(evaluate).json();
    let [nll, ais] = ["nll", "nll_ais"].map(|key| found[key].as_f64().unwrap());
    assert!((nll - ais).abs() < 0.1, "{found}");
    assert_eq!((&found["ais_steps"], &found["ais_chains"]), (&100.into(), &16.into()));
    explains_all(&found);
    for key in ["nll_ais_stderr", "ais_ess_min", "ais_ess_median"] {
        assert!(found[key].as_f64().is_some(), "{key}: {found}");
    }
    assert!(found["calibration"].is_null(), "{found}");
    program.fails(2, "evaluate --backend flex --ais 0", &["--ais"]);
    let grey = "train mnist-mlp --backend flex --data i.idx --batch-size 20 --max-steps 1 -q --out";
    program.ok(&format!("{grey} runs/grey"));
    program.fails(2, "evaluate --backend flex --run runs/grey --ais 5", &["--ais", "grey"]);
    program
        .ok("train two-level --backend flex --data i.idx --batch-size 20 --max-steps 1 -q --set \
         data.pixels=binary --out runs/two");
    program.fails(2, "evaluate --backend flex --run runs/two --ais 5", &["--ais", "hierarchical"]);
}

#[test]
fn a_learned_spread_is_calibrated_and_a_wide_one_is_not() {
    let program = program();
    two_classes(&program);
    let coverage = |name: &str, set: &str| -> Vec<f64> {
        program.ok(&format!(
            "train mnist-mlp --backend flex --data i.idx --batch-size 20 --epochs 10 -q --set \
             model.likelihood.kind=gaussian --out runs/{name} {set}"
        ));
        let evaluate = format!("evaluate --backend flex --split all --json --run runs/{name}");
        let found = program.ok(&evaluate).json();
        explains_all(&found);
        let intervals = found["calibration"].as_array().unwrap().clone();
        assert_eq!(intervals.len(), 3, "{found}");
        intervals.iter().map(|interval| interval["coverage"].as_f64().unwrap()).collect()
    };
    let learned = coverage(
        "learned",
        "--set model.likelihood.spread=global --set model.likelihood.sigma=0.1 --set train.optimizer.learning_rate=0.01",
    );
    for (found, share) in learned.iter().zip([0.5, 0.8, 0.95]) {
        assert!((found - share).abs() < 0.15, "{learned:?}");
    }
    let wide = coverage("wide", "--set model.likelihood.sigma=1.0");
    assert!(wide.iter().all(|found| *found > 0.97), "{wide:?}");
}
