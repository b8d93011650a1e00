//! Variational autoencoders as compositions of a few independent choices, on Burn.
//!
//! ```text
//!              Vae (vae.rs), built from a VaeSpec
//!  x -> Encoder -> Posterior -> q(z|x) -> z -> Decoder -> p(x|z)    network, posterior, likelihood
//!                                 |                         |
//!                    p(z)  <->    KL                  log p(x|z)    prior, bound
//!                                 \________ Loss __________/        objective (+ critic)
//! ```
//!
//! A model is one choice on each axis: network ([`network`]), posterior q(z|x) ([`posterior`]),
//! prior p(z) ([`prior`]), likelihood p(x|z) ([`likelihood`]) and an optional condition
//! ([`Condition`]). It is trained by one objective ([`objective`]). Some objectives also train a
//! [`critic`]. A published variant is a combination of choices, not a type of its own.
//! [`compatibility`] has the rules for combinations.
//!
//! Conventions: x is `[batch, numbers]` (an image is flattened `[c, h, w]`). k draws of z per
//! example are `[k, batch, latent]`. Losses are in nats per example, summed over numbers and latent
//! dimensions. Random numbers come from a [`Noise`] argument.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::{Device, Tensor};
//! use vae_model::{DataSpec, Noise, VaeConfig, VaeSpec};
//!
//! /// Constant noise. A real source returns numbers that depend on purpose and position.
//! struct Fixed;
//! impl Noise for Fixed {
//!     fn normal(&self, _purpose: &str, shape: [usize; 3]) -> Vec<f32> {
//!         vec![0.1; shape.iter().product()]
//!     }
//!     fn uniform(&self, _purpose: &str, shape: [usize; 3]) -> Vec<f32> {
//!         vec![0.4; shape.iter().product()]
//!     }
//!     fn permutation(&self, _purpose: &str, n: usize) -> Vec<u32> {
//!         (0..n as u32).collect()
//!     }
//! }
//!
//! let device = Device::flex();
//! let config = VaeConfig { latent: 2, ..VaeConfig::default() };
//! let spec = VaeSpec::new(config, DataSpec::new(&[1, 8, 8])).unwrap();
//! let vae = spec.init(&Fixed, &device);
//! let x = Tensor::<2>::zeros([3, 64], &device);
//! let q = vae.encode(x.clone(), None);
//! let z = q.draw(&Fixed, 1).z.squeeze_dim::<2>(0);
//! assert_eq!(z.dims(), [3, 2]);
//! assert_eq!(vae.decode(z, None).log_prob(x).dims(), [1, 3]);
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(test)]
mod axes;
mod batch;
pub mod bound;
pub mod check;
pub mod classifier;
pub mod compatibility;
pub mod config;
pub mod critic;
mod description;
pub mod divergence;
pub mod error;
mod file;
pub mod init;
pub mod likelihood;
pub mod math;
mod multiplications;
pub mod network;
mod networks;
mod networks_spec;
pub mod noise;
pub mod objective;
mod ops;
pub mod parameters;
pub mod posterior;
pub mod prior;
mod support;
mod vae;

pub use batch::Batch;
pub use classifier::{Classifier, load_classifier};
pub use description::{
    Condition, DataSpec, InitialWeights, MAX_CLASSES, MAX_NUMBERS, MAX_WEIGHTS, VaeConfig,
};
pub use error::{ConfigError, FileError};
pub use file::{AtomicFile, ModelFile, load, write_atomically};
pub use multiplications::Multiplications;
pub use networks::{Networks, Role};
pub use networks_spec::NetworksSpec;
pub use noise::Noise;
pub use objective::{Loss, ObjectiveConfig};
pub use ops::{is_on_host, with_numbers};
pub use support::Support;
pub use vae::{Vae, VaeSpec};
