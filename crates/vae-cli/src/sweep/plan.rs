//! The file of a sweep, and the runs that it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use toml::{Table, Value};
use vae_train::protocols::Protocol;
use vae_train::{Override, ValidConfig, flat, in_words, presets};

use crate::failure::request;

/// Most runs of a sweep.
const MOST: usize = 10_000;
/// Largest file, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Longest name of a run. Systems allow 255 bytes.
const LONGEST_NAME: usize = 180;

/// The file of a sweep.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// A preset, or the path of a TOML file.
    base: String,
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    #[serde(default)]
    set: Table,
    #[serde(default)]
    grid: Table,
    /// Settings between those of the base and those of `set`.
    #[serde(skip)]
    before: Vec<Override>,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// What a sweep does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Keys of the grid, in the order of the file.
    pub keys: Vec<String>,
    /// The cells of the grid: the last key varies fastest.
    pub cells: Vec<Cell>,
}

/// A combination of values of the grid.
#[derive(Clone, Debug)]
pub struct Cell {
    /// A value for each key, in TOML syntax.
    pub values: Vec<String>,
    /// A run for each seed.
    pub runs: Vec<PlannedRun>,
}

/// A run of a sweep.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// The name of its folder.
    pub name: String,
    /// Its configuration, with all values.
    pub config: ValidConfig,
}

impl Plan {
    /// Reads the file of a sweep, and resolves the configuration of every run.
    ///
    /// # Errors
    /// If the file cannot be read, has an unknown key or a value of a wrong type, asks for too many runs,
    /// or if the configuration of a run is not valid.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || path.display().to_string();
        let text =
            read_bounded(path, MOST_BYTES).map_err(|e| request(format!("{}: {e}", place())))?;
        let file: File = toml::from_str(&text)
            .map_err(|e| request(format!("{}: {}", place(), in_words(e.to_string().trim()))))?;
        file.plan().with_context(place)
    }

    /// Returns the runs of a paper's protocol, with its short schedule if `short` is set.
    ///
    /// # Errors
    /// If the configuration of a run is not valid.
    pub fn of_protocol(protocol: &Protocol, short: bool) -> Result<Self> {
        let (base, mut before) = protocol.origin()?;
        before.extend(Override::of_table(&protocol.set)?);
        let (set, grid) = protocol.schedule(short)?;
        let seeds = protocol.seeds.clone();
        File { base, seeds, set, grid, before }.plan()
    }

    /// Returns all runs, cell by cell.
    pub fn runs(&self) -> impl Iterator<Item = &PlannedRun> {
        self.cells.iter().flat_map(|cell| &cell.runs)
    }
}

/// Reads a text of at most `most` bytes.
pub fn read_bounded(path: &Path, most: u64) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if read as u64 > most {
        return Err(std::io::Error::other(format!("the file is longer than {most} bytes")));
    }
    Ok(text)
}

impl File {
    fn plan(&self) -> Result<Plan> {
        if self.seeds.is_empty() {
            return Err(request("seeds: name at least one"));
        }
        if self.seeds.iter().collect::<BTreeSet<_>>().len() != self.seeds.len() {
            return Err(request("seeds: a seed is named twice"));
        }
        let set = flat(&self.set).context("set")?;
        let mut axes: Vec<(String, Vec<Value>)> = Vec::new();
        for (key, value) in flat(&self.grid).context("grid")? {
            let Value::Array(values) = value else {
                return Err(request(format!(
                    "grid: {key} = {value}: a key of the grid has a list of values; a fixed value \
                     belongs under [set]"
                )));
            };
            if values.is_empty() {
                return Err(request(format!("grid: {key} has no values")));
            }
            if set.iter().any(|(other, _)| *other == key) {
                return Err(request(format!("{key} is under [set] and under [grid]")));
            }
            axes.push((key, values));
        }
        let keys = || set.iter().map(|(key, _)| key).chain(axes.iter().map(|(key, _)| key));
        if keys().any(|key| key == "train.seed") {
            return Err(request("train.seed: name the seeds in `seeds`"));
        }
        for table in keys() {
            let within = keys().find(|key| key.starts_with(&format!("{table}.")));
            if let Some(key) = within {
                return Err(request(format!(
                    "{key} is a part of {table}, whose values are whole tables: write it into them"
                )));
            }
        }
        let cells = axes.iter().try_fold(1usize, |n, (_, values)| n.checked_mul(values.len()));
        let runs = cells.and_then(|cells| cells.checked_mul(self.seeds.len()));
        let Some(cells) = cells.filter(|_| runs.is_some_and(|runs| runs <= MOST)) else {
            let n = runs.map_or_else(|| "too many".to_owned(), |runs| runs.to_string());
            return Err(request(format!(
                "the grid asks for {n} runs, and a sweep has at most {MOST}: leave values out"
            )));
        };
        let keys: Vec<String> = axes.iter().map(|(key, _)| key.clone()).collect();
        let short = short_names(&keys);
        let cells = (0..cells).map(|index| {
            let mut rest = index;
            let mut values: Vec<String> = Vec::new();
            for (_, choices) in axes.iter().rev() {
                values.push(choices[rest % choices.len()].to_string());
                rest /= choices.len();
            }
            values.reverse();
            let runs = self.seeds.iter().map(|seed| self.run(&set, &keys, &short, &values, *seed));
            Ok(Cell { runs: runs.collect::<Result<_>>()?, values })
        });
        let cells: Vec<Cell> = cells.collect::<Result<_>>()?;
        check_distinct(&cells)?;
        Ok(Plan { keys, cells })
    }

