//! The program end to end, as a stranger types it.

use vae_tests::read_npy;

use crate::program;

#[test]
fn a_run_leaves_what_the_documentation_says() {
    let program = program();
    let arguments = "train --backend flex --data digits --limit 1000 --epochs 2 --json \
         --set data.validation=200 --set train.log_every=3";
    let summary = program.ok(arguments).json();
    assert_eq!(summary["run"], "runs/default");
    assert_eq!(summary["ending"], "finished");
    assert_eq!(summary["epoch"], 2);
    assert!(summary["train"]["loss"].is_f64() && summary["validation"]["loss"].is_f64());
    for file in [
        "config.toml",
        "metrics.jsonl",
        "checkpoints/last.vae",
        "checkpoints/best.vae",
        "samples/epoch-0001-samples.png",
        "samples/epoch-0002-reconstructions.png",
    ] {
        assert!(program.path("runs/default").join(file).is_file(), "{file}");
    }
    let log = std::fs::read_to_string(program.path("runs/default/metrics.jsonl")).unwrap();
    for line in log.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["step", "epoch", "loss", "reconstruction", "kl", "neg_elbo"] {
            assert!(object[key].is_number(), "{key} in {line}");
        }
        assert!(["train", "validation"].contains(&object["split"].as_str().unwrap()));
        assert!(["steps", "epoch"].contains(&object["average"].as_str().unwrap()));
        let has_speed = object["images_per_second"].is_number();
        assert_eq!(has_speed, object["split"] != "validation", "{line}");
    }

    // A second one does not fall over the first.
    let again = program.ok("train --backend flex --data digits --limit 200 --max-steps 1 --json");
    assert_eq!(again.json()["run"], "runs/default-2");
    let runs = program.ok("runs --json").json();
    assert_eq!(runs["runs"][0]["run"], "runs/default-2");
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
    // And readers take the newest.
    let info = program.ok("info --json").json();
    assert_eq!(info["progress"]["step"], 1);
    assert_eq!(info["run"]["backend"], "flex");
}

#[test]
fn auto_says_which_data_it_chose() {
    let program = program();
    let outcome = program.ok("train --backend flex --limit 200 --max-steps 1");
    let first = outcome.stderr.lines().next().unwrap();
    assert!(first.starts_with("data: digits") || first.starts_with("data: mnist"), "{first}");
    assert_eq!(outcome.stdout, "runs/default\n");
}

