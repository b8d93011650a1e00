//! `sweep`: the same table whatever happens on the way.

use std::fs;

use vae_tests::Program;

use super::program;

/// A sweep of two cells and two seeds, whose runs take a fraction of a second each.
fn small_sweep() -> Program {
    let program = program();
    fs::write(
        program.path("small.toml"),
        "base = \"mnist-mlp\"\nseeds = [0, 1]\n[set]\n\"data.source\" = \"digits\"\n\
         \"data.limit\" = 400\n\"train.epochs\" = 3\n\"train.batch_size\" = 50\n\
         \"train.sheet_every\" = 0\nmodel.encoder.hidden = [32]\n[grid]\n\"objective.beta\" = [1.0, 20.0]\n",
    )
    .unwrap();
    program
}

const SWEEP: &str = "sweep small.toml --backend flex --limit 100";

#[test]
fn a_sweep_has_a_row_for_each_cell_and_goes_on_where_it_was() {
    let program = small_sweep();
    let plot = "--plot rate,distortion";
    let result = program.ok(&format!("{SWEEP} --out s {plot} --json")).json();
    assert_eq!(
        (&result["runs"], &result["done"], &result["failed"]),
        (&4.into(), &4.into(), &0.into())
    );
    let kl = |i: usize| result["cells"][i]["figures"]["kl"]["mean"].as_f64().unwrap();
    // A larger beta leaves less KL.
    assert!(kl(1) < 0.5 * kl(0), "{result}");
    assert_eq!(result["cells"][1]["settings"]["objective.beta"], "20.0");
    image::open(program.path("s/plot.png")).unwrap();
    let table = fs::read_to_string(program.path("s/table.csv")).unwrap();
    assert!(table.starts_with("objective.beta,runs,failed,neg_elbo,neg_elbo_stderr,"), "{table}");
    assert_eq!(table.lines().count(), 3);
    // Its mean and standard error are those of the two runs, each a run like any other.
    let of = |seed: u32| {
        let run = format!("s/runs/beta=1.0,seed={seed}");
        let evaluate = format!("evaluate --run {run} --backend flex --limit 100 --json");
        program.ok(&evaluate).json()["neg_elbo"].as_f64().unwrap()
    };
    let (a, b) = (of(0), of(1));
    let cells: Vec<&str> = table.lines().nth(1).unwrap().split(',').collect();
    assert!((cells[3].parse::<f64>().unwrap() - (a + b) / 2.0).abs() < 1e-9, "{cells:?}");
    assert!((cells[4].parse::<f64>().unwrap() - (a - b).abs() / 2.0).abs() < 1e-9, "{cells:?}");

    // Once more: nothing is trained, and the table has the same bytes. Two at a time: the same.
    let log = program.path("s/runs/beta=1.0,seed=0/metrics.jsonl");
    let before = fs::metadata(&log).unwrap().modified().unwrap();
    let again = program.ok(&format!("{SWEEP} --out s"));
    assert!(again.stdout.contains("objective.beta 20.0"), "{again:?}");
    assert_eq!(fs::metadata(&log).unwrap().modified().unwrap(), before);
    assert_eq!(fs::read_to_string(program.path("s/table.csv")).unwrap(), table);
    program.ok(&format!("{SWEEP} --out two --jobs 2"));
    // The plot of two cells has both: the lower one is not cut off.
    let samples = "--samples 5 --out nll --json --plot objective.beta,nll";
    fs::write(
        program.path("binary.toml"),
        fs::read_to_string(program.path("small.toml"))
            .unwrap()
            .replace("[set]", "[set]\n\"data.pixels\" = \"binary\""),
    )
    .unwrap();
    let sampled =
        program.ok(&format!("sweep binary.toml --backend flex --limit 50 {samples}")).json();
    assert!(sampled["plot"].as_str().unwrap().ends_with("plot.png"));
    let head = fs::read_to_string(program.path("nll/table.csv")).unwrap();
    let mut head: Vec<&str> = head.lines().next().unwrap().split(',').collect();
    assert!(head.contains(&"nll") && head.contains(&"nll_stderr") && head.contains(&"ess_min"));
    let columns = head.len();
    head.sort_unstable();
    head.dedup();
    assert_eq!(head.len(), columns, "two columns have the same name");
    assert_eq!(fs::read_to_string(program.path("two/table.csv")).unwrap(), table);
    // Another version of the program may measure in another way.
    let kept = program.path("two/runs/beta=1.0,seed=0/evaluation.json");
    let text = fs::read_to_string(&kept).unwrap();
    let mut figures: serde_json::Value = serde_json::from_str(&text).unwrap();
    figures["version"] = "0.0.1".into();
    figures["figures"]["kl"] = 1e6.into();
    fs::write(&kept, figures.to_string()).unwrap();
    program.ok(&format!("{SWEEP} --out two"));
    assert_eq!(fs::read_to_string(program.path("two/table.csv")).unwrap(), table);
    // A configuration without a key that is new, with its default, is the same one: nothing is done again.
    let mut figures: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    let config = figures["config"].as_str().unwrap();
    assert!(config.contains("ema_decay = 0.0\n"));
    figures["config"] = config.replace("ema_decay = 0.0\n", "").into();
    figures["figures"]["kl"] = 1e6.into();
    fs::write(&kept, figures.to_string()).unwrap();
    program.ok(&format!("{SWEEP} --out two"));
    assert_ne!(fs::read_to_string(program.path("two/table.csv")).unwrap(), table);

    // Runs of other settings are not mixed in.
    let text = fs::read_to_string(program.path("small.toml")).unwrap();
    fs::write(program.path("small.toml"), text.replace("= 3", "= 4")).unwrap();
    program.fails(2, &format!("{SWEEP} --out s"), &["other settings", "epochs = 4", "--out"]);
    program.fails(2, &format!("{SWEEP} --out s --plot kl"), &["two columns"]);
    for (plot, word) in [
        ("model.latent,kl", "no column model.latent"),
        ("kl,calibration", "no column calibration"),
        ("kl,nll", "only with --samples"),
        ("mig_stderr,kl", "only with --disentanglement"),
    ] {
        program.fails(2, &format!("{SWEEP} --out new --plot {plot}"), &["--plot", word]);
    }
    assert!(!program.path("new").exists());

    // Figures of other settings are not taken for these, even without the run's checkpoint.
    fs::remove_dir_all(program.path("s/runs/beta=1.0,seed=0/checkpoints")).unwrap();
    fs::remove_dir_all(program.path("s/runs/beta=1.0,seed=1")).unwrap();
    fs::remove_dir_all(program.path("s/runs/beta=20.0,seed=0")).unwrap();
    fs::remove_dir_all(program.path("s/runs/beta=20.0,seed=1")).unwrap();
    program.ok(&format!("{SWEEP} --out s"));
    assert_ne!(fs::read_to_string(program.path("s/table.csv")).unwrap(), table);
}

