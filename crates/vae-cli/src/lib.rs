//! The command line of the workspace: parses what a person types, runs it, and prints the result.
//!
//! Everything that is learned, read or measured is in the libraries below; this crate knows flags,
//! files that are written, and words for people.
//!
//! ```text
//!   vae-cli sample --n 64 --out sheet.png
//!      |
//!   args       shared flags; parsing only validates
//!      |
//!   commands   one file per command: its flags, its help, what it does
//!      |    \
//!      |    open      from flags to backend, model, data       -> vae-train, vae-data
//!      |
//!      |    pictures  what of a model or a run is drawn        -> vae-view
//!      |
//!      |    sweep     runs of a grid of settings, in processes of their own
//!      |    repro     results of the protocols of papers, which are sweeps
//!      |
//!   output     stdout and stderr, files of results, progress
//!
//!   addresses  names for devices elsewhere, from the user's configuration
//!   failure    from an error to a message, a flag that helps, and an exit code
//!   signal     Ctrl-C
//!   supervise  gives a command up whose device elsewhere is lost
//! ```
//!
//! Results go to stdout; progress, warnings and errors go to stderr.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | success |
//! | 1 | the work failed: disk, device, NaN |
//! | 2 | the request was wrong: flag, configuration, unreadable or malformed input |
//! | 130 | a second Ctrl-C stopped a training at once |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(feature = "remote")]
mod addresses;
mod args;
mod commands;
mod failure;
mod open;
mod output;
mod pictures;
mod repro;
mod signal;
mod supervise;
mod sweep;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use commands::Execute;
use output::printer::Printer;

/// Runs the program with `arguments` (the name of the program first) and returns its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with exit code 0; a wrong flag is exit code 2.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let printer = Printer::new(&cli);
    match supervise::run(move || cli.command.execute(&printer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
