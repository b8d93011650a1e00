//! Run folders: `config.toml`, `metrics.jsonl`, `checkpoints/{last,best}.vae`, `samples/`, a lock,
//! and perhaps event files for TensorBoard.

mod metrics_log;
mod tensorboard;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::error::TrainError;

pub use metrics_log::MetricsLog;
pub use tensorboard::TensorBoard;

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
}

/// A kind of checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointKind {
    /// The newest checkpoint.
    Last,
    /// The checkpoint with the best validation loss.
    Best,
}

/// The lock on a run during training. The operating system releases it when the process ends for
/// any reason.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl Run {
    /// Makes the run in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Makes a new run in the folder `name` under `root`. If that exists, the first free number is
    /// appended.
    pub fn free(root: &Path, name: &str) -> Self {
        let mut folder = root.join(name);
        let mut number = 2;
        while folder.exists() {
            folder = root.join(format!("{name}-{number}"));
            number += 1;
        }
        Self { folder }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the name of the run, which is the name of the folder.
    pub fn name(&self) -> String {
        let name = self.folder.file_name();
        name.map_or_else(|| self.folder.display().to_string(), |n| n.to_string_lossy().into())
    }

    /// Returns the path of the resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// Returns the path of the log.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    /// Returns the path of the folder of sheets of samples.
    pub fn samples(&self) -> PathBuf {
        self.folder.join("samples")
    }

    /// Returns the path of a checkpoint, which need not exist.
    pub fn checkpoint(&self, which: CheckpointKind) -> PathBuf {
        self.folder.join("checkpoints").join(match which {
            CheckpointKind::Last => "last.vae",
            CheckpointKind::Best => "best.vae",
        })
    }

    /// Returns the path of the checkpoint to use: `best.vae` if it exists, otherwise `last.vae`.
    pub fn best_or_last(&self) -> PathBuf {
        let best = self.checkpoint(CheckpointKind::Best);
        if best.is_file() { best } else { self.checkpoint(CheckpointKind::Last) }
    }

    /// Returns whether the folder holds a run. Training writes a checkpoint before its first step,
    /// so a folder without a checkpoint holds no training results.
    pub fn exists(&self) -> bool {
        self.checkpoint(CheckpointKind::Last).exists()
    }

    /// Creates the folders.
    ///
    /// # Errors
    /// If a file or folder cannot be written.
    pub fn create(&self) -> Result<(), TrainError> {
        for folder in [self.folder.join("checkpoints"), self.samples()] {
            fs::create_dir_all(&folder).map_err(|e| TrainError::io(&folder, e))?;
        }
        Ok(())
    }

    /// Locks the run for training.
    ///
    /// # Errors
    /// If another process holds the lock, or if the file cannot be opened.
    pub fn lock(&self) -> Result<RunLock, TrainError> {
        let path = self.folder.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| TrainError::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => {
                Err(TrainError::Locked { folder: self.folder.clone() })
            }
            Err(fs::TryLockError::Error(e)) => Err(TrainError::io(&path, e)),
        }
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    /// If a file or folder cannot be written.
    pub fn write_config(&self, text: &str) -> Result<(), TrainError> {
        replace(&self.config(), text)
    }

    /// Returns the lines of the log, in their order. A line that is not an object, such as one that is
    /// being written, is left out.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn history(&self) -> Result<Vec<Map<String, Value>>, TrainError> {
        let path = self.metrics();
        let io = |e| TrainError::io(&path, e);
        let mut objects = Vec::new();
        for line in BufReader::new(File::open(&path).map_err(io)?).lines() {
            objects.extend(serde_json::from_str(&line.map_err(io)?).ok());
        }
        Ok(objects)
    }

    /// Returns the number of steps of the newest line of the log: how far a training is. 0 without a log.
    pub fn steps_logged(&self) -> u64 {
        /// More than the longest line.
        const END: u64 = 1 << 14;
        let end = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(self.metrics())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
            let mut end = Vec::new();
            file.read_to_end(&mut end)?;
            Ok(end)
        };
        let end = end().unwrap_or_default();
        let text = String::from_utf8_lossy(&end);
        let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["step"].as_u64()).next().unwrap_or(0)
    }

    /// Returns the newest averages for `split` in the log: of the last finished epoch or, before
    /// the end of the first epoch, of the last steps.
    pub fn last_metrics(&self, split: &str) -> Option<Map<String, Value>> {
        let lines = BufReader::new(File::open(self.metrics()).ok()?).lines();
        let objects = lines.map_while(Result::ok).filter_map(|l| serde_json::from_str(&l).ok());
        let (mut of_steps, mut of_epoch) = (None, None);
        for object in objects.filter(|o: &Map<String, Value>| has(o, "split", split)) {
            let kept = if has(&object, "average", "steps") { &mut of_steps } else { &mut of_epoch };
            *kept = Some(object);
        }
        of_epoch.or(of_steps)
    }

    /// Returns the runs under `root`, sorted by the time of their last checkpoint, newest first.
    pub fn all(root: &Path) -> Vec<Run> {
        let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
        let mut runs: Vec<(SystemTime, Run)> = entries
            .filter_map(|entry| {
                let run = Run::new(entry.ok()?.path());
                let file = run.checkpoint(CheckpointKind::Last);
                Some((file.metadata().ok()?.modified().ok()?, run))
            })
            .collect();
        runs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| b.1.folder.cmp(&a.1.folder)));
        runs.into_iter().map(|(_, run)| run).collect()
    }
}

/// Writes a text file atomically. If it fails, the old file is unchanged.
fn replace(path: &Path, text: &str) -> Result<(), TrainError> {
    vae_model::write_atomically(path, text.as_bytes()).map_err(|e| TrainError::io(path, e))
}

/// Returns whether `key` of an object is the text `value`.
fn has(object: &Map<String, Value>, key: &str, value: &str) -> bool {
    object.get(key).and_then(Value::as_str) == Some(value)
}
