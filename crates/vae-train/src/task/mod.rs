//! What is to be done: the configuration, how it is read and checked, and the data that it names.
//!
//! ```text
//! TOML text, presets --+
//! overrides -----------+-- read --> config::TrainConfig -- data::load --> TrainingData
//!                                        |
//!                                   resume_rules: what may change when a run goes on
//! ```

pub mod config;
pub mod data;
mod overrides;
pub mod presets;
pub(crate) mod read;
mod resume_rules;
