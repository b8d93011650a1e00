//! The real program, run as a process in a folder of its own.

#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arrays;
mod bad_input;
mod browser;
mod built_in_model;
mod cli;
mod documents;
mod estimates;
mod exports;
mod help;
#[cfg(unix)]
mod interruption;
mod onnx;
#[cfg(all(feature = "remote", target_os = "linux"))]
mod remote;
mod repro;
mod sweep;
mod tensorboard;
mod tutorial;

use vae_tests::Program;

/// The program built with these tests, in a new folder.
fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_vae-cli-tested"))
}
