//! How a VAE learns: a validated configuration, one training loop, one-file checkpoints, events.
//!
//! Start from a [`TrainConfig`] (a preset of [`presets`], or your own TOML), [`data::load`] what it names,
//! open a [`Backend`], and let a [`Trainer`] run. A [`Checkpoint`] is what is left: give its parts to a
//! [`Generator`] to make things or to a [`Judge`] to be judged.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod adam;
pub mod backend;
mod checkpoint;
pub mod classify;
pub mod config;
pub mod data;
mod error;
mod evaluate;
mod events;
mod generate;
mod noise;
pub mod optimizer;
pub mod parity;
pub mod presets;
mod replicas;
mod run;
mod sampler;
pub mod schedule;
mod trainer;

pub use backend::Backend;
pub use checkpoint::{Checkpoint, Progress, RunRecord};
pub use config::{Override, TrainConfig};
pub use error::TrainError;
pub use evaluate::{Evaluation, Judge, Mean, is_likelihood};
pub use events::{Event, Metrics, Observer};
pub use generate::{Generator, PriorSource, labels_of};
pub use noise::{KeyedNoise, Phase};
pub use replicas::{Replicas, Share};
pub use run::{MetricsLog, Run, RunLock, Which};
pub use sampler::{GaussianMixture, Sampler};
pub use trainer::{Ending, Trainer};

/// The examples of the README, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
