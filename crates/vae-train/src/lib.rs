//! Training of VAEs: from a configuration and data to a trained model in one file.
//!
//! ```text
//!   task                                learn
//!   TOML, presets, overrides            Trainer: the loop
//!     -> TrainConfig                --> optimizer, replicas --> Run: folder, lock, log
//!     -> TrainingData               --> events, metrics     --> Checkpoint: one file
//!   backend                                                       |
//!     -> Backend                                                  v
//!                                              vae-eval: Evaluator, Generator, Classification
//! ```
//!
//! Make a [`ValidConfig`] (by [`presets::resolve`] from a preset, or by [`TrainConfig::from_toml`]
//! from your own TOML), load its data with [`data::load`], open a [`Backend`], and run a [`Trainer`]. The result is a [`Checkpoint`]. A
//! [`Generator`](vae_eval::Generator) or an [`Evaluator`](vae_eval::Evaluator) of `vae-eval` uses
//! its parts.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use vae_data::Environment;
//! use vae_train::{Backend, Ending, TrainConfig, Trainer, data};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = r#"
//! model.latent = 2
//! data.source = "digits"
//! data.limit = 64
//! train.batch_size = 32
//! train.max_steps = 4
//! "#;
//! let config = TrainConfig::from_toml("example", text, &[])?;
//! let data = data::load(&config, &Environment::default())?;
//! let mut trainer = Trainer::new(config, data, &Backend::any_cpu()?)?;
//! let ending = trainer.train(None, vec![], &AtomicBool::new(false))?;
//! assert_eq!(ending, Ending::Finished);
//! assert_eq!(trainer.progress().step, 4);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod backend;
mod error;
mod learn;
#[cfg(feature = "remote")]
pub mod remote;
mod task;

pub use backend::Backend;
pub use error::TrainError;
pub use learn::checkpoint::{Checkpoint, Progress, RunRecord, RunningAverage};
pub use learn::coach;
pub use learn::events::{Event, Observer};
pub use learn::mirrors::Speeds;
pub use learn::replicas::{Replicas, Share};
pub use learn::run::{CheckpointKind, MetricsLog, Run, RunLock, TensorBoard};
pub use learn::trainer::{Ending, Trainer};
pub use learn::{optimizer, schedule};
pub use task::config::{Override, TrainConfig, ValidConfig};
pub use task::{config, data, flat, in_words, presets, protocols};

/// The examples of the README, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
