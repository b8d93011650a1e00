//! What a finished protocol says: the paper's figure, ours, and the verdict.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use vae_eval::{Mean, mean_and_interval};
use vae_model::write_atomically;
use vae_train::Run;
use vae_train::protocols::{Better, Protocol};

use crate::sweep::plan::{Plan, read_bounded};
use crate::sweep::work::Outcome;

/// Longest file of a result, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// The result of a protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reproduced {
    /// The name of the protocol.
    pub protocol: String,
    /// Whether its schedule was the short one.
    pub short: bool,
    /// Epochs of the longest run; fewer than planned if training stopped early.
    pub epochs: u64,
    /// Seeds of the runs.
    pub seeds: Vec<u64>,
    /// The name of the figure.
    pub figure: String,
    /// The figure: the mean over the seeds.
    pub value: f64,
    /// Its standard error: over the seeds, or over the examples if there is one seed.
    pub stderr: Option<f64>,
    /// What the paper reports.
    pub paper: Option<f64>,
    /// Where the paper reports it.
    pub source: String,
    /// Whether the figure is as good as the paper's.
    pub verdict: String,
    /// The same figure of the systems that the paper compares with.
    pub others: Vec<Compared>,
    /// Time that the trainings took, in seconds, by their logs.
    pub training_seconds: f64,
    /// The machine: backend, processor, threads.
    pub machine: String,
    /// The version of this program.
    pub version: String,
}

/// A system that the system of a paper is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The settings that differ.
    pub name: String,
    /// Its figure.
    pub value: f64,
    /// The figure of the paper's system minus this, over pairs of runs with the same seed.
    pub difference: f64,
    /// Half the width of the 95 % confidence interval of the difference. `None` with one seed.
    pub interval: Option<f64>,
}

impl Reproduced {
    /// Returns the result of a protocol whose runs are all done. `runs` are their folders, in the order of the
    /// plan. `None` if a run has no such figure.
    pub fn new(
        name: &str,
        short: bool,
        protocol: &Protocol,
        plan: &Plan,
        outcomes: &[Option<Outcome>],
        (runs, machine): (&[Run], String),
    ) -> Option<Self> {
        let figure = &protocol.paper.figure;
        let figures: Vec<&Map<String, Value>> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Some(Outcome::Done(figures)) => Some(figures),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let values: Option<Vec<f64>> = figures.iter().map(|f| f.get(figure)?.as_f64()).collect();
        let values = values?;
        let of_cell: Vec<&[f64]> = values.chunks(protocol.seeds.len()).collect();
        let (own, others) = of_cell.split_last()?;
        let Mean { value, stderr } = Mean::of(own)?;
        let over_examples = || figures.last()?.get(&format!("{figure}_stderr"))?.as_f64();
        let names = plan.cells.iter().map(|cell| {
            let parts = plan.keys.iter().zip(&cell.values);
            parts.map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
        });
        let others = others.iter().zip(names).map(|(other, name)| {
            let differences: Vec<f64> = own.iter().zip(*other).map(|(a, b)| a - b).collect();
            let (difference, interval) = mean_and_interval(&differences);
            let value = other.iter().sum::<f64>() / other.len() as f64;
            Compared { name, value, difference, interval }
        });
        let epochs =
            runs.iter().filter_map(|run| run.last_metrics("train")?.get("epoch")?.as_u64());
        let planned = plan.cells.last()?.runs.first()?.config.train.epochs;
        Some(Self {
            protocol: name.to_owned(),
            short,
            epochs: epochs.max().unwrap_or(planned),
            seeds: protocol.seeds.clone(),
            figure: figure.clone(),
            value,
            stderr: stderr.or_else(over_examples),
            paper: protocol.paper.value,
            source: protocol.paper.source.clone(),
            verdict: verdict(value, protocol.paper.value, protocol.paper.better),
            others: others.collect(),
            training_seconds: runs
                .iter()
                .zip(plan.runs())
                .map(|(run, planned)| seconds(run, planned.config.train.batch_size))
                .sum(),
            machine,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// Reads a result. `None` if there is none, or none of this version.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&read_bounded(path, MOST_BYTES).ok()?).ok()
    }

    /// Writes the result atomically.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let place = || path.display().to_string();
        let text = serde_json::to_string_pretty(self).with_context(place)? + "\n";
        write_atomically(path, text.as_bytes()).with_context(place)
    }
}

/// Returns whether a figure is as good as the paper's, or by how much not.
fn verdict(value: f64, paper: Option<f64>, better: Better) -> String {
    let Some(paper) = paper else { return "no such figure in the paper".to_owned() };
    let behind = match better {
        Better::Lower => value - paper,
        Better::Higher => paper - value,
    };
    if behind <= 0.0 { "reached".to_owned() } else { format!("missed by {behind:.2}") }
}

/// Returns the seconds that the steps of a run took, by its log. Pauses do not count.
fn seconds(run: &Run, batch: usize) -> f64 {
    let mut before = 0;
    let mut seconds = 0.0;
    for line in run.history().unwrap_or_default() {
        let is_step = line.get("average").and_then(Value::as_str) == Some("steps");
        let number = |key: &str| line.get(key).and_then(Value::as_f64);
        let Some((step, speed)) = number("step").zip(number("images_per_second")) else { continue };
        // A step that was repeated after an interruption counts once.
        if is_step && step as u64 > before && speed > 0.0 {
            seconds += (step - before as f64) * batch as f64 / speed;
            before = step as u64;
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vae_train::protocols;

    use super::*;

    #[test]
    fn a_verdict_says_by_how_much_a_figure_is_missed() {
        assert_eq!(verdict(86.7, Some(86.76), Better::Lower), "reached");
        assert_eq!(verdict(87.0, Some(86.76), Better::Lower), "missed by 0.24");
        assert_eq!(verdict(0.3, Some(0.5), Better::Higher), "missed by 0.20");
        assert_eq!(verdict(0.6, Some(0.5), Better::Higher), "reached");
        assert_eq!(verdict(0.6, None, Better::Higher), "no such figure in the paper");
    }

    #[test]
    fn the_system_of_a_paper_is_compared_with_the_others_seed_by_seed() {
        let protocol = protocols::Protocol::named("beta-tcvae-sprites").unwrap().unwrap();
        let plan = Plan::of_protocol(&protocol, true).unwrap();
        let done = |mig: f64| {
            let Value::Object(figures) = json!({ "mig": mig }) else { unreachable!() };
            Some(Outcome::Done(figures))
        };
        let migs = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4, 0.5, 0.3, 0.5];
        let outcomes: Vec<_> = migs.map(done).into();
        let machine = || (&[][..], "none".to_owned());
        let result =
            |outcomes: &[_]| Reproduced::new("x", true, &protocol, &plan, outcomes, machine());
        let found = result(&outcomes).unwrap();
        assert!((found.value - 0.4).abs() < 1e-12 && found.stderr.is_some());
        assert_eq!(found.verdict, "missed by 0.10");
        let other = &found.others[0];
        assert_eq!(
            (found.others.len(), &other.name[..]),
            (1, "objective = { kind = \"elbo\", beta = 1.5 }")
        );
        assert!((other.difference - 0.22).abs() < 1e-12, "{other:?}");
        // 0.2, 0.2, 0.2, 0.2, 0.3: a standard error of 0.02, times 2.776.
        assert!((other.interval.unwrap() - 0.05552).abs() < 1e-6, "{other:?}");
        let mut missing = outcomes;
        missing[7] = None;
        assert!(result(&missing).is_none());
    }
}
