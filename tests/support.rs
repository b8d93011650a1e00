//! What the tests share: backends to run on, the program to run, data to run it on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use vae_data::{Environment, Split};
use vae_eval::{Evaluation, Evaluator};
use vae_train::{
    Backend, Event, Observer, Override, TrainError, Trainer, ValidConfig, backend, data, presets,
};

/// Makes a test of `$check(backend)` on each backend of this build.
#[macro_export]
macro_rules! on_every_backend {
    ($($check:ident),* $(,)?) => {$(
        mod $check {
            #[test]
            fn on_every_backend() {
                $crate::on_each(super::$check);
            }
        }
    )*};
}

/// Runs `check` on each backend of this build, on all of them even where it fails on one.
pub fn on_each(check: impl Fn(&Backend)) {
    let passes = |name: &str| {
        let attempt = std::panic::AssertUnwindSafe(|| on(name, &check));
        std::panic::catch_unwind(attempt).is_ok()
    };
    let names = backend::TABLE.iter().map(|entry| match entry.address {
        Some(_) => format!("{}:{}", entry.name, server()),
        None => entry.name.to_owned(),
    });
    let failed: Vec<String> = names.filter(|name| !passes(name)).collect();
    assert!(failed.is_empty(), "failed on {}", failed.join(" and "));
}

/// The address of a server of the reference, in this process. Its sessions are processes of the program, which
/// Cargo puts beside the folder of the tests.
#[cfg(feature = "remote")]
fn server() -> String {
    use std::sync::OnceLock;
    use vae_train::remote::{Limits, Server, Transport};
    static ADDRESS: OnceLock<String> = OnceLock::new();
    let room = || {
        let tests = std::env::current_exe().unwrap();
        let name = format!("vae-cli-tested{}", std::env::consts::EXE_SUFFIX);
        let program = tests.parent().unwrap().with_file_name(name);
        let mut command = std::process::Command::new(program);
        command.args(["serve-device", "--session", "--port", "0", "--backend", reference().name]);
        command
    };
    let start = move || {
        let limits = Limits { sessions: 100, memory: None };
        let transport = Transport::WebSocket;
        let server = Server { room, devices: 1, transport, token: None, limits };
        let serving = server.listen([127, 0, 0, 1].into(), 0, say).unwrap();
        let address = serving.address().to_string();
        std::thread::spawn(move || serving.run(&AtomicBool::new(false)).unwrap());
        address
    };
    ADDRESS.get_or_init(start).clone()
}

/// No backend of this build has an address.
#[cfg(not(feature = "remote"))]
fn server() -> String {
    unreachable!("only the backend remote has an address")
}

/// Runs `check` on a backend. Where one that needs hardware finds none the check is skipped, and
/// says so, unless `VAE_REQUIRE_WGPU` is set.
pub fn on(name: &str, check: impl FnOnce(&Backend)) {
    match Backend::open(name) {
        Ok(backend) => check(&backend),
        Err(why @ TrainError::Backend { .. }) if std::env::var_os("VAE_REQUIRE_WGPU").is_none() => {
            say(&format!("skipped on {name}: {why}"));
        }
        Err(why) => panic!("{name}: {why}"),
    }
}

/// A line on stderr that is seen even where the test passes: the test harness catches only what
/// macros print.
pub fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The reference that the other backends are compared with.
pub fn reference() -> Backend {
    Backend::any_cpu().unwrap()
}

/// A preset with values above it.
pub fn config(preset: &str, sets: &[&str]) -> ValidConfig {
    let overrides: Vec<Override> = sets.iter().map(|s| Override::set(s).unwrap()).collect();
    presets::resolve(preset, &overrides).unwrap()
}

/// A trainer of `config` on `backend`.
pub fn trainer(config: &ValidConfig, backend: &Backend) -> Trainer {
    let data = data::load(config, &Environment::default()).unwrap();
    Trainer::new(config.clone(), data, backend).unwrap()
}

/// Trains to the end and gives the loss of every step; set `train.log_every` to 1.
pub fn losses(trainer: &mut Trainer) -> Vec<f64> {
    #[derive(Default)]
    struct Losses(Vec<f64>);
    impl Observer for Losses {
        fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
            if let Event::Step { values, .. } = event {
                self.0.push(values[0].1);
            }
            Ok(())
        }
    }
    let mut losses = Losses::default();
    trainer.train(None, vec![&mut losses], &AtomicBool::new(false)).unwrap();
    losses.0
}

