//! Variational autoencoders as compositions of a few independent choices, on Burn.
//!
//! A model is one choice on each axis: network ([`network`]), posterior q(z|x) ([`posterior`]), prior
//! p(z) ([`prior`]), likelihood p(x|z) ([`likelihood`]), perhaps a condition ([`Condition`]); it is trained by
//! one objective ([`objective`]), some of which have a second player ([`critic`]). A published variant is a combination of choices, never a type of its own.
//!
//! Conventions, everywhere: x is `[batch, numbers]` (an image is flattened `[c, h, w]`), draws are
//! `[k, batch, latent]`, quantities are nats per image, summed over pixels and dimensions. Models draw
//! no random numbers: a [`Noise`] is an argument.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
pub mod bound;
pub mod check;
pub mod classifier;
pub mod config;
pub mod critic;
pub mod divergence;
pub mod error;
mod file;
pub mod init;
mod learnable;
pub mod likelihood;
mod math;
pub mod network;
pub mod noise;
pub mod objective;
mod ops;
pub mod parameters;
pub mod posterior;
pub mod prior;
mod vae;

pub use batch::Batch;
pub use classifier::{Classifier, load_classifier};
pub use error::{ConfigError, FileError};
pub use file::{ModelFile, load};
pub use learnable::{Learnable, Player};
pub use noise::Noise;
pub use objective::{Loss, ObjectiveConfig};
pub use vae::{Condition, Domain, MAX_CLASSES, MAX_NUMBERS, MAX_WEIGHTS, Vae, VaeConfig};
