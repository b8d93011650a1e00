//! Where a VAE's examples come from: one road from bytes to a batch.
//!
//! Every [`Source`] ends in [`Examples`], one host buffer; a [`Transform`] says how its values become x;
//! an [`ImageBatcher`] makes tensors of them. Everything random is keyed ([`rng`]).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
pub mod digits;
mod error;
mod examples;
mod part;
pub mod rng;
pub mod source;
mod split;
mod transform;

pub use batch::{Batch, Batches, ImageBatcher};
pub use error::DataError;
pub use examples::{Examples, Factors, Shape, Values};
pub use part::Part;
pub use source::Source;
pub use split::hold_out;
pub use transform::{Pixels, Scale, Transform};
