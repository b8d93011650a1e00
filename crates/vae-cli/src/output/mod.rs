//! What is shown and what is written.
//!
//! ```text
//! printer    stdout and stderr: results, messages, --json, -q, -v
//! text       columns of text and counts with commas
//! figures    the figures of a model: name, value, how it was made
//! grid       a table with a row for each run: plain, CSV, Markdown, LaTeX
//! axis       a choice on an axis of a model, as text and as JSON
//! progress   the progress bar
//! show       --show: a written picture in the terminal
//! training   what a training shows and draws while it runs
//! file       a result file: its format, from its name, and its writer
//!   array      .npy   numbers for other programs
//!   table      .csv   vectors with identifiers
//!   frames     .gif   sheets one after the other
//! rows       a result file that is written a part at a time: .npy, .npz, .csv, .parquet
//! ```
//!
//! Sheets and plots are drawn by the crate `vae-view`.

pub mod array;
pub mod axis;
pub mod figures;
pub mod file;
pub mod frames;
pub mod grid;
pub mod printer;
pub mod progress;
pub mod rows;
pub mod show;
pub mod table;
pub mod text;
pub mod training;