#[test]
fn the_latent_space_and_the_training_of_a_run_become_pictures() {
    let program = program();
    program.small_run();
    let picture = |name: &str| image::open(program.path(name)).unwrap();

    let found = program.ok("traverse --backend flex --limit 200 --dims 4 --steps 5 --json").json();
    assert_eq!(found["n"], 20);
    let kl: Vec<f64> = serde_json::from_value(found["kl"].clone()).unwrap();
    assert!(kl.len() == 4 && kl.is_sorted_by(|a, b| a >= b), "{kl:?}");
    assert!(picture("traversal.png").width() > 5 * 48);
    program.ok("traverse --backend flex --limit 200 --dims 4 --steps 5 --out t.npy");
    let (shape, values) = read_npy(&program.path("t.npy"));
    assert_eq!(shape, [20, 1, 28, 28]);
    // A dimension that says much about x changes it.
    assert!(values[..784] != values[4 * 784..5 * 784]);
    program.ok("traverse --backend flex --limit 200 --dims 4 --steps 5 --out t.gif");
    assert!(picture("t.gif").width() > 2 * 48);

    program.ok("manifold --backend flex --limit 200 --n 6");
    program.ok("manifold --backend flex --limit 200 --n 6 --plane axes --theme dark --out p.png");
    for name in ["manifold.png", "p.png"] {
        assert!(picture(name).height() > 6 * 48);
    }

    program.ok("latents --backend flex --limit 200");
    assert!(picture("latents.png").width() > 700);
    program.ok("latents --backend flex --limit 100 --method tsne --perplexity 10 --out l.csv");
    let table = std::fs::read_to_string(program.path("l.csv")).unwrap();
    assert!(table.starts_with("index,x,y,class\n") && table.lines().count() == 101, "{table}");
    let x: Vec<f64> =
        table.lines().skip(1).map(|l| l.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert!(x.iter().all(|x| x.is_finite()) && x.iter().any(|other| (other - x[0]).abs() > 1.0));

    // `train` has drawn an overview; there is one sheet, and no film of it.
    assert!(picture("runs/small/overview.png").width() > 1_500);
    assert!(!program.path("runs/small/samples/training.gif").exists());
    program.ok("train --resume --out runs/small --epochs 2 --backend flex -q");
    assert_eq!(
        picture("runs/small/samples/training.gif").width(),
        picture("runs/small/samples/epoch-0002-samples.png").width()
    );

    let found = program.ok("curves --out c.svg --json").json();
    assert_eq!(found["terms"][0], "loss");
    let svg = std::fs::read_to_string(program.path("c.svg")).unwrap();
    assert!(svg.contains("<polyline") && svg.contains("reconstruction"), "{svg}");
    program.ok("curves runs/small runs/small --terms kl --theme dark");
    assert!(picture("curves.png").width() > 400);

    program.ok("interpolate --backend flex --n 3 --steps 4 --out i.gif");
    assert!(picture("i.gif").width() > 2 * 48);
    program.ok("interpolate --backend flex --random --n 1 --steps 3 --out round.npy");
    program.ok("interpolate --backend flex --random --n 1 --steps 3 --linear --out line.npy");
    let paths = ["round.npy", "line.npy"].map(|name| read_npy(&program.path(name)).1);
    let [round, line] = paths.each_ref().map(|path| path.chunks_exact(784).collect::<Vec<_>>());
    let apart =
        |i: usize| round[i].iter().zip(line[i]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart(0) < 1e-4 && apart(2) < 1e-4 && apart(1) > 1e-3, "{}", apart(1));

    // Without noise all z are the mean of the prior.
    program.ok("sample --backend flex --n 3 --temperature 0 --out cold.npy");
    let cold = read_npy(&program.path("cold.npy")).1;
    assert!(cold.chunks_exact(784).all(|sample| sample == &cold[..784]));
}

#[test]
fn every_reader_reads_a_run() {
    let program = program();
    program.small_run();
    program.ok("sample --n 10 --backend flex");
    let sheet = image::open(program.path("samples.png")).unwrap();
    assert!(sheet.width() > 100 && sheet.height() > 100);
    program.ok("sample --n 10 --backend flex --nearest --out near.png");
    program.ok("reconstruct --backend flex");
    program.ok("interpolate --backend flex --n 2 --steps 5");
    program.ok("interpolate --backend flex --random --n 2 --out random.png");
    for file in ["near.png", "reconstructions.png", "interpolation.png", "random.png"] {
        image::open(program.path(file)).unwrap();
    }

    program.ok("sample --n 10 --backend flex --out samples.npy");
    let (shape, means) = read_npy(&program.path("samples.npy"));
    assert_eq!(shape, [10, 1, 28, 28]);
    assert!(means.iter().all(|v| (0.0..=1.0).contains(v)));
    program.ok("sample --n 10 --backend flex --out same.npy");
    assert_eq!(read_npy(&program.path("same.npy")).1, means);
    program.ok("sample --n 10 --backend flex --seed 1 --out other.npy");
    assert_ne!(read_npy(&program.path("other.npy")).1, means);
    // The first samples do not depend on how many there are.
    program.ok("sample --n 3 --backend flex --out few.npy");
    let few = read_npy(&program.path("few.npy")).1;
    assert!(few.iter().zip(&means).all(|(a, b)| (a - b).abs() < 1e-5));
    program.ok("sample --n 10 --draw --backend flex --out draws.npy");
    assert!(read_npy(&program.path("draws.npy")).1.iter().all(|v| *v == 0.0 || *v == 1.0));
}

#[test]
fn encoding_and_decoding_is_reconstructing() {
    let program = program();
    program.small_run();
    program.ok("encode --backend flex --limit 40");
    let (shape, codes) = read_npy(&program.path("codes.npy"));
    assert_eq!(shape, [40, 20]);
    assert!(codes.iter().any(|z| z.abs() > 0.1));
    program.ok("decode codes.npy --backend flex");
    program.ok("reconstruct --backend flex --n 40 --out reconstructions.npy");
    let (shape, decoded) = read_npy(&program.path("decoded.npy"));
    assert_eq!(shape, [40, 1, 28, 28]);
    assert_eq!(read_npy(&program.path("reconstructions.npy")), (shape, decoded));
    program.ok("decode codes.npy --backend flex --out decoded.png");

    // Every row of a file, in its order, against the part that is held out of it.
    program.ok("data show digits --split test --n 60 --out file.npy");
    program.ok("encode --backend flex --data file.npy --split all --out all.npy");
    let (shape, all) = read_npy(&program.path("all.npy"));
    assert_eq!(shape, [60, 20]);
    assert!(all[..800].iter().zip(&codes).all(|(a, b)| (a - b).abs() < 1e-5));
    program.ok("encode --backend flex --data file.npy --out part.npy");
    assert_eq!(read_npy(&program.path("part.npy")).0, [10, 20]);
    image::open(program.path("decoded.png")).unwrap();
}

#[test]
fn a_reconstruction_is_nearer_to_its_image_than_to_others() {
    let program = program();
    program.ok(
        "train mnist-mlp --backend flex --data digits --limit 30000 --epochs 3 --out runs/r -q",
    );
    program.ok("reconstruct --backend flex --n 100 --out made.npy");
    program.ok("data show digits --split test --n 100 --out real.npy");
    let (_, made) = read_npy(&program.path("made.npy"));
    let real = npyz::NpyFile::new(std::fs::File::open(program.path("real.npy")).unwrap()).unwrap();
    assert_eq!(real.shape(), [100, 1, 28, 28]);
    let real: Vec<u8> = real.into_vec().unwrap();
    let distance = |i: usize, j: usize| -> f32 {
        let (a, b) = (&made[i * 784..][..784], &real[j * 784..][..784]);
        a.iter().zip(b).map(|(a, b)| (a - f32::from(*b) / 255.0).powi(2)).sum()
    };
    let own = (0..100)
        .filter(|i| (0..100).filter(|j| j != i).all(|j| distance(*i, *i) < distance(*i, j)))
        .count();
    assert!(own >= 90, "only {own} of 100");
}

#[test]
fn a_validation_split_of_the_data_themselves_is_used_if_asked_for() {
    let program = program();
    for (part, n) in [("train", 12u8), ("validation", 5), ("test", 3)] {
        for i in 0..n {
            let folder = program.path("pics").join(part).join(if i % 2 == 0 { "a" } else { "b" });
            std::fs::create_dir_all(&folder).unwrap();
            let picture = image::GrayImage::from_pixel(4, 4, image::Luma([20 * i]));
            picture.save(folder.join(format!("{i}.png"))).unwrap();
        }
    }
    let train = "train mnist-mlp --backend flex --data pics --batch-size 4 --epochs 2 -q --out";
    program.ok(&format!("{train} runs/own --set data.own_validation=true --set train.patience=9"));
    assert!(program.path("runs/own/checkpoints/best.vae").is_file());
    let images = |split: &str| {
        let evaluate = format!("evaluate --backend flex --run runs/own --split {split} --json");
        program.ok(&evaluate).json()["images"].as_u64().unwrap()
    };
    assert_eq!(["train", "validation", "test"].map(images), [12, 5, 3]);
    let both = "--set data.own_validation=true --set data.validation=2";
    program.fails(2, &format!("{train} runs/both {both}"), &["data.validation", "leave it out"]);
    let none = "train mnist-mlp --backend flex --data digits --set data.own_validation=true";
    program.fails(2, none, &["no validation split"]);
}

#[test]
fn evaluate_gives_the_keys_that_scripts_read() {
    let program = program();
    program.small_run();
    let result = program.ok("evaluate --backend flex --limit 300 --json").json();
    assert_eq!(result["images"], 300);
    let value = |key: &str| result[key].as_f64().unwrap();
    assert!((value("neg_elbo") - value("reconstruction") - value("kl")).abs() < 1e-3);
    assert!(result["active_units"].is_u64());
    // The same figures by their other names, and the KL in parts: sums hold.
    assert_eq!(
        (&result["rate"], &result["distortion"]),
        (&result["kl"], &result["reconstruction"])
    );
    let each: Vec<f64> = serde_json::from_value(result["kl_per_dimension"].clone()).unwrap();
    assert!((each.iter().sum::<f64>() - value("kl")).abs() < 1e-2);
    let parts: f64 =
        ["mutual_information", "total_correlation", "dimension_wise_kl"].map(value).iter().sum();
    // They are of one draw for each example.
    assert!((parts - value("kl")).abs() < 0.5, "{parts} {result}");
    assert!(value("mutual_information") <= 300f64.ln());
    assert!((0.0..1.0).contains(&value("mse")) && (0.0..1.0).contains(&value("ssim")));
    assert!((5.0..40.0).contains(&value("psnr")));
    assert!((0.2..=1.0).contains(&value("knn_accuracy")), "{result}");
    assert!((0.2..=1.0).contains(&value("probe_accuracy")), "{result}");
    // A grey pixel has no bits, and nothing was sampled.
    for key in ["bits_per_dim", "nll", "ess_min", "ess_median", "k_curve"] {
        assert!(result[key].is_null(), "{key}");
    }
    explains_all(&result);
    let protocol = &result["protocol"];
    assert!(protocol["images"].as_str().unwrap().contains("grey pixels"), "{protocol:?}");
    assert!(protocol["mse"].as_str().unwrap().contains("per number of x"), "{protocol:?}");
    // Every key is explained.
    let models = include_str!("../docs/models.md");
    let known =
        ["images", "neg_elbo", "reconstruction", "kl", "latent", "likelihood", "data", "split"];
    for key in result.as_object().unwrap().keys().filter(|key| !known.contains(&key.as_str())) {
        assert!(models.contains(&format!("`{key}`")), "`{key}` is not in docs/models.md");
    }
    assert!(result["mig"].is_null());
    let scores = program.ok("evaluate --backend flex --limit 300 --disentanglement --json").json();
    assert!((0.0..1.0).contains(&scores["mig"].as_f64().unwrap()), "{scores}");
    assert!(scores["factor_vae_score"].as_f64().unwrap() > 0.1, "{scores}");
    explains_all(&scores);
    program.fails(2, "evaluate --backend flex --disentanglement --limit 3", &["more than 3"]);
    // Cross-entropy on grey pixels is no likelihood, and has none to sample.
    assert_eq!(result["likelihood"], false);
    program.fails(2, "evaluate --backend flex --samples 10", &["grey", "data.pixels=stochastic"]);
}

/// Checks that programs that read this find every key, and how each figure that is not null was made.
pub fn explains_all(result: &serde_json::Value) {
    let protocol = result["protocol"].as_object().unwrap();
    for key in FIGURES {
        let value = result.get(key).unwrap_or_else(|| panic!("{key} is missing"));
        let is_said = value.is_null() || protocol.contains_key(key);
        assert!(is_said, "{key} is {value}, and nothing says how");
    }
}

/// The figures that other programs read.
const FIGURES: [&str; 43] = [
    "neg_elbo",
    "reconstruction",
    "kl",
    "nll",
    "nll_stderr",
    "active_units",
    "aggregate_mmd",
    "ess_min",
    "ess_median",
    "k_curve",
    "bits_per_dim",
    "mutual_information",
    "total_correlation",
    "dimension_wise_kl",
    "kl_per_dimension",
    "rate",
    "distortion",
    "mse",
    "psnr",
    "ssim",
    "knn_accuracy",
    "probe_accuracy",
    "frechet_distance",
    "kernel_distance",
    "precision",
    "recall",
    "features",
    "mig",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "sap",
    "modularity",
    "factor_vae_score",
    "beta_vae_score",
    "images",
    "calibration",
    "nll_ais",
    "nll_ais_stderr",
    "ais_steps",
    "ais_chains",
    "ais_ess_min",
    "ais_ess_median",
];

#[test]
fn binary_data_has_an_importance_sampled_likelihood() {
    let program = program();
    program.ok(
        "train mnist-mlp --backend flex --data digits --limit 2000 --epochs 2 --out runs/b -q \
         --set data.pixels=binary",
    );
    let nll = |k: usize| {
        let arguments = format!("evaluate --backend flex --limit 100 --samples {k} --json");
        let result = program.ok(&arguments).json();
        assert_eq!(result["likelihood"], true);
        assert!(result["nll_stderr"].as_f64().unwrap() > 0.0);
        (result["nll"].as_f64().unwrap(), result["neg_elbo"].as_f64().unwrap())
    };
    // A bound with more samples is tighter; with one it is the bound of evaluate.
    let ((one, neg_elbo), (many, _)) = (nll(1), nll(200));
    assert!((one - neg_elbo).abs() < 2.0, "{one} {neg_elbo}");
    assert!(many < one - 0.5, "{many} {one}");
    let evaluate = "evaluate --backend flex --limit 100 --samples 200 --json";
    let result = program.ok(evaluate).json();
    let number = |key: &str| result[key].as_f64().unwrap();
    let points = result["k_curve"].as_array().unwrap();
    let ks: Vec<u64> = points.iter().map(|point| point["k"].as_u64().unwrap()).collect();
    assert_eq!(ks, [1, 10, 100, 200]);
    let curve: Vec<f64> = points.iter().map(|point| point["nll"].as_f64().unwrap()).collect();
    assert!(curve.is_sorted_by(|a, b| a >= b), "{curve:?}");
    assert_eq!(curve[3], number("nll"));
    // From 200 draws, the bound with one is that of evaluate, which has one, but for their spread.
    assert!((curve[0] - number("neg_elbo")).abs() < 1.0, "{curve:?}");
    assert!(1.0 <= number("ess_min") && number("ess_min") <= number("ess_median"));
    assert!(number("ess_median") <= 200.0);
    let bits = number("nll") / 784.0 / std::f64::consts::LN_2;
    assert!((number("bits_per_dim") - bits).abs() < 1e-9);
    let few = program.ok("evaluate --backend flex --limit 100 --samples 2 --json");
    few.says(&["warning", "take more importance samples"]);
    explains_all(&few.json());
    program.fails(2, "evaluate --backend flex --samples 0", &["--samples"]);

    // Two runs are compared image by image; a run is no better than itself.
    program.ok(
        "train mnist-mlp --backend flex --data digits --limit 2000 --epochs 1 --out runs/a -q \
         --set data.pixels=binary --set train.max_steps=1",
    );
    let evaluate = "evaluate --backend flex --limit 100 --samples 10 --json --run runs";
    let against = program.ok(&format!("{evaluate}/b --against runs/b")).json()["against"].clone();
    assert_eq!((&against["difference"], &against["difference_stderr"]), (&0.0.into(), &0.0.into()));
    let result = program.ok(&format!("{evaluate}/b --against runs/a")).json();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let against = &result["against"];
    let difference = number(&against["difference"]);
    assert!((difference - (number(&result["nll"]) - number(&against["nll"]))).abs() < 1e-6);
    assert!(difference < -10.0 * number(&against["difference_stderr"]), "{against}");
    let compare = "compare runs/a runs/b --backend flex --limit 100 --samples 10";
    let compared = program.ok(&format!("{compare} --json")).json();
    assert_eq!(compared["runs"][0]["run"], "runs/a");
    assert_eq!(compared["runs"][0]["difference"].as_f64().unwrap(), -difference);
    assert_eq!(compared["runs"][1]["difference"], 0.0);
    assert_eq!(compared["difference_of"], "nll");
    assert_eq!(compared["fingerprint"], result["fingerprint"]);
    let [model, noise] = ["model", "noise"].map(|key| result["protocol"][key].as_str().unwrap());
    assert!(model.contains("runs/b") && model.contains("epoch"), "{model}");
    assert_eq!(noise, "seed 0, flex");
    assert!(number(&compared["runs"][0]["difference_interval"]) > 0.0);
    for run in compared["runs"].as_array().unwrap() {
        let images = run["protocol"]["images"].as_str().unwrap();
        assert!(images.contains("black and white"), "{images}");
        assert!(run["nll"].is_f64() && run["protocol"]["nll"].is_string(), "{run}");
    }
    // Of so few samples the effective size cannot be large.
    let few = "compare runs/a runs/b --backend flex --limit 20 --samples 4";
    program.ok(few).says(&["warning: runs/b: ", "take more importance samples"]);
    let table = program.ok(compare).stdout;
    assert!(table.starts_with("run ") && table.contains(" * "), "{table}");
    assert!(table.contains("of 100 of digits test, black and white pixels"), "{table}");
    let csv = program.ok(&format!("{compare} --csv")).stdout;
    assert!(
        csv.starts_with("run,neg_elbo,")
            && csv.contains("nll,nll stderr,nll - best,nll - best interval,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 3);
    assert!(program.ok(&format!("{compare} --markdown")).stdout.contains("|---|---:|"));
    assert!(program.ok(&format!("{compare} --latex")).stdout.contains("\\toprule"));
    program.fails(2, &format!("{compare} --latex --csv"), &["--latex", "--csv"]);
    program.fails(2, &format!("{compare} --json --csv"), &["--json", "--csv"]);
    program.fails(2, "compare runs/a", &["RUN"]);
    program.fails(2, &format!("{compare} --split train"), &["train", "--split test"]);
    program.fails(2, "evaluate --backend flex --run runs/b --against runs/a", &["--samples"]);
    program.ok(
        "train mnist-mlp --backend flex --data digits --limit 2000 --epochs 1 --out runs/grey -q \
         --set train.max_steps=1",
    );
    let grey = "evaluate --backend flex --run runs/b --samples 5 --against runs/grey";
    program.fails(2, grey, &["runs/grey", "data.pixels"]);
    program.fails(2, "compare runs/b runs/grey --backend flex", &["runs/grey", "data.pixels"]);
    // Without nll, the bounds are compared in pairs.
    program.ok(
        "train mnist-mlp --backend flex --data digits --limit 2000 --epochs 1 --out runs/grey-2 -q \
         --set model.latent=2",
    );
    let greys = "compare runs/grey runs/grey-2 --backend flex --limit 100";
    let table = program.ok(greys).stdout;
    assert!(table.contains("neg_elbo - best") && table.contains("95 % interval"), "{table}");
    let greys = program.ok(&format!("{greys} --json")).json();
    assert_eq!(greys["difference_of"], "neg_elbo");
    assert!(greys["why_no_nll"].as_str().unwrap().contains("grey"), "{greys}");
    let of = |i: usize, key: &str| number(&greys["runs"][i][key]);
    // The first, of one step, is the worse one.
    assert_eq!(of(1, "difference"), 0.0);
    let gap = of(0, "neg_elbo") - of(1, "neg_elbo");
    assert!(gap > 0.0 && (of(0, "difference") - gap).abs() < 1e-3, "{greys}");
    assert!(of(0, "difference_interval") > 0.0, "{greys}");
    // Examples of another shape.
    program.ok("train mnist-mlp --backend flex --data sprites --limit 200 --out runs/sprites -q \
         --set data.pixels=binary --set train.max_steps=1");
    for command in
        ["compare runs/b runs/sprites", "evaluate --run runs/b --samples 5 --against runs/sprites"]
    {
        for on in ["", " --data digits"] {
            let command = format!("{command} --backend flex{on}");
            program.fails(2, &command, &["runs/sprites", "different shapes", "leave"]);
        }
    }
    // A density of black and white pixels, and a conditional model.
    for (name, set, word) in [
        ("density", "model.likelihood.kind=gaussian", "probability"),
        ("conditional", "model.condition=label", "model.condition"),
    ] {
        program.ok(&format!(
            "train mnist-mlp --backend flex --data digits --limit 2000 --out runs/{name} -q --set {set} \
             --set data.pixels=binary --set train.max_steps=1"
        ));
        program.fails(2, &format!("compare runs/b runs/{name}"), &["runs/", word]);
        let other =
            format!("evaluate --backend flex --run runs/b --samples 5 --against runs/{name}");
        program.fails(2, &other, &[&format!("runs/{name}"), word]);
    }
    let held_out =
        "evaluate --backend flex --run runs/b --samples 5 --against runs/a --split train";
    program.fails(2, held_out, &["--split train", "--split test"]);
}

#[test]
fn black_and_white_pixels_are_binary_whatever_they_are_called() {
    let program = program();
    let mut bytes = 0x803u32.to_be_bytes().to_vec();
    [120u32, 4, 4].iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend((0..120 * 16).map(|i| if (i / 16 + i) % 3 == 0 { 255 } else { 0 }));
    std::fs::write(program.path("x.idx"), bytes).unwrap();
    program.ok("train mnist-mlp --backend flex --data x.idx --batch-size 20 --epochs 1 -q");
    let result = program.ok("evaluate --backend flex --samples 5 --json").json();
    assert_eq!(result["likelihood"], true);
    assert!(result["nll"].is_f64());
    program.fails(2, "evaluate --backend flex --disentanglement", &["factors", "sprites"]);
}

#[test]
fn the_splits_of_a_run_are_those_it_was_trained_with() {
    let program = program();
    program
        .ok("train mnist-mlp --backend flex --data digits --limit 500 --batch-size 50 --epochs 1 \
         --set data.validation=80 -q");
    let images = |split: &str| {
        let result = program.ok(&format!("evaluate --backend flex --split {split} --json")).json();
        result["images"].as_u64().unwrap()
    };
    assert_eq!((images("train"), images("validation"), images("test")), (420, 80, 10_000));
}

#[test]
fn more_epochs_take_the_place_of_an_old_number_of_steps() {
    let program = program();
    program.ok(
        "train mnist-mlp --backend flex --data digits --limit 500 --batch-size 50 --max-steps 3 -q",
    );
    let resumed = program.ok("train --resume --backend flex --epochs 2 --json -q").json();
    assert_eq!(resumed["step"], 20);
}

#[test]
fn an_autoencoder_has_no_kl_and_its_samples_come_with_a_warning() {
    let program = program();
    program.ok("train autoencoder --backend flex --data digits --limit 1000 --epochs 2 -q");
    let result = program.ok("evaluate --backend flex --limit 100 --json").json();
    assert!(result["neg_elbo"].is_null() && result["kl"].is_null());
    assert!(result["reconstruction"].is_f64());
    // A prior is fitted when training ends; without it there is none.
    assert!(!program.ok("sample --n 4 --backend flex").stderr.contains("warning"));
    let fitted = std::fs::read(program.path("samples.png")).unwrap();
    let plain = program.ok("sample --n 4 --backend flex --prior standard");
    plain.says(&["warning: this model was trained without a prior"]);
    assert_ne!(std::fs::read(program.path("samples.png")).unwrap(), fitted);
    program.fails(2, "evaluate --backend flex --samples 5", &["no density"]);
    assert!(!program.ok("interpolate --random --backend flex").stderr.contains("warning"));
    // A training that was stopped has fitted no prior.
    let last = program.path("runs/autoencoder/checkpoints/last.vae");
    let mut file = vae_model::ModelFile::read(&last).unwrap();
    file.tensors.retain(|name, _| !name.starts_with("sampler."));
    file.write(&program.path("stopped.vae")).unwrap();
    for command in ["sample --n 4", "interpolate --random"] {
        let outcome = program.ok(&format!("{command} --run stopped.vae --backend flex"));
        outcome.says(&["warning: this model was trained without a prior"]);
    }
}

#[test]
fn vectors_train_like_images() {
    let program = program();
    program.ok("train deep-mlp --backend flex --limit 1000 --epochs 3 -q \
         --set objective.average_decodings=2");
    let result = program.ok("evaluate --backend flex --json").json();
    assert_eq!(result["images"], 1000);
    program.ok("sample --n 5 --backend flex --out s.npy");
    assert_eq!(read_npy(&program.path("s.npy")).0, [5, 256]);
    program.ok("sample --n 5 --backend flex --out s.png");
    image::open(program.path("s.png")).unwrap();
    // Averaged decodings bound nothing.
    let log = std::fs::read_to_string(program.path("runs/deep-mlp/metrics.jsonl")).unwrap();
    assert!(!log.contains("neg_elbo"));
}

/// A table of 120 flowers of three species, and the settings that it is read by.
fn flowers(program: &vae_tests::Program) -> &'static str {
    let mut text = "id,length,width,depth,species\n".to_owned();
    for i in 0..120 {
        let (species, size) = [("setosa", 1.0), ("virginica", 3.0), ("versicolor", 2.0)][i % 3];
        let wave = ((i * 37) % 100) as f32 / 100.0;
        let (length, width, depth) = (size + wave, 4.0 - size, 0.5 * size - 0.3 * wave);
        text += &format!("flower {i},{length},{width},{depth},{species}\n");
    }
    std::fs::write(program.path("flowers.csv"), text).unwrap();
    "--data flowers.csv --set data.id_column=id --set data.label_column=species \
     --set data.scale=standardize"
}

/// The header of a table, and its rows.
fn table(program: &vae_tests::Program, name: &str) -> (String, Vec<Vec<String>>) {
    let text = std::fs::read_to_string(program.path(name)).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap().to_owned();
    (header, lines.map(|line| line.split(',').map(str::to_owned).collect()).collect())
}

#[test]
fn a_table_trains_and_its_identifiers_come_out_again() {
    let program = program();
    let settings = flowers(&program);
    program.ok(&format!(
        "train deep-mlp --backend flex {settings} --epochs 2 --batch-size 20 -q --out runs/flowers \
         --set model.latent=2 --set model.encoder.hidden=[16] --set model.likelihood.output=identity"
    ));
    program.ok("encode --backend flex --split all --out codes.csv");
    let (header, codes) = table(&program, "codes.csv");
    assert_eq!((header.as_str(), codes.len()), ("id,z1,z2", 120));
    for (i, row) in codes.iter().enumerate() {
        assert_eq!(row[0], format!("flower {i}"));
        assert!(row[1..].iter().all(|z| z.parse::<f32>().unwrap().is_finite()));
    }
    // A sixth is the test split, whose rows keep their identifiers.
    program.ok("encode --backend flex --out part.csv");
    let (_, part) = table(&program, "part.csv");
    assert_eq!(part.len(), 20);
    let near = |a: &[String], b: &[String]| {
        let number = |text: &String| text.parse::<f32>().unwrap();
        a.iter().zip(b).all(|(a, b)| (number(a) - number(b)).abs() < 1e-4)
    };
    for row in &part {
        let i: usize = row[0].strip_prefix("flower ").unwrap().parse().unwrap();
        assert!(near(&row[1..], &codes[i][1..]), "{row:?} {:?}", codes[i]);
    }
    program.ok("reconstruct --backend flex --out made.csv");
    let (header, made) = table(&program, "made.csv");
    assert_eq!((header.as_str(), made.len()), ("id,length,width,depth", 20));
    assert_eq!(made[0][0], part[0][0]);
    program.ok("sample --backend flex --n 5 --out new.csv");
    let (header, samples) = table(&program, "new.csv");
    assert_eq!((header.as_str(), samples.len()), ("index,length,width,depth", 5));

    // New rows need neither identifiers nor species, and may have their columns in another order.
    let rows = std::fs::read_to_string(program.path("flowers.csv")).unwrap();
    let mut other = "depth,note,width,length\n".to_owned();
    for line in rows.lines().skip(1).take(6) {
        let cells: Vec<&str> = line.split(',').collect();
        other += &format!("{},none,{},{}\n", cells[3], cells[2], cells[1]);
    }
    std::fs::write(program.path("other.csv"), other).unwrap();
    program.ok("encode --backend flex --data other.csv --split all --out other-codes.csv");
    let (header, found) = table(&program, "other-codes.csv");
    assert_eq!((header.as_str(), found.len()), ("index,z1,z2", 6));
    for (row, code) in found.iter().zip(&codes) {
        assert!(near(&row[1..], &code[1..]), "{row:?} {code:?}");
    }

    program.ok("classify --backend flex --labels 5 --seeds 1 --steps 50 --mode probe -q");
    program.ok("classify --backend flex --apply classifier.vae --predictions classes.csv");
    let (header, classes) = table(&program, "classes.csv");
    assert_eq!((header.as_str(), classes.len()), ("id,class", 20));
    assert!(classes.iter().all(|row| ["0", "1", "2"].contains(&row[1].as_str())));
    assert_eq!(classes[0][0], part[0][0]);
    program.ok("classify --backend flex --apply classifier.vae --data other.csv --split all \
         --predictions classes.npy");

    program.fails(2, "encode --backend flex --out codes.png", &[".npy", ".csv"]);
    program.ok("data show curves --n 3 --out rows.csv");
    let (header, rows) = table(&program, "rows.csv");
    assert!(header.starts_with("index,x1,x2,") && header.ends_with(",x256"), "{header}");
    assert_eq!((rows.len(), rows[2][0].as_str()), (3, "2"));
}

#[test]
fn counts_train_with_likelihoods_of_counts() {
    let program = program();
    let row = |i: u32| {
        let rate = [1, 9][(i % 2) as usize];
        let counts: Vec<String> =
            (0..4).map(|j| (rate + (i * 7 + j * 5) % 4).to_string()).collect();
        counts.join(",")
    };
    let rows: Vec<String> = (0..240).map(row).collect();
    std::fs::write(program.path("counts.tsv"), rows.join("\n").replace(',', "\t")).unwrap();
    let train = "train deep-mlp --backend flex --data counts.tsv --epochs 2 --batch-size 20 -q \
                 --set model.latent=2 --set model.encoder.hidden=[16]";
    let poisson = "--set model.likelihood.kind=poisson";
    let negative_binomial = "--set model.likelihood.kind=negative-binomial \
                             --set model.likelihood.dispersion=feature";
    for likelihood in [poisson, negative_binomial] {
        program.ok(&format!("{train} {likelihood}"));
        let result = program.ok("evaluate --backend flex --samples 5 --json").json();
        assert!(result["nll"].as_f64().unwrap() > 0.0, "{result}");
        program.ok("sample --backend flex --n 5 --draw --out drawn.csv");
        let (_, drawn) = table(&program, "drawn.csv");
        for count in drawn.iter().flat_map(|row| &row[1..]) {
            let count: f32 = count.parse().unwrap();
            assert!(count >= 0.0 && count.fract() == 0.0, "{count} is not a count");
        }
    }
    // On anything but counts they are refused: a trained one too.
    std::fs::write(program.path("halves.tsv"), rows.join(".5\n").replace(',', "\t")).unwrap();
    let evaluate = "evaluate --backend flex --data halves.tsv --split all";
    program.fails(2, evaluate, &["halves.tsv", "negative-binomial", "counts"]);
    let halves = train.replace("counts.tsv", "halves.tsv");
    for likelihood in [poisson, negative_binomial] {
        program.fails(2, &format!("{halves} {likelihood}"), &["model.likelihood.kind", "counts"]);
        program.fails(
            2,
            &format!("train mnist-mlp --backend flex --data digits {likelihood}"),
            &["counts"],
        );
    }
}

#[test]
fn data_is_shown_to_other_programs() {
    let program = program();
    program.ok("data show digits --n 50 --out x.npy --labels y.npy --factors f.npy");
    let labels = std::fs::File::open(program.path("y.npy")).unwrap();
    let labels: Vec<i64> = npyz::NpyFile::new(labels).unwrap().into_vec().unwrap();
    let (shape, factors) = read_npy(&program.path("f.npy"));
    let names: Vec<String> =
        serde_json::from_slice(&std::fs::read(program.path("f.json")).unwrap()).unwrap();
    assert_eq!(shape, [50, names.len() as u64]);
    // The class is a factor, and is the label.
    let class = names.iter().position(|n| n.contains("class")).unwrap();
    for (row, label) in factors.chunks(names.len()).zip(&labels) {
        assert_eq!(row[class] as i64, *label);
    }
    program.ok("data show digits");
    image::open(program.path("data.png")).unwrap();
    let sets = program.ok("data list --json").json();
    assert!(sets["sets"].as_array().unwrap().iter().any(|s| s["name"] == "digits"));
}

#[test]
fn presets_are_listed_and_printed() {
    let program = program();
    let list = program.ok("presets --json").json();
    let names: Vec<&str> =
        list["presets"].as_array().unwrap().iter().map(|p| p["preset"].as_str().unwrap()).collect();
    for name in ["default", "autoencoder", "mnist-mlp", "mnist-tanh", "deep-mlp"] {
        assert!(names.contains(&name), "{name}");
    }
    // With what was set on each axis.
    let table = program.ok("presets").stdout;
    for (name, axes) in [
        ("iaf", "gaussian flow_steps=4"),
        ("piwae", "iwae samples=8 groups=8 combination=piwae"),
        ("wgan-gp", "adversarial over=x loss=wasserstein-gp"),
        ("conditional", "8 + label"),
        ("rae", "fitted"),
    ] {
        let row = table.lines().find(|line| line.starts_with(&format!("{name} ")));
        assert!(row.is_some_and(|row| row.contains(axes)), "{name}: {row:?}");
    }
    let text = program.ok("presets mnist-tanh").stdout;
    assert!(text.contains("output = \"tanh\""));
    // What is printed is a configuration that trains.
    std::fs::write(program.path("mine.toml"), text).unwrap();
    program.ok("train mine.toml --backend flex --data digits --limit 200 --max-steps 2 -q");
    assert!(program.path("runs/mine/config.toml").is_file());
}

#[test]
fn bench_measures_and_doctor_examines() {
    let program = program();
    let bench = program.ok("bench --steps 8 --time-limit 1 --backend flex --json").json();
    assert!(bench["images_per_second"].as_f64().unwrap() > 0.0);
    assert!(bench["training_gflops"].as_f64().unwrap() > 0.0);
    // A loss on grey pixels is not a likelihood.
    assert!(bench["importance_samples_per_second"].is_null());
    // A preset for pictures of a size of their own needs no files.
    let part = "bench conv-color --only importance --samples 2 --time-limit 1 --backend flex";
    let bench = program.ok(&format!("{part} --set data.size=[16,8] --json")).json();
    assert!(bench["importance_samples_per_second"].as_f64().unwrap() > 0.0);
    assert!(bench["images_per_second"].is_null());
    let doctor = program.ok("doctor --json").json();
    let flex = &doctor["backends"][0];
    assert_eq!(flex["name"], "flex");
    assert_eq!(flex["available"], true);
    for backend in doctor["backends"].as_array().unwrap() {
        if backend["available"] == true {
            assert!(backend["loss_difference"].as_f64().unwrap() < 1e-4, "{backend}");
            assert!(backend["gradient_difference"].as_f64().unwrap() < 1e-3, "{backend}");
        }
    }
}

#[test]
fn help_and_completions_are_results() {
    let program = program();
    for arguments in ["--help", "train --help", "sample --help", "data show --help"] {
        let outcome = program.ok(arguments);
        assert!(outcome.stdout.contains("Usage: vae-cli"), "{outcome:?}");
    }
    assert!(program.ok("completions bash").stdout.contains("reconstruct"));
}

#[cfg(unix)]
#[test]
fn a_flex_run_never_touches_the_gpu_and_a_missing_adapter_is_one_clear_sentence() {
    let program = program();
    let no_driver = |arguments: &str| {
        let mut command = program.command(arguments);
        let nowhere = program.path("no-driver.json");
        command.env("VK_ICD_FILENAMES", &nowhere).env("VK_DRIVER_FILES", &nowhere);
        vae_tests::outcome(command)
    };
    let flex =
        no_driver("train mnist-mlp --backend flex --data digits --limit 200 --max-steps 2 -q");
    assert_eq!(flex.code, 0, "{flex:?}");
    let auto = no_driver("sample --n 4 -v");
    assert_eq!(auto.code, 0, "{auto:?}");
    if cfg!(all(target_os = "linux", feature = "wgpu")) {
        auto.says(&["backend: flex on CPU; no GPU was found"]);
        let wgpu = no_driver("sample --n 4 --backend wgpu");
        assert_eq!(wgpu.code, 1, "{wgpu:?}");
        wgpu.says(&["no graphics adapter", "--backend flex"]);
    }
}

#[test]
fn a_conditional_model_samples_the_class_that_it_is_asked_for() {
    let program = program();
    program.ok(
        "train conditional --backend flex --data digits --limit 4000 --batch-size 50 --epochs 4 -q",
    );
    program.ok("sample --backend flex --out all.npy");
    assert_eq!(read_npy(&program.path("all.npy")).0, [80, 1, 28, 28]);
    program.ok("sample --backend flex --label 1 --n 40 --out ones.npy");
    program.ok("sample --backend flex --label 0 --n 40 --out zeros.npy");
    // A nought has no ink in its middle, a one has most of it there.
    let middle = |file: &str| {
        let (_, pixels) = read_npy(&program.path(file));
        let rows = pixels.chunks(28).enumerate().filter(|(row, _)| (12..16).contains(&(row % 28)));
        rows.map(|(_, row)| row[12..16].iter().sum::<f32>()).sum::<f32>()
    };
    assert!(middle("ones.npy") > 2.0 * middle("zeros.npy"));
    program.ok("sample --backend flex --out rows.png");
    let sheet = image::open(program.path("rows.png")).unwrap();
    // Ten rows of eight.
    assert!(sheet.height() > sheet.width());
    program.fails(2, "sample --backend flex --label 10", &["--label 10", "0 to 9"]);
    program.ok("encode --backend flex --limit 5 --out z.npy");
    program.fails(2, "decode z.npy --backend flex", &["--label"]);
    program.ok("decode z.npy --backend flex --label 3 --out x.npy");
    program.ok("interpolate --backend flex --n 2");
    program.ok("interpolate --backend flex --n 2 --random");
    program.ok("evaluate --backend flex --limit 100");
    program.fails(2, "classify --backend flex", &["needs the label", "model.condition"]);
    program.fails(2, "evaluate --backend flex --data curves", &["shape"]);
}

#[test]
fn a_prior_that_depends_on_the_class_is_sampled_by_class_and_its_codes_decode_without_one() {
    let program = program();
    program.ok("train mnist-mlp --backend flex --data digits --limit 500 --max-steps 5 -q \
         --set model.prior.condition=label");
    program.ok("sample --backend flex --out all.npy");
    assert_eq!(read_npy(&program.path("all.npy")).0, [80, 1, 28, 28]);
    program.ok("sample --backend flex --label 3 --n 4 --out threes.npy");
    assert_eq!(read_npy(&program.path("threes.npy")).0, [4, 1, 28, 28]);
    let standard = "sample --backend flex --prior standard";
    program.ok(&format!("{standard} --n 4 --out standard.npy"));
    program.fails(2, &format!("{standard} --label 3"), &["--label 3", "--prior standard"]);
    program.fails(2, "sample --backend flex --label 10", &["--label 10", "0 to 9"]);
    program.ok("interpolate --backend flex --n 2 --random");
    program.ok("encode --backend flex --limit 5 --out z.npy");
    program.ok("decode z.npy --backend flex --out x.npy");
    program.fails(2, "decode z.npy --backend flex --label 3", &["--label 3", "decoder"]);
    // Images without labels have codes, and no p(z|y) to evaluate them under.
    let mut images = 0x803u32.to_be_bytes().to_vec();
    [12u32, 28, 28].iter().for_each(|n| images.extend(n.to_be_bytes()));
    images.extend((0..12 * 784).map(|i| (i % 251) as u8));
    std::fs::write(program.path("images.idx"), images).unwrap();
    program.ok("encode --backend flex --data images.idx --split all --out z.npy");
    let evaluate = "evaluate --backend flex --data images.idx --split all";
    program.fails(2, evaluate, &["images.idx", "no labels"]);
    program.small_run();
    let both = ["model.condition", "model.prior.condition"];
    program.fails(2, "sample --backend flex --run runs/small --label 3", &both);
}

#[test]
fn a_classifier_is_trained_saved_and_applied() {
    let program = program();
    program.small_run();
    let result =
        program.ok("classify --backend flex --labels 5 --seeds 2 --steps 30 --json").json();
    let modes = result["results"].as_array().unwrap();
    assert_eq!(modes.len(), 3);
    for mode in modes {
        // Ten classes: 10 % is chance.
        assert!(mode["accuracy"].as_f64().unwrap() > 0.2, "{mode}");
        assert!(mode["interval"].is_f64());
    }
    assert!(result["fine_tune_minus_scratch"]["accuracy"].is_f64());
    let tuned = modes[1]["accuracies"][0].as_f64().unwrap();
    let applied = program.ok("classify --backend flex --apply classifier.vae --json").json();
    assert_eq!(applied["accuracy"].as_f64().unwrap(), tuned);
    program.ok("classify --backend flex --apply classifier.vae --limit 9 --predictions y.npy");
    let npy = npyz::NpyFile::new(std::fs::File::open(program.path("y.npy")).unwrap()).unwrap();
    assert_eq!(npy.into_vec::<i64>().unwrap().len(), 9);
    let words = ["a classifier", "classify --apply"];
    program.fails(2, "sample --backend flex --run classifier.vae", &words);
    let model = "classify --backend flex --apply runs/small/checkpoints/last.vae";
    program.fails(2, model, &["not a classifier"]);
    // A file whose metadata lack the classes would have no outputs.
    let mut file = vae_model::ModelFile::read(&program.path("classifier.vae")).unwrap();
    file.metadata.remove("classes");
    file.write(&program.path("bad.vae")).unwrap();
    let words = ["bad.vae", "two or more classes"];
    program.fails(2, "classify --backend flex --apply bad.vae", &words);
    program.fails(2, "classify --backend flex --labels 400", &["fewer than the 400"]);
}

#[test]
fn a_model_without_an_encoder_is_sampled_and_nothing_else() {
    let program = program();
    program.ok("train gan --backend flex --data digits --limit 640 --max-steps 5 -q");
    program.ok("sample --backend flex --n 4");
    program.ok("interpolate --backend flex --n 2 --random");
    for command in ["encode", "reconstruct", "interpolate", "evaluate", "classify"] {
        let arguments = format!("{command} --backend flex");
        program.fails(2, &arguments, &["no trained encoder", "objective.over"]);
    }
    let samples = std::fs::read_dir(program.path("runs/gan/samples")).unwrap();
    let names: Vec<_> = samples.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("reconstructions")));
}

#[cfg(target_os = "linux")]
#[test]
fn show_draws_in_terminals_that_have_no_graphics_and_answer_no_questions() {
    let program = program();
    for terminal in ["xterm-256color", "dumb", "no-such-terminal"] {
        // `script` gives its command a terminal, which has no size at first.
        let command = format!(
            "stty rows 40 cols 100; {} sample --n 8 --backend flex --show --out s.png",
            program.binary.display()
        );
        let mut script = std::process::Command::new("script");
        program.isolate(&mut script);
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        script.env("TERM", terminal).env("COLORTERM", "truecolor");
        for variable in ["KITTY_WINDOW_ID", "TERM_PROGRAM", "LC_TERMINAL"] {
            script.env_remove(variable);
        }
        let outcome = vae_tests::outcome(script);
        assert_eq!(outcome.code, 0, "{terminal}: {outcome:?}");
        let blocks = outcome.stdout.matches('\u{2584}').count();
        assert!(blocks > 100, "{terminal}: {blocks} half blocks: {outcome:?}");
    }
    program.fails(2, "sample --show", &["--show needs a terminal"]);
}