    /// Returns the run of a cell with a seed.
    fn run(
        &self,
        set: &[(String, Value)],
        keys: &[String],
        short: &[String],
        values: &[String],
        seed: u64,
    ) -> Result<PlannedRun> {
        let over = |key: &String, value: &dyn std::fmt::Display| {
            Override::new(key, value, format!("{key} = {value}"))
        };
        let mut overrides = self.before.clone();
        overrides.extend(set.iter().map(|(key, v)| over(key, v)));
        overrides.extend(keys.iter().zip(values).map(|(key, v)| over(key, v)));
        overrides.push(over(&"train.seed".to_owned(), &seed));
        let config = presets::resolve(&self.base, &overrides)?;
        if !config.train.devices.is_empty() {
            return Err(request(
                "train.devices: a run of a sweep has one device: leave it out, and name the devices of the \
                 sweep with --devices",
            ));
        }
        let parts = short.iter().zip(values).map(|(key, value)| format!("{key}={value}"));
        let name: Vec<String> = parts.chain([format!("seed={seed}")]).collect();
        Ok(PlannedRun { name: file_name(&name.join(",")), config })
    }
}

/// Checks that no two runs have the same settings, or the same folder.
fn check_distinct(cells: &[Cell]) -> Result<()> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut folders = BTreeSet::new();
    for run in cells.iter().flat_map(|cell| &cell.runs) {
        let name = &run.name;
        // Values may be written in two ways, such as 1 and 1.0.
        if let Some(other) = seen.insert(run.config.to_toml(), name) {
            return Err(request(format!(
                "grid: a value is named twice: {other} and {name} are the same run"
            )));
        }
        if !folders.insert(name) {
            return Err(request(format!(
                "grid: two runs would have the same folder, {name}: their values differ in characters that \
                 the name of a folder does not have"
            )));
        }
    }
    Ok(())
}

/// Returns the last words of the keys, or all of a key if two have the same last word.
fn short_names(keys: &[String]) -> Vec<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let is_unique =
        |key: &&String| keys.iter().filter(|other| last(other) == last(key)).count() == 1;
    keys.iter().map(|key| if is_unique(&key) { last(key) } else { key.clone() }).collect()
}

