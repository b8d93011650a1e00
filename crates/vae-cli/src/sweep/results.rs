//! The table of a sweep: mean and standard error over the seeds of each cell.

use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use vae_data::Scale;
use vae_eval::Mean;
use vae_model::{AtomicFile, VaeConfig, compatibility};
use vae_view::{Curves, Line, Panel, Theme};

use super::plan::{Plan, PlannedRun};
use super::work::Outcome;
use crate::failure::request;
use crate::output::figures;

/// Numbers of an evaluation that say how it was made, and are no figures.
const NO_FIGURES: [&str; 7] =
    ["images", "latent", "samples", "nll_stderr", "nll_ais_stderr", "ais_steps", "ais_chains"];
/// Figures that are no single number.
const NO_NUMBERS: [&str; 5] =
    ["kl_per_dimension", "calibration", "likelihood", "k_curve", "features"];
/// Columns that count the runs of a cell.
const COUNTS: [&str; 2] = ["runs", "failed"];

/// The cells of a sweep, as far as it is done.
#[derive(Clone, Debug)]
pub struct Results {
    /// Keys of the grid.
    pub keys: Vec<String>,
    /// Names of the figures that a run has.
    pub figures: Vec<String>,
    /// The cells, in the order of the plan.
    pub cells: Vec<CellResults>,
}

/// The figures of a cell.
#[derive(Clone, Debug)]
pub struct CellResults {
    /// A value for each key.
    pub values: Vec<String>,
    /// Runs that are done.
    pub runs: usize,
    /// Runs that failed.
    pub failed: usize,
    /// How the figures of the first run that is done were made.
    pub protocol: Option<Value>,
    /// What the figures of each run that is done are of, if they say.
    of: Vec<Of>,
    /// For each figure, its mean over the runs that are done. `None` if one of them does not have it.
    pub means: Vec<Option<Mean>>,
}

/// What figures are of.
#[derive(Clone, Debug)]
struct Of {
    /// The fingerprint of the examples, and what says which values of x were made of them.
    x: (String, Value, Option<FittedScale>),
    model: VaeConfig,
}

/// A scale of vectors, and how many examples it was fitted on: the limit, and those held out. Those of several
/// seeds count as the same.
type FittedScale = (Scale, Option<usize>, usize);

/// Which figures of the cells can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparable {
    /// All.
    All,
    /// All but the losses: some likelihoods are densities and others are not, or some depend on labels.
    NoLosses,
    /// None: the examples or the values of x differ.
    Nothing,
}

impl Of {
    /// Returns what the figures of a run are of. `None` if they do not say.
    fn new(figures: &Map<String, Value>, run: &PlannedRun) -> Option<Self> {
        let fingerprint = figures.get("fingerprint")?.as_str()?.to_owned();
        let images = figures.get("protocol")?.get("images")?.clone();
        let data = &run.config.data;
        let fitted =
            (data.scale != Scale::None).then_some((data.scale, data.limit, data.validation));
        Some(Self { x: (fingerprint, images, fitted), model: run.config.model.clone() })
    }
}

impl Results {
    /// Collects the outcomes of the runs of `plan`, which are in its order; `None` for a run that is still
    /// to be done.
    pub fn new(plan: &Plan, outcomes: &[Option<Outcome>]) -> Self {
        let done = |outcome: &Option<Outcome>| match outcome {
            Some(Outcome::Done(figures)) => Some(numbers(figures)),
            _ => None,
        };
        let mut figures: Vec<String> = Vec::new();
        for (name, _) in outcomes.iter().filter_map(done).flatten() {
            if !figures.contains(&name) {
                figures.push(name);
            }
        }
        let mut rest = outcomes;
        let cells = plan.cells.iter().map(|cell| {
            let (own, others) = rest.split_at(cell.runs.len());
            rest = others;
            let runs: Vec<Vec<(String, f64)>> = own.iter().filter_map(done).collect();
            // A run without the figure, such as one that diverged, is not left out in silence.
            let mean = |figure: &String| {
                let found = runs.iter().map(|run| run.iter().find(|(name, _)| name == figure));
                let found: Option<Vec<f64>> = found.map(|f| f.map(|(_, value)| *value)).collect();
                Mean::of(&found?)
            };
            let done_runs = || {
                own.iter().zip(&cell.runs).filter_map(|(outcome, run)| match outcome {
                    Some(Outcome::Done(figures)) => Some((figures, run)),
                    _ => None,
                })
            };
            CellResults {
                values: cell.values.clone(),
                runs: runs.len(),
                failed: own.iter().filter(|o| matches!(o, Some(Outcome::Failed(_)))).count(),
                of: done_runs().filter_map(|(figures, run)| Of::new(figures, run)).collect(),
                protocol: done_runs()
                    .next()
                    .and_then(|(figures, _)| figures.get("protocol").cloned()),
                means: figures.iter().map(mean).collect(),
            }
        });
        Self { keys: plan.keys.clone(), cells: cells.collect(), figures }
    }

