//! `repro`: the protocols of papers. Their trainings take minutes to days; here they are stood in for by
//! figures that are written beforehand.

use std::fs;

use serde_json::json;

use super::program;

/// Gives each planned run of `folder` its figures, as if it had been trained and evaluated.
fn finish(
    program: &vae_tests::Program,
    folder: &str,
    measures: &serde_json::Value,
    figures: &[serde_json::Value],
) {
    let configs = program.path(folder).join("configs");
    let mut names: Vec<String> = fs::read_dir(configs.clone())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names.len(), figures.len());
    for (name, figures) in names.iter().zip(figures) {
        let run = program.path(folder).join("runs").join(name);
        fs::create_dir_all(&run).unwrap();
        let config = fs::read_to_string(configs.join(format!("{name}.toml"))).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let text = json!({ "config": config, "protocol": measures, "version": version, "figures": figures });
        fs::write(run.join("evaluation.json"), text.to_string()).unwrap();
    }
}

#[test]
fn a_protocol_prints_the_papers_figure_ours_and_the_verdict() {
    let program = program();
    let list = program.ok("repro --json").json();
    let all = list["protocols"].as_array().unwrap();
    let iwae = all.iter().find(|protocol| protocol["protocol"] == "iwae-1l-k1").unwrap();
    assert_eq!((&iwae["epochs"], &iwae["paper"]), (&3280.into(), &86.76.into()));
    assert_eq!(iwae["results"], json!([]));
    program.fails(2, "repro nonsense", &["nonsense", "iwae-1l-k50"]);
    program.fails(2, "repro --short", &["--short", "name"]);
    program.fails(2, "train iwae-1l-k50", &["vae-cli repro iwae-1l-k50"]);
    // There is no MNIST here.
    program.fails(2, "repro iwae-1l-k1 --short --backend flex --out none", &["mnist"]);
    assert!(!program.path("none").exists());

    // Killed at once: what it would do is written down.
    let repro = "repro beta-tcvae-sprites --short --backend flex --out r";
    let mut child = program.command(repro).stderr(std::process::Stdio::null()).spawn().unwrap();
    let configs = program.path("r/beta-tcvae-sprites-short/configs");
    let written = || {
        let all = fs::read_dir(&configs).into_iter().flatten();
        all.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "toml")).count()
    };
    while written() < 10 {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let measures = json!({ "disentanglement": true, "limit": null });
    let migs = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4, 0.5, 0.3, 0.5].map(|mig| json!({ "mig": mig }));
    finish(&program, "r/beta-tcvae-sprites-short", &measures, &migs);
    fs::write(
        program.path("results.md"),
        "# Results\n<!-- results of `vae-cli repro` -->\n<!-- end of results -->\n",
    )
    .unwrap();
    let result = program.ok(&format!("{repro} --fill results.md --json")).json();
    // The last cell is the paper's system; the first is compared with it, seed by seed.
    assert!((result["value"].as_f64().unwrap() - 0.4).abs() < 1e-9, "{result}");
    assert_eq!(result["others"][0]["name"], "objective = { kind = \"elbo\", beta = 1.5 }");
    assert!((result["others"][0]["difference"].as_f64().unwrap() - 0.22).abs() < 1e-9, "{result}");
    assert_eq!(result["verdict"], "missed by 0.10");
    assert_eq!((&result["epochs"], &result["short"]), (&40.into(), &true.into()));
    let text = program.ok(repro).stdout;
    for word in
        ["0.500", "0.400 +- ", "Chen", "missed by 0.10", "0.180; difference 0.220 +- 0.056 (95 %)"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    let document = fs::read_to_string(program.path("results.md")).unwrap();
    let row = "| `repro beta-tcvae-sprites --short` | 40 | 0, 1, 2, 3, 4 | mig | 0.500 ";
    assert!(document.contains(row), "{document}");
    let table = fs::read_to_string(program.path("r/beta-tcvae-sprites-short/table.csv")).unwrap();
    assert!(table.starts_with("objective,runs,failed,mig,mig_stderr\n"), "{table}");
    // Results of the folder are listed, and fill the table too.
    let listed = program.ok("repro --out r --fill results.md");
    assert!(listed.stdout.contains("0.40 short"), "{listed:?}");
    assert_eq!(fs::read_to_string(program.path("results.md")).unwrap(), document);
    fs::write(program.path("empty.md"), "nothing").unwrap();
    program.fails(2, "repro --out r --fill empty.md", &["empty.md", "no place"]);
}
