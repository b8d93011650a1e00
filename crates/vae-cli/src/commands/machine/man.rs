//! `man`: writes manual pages.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use serde_json::json;
use vae_model::write_atomically;

use crate::args::Cli;
use crate::commands::Execute;
use crate::output::printer::Printer;

/// Write manual pages: one for the program, and one for each command.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vae-cli man --out man1")]
pub struct ManArgs {
    /// Folder to write them to, such as ~/.local/share/man/man1.
    #[arg(long, default_value = "man1", value_name = "DIR")]
    pub out: PathBuf,
}

impl Execute for ManArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let mut program = Cli::command();
        // Flags that all commands take stand on each page, and commands know their full name.
        program.build();
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        let commands: Vec<clap::Command> = program
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
            .cloned()
            .collect();
        let mut pages = Vec::new();
        for command in [program].into_iter().chain(commands) {
            let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
            let path = self.out.join(format!("{name}.1"));
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            write_atomically(&path, &page).with_context(|| path.display().to_string())?;
            pages.push(path.display().to_string());
        }
        printer.result(&pages.join("\n"), || json!({ "pages": pages }))
    }
}
