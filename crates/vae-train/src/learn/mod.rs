//! Training: the loop, the optimizers, metrics and checkpoints.
//!
//! ```text
//! assemble -> Trainer -- step ------> Replicas: gradients of shares of the batch
//!   new or       |         |
//!   resumed      |         |            (or of parts of it on Mirrors: further devices)
//!                |         +--------> Optimizer, Schedule: update of the parameters
//!                |         (both on the threads of a Team)
//!                +-- Average (with `train.ema_decay`): of the weights, evaluated and written
//!                |
//!                +-- metrics -------> Event -> Observer (a log, a progress bar, sheets)
//!                +-- Coach ---------> Advice, another Event
//!                +-- Checkpoint ----> Run: a folder, its lock, its log
//! ```

mod assemble;
mod average;
pub(crate) mod checkpoint;
pub mod coach;
pub(crate) mod events;
mod learning;
mod metrics;
pub(crate) mod mirrors;
pub mod optimizer;
pub(crate) mod replicas;
pub(crate) mod run;
pub mod schedule;
mod step;
pub(crate) mod trainer;
