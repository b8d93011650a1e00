//! Pictures of a model, its data or its training, for commands, `train` and the report: what is drawn is
//! decided here, how it is drawn in `vae-view`.
//!
//! ```text
//! sheets      samples, those of each class, reconstructions
//! traversal   one latent dimension at a time
//! codes       a map of the codes of data
//! log         curves of what runs have logged
//! overview    the four that say most, in one picture
//! ```

pub mod codes;
pub mod log;
pub mod overview;
pub mod sheets;
pub mod traversal;
