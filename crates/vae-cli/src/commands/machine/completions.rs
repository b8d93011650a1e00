//! `completions`: prints a script that completes commands and flags.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::args::Cli;
use crate::commands::Execute;
use crate::output::printer::Printer;

/// Print a script that completes commands and flags in a shell.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vae-cli completions bash > \
    ~/.local/share/bash-completion/completions/vae-cli")]
pub struct CompletionsArgs {
    /// Shell to print the script for.
    pub shell: Shell,
}

impl Execute for CompletionsArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "vae-cli", &mut script);
        let script = String::from_utf8_lossy(&script);
        printer.result(&script, || json!({ "shell": self.shell.to_string(), "script": script }))
    }
}
