//! How learning runs: one loop, what it optimizes with, and what it leaves behind.
//!
//! ```text
//! assemble -> Trainer -- step ------> Replicas: gradients, a share of the batch each
//!   new or       |         |
//!   resumed      |         +--------> Optimizer, Schedule: parameters move
//!                |
//!                +-- metrics -------> Event -> Observer (a log, a progress bar, sheets)
//!                +-- Checkpoint ----> Run: a folder, its lock, its log
//! ```

mod assemble;
pub(crate) mod checkpoint;
pub(crate) mod events;
mod metrics;
pub mod optimizer;
pub(crate) mod replicas;
pub(crate) mod run;
pub mod schedule;
mod step;
pub(crate) mod trainer;