/// A sweep of two seeds over 120 images in `i.idx`, `set` beside it.
fn own_data(set: &str) -> Program {
    let program = program();
    write_images(&program, 120, 3);
    let text = format!(
        "base = \"mnist-mlp\"\nseeds = [0, 1]\n[set]\n\"data.source\" = \"i.idx\"\n\
         \"train.max_steps\" = 1\n\"train.batch_size\" = 20\n\"train.sheet_every\" = 0\n{set}"
    );
    fs::write(program.path("own.toml"), text).unwrap();
    program
}

/// `n` images of `period` greys in turn.
fn write_images(program: &Program, n: usize, period: usize) {
    let mut bytes = 0x803u32.to_be_bytes().to_vec();
    [n as u32, 4, 4].iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend((0..n * 16).map(|i| (i % period * 20 + i / 16) as u8));
    fs::write(program.path("i.idx"), bytes).unwrap();
}

#[test]
fn figures_of_data_that_have_changed_are_not_mixed() {
    let program = own_data("");
    let sweep = "sweep own.toml --backend flex --out s -q";
    program.ok(sweep);
    // Of the same data a run is done again.
    let again = program.path("s/runs/seed=1");
    fs::remove_dir_all(&again).unwrap();
    program.ok(sweep);
    fs::remove_dir_all(&again).unwrap();
    write_images(&program, 130, 7);
    program.fails(2, sweep, &["i.idx: its examples", "seed=0", "--out"]);
    assert!(!again.exists());
    // Two runs that were trained on different contents of a file are not compared as of one.
    let train = "train mnist-mlp --backend flex --batch-size 20 --max-steps 1 -q";
    program.ok(&format!("{train} --data i.idx --out other"));
    let compare = "compare s/runs/seed=0 other --backend flex";
    program.fails(2, compare, &["other", "i.idx has changed", "--data"]);
    program.ok(&format!("{compare} --data i.idx"));
    // Nor of files that differ, such as two binarizations; of a copy they are.
    fs::copy(program.path("i.idx"), program.path("copy.idx")).unwrap();
    program.ok(&format!("{train} --data copy.idx --out copy"));
    program.ok("compare other copy --backend flex");
    let compare = "compare s/runs/seed=0 copy --backend flex";
    program.fails(2, compare, &["copy", "different data", "--data"]);
    program.ok(&format!("{compare} --data i.idx"));
}

