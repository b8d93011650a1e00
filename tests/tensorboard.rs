//! The event files of a run, read by TensorBoard.

use std::path::Path;

use vae_tests::run_python;

use crate::program;

#[test]
fn tensorboard_reads_what_the_log_and_the_sheets_have() {
    let program = program();
    let run = program.path("runs/small");
    // What TensorBoard reads must equal metrics.jsonl and samples/.
    let check = |files: usize| {
        let arguments = [run.as_path(), Path::new("500"), Path::new("3")];
        if let Some(found) = run_python("python/tensorboard_check.py", &arguments) {
            assert!(found.starts_with(&format!("{files} files ")), "{found}");
        }
    };
    program.ok(
        "train mnist-mlp --backend flex --data digits --limit 500 --batch-size 50 --epochs 1 -q \
         --set model.latent=3 --set data.validation=100 --set train.log_every=3 \
         --set train.tensorboard=true --out runs/small",
    );
    check(1);

    // A second epoch whose checkpoint is lost, as by a power cut, and which is trained again.
    let last = run.join("checkpoints/last.vae");
    let after_one = std::fs::read(&last).unwrap();
    let resume = "train --backend flex --resume --out runs/small -q";
    program.ok(&format!("{resume} --epochs 2"));
    check(2);
    std::fs::write(&last, after_one).unwrap();
    program.ok(&format!("{resume} --epochs 3 --set train.log_every=2"));
    check(3);

    // Without the key there is no further file.
    program.ok(&format!("{resume} --epochs 4 --set train.tensorboard=false"));
    let names = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(
        names.filter(|n| n.to_string_lossy().starts_with("events.out.tfevents.")).count(),
        3
    );
}

#[test]
fn a_model_without_an_encoder_has_no_histograms() {
    let program = program();
    program.ok("train gan --backend flex --data digits --limit 640 --epochs 1 -q \
         --set train.tensorboard=true --set train.sheet_every=1 --out runs/gan");
    let arguments = [program.path("runs/gan"), "500".into(), "0".into()];
    run_python("python/tensorboard_check.py", &arguments.each_ref().map(|a| a.as_path()));
}