/// Returns a name that every system takes for a folder. Long names end in a hash of the whole.
fn file_name(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "._=,-".contains(c);
    let text: String = text.chars().filter(|c| !"\"[]{} ".contains(*c)).collect();
    let safe: String = text.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    if safe.len() <= LONGEST_NAME {
        return safe;
    }
    // FNV-1a, of 64 bits.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{}-{hash:016x}", &safe[..LONGEST_NAME])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan> {
        toml::from_str::<File>(text)?.plan()
    }

    fn error(text: &str) -> String {
        format!("{:#}", plan(text).unwrap_err())
    }

    #[test]
    fn a_grid_has_every_combination_with_every_seed() {
        let found = plan(
            "base = \"mnist-mlp\"\nseeds = [0, 7]\n[set]\n\"train.epochs\" = 3\n[grid]\n\
             \"objective.beta\" = [1.0, 4.0]\nmodel.encoder.hidden = [[64], [32, 16]]",
        )
        .unwrap();
        assert_eq!(found.keys, ["objective.beta", "model.encoder.hidden"]);
        let names: Vec<&str> = found.runs().map(|run| run.name.as_str()).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[0], "beta=1.0,hidden=64,seed=0");
        assert_eq!(names[3], "beta=1.0,hidden=32,16,seed=7");
        assert_eq!(found.cells[3].values, ["4.0", "[32, 16]"]);
        let config = &found.cells[3].runs[1].config;
        assert_eq!((config.train.epochs, config.train.seed), (3, 7));
        // Without a grid it is one cell.
        assert_eq!(plan("base = \"vamp\"").unwrap().runs().count(), 1);
    }

    #[test]
    fn a_kind_of_the_grid_keeps_the_fixed_settings_of_its_table() {
        let found = plan(
            "base = \"beta-tcvae\"\n[set]\nobjective.beta = 5.0\n[grid]\n\
             \"objective.kind\" = [\"elbo\", \"tc\"]",
        )
        .unwrap();
        for run in found.runs() {
            assert!(run.config.to_toml().contains("beta = 5.0"), "{}", run.config.to_toml());
        }
    }

    #[test]
    fn a_value_of_the_grid_may_be_a_whole_table() {
        let found = plan(
            "base = \"factor-vae\"\n[grid]\n\
             objective = [{ kind = \"elbo\", beta = 2.0 }, { kind = \"tc\", alpha = 0.5 }]",
        )
        .unwrap();
        assert_eq!(found.cells[1].values, ["{ kind = \"tc\", alpha = 0.5 }"]);
        let names: Vec<_> = found.runs().map(|run| run.name.as_str()).collect();
        assert_eq!(
            names,
            ["objective=kind=elbo,beta=2.0,seed=0", "objective=kind=tc,alpha=0.5,seed=0"]
        );
        let configs: Vec<_> = found.runs().map(|run| run.config.to_toml()).collect();
        assert!(configs[0].contains("kind = \"elbo\"\nbeta = 2.0"), "{}", configs[0]);
        // The preset's table is gone: its estimator is the discriminator.
        for part in ["kind = \"tc\"\nalpha = 0.5", "estimator = \"stratified\""] {
            assert!(configs[1].contains(part), "{}", configs[1]);
        }
    }

    #[test]
    fn a_wrong_file_is_refused_before_any_work() {
        let base = "base = \"mnist-mlp\"\n";
        for (text, word) in [
            ("base = 7", "base"),
            ("seeds = [1]", "base"),
            ("base = \"nonsense\"", "nonsense"),
            (&format!("{base}what = 1"), "what"),
            (&format!("{base}seeds = []"), "seeds"),
            (&format!("{base}seeds = [-1]"), "-1"),
            (&format!("{base}seeds = [3, 3]"), "twice"),
            (&format!("{base}[set]\n\"model.latnet\" = 2"), "model.latnet"),
            (&format!("{base}[set]\n\"model.latent\" = \"many\""), "model.latent"),
            (&format!("{base}[grid]\n\"model.latent\" = 2"), "[set]"),
            (&format!("{base}[grid]\n\"model.latent\" = []"), "no values"),
            (&format!("{base}[grid]\n\"model.latent\" = [2, 2]"), "twice"),
            (&format!("{base}[grid]\n\"objective.beta\" = [1, 1.0]"), "twice"),
            (&format!("{base}[grid]\n\"data.source\" = [\"a b\", \"ab\"]"), "same folder"),
            (&format!("{base}[grid]\n\"model.latent\" = [2, \"x\"]"), "model.latent"),
            (&format!("{base}[grid]\n\"train.seed\" = [2]"), "seeds"),
            (&format!("{base}[set]\nmodel.latent = 2\n[grid]\nmodel.latent = [2]"), "[set]"),
            (
                &format!(
                    "{base}[set]\nobjective.beta = 2\n[grid]\nobjective = [{{ samples = 2 }}]"
                ),
                "objective.beta is a part of objective",
            ),
            (
                &format!("{base}[grid]\nobjective = [{{ samples = 2 }}]\n\"objective.beta\" = [2]"),
                "objective.beta is a part of objective",
            ),
            (&format!("{base}[grid]\nobjective = [{{ beta = -1 }}]"), "objective = { beta = -1 }"),
        ] {
            let found = error(text);
            assert!(found.contains(word), "{text}: {found}");
        }
        let many: Vec<String> = (1..=1_000).map(|i| i.to_string()).collect();
        let many = many.join(", ");
        let text = format!("{base}[grid]\nmodel.latent = [{many}]\ntrain.batch_size = [{many}]");
        assert!(error(&text).contains("1000000"), "{}", error(&text));
    }

    #[test]
    fn names_are_those_of_folders() {
        assert_eq!(file_name("kind=\"conv\",hidden=[64, 32]"), "kind=conv,hidden=64,32");
        assert_eq!(file_name("data=my pics/a:b"), "data=mypics_a_b");
        assert_eq!(file_name("a={ kind = \"b\", c = [1, 2] }"), "a=kind=b,c=1,2");
        let long = |end: &str| file_name(&format!("{}{end}", "x".repeat(400)));
        assert!(long("a").len() < 200 && long("a") != long("b"));
        assert_eq!(
            short_names(&["a.kind".to_owned(), "b.kind".to_owned(), "c.d".to_owned()]),
            ["a.kind", "b.kind", "d"]
        );
    }
}
