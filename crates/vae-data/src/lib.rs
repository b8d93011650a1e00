//! Data for VAEs: from files and built-in data sets to batches.
//!
//! ```text
//!   Source ---------> Examples ----------> Transform ----------> Batch
//!   a named set,      one host buffer:     how stored values     x on a device,
//!   a folder,         images of bytes      become x: pixels      [batch, numbers],
//!   a file            or vectors of f32,   to [0, 1], columns    gathered ahead
//!                     labels, factors      to mean 0 ...         by ImageBatcher
//! ```
//!
//! A [`source::Source`] reads examples. [`OpenedSource::open`] finds the source that a
//! specification names, with the settings of a configuration. Random numbers are keyed ([`rng`]):
//! the same seed gives the same numbers on every machine.
//!
//! ```
//! use vae_data::rng::Stream;
//! use vae_data::source::{Environment, OpenedSource, SourceSettings};
//! use vae_data::{Pixels, Scale, Shape, Split, Support, Transform};
//!
//! # fn main() -> Result<(), vae_data::DataError> {
//! let environment = Environment::default();
//! let curves = OpenedSource::open("curves", &SourceSettings::default(), &environment)?;
//! let test = curves.read(Split::Test, &environment)?;
//! assert_eq!((test.len(), test.shape), (1_000, Shape::Vector { len: 256 }));
//!
//! let transform = Transform::fit(&test, Pixels::Grey, Scale::Standardize)?;
//! assert_eq!(transform.support(&test), Support::Reals);
//! // The first two curves as x, [2, 256].
//! let x = transform.gather(&test, &[0, 1], &Stream::new(0, "pixels"));
//! assert_eq!(x.len(), 2 * 256);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
pub mod digits;
mod error;
mod examples;
mod hold_out;
mod record;
mod resident;
pub mod rng;
pub mod source;
mod split;
pub mod sprites;
mod support;
mod transform;

pub use batch::{Batch, Batches, ImageBatcher};
pub use error::DataError;
pub use examples::{Examples, Factors, Shape, Values, spread_out};
pub use hold_out::hold_out;
pub use record::DataRecord;
pub use resident::Resident;
pub use source::{Environment, OpenedSource, Source, SourceSettings};
pub use split::Split;
pub use support::Support;
pub use transform::{Pixels, Scale, Transform};