    /// Returns which figures of the cells can be compared.
    pub fn comparable(&self) -> Comparable {
        let mut all = self.cells.iter().flat_map(|cell| &cell.of);
        let Some(first) = all.next() else { return Comparable::All };
        let (mut same_x, mut same_measure) = (true, true);
        for of in all {
            same_x &= of.x == first.x;
            same_measure &= compatibility::check_comparable(&of.model, &first.model).is_ok();
        }
        match (same_x, same_measure) {
            (false, _) => Comparable::Nothing,
            (true, false) => Comparable::NoLosses,
            (true, true) => Comparable::All,
        }
    }

    /// Writes the table as CSV: the keys of the grid, `runs`, `failed`, and for each figure its mean and
    /// its standard error. It has no times: the same sweep gives the same bytes.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let place = || path.display().to_string();
        let file = BufWriter::new(AtomicFile::create(path).with_context(place)?);
        let mut writer = csv::Writer::from_writer(file);
        let mut head = self.keys.clone();
        head.extend(["runs".to_owned(), "failed".to_owned()]);
        head.extend(self.figures.iter().flat_map(|name| [name.clone(), format!("{name}_stderr")]));
        writer.write_record(&head).with_context(place)?;
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        for cell in &self.cells {
            let mut row = cell.values.clone();
            row.extend([cell.runs.to_string(), cell.failed.to_string()]);
            for mean in &cell.means {
                row.push(number(mean.map(|mean| mean.value)));
                row.push(number(mean.and_then(|mean| mean.stderr)));
            }
            writer.write_record(&row).with_context(place)?;
        }
        let file = writer.into_inner().map_err(|e| e.into_error()).with_context(place)?;
        let file = file.into_inner().map_err(|e| e.into_error()).with_context(place)?;
        file.persist().with_context(place)
    }

    /// Returns the table as JSON: an object for each cell.
    pub fn json(&self) -> Value {
        let cell = |cell: &CellResults| {
            let settings = self.keys.iter().cloned().zip(cell.values.iter().map(|v| json!(v)));
            let figures = self.figures.iter().zip(&cell.means).map(|(name, mean)| {
                let stderr = mean.and_then(|mean| mean.stderr);
                (name.clone(), json!({ "mean": mean.map(|m| m.value), "stderr": stderr }))
            });
            json!({
                "settings": settings.collect::<Map<_, _>>(),
                "runs": cell.runs,
                "failed": cell.failed,
                "protocol": cell.protocol,
                "figures": figures.collect::<Map<_, _>>(),
            })
        };
        self.cells.iter().map(cell).collect()
    }

    /// Returns a plot of the column `y` over the column `x`. A line joins the cells that differ in the key
    /// `x` alone, or in the last key if `x` is a figure.
    ///
    /// # Errors
    /// If there is no such column, or if `x` has values that are no numbers.
    pub fn plot(&self, x: &str, y: &str, theme: Theme) -> Result<Curves> {
        let along = self.keys.iter().position(|key| key == x);
        let along = along.or(self.keys.len().checked_sub(1));
        let mut lines: Vec<Line> = Vec::new();
        for cell in &self.cells {
            let others = self.keys.iter().zip(&cell.values).enumerate();
            let others = others.filter(|(i, _)| Some(*i) != along);
            let name: Vec<String> =
                others.map(|(_, (key, value))| format!("{key} {value}")).collect();
            let name = if name.is_empty() { "all".to_owned() } else { name.join(", ") };
            let (Some(x), Some(y)) = (self.number(cell, x)?, self.number(cell, y)?) else {
                continue;
            };
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push((x, y)),
                None => lines.push(Line { name, points: vec![(x, y)], dashed: false }),
            }
        }
        lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
        Ok(Curves {
            title: format!("{y} over {x}"),
            x_label: x.to_owned(),
            panels: vec![Panel { title: y.to_owned(), lines, falls: false }],
            theme,
        })
    }

    /// Checks that a column of the plot can be one before there are figures: a key whose values are numbers, or a
    /// figure that is measured with the flags `asked`.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_column(&self, column: &str, asked: &[String], plan: &Plan) -> Result<()> {
        if self.keys.iter().any(|key| key == column) || COUNTS.contains(&column) {
            return self.cells.iter().try_for_each(|cell| self.number(cell, column).map(drop));
        }
        let mut figures = figures::keys();
        figures.push(("loss".to_owned(), None));
        figures.retain(|(name, _)| {
            !NO_FIGURES.contains(&&name[..]) && !NO_NUMBERS.contains(&&name[..])
        });
        let name = column.strip_suffix("_stderr").unwrap_or(column);
        match figures.iter().find(|(figure, _)| figure == name) {
            Some((_, Some(flag))) if !asked.iter().any(|other| other == flag) => Err(request(
                format!("--plot: {column} is measured only with {flag}, which is not there"),
            )),
            Some(_) => {
                let has = |run: &PlannedRun| run.config.objective.requirements().trains_encoder;
                let exists = match name {
                    "loss" => !plan.runs().all(has),
                    name => figures::QUALITY.contains(&name) || plan.runs().any(has),
                };
                let why = "loss is of models without an encoder, most other figures are of those with one";
                exists.then_some(()).ok_or_else(|| {
                    request(format!("--plot: no run of this sweep has {column}: {why}"))
                })
            }
            None => {
                let known: Vec<String> = figures.into_iter().map(|(name, _)| name).collect();
                Err(self.no_column(column, &known))
            }
        }
    }

    /// Returns the error of a column that the table does not have.
    fn no_column(&self, column: &str, figures: &[String]) -> anyhow::Error {
        let columns = [&self.keys[..], &COUNTS.map(str::to_owned), figures].concat().join(", ");
        request(format!(
            "--plot: there is no column {column}; there are {columns}, and X_stderr of each figure X"
        ))
    }

    /// Returns the number of a cell in a column of the table: a key, `runs`, `failed`, a figure or its
    /// standard error. `None` if this cell has none.
    fn number(&self, cell: &CellResults, column: &str) -> Result<Option<f64>> {
        if let Some(i) = self.keys.iter().position(|key| key == column) {
            let value = &cell.values[i];
            return match value.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(request(format!("--plot: {column} = {value} is no number"))),
            };
        }
        let figure = |name: &str| self.figures.iter().position(|figure| figure == name);
        if let Some(i) = figure(column) {
            return Ok(cell.means[i].map(|mean| mean.value));
        }
        if let Some(i) = column.strip_suffix("_stderr").and_then(figure) {
            return Ok(cell.means[i].and_then(|mean| mean.stderr));
        }
        match column {
            "runs" => Ok(Some(cell.runs as f64)),
            "failed" => Ok(Some(cell.failed as f64)),
            _ => Err(self.no_column(column, &self.figures)),
        }
    }
}

