//! What a person types and sees: arguments, one file per command, tables, progress, pictures.
//!
//! Results go to stdout, talk goes to stderr. Exit code 0: done; 1: it failed while working; 2: the
//! request was wrong.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod args;
mod array;
mod axis;
mod commands;
mod failure;
mod open;
mod picture;
mod printer;
mod progress;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use printer::Printer;

/// Runs the program with `arguments` (the program's name first) and gives its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results and go to stdout with 0; a wrong flag is 2.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let printer = Printer::new(&cli);
    match run(cli.command, &printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(command: Command, printer: &Printer) -> anyhow::Result<()> {
    match command {
        Command::Train(args) => commands::train::run(&args, printer),
        Command::Sample(args) => commands::sample::run(&args, printer),
        Command::Reconstruct(args) => commands::reconstruct::run(&args, printer),
        Command::Interpolate(args) => commands::interpolate::run(&args, printer),
        Command::Evaluate(args) => commands::evaluate::run(&args, printer),
        Command::Classify(args) => commands::classify::run(&args, printer),
        Command::Encode(args) => commands::encode::run(&args, printer),
        Command::Decode(args) => commands::decode::run(&args, printer),
        Command::Info(args) => commands::info::run(&args, printer),
        Command::Runs(args) => commands::runs::run(&args, printer),
        Command::Presets(args) => commands::presets::run(&args, printer),
        Command::Data(args) => commands::data::run(&args, printer),
        Command::Bench(args) => commands::bench::run(&args, printer),
        Command::Doctor(args) => commands::doctor::run(&args, printer),
        Command::Completions(args) => commands::completions::run(&args, printer),
    }
}