#[test]
fn no_best_is_marked_among_binarizations() {
    let program = own_data("\"data.limit\" = 90\n[grid]\n");
    let file = program.path("own.toml");
    let text = fs::read_to_string(&file).unwrap();
    let run = |key: &str, out: &str| {
        fs::write(&file, format!("{text}{key}").replace("[0, 1]", "[0]")).unwrap();
        let sweep = format!("sweep own.toml --backend flex --samples 2 --out {out}");
        let table = program.ok(&sweep).stdout;
        (table, program.ok(&format!("{sweep} --json")).json()["comparable"].clone())
    };
    let (table, comparable) = run("\"data.pixels\" = [\"binary\", \"stochastic\"]", "pixels");
    assert!(
        !table.contains(" *") && table.contains("no best is marked, because examples"),
        "{table}"
    );
    assert_eq!(comparable, false);
    let one = "\"data.pixels\" = [\"binary\"]\n\"model.latent\" = [2, 3]";
    let (table, comparable) = run(one, "one");
    assert!(table.contains(" *") && !table.contains("is marked"), "{table}");
    assert_eq!(comparable, true);
    // A density and a probability: their reconstructions can still be compared.
    let kinds =
        "\"data.pixels\" = [\"binary\"]\n\"model.likelihood.kind\" = [\"bernoulli\", \"gaussian\"]";
    let (table, comparable) = run(kinds, "kinds");
    assert!(table.contains(" *") && table.contains("no best loss is marked"), "{table}");
    assert_eq!(comparable, false);
}

#[test]
fn a_folder_is_that_of_one_sweep_at_a_time() {
    let program = small_sweep();
    fs::create_dir(program.path("s")).unwrap();
    let lock = fs::File::create(program.path("s/lock")).unwrap();
    lock.lock().unwrap();
    program.fails(2, &format!("{SWEEP} --out s"), &["another sweep works", "--out"]);
    drop(lock);
    assert!(!program.path("s/runs").exists());
}