/// Returns the figures that are numbers.
fn numbers(figures: &Map<String, Value>) -> Vec<(String, f64)> {
    let figures = figures.iter().filter(|(name, _)| !NO_FIGURES.contains(&name.as_str()));
    figures.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::plan::Cell;

    fn results() -> Results {
        let done = |nll: f64| {
            let figures = json!({ "images": 5, "nll": nll, "kl": null, "protocol": {} });
            let Value::Object(figures) = figures else { unreachable!() };
            Some(Outcome::Done(figures))
        };
        let run = || crate::sweep::plan::PlannedRun {
            name: String::new(),
            config: vae_train::presets::resolve("mnist-mlp", &[]).unwrap(),
        };
        let cell = |values: [&str; 2]| Cell {
            values: values.map(str::to_owned).to_vec(),
            runs: vec![run(), run()],
        };
        let plan = Plan {
            keys: vec!["k".to_owned(), "beta".to_owned()],
            cells: vec![cell(["1", "4.0"]), cell(["1", "2.0"]), cell(["2", "2.0"])],
        };
        let failed = || Some(Outcome::Failed("no".to_owned()));
        Results::new(&plan, &[done(1.0), done(3.0), done(7.0), failed(), None, failed()])
    }

    #[test]
    fn a_row_has_mean_and_standard_error_over_the_seeds_that_are_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        results().write(&path).unwrap();
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "k,beta,runs,failed,nll,nll_stderr\n1,4.0,2,0,2,1\n1,2.0,1,1,7,\n2,2.0,0,1,,\n"
        );
        let json = results().json();
        assert_eq!(json[0]["settings"]["beta"], "4.0");
        assert_eq!(json[0]["figures"]["nll"], json!({ "mean": 2.0, "stderr": 1.0 }));
        assert!(json[2]["figures"]["nll"]["mean"].is_null());
    }

    #[test]
    fn lines_join_the_cells_that_differ_in_one_key() {
        let plot = results().plot("beta", "nll", Theme::Light).unwrap();
        let lines = &plot.panels[0].lines;
        // The third cell has no figures yet.
        assert_eq!(lines.len(), 1);
        assert_eq!(
            (&lines[0].name[..], &lines[0].points[..]),
            ("k 1", &[(2.0, 7.0), (4.0, 2.0)][..])
        );
        let y = |column: &str| {
            let plot = results().plot("beta", column, Theme::Light).unwrap();
            plot.panels[0].lines.iter().map(|line| line.points.clone()).collect::<Vec<_>>()
        };
        assert_eq!(y("nll_stderr"), [[(4.0, 1.0)]]);
        assert_eq!(y("failed"), [vec![(2.0, 1.0), (4.0, 0.0)], vec![(2.0, 1.0)]]);
        let error = results().plot("beta", "nonsense", Theme::Light).unwrap_err();
        assert!(error.to_string().contains("k, beta, runs, failed, nll"), "{error}");
    }
}
