//! Run folders: `config.toml`, `metrics.jsonl`, `checkpoints/{last,best}.vae`, `samples/`, and a
//! lock.

mod metrics_log;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::error::TrainError;

pub use metrics_log::MetricsLog;

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
}

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointKind {
    /// The newest.
    Last,
    /// The one with the best validation loss.
    Best,
}

/// The lock on a run that is being trained. The system releases it when the process ends, however
/// it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl Run {
    /// The run in `folder`, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// A folder for a new run called `name` under `root`: the name itself, or with the first free
    /// number behind it.
    pub fn free(root: &Path, name: &str) -> Self {
        let mut folder = root.join(name);
        let mut number = 2;
        while folder.exists() {
            folder = root.join(format!("{name}-{number}"));
            number += 1;
        }
        Self { folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name: that of the folder.
    pub fn name(&self) -> String {
        let name = self.folder.file_name();
        name.map_or_else(|| self.folder.display().to_string(), |n| n.to_string_lossy().into())
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// The log, an object a line.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    /// The folder of sheets.
    pub fn samples(&self) -> PathBuf {
        self.folder.join("samples")
    }

    /// A checkpoint, which need not be there.
    pub fn checkpoint(&self, which: CheckpointKind) -> PathBuf {
        self.folder.join("checkpoints").join(match which {
            CheckpointKind::Last => "last.vae",
            CheckpointKind::Best => "best.vae",
        })
    }

    /// The checkpoint that readers use: `best.vae` if there was validation, else `last.vae`.
    pub fn best_or_last(&self) -> PathBuf {
        let best = self.checkpoint(CheckpointKind::Best);
        if best.is_file() { best } else { self.checkpoint(CheckpointKind::Last) }
    }

    /// Returns whether a training has been here. A training writes its first checkpoint before its
    /// first step, so a folder without one has nothing to lose.
    pub fn exists(&self) -> bool {
        self.checkpoint(CheckpointKind::Last).exists()
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn create(&self) -> Result<(), TrainError> {
        for folder in [self.folder.join("checkpoints"), self.samples()] {
            fs::create_dir_all(&folder).map_err(|e| TrainError::io(&folder, e))?;
        }
        Ok(())
    }

    /// Locks the run for training.
    ///
    /// # Errors
    /// If another training holds the lock, or the system refuses.
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
    /// If the system refuses.
    pub fn write_config(&self, text: &str) -> Result<(), TrainError> {
        replace(&self.config(), text)
    }

    /// The newest averages in the log for `split`: of a whole epoch, or where no epoch has ended
    /// yet of the last steps.
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

    /// The runs under `root`, newest first: by the time of their last checkpoint.
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

/// Writes a text file: whole, or not at all and the old one stays.
fn replace(path: &Path, text: &str) -> Result<(), TrainError> {
    let Some(folder) = path.parent() else { unreachable!("files of a run lie in its folder") };
    let mut new = tempfile::Builder::new();
    // A temporary file is private unless it is told otherwise; a run is not.
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let written = new.tempfile_in(folder).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.persist(path).map_err(|e| e.error)
    });
    written.map(|_| ()).map_err(|e| TrainError::io(path, e))
}

/// Whether `key` of an object is the text `value`.
fn has(object: &Map<String, Value>, key: &str, value: &str) -> bool {
    object.get(key).and_then(Value::as_str) == Some(value)
}
