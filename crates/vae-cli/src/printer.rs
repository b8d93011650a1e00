//! Who says what where: results on stdout, talk on stderr, one JSON object instead if asked for.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::args::Cli;

/// Owns verbosity and the two streams.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// Whether results are one JSON object.
    pub json: bool,
    quiet: bool,
    verbose: bool,
}

impl Printer {
    /// As the command line asks.
    pub fn new(cli: &Cli) -> Self {
        Self { json: cli.json, quiet: cli.quiet, verbose: cli.verbose }
    }

    /// Talk: what is being done. Silenced by `-q`.
    pub fn say(&self, message: &str) {
        if !self.quiet {
            complain(message);
        }
    }

    /// Talk for those who asked for more, with `-v`.
    pub fn detail(&self, message: &str) {
        if self.verbose {
            complain(message);
        }
    }

    /// What must be heard even under `-q`.
    pub fn warn(&self, message: &str) {
        complain(&format!("warning: {message}"));
    }

    /// Whether a moving progress bar makes sense.
    pub fn has_bar(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// The result: `json` if that was asked for, else `text`.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn result(&self, text: &str, json: impl FnOnce() -> Value) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json())?;
        } else if !text.is_empty() {
            writeln!(out, "{}", text.trim_end())?;
        }
        out.flush()?;
        Ok(())
    }
}

/// A line on stderr.
pub fn complain(message: &str) {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// Rows as columns of even width, two spaces apart; numbers are aligned by the caller.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A count with commas between thousands.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_a_comma_every_three_digits() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(60_000), "60,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn columns_line_up_and_lines_do_not_trail() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&rows), "a    bb\nccc  d");
    }
}
