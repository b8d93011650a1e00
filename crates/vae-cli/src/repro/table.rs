//! Results as rows of a Markdown table, in a document that is kept.

use std::path::Path;

use anyhow::{Context, Result};
use vae_model::write_atomically;

use super::result::Reproduced;
use crate::failure::request;

/// The lines around the table in a document.
const BEGIN: &str = "<!-- results of `vae-cli repro` -->";
const END: &str = "<!-- end of results -->";
const HEAD: [&str; 2] = [
    "| command | epochs | seeds | figure | paper | here | verdict | training | machine |",
    "|---|---|---|---|---|---|---|---|---|",
];

/// Puts rows into the table of the document at `path`. A row of the same command is replaced; the others
/// stay.
///
/// # Errors
/// If the file cannot be read or written, or has no place for the table.
pub fn fill(path: &Path, results: &[Reproduced]) -> Result<()> {
    let place = || path.display().to_string();
    let [before, table, after] = parts(path)?;
    let mut rows: Vec<String> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter(|line| !results.iter().any(|result| line.starts_with(&first_cell(result))))
        .map(str::to_owned)
        .collect();
    rows.extend(results.iter().map(row));
    rows.sort();
    let table: Vec<String> = HEAD.map(str::to_owned).into_iter().chain(rows).collect();
    let text = format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", table.join("\n"));
    write_atomically(path, text.as_bytes()).with_context(place)
}

/// Checks that the document at `path` has a place for the table.
///
/// # Errors
/// If not.
pub fn check(path: &Path) -> Result<()> {
    parts(path).map(drop)
}

/// Returns the text before the table, the table, and the text after it.
fn parts(path: &Path) -> Result<[String; 3]> {
    let place = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| request(format!("{}: {e}", place())))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (table, after) = rest.split_once(END)?;
        Some([before, table, after].map(str::to_owned))
    });
    parts.ok_or_else(|| {
        request(format!(
            "{}: it has no place for the table: write a line {BEGIN} and a line {END}",
            place()
        ))
    })
}

/// Returns the start of a row, up to the end of its first cell.
fn first_cell(result: &Reproduced) -> String {
    let short = if result.short { " --short" } else { "" };
    format!("| `repro {}{short}` |", result.protocol)
}

/// Returns a row of the table.
fn row(result: &Reproduced) -> String {
    let digits = if result.value.abs() < 10.0 { 3 } else { 2 };
    let number = |value: f64| format!("{value:.digits$}");
    let plus_minus =
        |error: Option<f64>| error.map(|e| format!(" +- {}", number(e))).unwrap_or_default();
    let mut here = number(result.value) + &plus_minus(result.stderr);
    for other in &result.others {
        here += &format!(
            "; with `{}` {}, difference {}{}",
            other.name,
            number(other.value),
            number(other.difference),
            other.interval.map(|i| format!(" +- {} (95 %)", number(i))).unwrap_or_default()
        );
    }
    let seeds: Vec<String> = result.seeds.iter().map(u64::to_string).collect();
    let paper = result.paper.map_or_else(|| "-".to_owned(), number);
    format!(
        "{} {} | {} | {} | {paper} ({}) | {here} | {} | {} | {} |",
        first_cell(result),
        result.epochs,
        seeds.join(", "),
        result.figure,
        result.source,
        result.verdict,
        duration(result.training_seconds),
        result.machine
    )
}

/// Returns a duration for people: hours and minutes, or minutes, or seconds.
pub fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0..=1 => format!("{seconds:.0} s"),
        2..=99 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(protocol: &str, short: bool, value: f64) -> Reproduced {
        Reproduced {
            protocol: protocol.to_owned(),
            short,
            epochs: 7,
            seeds: vec![0, 1],
            figure: "nll".to_owned(),
            value,
            stderr: Some(0.5),
            paper: Some(86.0),
            source: "somebody".to_owned(),
            verdict: "reached".to_owned(),
            others: Vec::new(),
            training_seconds: 7300.0,
            machine: "flex".to_owned(),
            version: String::new(),
        }
    }

    #[test]
    fn rows_are_replaced_by_command_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.md");
        std::fs::write(&path, format!("before\n{BEGIN}\n{END}\nafter\n")).unwrap();
        fill(&path, &[result("a", false, 90.0), result("a", true, 95.0)]).unwrap();
        fill(&path, &[result("a", true, 94.0), result("b", false, 0.25)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("before\n") && text.ends_with("\nafter\n"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert!(rows[0].contains("94.00") && rows[1].contains("90.00"), "{text}");
        assert!(rows[2].contains("0.250 +- 0.500") && rows[2].contains("2 h 2 min"), "{text}");
        // The same again changes nothing.
        fill(&path, &[result("b", false, 0.25)]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        std::fs::write(&path, "no place").unwrap();
        assert!(fill(&path, &[]).unwrap_err().to_string().contains(BEGIN));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        assert_eq!([12.0, 400.0, 9000.0].map(duration), ["12 s", "7 min", "2 h 30 min"]);
    }
}
