//! What happens to a run when the program is stopped, killed, locked out or left without room.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use vae_tests::{Outcome, Program, outcome};

use crate::program;

const LONG: &str = "train mnist-mlp --backend flex --data digits --limit 20 --batch-size 20 --epochs 100000 \
     --out runs/long --set train.sheet_every=0";

/// Starts a training that would go on for hours and waits until its first checkpoint is there.
fn start(program: &Program) -> Child {
    let mut command = program.command(LONG);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let last = program.path("runs/long/checkpoints/last.vae");
    wait_until(&mut child, || last.exists());
    child
}

/// Waits until something holds, as long as the training lives.
fn wait_until(child: &mut Child, holds: impl Fn() -> bool) {
    while !holds() {
        assert!(child.try_wait().unwrap().is_none(), "the training has ended");
        sleep(Duration::from_millis(20));
    }
}

fn step(program: &Program) -> u64 {
    let info = program.ok("info runs/long --json").json();
    info["progress"]["step"].as_u64().unwrap()
}

#[test]
fn ctrl_c_writes_a_checkpoint_and_the_run_goes_on_from_there() {
    let program = program();
    let mut child = start(&program);
    let log = program.path("runs/long/metrics.jsonl");
    wait_until(&mut child, || log.metadata().is_ok_and(|m| m.len() > 200));
    outcome({
        let mut kill = Command::new("kill");
        kill.args(["-INT", &child.id().to_string()]);
        kill
    });
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("--resume --out runs/long"), "{stderr}");
    let stopped = step(&program);
    assert!(stopped > 0);
    let more = stopped + 5;
    program.ok(&format!("train --resume --out runs/long --backend flex --max-steps {more} -q"));
    assert_eq!(step(&program), more);
    // Each step is in the log once.
    let log = std::fs::read_to_string(program.path("runs/long/metrics.jsonl")).unwrap();
    let mut steps: Vec<u64> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|o| o["average"] == "steps")
        .map(|o| o["step"].as_u64().unwrap())
        .collect();
    let all = steps.len();
    steps.dedup();
    assert_eq!(steps.len(), all);
    assert!(steps.is_sorted());
}

#[test]
fn a_killed_training_leaves_a_checkpoint_that_loads() {
    let program = program();
    // An epoch is one step here, so most of the time a checkpoint is being written.
    for wait in [0, 3, 7, 12, 19, 31] {
        let _ = std::fs::remove_dir_all(program.path("runs"));
        let mut child = start(&program);
        // Two lines an epoch, and the checkpoint of an epoch is there before the lines of the next.
        let log = program.path("runs/long/metrics.jsonl");
        let lines = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        wait_until(&mut child, || lines() > 8);
        sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        let reached = step(&program);
        assert!(reached >= 3, "{reached}");
        let more = reached + 1;
        program.ok(&format!("train --resume --out runs/long --backend flex --max-steps {more} -q"));
    }
}

#[test]
fn a_second_training_in_one_folder_is_refused() {
    let program = program();
    let mut child = start(&program);
    for arguments in [LONG, "train --resume --out runs/long --backend flex"] {
        program.fails(2, arguments, &["another training is under way", "runs/long"]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The lock went with the process.
    let more = step(&program) + 1;
    program.ok(&format!("train --resume --out runs/long --backend flex --max-steps {more} -q"));
}

/// Resumes the small run where no file may grow beyond so many blocks (of 512 or 1024 bytes), which
/// stands in for a full disk. It must fail.
fn resume_without_room(program: &Program, blocks: usize) -> Outcome {
    let mut shell = Command::new("sh");
    program.isolate(&mut shell);
    shell.arg("-c").arg(format!(
        "trap '' XFSZ; ulimit -f {blocks}; exec {} train --resume --out runs/small --backend flex \
         --epochs 2",
        program.binary.display()
    ));
    let failed = outcome(shell);
    assert_eq!(failed.code, 1, "{failed:?}");
    failed
}

#[test]
fn without_room_for_a_checkpoint_the_old_one_stays() {
    let program = program();
    program.small_run();
    let before = std::fs::read(program.path("runs/small/checkpoints/last.vae")).unwrap();
    resume_without_room(&program, 1000).says(&["last.vae"]);
    let after = std::fs::read(program.path("runs/small/checkpoints/last.vae")).unwrap();
    assert!(before == after);
    let left = std::fs::read_dir(program.path("runs/small/checkpoints")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_str().unwrap().ends_with(".vae")), "{left:?}");
}

#[test]
fn without_room_for_its_texts_a_run_can_still_be_resumed() {
    let program = program();
    program.ok(
        "train mnist-mlp --backend flex --data digits --limit 1000 --batch-size 50 --epochs 1 \
         --set train.log_every=1 --out runs/small -q",
    );
    let read = |file: &str| std::fs::read(program.path("runs/small").join(file)).unwrap();
    // There is room for the configuration, which grows by a digit or two, and not for the log.
    let of_config = (read("config.toml").len() + 16).div_ceil(512);
    assert!(read("metrics.jsonl").len() > of_config * 1024);
    for (blocks, file) in [(0, "config.toml"), (of_config, "metrics.jsonl")] {
        let before = read(file);
        resume_without_room(&program, blocks).says(&[file]);
        assert!(before == read(file), "{file}");
    }
    program.ok("train --resume --out runs/small --backend flex --epochs 2 -q");
}

#[test]
fn a_run_that_died_before_its_first_checkpoint_is_in_nobodys_way() {
    let program = program();
    std::fs::create_dir_all(program.path("runs/small/checkpoints")).unwrap();
    std::fs::write(program.path("runs/small/config.toml"), "[mod").unwrap();
    program.small_run();
    program.ok("info runs/small");
}

#[test]
fn a_folder_that_cannot_be_written_is_a_failure() {
    let program = program();
    std::fs::write(program.path("file"), "in the way").unwrap();
    program.fails(
        1,
        "train mnist-mlp --backend flex --data digits --limit 500 --max-steps 1 --out file/run",
        &["file/run"],
    );
}

#[test]
fn a_loss_that_is_no_number_stops_the_training_and_names_step_and_term() {
    let program = program();
    let failed = program.fails(
        1,
        "train mnist-mlp --backend flex --data digits --limit 2000 --epochs 3 --out runs/wild \
         --set train.optimizer.kind=sgd --set train.optimizer.learning_rate=1",
        &["at step", "last good checkpoint"],
    );
    let named = ["reconstruction is", "kl is", "neg_elbo is"];
    assert!(named.iter().any(|term| failed.stderr.contains(term)), "{failed:?}");
    program.ok("info runs/wild");
}
