//! What trained models are worth: presets, objectives, priors and encoders, on digits and on real
//! MNIST.

#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adversarial;
mod coach;
mod digits_transfer;
mod mnist;
mod presets;
mod priors;
