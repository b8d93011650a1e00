//! The log of a run, `metrics.jsonl`: one JSON object per line.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use vae_eval::Metrics;

use super::{Run, replace};
use crate::error::TrainError;
use crate::learn::events::{Event, Observer};

/// The observer that writes `metrics.jsonl`. A line has averages or a warning of the coach. `split` of
/// averages is `train` or `validation`; `average` is `steps` for those since the last line, or `epoch`.
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

/// Keys of a line of averages that are no terms.
const NO_TERMS: [&str; 5] = ["step", "epoch", "split", "average", "images_per_second"];

impl MetricsLog {
    /// Returns the names of the averages in a line of the log: the loss and its terms.
    pub fn terms(line: &Map<String, Value>) -> impl Iterator<Item = &String> {
        line.keys().filter(|key| !NO_TERMS.contains(&key.as_str()))
    }

    /// Opens the log of `run` to continue after `step`. Later lines are deleted, because resumed
    /// training repeats those steps.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(run: &Run, step: u64) -> Result<Self, TrainError> {
        let path = run.metrics();
        let io = |e| TrainError::io(&path, e);
        let mut kept = String::new();
        let old = match File::open(&path) {
            Ok(old) => Some(old),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(io(e)),
        };
        if let Some(old) = old {
            for line in BufReader::new(old).lines() {
                let line = line.map_err(io)?;
                let parsed: Option<Value> = serde_json::from_str(&line).ok();
                let at = parsed.as_ref().and_then(|v| v.get("step")).and_then(Value::as_u64);
                if at.is_some_and(|at| at <= step) {
                    kept.push_str(&line);
                    kept.push('\n');
                }
            }
        }
        replace(&path, &kept)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(io)?;
        Ok(Self { path, file })
    }

    fn averages(
        &mut self,
        head: Value,
        values: &Metrics,
        speed: Option<f64>,
    ) -> Result<(), String> {
        let mut object = head;
        for (name, value) in values {
            object[name] = json!(value);
        }
        if let Some(speed) = speed {
            object["images_per_second"] = json!(speed.round());
        }
        self.line(&object)
    }

    fn line(&mut self, object: &Value) -> Result<(), String> {
        self.file
            .write_all(format!("{object}\n").as_bytes())
            .map_err(|e| format!("{}: {e}; the log is not continued", self.path.display()))
    }
}

impl Observer for MetricsLog {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Step { step, epoch, values, images_per_second } => {
                let head = json!({
                    "step": step, "epoch": epoch, "split": "train", "average": "steps",
                });
                self.averages(head, values, Some(*images_per_second))
            }
            Event::Epoch { step, epoch, train, validation, images_per_second, .. } => {
                let head = |split| {
                    json!({
                        "step": step, "epoch": epoch, "split": split, "average": "epoch",
                    })
                };
                self.averages(head("train"), train, Some(*images_per_second))?;
                match validation {
                    Some(values) => self.averages(head("validation"), values, None),
                    None => Ok(()),
                }
            }
            Event::Advice { step, epoch, advice } => self.line(&json!({
                "step": step,
                "epoch": epoch,
                "warning": advice.warning,
                "code": advice.code,
                "advice": advice.advice,
            })),
            Event::Checkpoint { .. } | Event::Warning(_) => Ok(()),
        }
    }
}
