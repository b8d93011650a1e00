//! Curves of what runs have logged.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};
use vae_train::coach::Advice;
use vae_train::{MetricsLog, Run};
use vae_view::{Line, Panel};

use crate::failure::request;

/// A run and the lines of its log.
pub struct Log {
    /// The name of the run, unlike those of all others.
    pub name: String,
    /// Averages of the loss and its terms.
    averages: Vec<Map<String, Value>>,
    /// What the coach said.
    pub advice: Vec<Advice>,
}

/// Reads the logs of runs. Two runs of the same name, in different folders, are told apart by their
/// paths.
///
/// # Errors
/// If a folder holds no log, or an empty one.
pub fn logs(runs: &[Run]) -> Result<Vec<Log>> {
    let names: Vec<String> = runs.iter().map(Run::name).collect();
    let logs = runs.iter().zip(&names).map(|(run, name)| {
        let same = names.iter().filter(|other| *other == name).count() > 1;
        Log::read(run, if same { run.folder().display().to_string() } else { name.clone() })
    });
    logs.collect()
}

/// Returns the terms that are logged, in the order of the logs. One that is the loss itself is left out.
pub fn terms(logs: &[Log]) -> Vec<String> {
    let mut logged = logged(logs);
    let lines = || logs.iter().flat_map(|log| &log.averages);
    let is_loss = |term: &str| lines().all(|line| line.get(term) == line.get("loss"));
    logged.retain(|term| term == "loss" || !is_loss(term));
    logged
}

/// Checks that all of `terms` are logged.
///
/// # Errors
/// If one is not; the message says which are.
pub fn check_terms(logs: &[Log], terms: &[String]) -> Result<()> {
    let logged = logged(logs);
    match terms.iter().find(|term| !logged.contains(term)) {
        Some(unknown) => {
            Err(request(format!("--terms {unknown}: logged are {}", logged.join(", "))))
        }
        None => Ok(()),
    }
}

fn logged(logs: &[Log]) -> Vec<String> {
    let mut logged: Vec<String> = Vec::new();
    for term in logs.iter().flat_map(|log| &log.averages).flat_map(MetricsLog::terms) {
        if !logged.contains(term) {
            logged.push(term.clone());
        }
    }
    logged
}

/// Returns a panel for each term, with the lines of all runs.
pub fn panels(logs: &[Log], terms: &[String]) -> Vec<Panel> {
    let panel = |term: &String| Panel {
        title: term.clone(),
        lines: logs.iter().flat_map(|log| log.curves(term)).collect(),
        falls: true,
    };
    terms.iter().map(panel).collect()
}

impl Log {
    /// Reads the log of a run.
    ///
    /// # Errors
    /// If the folder holds no log, or an empty one.
    fn read(run: &Run, name: String) -> Result<Self> {
        if !Path::new(&run.metrics()).is_file() {
            return Err(request(format!(
                "{}: this folder holds no log of a training; `vae-cli runs` lists the runs",
                run.folder().display()
            )));
        }
        let (averages, others): (Vec<_>, Vec<_>) =
            run.history()?.into_iter().partition(|line| line.contains_key("average"));
        if averages.is_empty() {
            return Err(request(format!("{}: nothing is logged yet", run.metrics().display())));
        }
        let advice = others.into_iter().map(Value::Object).map(serde_json::from_value);
        Ok(Self { name, averages, advice: advice.filter_map(Result::ok).collect() })
    }

    /// Returns the lines of a term: of training, and of validation if there is some.
    fn curves(&self, term: &str) -> Vec<Line> {
        let of = |split: &str, average: &str| -> Vec<(f64, f64)> {
            let is = |line: &Map<String, Value>, key: &str, value: &str| {
                line.get(key).and_then(Value::as_str) == Some(value)
            };
            let lines = self.averages.iter();
            let lines = lines.filter(|l| is(l, "split", split) && is(l, "average", average));
            let number =
                |line: &Map<String, Value>, key: &str| line.get(key).and_then(Value::as_f64);
            lines.filter_map(|line| Some((number(line, "step")?, number(line, term)?))).collect()
        };
        let mut steps = of("train", "steps");
        if steps.is_empty() {
            steps = of("train", "epoch");
        }
        let line = |points, dashed| Line { name: self.name.clone(), points, dashed };
        let curves = [line(steps, false), line(of("validation", "epoch"), true)];
        curves.into_iter().filter(|line| !line.points.is_empty()).collect()
    }
}
