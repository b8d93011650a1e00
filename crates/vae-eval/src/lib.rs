//! Evaluation of trained VAEs, and their outputs.
//!
//! This crate depends on `vae-model` and `vae-data`, not on training. Its inputs are a
//! [`Vae`](vae_model::Vae), examples, the transform from examples to x, a device and a seed.
//!
//! ```text
//!                         +-- Evaluator       bound, KL, active units, nll by two estimators
//!   Vae + Examples -------+-- Classification  accuracy from few labels  --> SavedClassifier
//!   + Transform           +-- Generator       samples, reconstructions, codes, interpolations
//!   + Device, seed        |        |
//!                         |        +-- FittedPrior   a prior over z, fitted on codes
//!                         +-- parity          compares the results of two devices
//! ```
//!
//! All random numbers come from [`KeyedNoise`]: the same seed gives the same results on every
//! backend and for every chunk size.
//!
//! The example evaluates an untrained model on built-in digits and samples from it:
//!
#![cfg_attr(feature = "flex", doc = "```")]
#![cfg_attr(not(feature = "flex"), doc = "```ignore")]
//! use std::sync::Arc;
//!
//! use burn::tensor::Device;
//! use vae_data::{Environment, OpenedSource, Pixels, Scale, SourceSettings, Split, Transform};
//! use vae_eval::{Evaluator, Generator, KeyedNoise, Phase, PriorSource};
//! use vae_model::{DataSpec, VaeConfig, VaeSpec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = Environment::default();
//! let digits = OpenedSource::open("digits", &SourceSettings::default(), &environment)?;
//! let mut examples = digits.read(Split::Test, &environment)?;
//! examples.truncate(64);
//! let transform = Arc::new(Transform::fit(&examples, Pixels::Grey, Scale::None)?);
//! let device = Device::flex();
//! let data = DataSpec::new(&examples.shape.dims());
//! let spec = VaeSpec::new(VaeConfig::default(), data)?;
//! let vae = spec.init(&KeyedNoise::new(0, Phase::Init), &device);
//!
//! let (test, seed) = (Arc::new(examples), 0);
//! let evaluator = Evaluator::new(test, Arc::clone(&transform), device.clone(), seed)?;
//! let evaluation = evaluator.evaluate(&vae, 0, &|_| {})?;
//! assert_eq!(evaluation.images, 64);
//! // An untrained model predicts pixels like a fair coin: about log 2 nats per pixel.
//! let coin = 784.0 * std::f64::consts::LN_2;
//! assert!((evaluation.neg_elbo.unwrap_or(f64::NAN) / coin - 1.0).abs() < 0.1);
//!
//! let prior = Some(PriorSource::Model);
//! let generator = Generator { vae, transform, device, seed: 0, prior };
//! assert_eq!(generator.sample(16, None, false)?.len(), 16 * 28 * 28);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod aggregate;
mod annealed;
mod calibration;
mod check;
pub mod classify;
mod disentanglement;
mod error;
mod evaluate;
mod fidelity;
pub mod fitted;
mod generate;
mod importance;
mod labels;
mod latent;
mod noise;
pub mod parity;
mod probe;
mod quality;
pub mod record;
mod statistics;
mod support;
mod team;

pub use annealed::MOST_STEPS as MOST_ANNEALING_STEPS;
pub use calibration::Interval;
pub use check::check_examples;
pub use disentanglement::Disentanglement;
pub use error::EvalError;
pub use evaluate::{Annealed, COMPARED, CurvePoint, Evaluation, Evaluator, Metrics};
pub use fitted::{FittedPrior, GaussianMixture};
pub use generate::{CHUNK, Encoding, Generator, Path, PriorSource};
pub use labels::one_hot_of;
pub use latent::{LatentSummary, PrincipalAxes, normal_quantile};
pub use noise::{KeyedNoise, Phase};
pub use quality::{FeatureNetwork, Quality};
pub use statistics::{Mean, mean_and_interval};
pub use support::{support_of, support_of_pixels};
pub use team::{Job, Team};
