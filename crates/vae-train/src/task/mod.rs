//! The training task: the configuration, how it is read and checked, and its data.
//!
//! ```text
//! TOML text, presets --+
//! overrides -----------+-- read --> config::TrainConfig -- data::load --> TrainingData
//!                                        |
//!                                   resume_rules: what may change when a run is resumed
//! ```

pub mod config;
pub mod data;
mod overrides;
pub mod presets;
pub mod protocols;
pub(crate) mod read;
mod resume_rules;

pub use overrides::flat;
pub use read::in_words;