#[cfg(unix)]
#[test]
fn a_sweep_that_is_killed_again_and_again_ends_with_the_same_table() {
    let program = small_sweep();
    program.ok(&format!("{SWEEP} --out whole"));
    let mut killed = 0;
    for moment in 0..10 {
        let mut command = program.command(&format!("{SWEEP} --out killed -q"));
        let mut sweep = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        // Any moment will do: the table must not depend on it.
        std::thread::sleep(std::time::Duration::from_millis(40 + 67 * (moment * 7 % 10)));
        sweep.kill().unwrap();
        killed += u32::from(!sweep.wait().unwrap().success());
    }
    assert!(killed > 0, "no sweep was at work when it was killed");
    program.ok(&format!("{SWEEP} --out killed"));
    let table = |folder: &str| fs::read_to_string(program.path(folder).join("table.csv")).unwrap();
    assert_eq!(table("killed"), table("whole"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_of_the_sweep_alone_stops_its_training_too() {
    let program = small_sweep();
    let text = fs::read_to_string(program.path("small.toml")).unwrap();
    fs::write(program.path("small.toml"), text.replace("epochs\" = 3", "epochs\" = 100000"))
        .unwrap();
    let mut sweep = program.command(&format!("{SWEEP} --out s")).spawn().unwrap();
    let log = program.path("s/runs/beta=1.0,seed=0/metrics.jsonl");
    while log.metadata().map_or(0, |m| m.len()) < 200 {
        assert!(sweep.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &sweep.id().to_string()]).status();
    assert!(kill.unwrap().success());
    // Without the interrupt, the training would go on for hours.
    assert!(sweep.wait().unwrap().success());
    assert!(program.path("s/runs/beta=1.0,seed=0/checkpoints/last.vae").is_file());
    assert!(!program.path("s/runs/beta=20.0,seed=0").exists());
}

#[test]
fn a_failed_run_is_reported_and_stops_no_other() {
    let program = small_sweep();
    let text = fs::read_to_string(program.path("small.toml")).unwrap();
    // What is left of 400 examples is no batch of 50.
    let grid = "\"data.validation\" = [0, 390]";
    let text = text.replace("\"objective.beta\" = [1.0, 20.0]", grid).replace("[0, 1]", "[0]");
    fs::write(program.path("small.toml"), text).unwrap();
    let outcome = program.ok(&format!("{SWEEP} --out s"));
    outcome.says(&["validation=390,seed=0 failed", "a batch of 50", "1 run failed"]);
    assert!(outcome.stdout.contains("failed"), "{outcome:?}");
    let table = fs::read_to_string(program.path("s/table.csv")).unwrap();
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[1].starts_with("0,1,0,") && rows[2].starts_with("390,0,1,,"), "{table}");
}

#[test]
fn a_model_without_an_encoder_has_its_loss_and_its_samples_in_the_table() {
    let program = program();
    crate::estimates::two_classes(&program);
    let text = "base = \"gan\"\n[set]\n\"data.source\" = \"i.idx,l.idx\"\n\"train.max_steps\" = 1\n\
                \"train.sheet_every\" = 0\n";
    fs::write(program.path("gan.toml"), text).unwrap();
    let sweep = "sweep gan.toml --backend flex --out s --limit 30 --quality --json -q";
    let outcome = program.ok(sweep);
    outcome.says(&["frechet_distance is too high"]);
    let cell = outcome.json()["cells"][0].clone();
    for figure in ["frechet_distance", "loss"] {
        assert!(cell["figures"][figure]["mean"].is_f64(), "{cell}");
    }
    for figure in ["frechet_distance", "loss"] {
        assert!(cell["protocol"][figure].is_string(), "{cell}");
    }
    let others = "sweep gan.toml --backend flex --out other --samples 2 --quality";
    program.fails(2, others, &["--samples", "no run of this sweep"]);
}

#[test]
fn a_wrong_file_is_refused_before_any_work() {
    let program = program();
    for (text, word) in [
        ("base = \"mnist-mlp\"\nwhat = 1", "what"),
        ("base = \"mnist-mlp\"\n[set]\n\"model.latent\" = \"two\"", "model.latent"),
        ("base = \"mnist-mlp\"\n[grid]\n\"model.latent\" = 2", "list of values"),
        ("base = \"nonsense\"", "nonsense"),
    ] {
        fs::write(program.path("bad.toml"), text).unwrap();
        program.fails(2, "sweep bad.toml --out s", &["bad.toml", word]);
    }
    program.fails(2, "sweep nothing.toml --out s", &["nothing.toml"]);
    // What cannot be measured of these data, or data that are not there.
    let sets = "base = \"mnist-mlp\"\n[set]\n\"data.source\" = ";
    fs::write(program.path("grey.toml"), format!("{sets}\"digits\"\n\"data.limit\" = 50")).unwrap();
    fs::write(program.path("none.toml"), format!("{sets}\"nowhere\"")).unwrap();
    fs::write(program.path("c.csv"), format!("a,b,c\n{}", "1,2,3\n4,0,1\n2,2,5\n".repeat(20)))
        .unwrap();
    let counts = "base = \"mnist-mlp\"\n[set]\n\"data.source\" = \"c.csv\"\n\"train.batch_size\" = 10\n\
                  \"model.likelihood.kind\" = \"poisson\"\n[grid]\n\
                  \"data.scale\" = [\"standardize\", \"none\"]";
    fs::write(program.path("counts.toml"), counts).unwrap();
    let narrow = format!("{sets}\"digits\"\n\"data.limit\" = 50\nmodel.latent = 1");
    fs::write(program.path("narrow.toml"), narrow).unwrap();
    let mut x = 0x803u32.to_be_bytes().to_vec();
    [40u32, 4, 4].iter().for_each(|d| x.extend(d.to_be_bytes()));
    x.extend((0..40 * 16).map(|i| (i % 251) as u8));
    fs::write(program.path("x.idx"), x).unwrap();
    fs::write(program.path("own.toml"), format!("{sets}\"x.idx\"")).unwrap();
    for (what, words) in [
        ("grey.toml --samples 5", ["--samples", "grey"]),
        ("grey.toml --ais 100001", ["--ais", "must be 1 to 100000"]),
        ("narrow.toml --disentanglement", ["--disentanglement", "not 1"]),
        ("grey.toml --disentanglement --limit 4", ["--disentanglement", "more than 4"]),
        // The first of its cells does not fit: numbers are not whole after it.
        ("counts.toml --disentanglement", ["scale=none", "factors"]),
        ("grey.toml --quality --limit 4", ["--quality", "at least 5"]),
        ("own.toml --quality", ["--quality", "classes"]),
        ("own.toml --disentanglement", ["--disentanglement", "factors"]),
        ("none.toml", ["seed=0", "nowhere"]),
    ] {
        program.fails(2, &format!("sweep {what} --backend flex --out s"), &words);
    }
    assert!(!program.path("s").exists());
}
