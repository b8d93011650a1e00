//! `completions`: a script that completes commands and flags.

use anyhow::Result;
use clap::CommandFactory;
use serde_json::json;

use crate::args::{Cli, CompletionsArgs};
use crate::printer::Printer;

/// Prints the script.
pub fn run(args: &CompletionsArgs, printer: &Printer) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vae-cli", &mut script);
    let script = String::from_utf8_lossy(&script);
    printer.result(&script, || json!({ "shell": args.shell.to_string(), "script": script }))
}