/// Trains to the end on the reference, and judges on the first `images` test images of the same
/// data with so many importance samples.
pub fn judged(
    config: &ValidConfig,
    environment: &Environment<'_>,
    images: usize,
    samples: usize,
) -> Evaluation {
    let backend = reference();
    let data = data::load(config, environment).unwrap();
    let (transform, resolved) = (data.transform.clone(), data.resolved.clone());
    let mut trainer = Trainer::new(config.clone(), data, &backend).unwrap();
    trainer.train(None, vec![], &AtomicBool::new(false)).unwrap();
    let mut test = resolved.read(Split::Test, environment).unwrap();
    test.truncate(images);
    let evaluator = Evaluator::new(test.into(), transform, backend.device, 0).unwrap();
    evaluator.evaluate(&trainer.vae(), samples, &|_| {}).unwrap()
}

/// The folder of real data sets, if there is one.
pub fn data_dir() -> Option<PathBuf> {
    let folder = std::env::var_os("VAE_DATA_DIR").map(PathBuf::from);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // Tests run in the folder of their package; a relative path is meant from that of the
    // workspace.
    let found = folder.map(|f| if f.is_relative() { here.join(f) } else { f });
    let found = found.filter(|f| f.join("mnist").is_dir());
    if found.is_none() {
        say("skipped: no real MNIST; put it under DIR/mnist and set VAE_DATA_DIR=DIR");
    }
    found
}

/// A Python with the packages of `python/requirements.txt`, if `VAE_PYTHON` names one.
pub fn python() -> Option<PathBuf> {
    let found = std::env::var_os("VAE_PYTHON").map(PathBuf::from);
    if found.is_none() {
        say("skipped: no Python; tests/python/requirements.txt says how to make one");
    }
    found
}

/// Runs a script of `tests/python/`, or of another folder relative to `tests/`, which must succeed.
/// Returns what it printed, or `None` where there is no Python.
pub fn run_python(script: &str, arguments: &[&Path]) -> Option<String> {
    let mut command = std::process::Command::new(python()?);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).args(arguments);
    let outcome = outcome(command);
    assert_eq!(outcome.code, 0, "{script}: {}{}", outcome.stdout, outcome.stderr);
    Some(outcome.stdout)
}

/// The program in a folder of its own, with no data, cache or run but what a test puts there.
pub struct Program {
    /// The binary.
    pub binary: PathBuf,
    /// The folder that it runs in.
    pub folder: tempfile::TempDir,
}

/// What a run of the program left.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code.
    pub code: i32,
    /// What it printed on stdout.
    pub stdout: String,
    /// What it printed on stderr.
    pub stderr: String,
}

impl Outcome {
    /// The JSON object on stdout, which must be all there is.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Program {
    /// The program whose path is given, in a new folder.
    pub fn new(binary: &str) -> Self {
        Self { binary: binary.into(), folder: tempfile::tempdir().unwrap() }
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that runs it with these arguments, split at spaces.
    pub fn command(&self, arguments: &str) -> std::process::Command {
        let mut command = std::process::Command::new(&self.binary);
        self.isolate(&mut command);
        command.args(arguments.split_whitespace());
        command
    }

    /// Gives a command the program's folder and an environment without the user's data.
    pub fn isolate(&self, command: &mut std::process::Command) {
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env_remove("VAE_DATA_DIR")
            .env_remove("VAE_REMOTE_TOKEN")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            // Where there is a network, tests stay away from it.
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .stdin(std::process::Stdio::null());
    }

    /// Runs it to the end.
    pub fn run(&self, arguments: &str) -> Outcome {
        outcome(self.command(arguments))
    }

    /// Runs it, which must succeed.
    pub fn ok(&self, arguments: &str) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, 0, "{arguments}: {outcome:?}");
        outcome
    }

    /// Runs it, which must fail with `code` and say all of `words`, in words and not by a panic.
    pub fn fails(&self, code: i32, arguments: &str, words: &[&str]) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, code, "{arguments}: {outcome:?}");
        outcome.says(words);
        outcome
    }

    /// A small trained model in `runs/small`.
    pub fn small_run(&self) {
        self.ok(
            "train mnist-mlp --backend flex --data digits --limit 500 --batch-size 50 --epochs 1 \
             --out runs/small -q",
        );
    }
}

impl Outcome {
    /// Checks that stderr says all of `words` and holds no panic.
    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        assert!(!self.stderr.contains("stack backtrace"), "{self:?}");
    }
}

/// Runs a command to the end.
pub fn outcome(mut command: std::process::Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// An array of f32 from a `.npy` file: its shape and its numbers.
pub fn read_npy(path: &Path) -> (Vec<u64>, Vec<f32>) {
    let npy = npyz::NpyFile::new(std::fs::File::open(path).unwrap()).unwrap();
    (npy.shape().to_vec(), npy.into_vec().unwrap())
}
