//! The two streams: results on stdout, messages on stderr.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::args::Cli;

/// Prints results and messages as `--json`, `-q` and `-v` ask.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
    quiet: bool,
    verbose: bool,
}

impl Printer {
    /// Makes the printer that the flags of `cli` ask for.
    pub fn new(cli: &Cli) -> Self {
        Self { json: cli.json, quiet: cli.quiet, verbose: cli.verbose }
    }

    /// Prints a message on stderr, except with `-q`.
    pub fn say(&self, message: &str) {
        if !self.quiet {
            print_to_stderr(message);
        }
    }

    /// Prints a message on stderr with `-v` only.
    pub fn detail(&self, message: &str) {
        if self.verbose {
            print_to_stderr(message);
        }
    }

    /// Prints a warning on stderr, with `-q` too.
    pub fn warn(&self, message: &str) {
        print_to_stderr(&format!("warning: {message}"));
    }

    /// Returns whether to show progress bars: stderr is a terminal, and `-q` is not given.
    pub fn shows_bars(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Returns whether the result is printed as JSON.
    pub fn prints_json(&self) -> bool {
        self.json
    }

    /// Prints the result on stdout: `json` with `--json`, else `text`.
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

/// Prints a line on stderr.
pub fn print_to_stderr(message: &str) {
    // If stderr is closed, nobody reads messages; the work goes on.
    let _ = writeln!(io::stderr().lock(), "{message}");
}
