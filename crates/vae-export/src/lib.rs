//! Trained models in the formats of other programs, and back: files in, files out.
//!
//! ```text
//! weights   named tensors in PyTorch's layout      .safetensors, a folder for a model hub
//!           and back to a run                      .safetensors, .pt
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod error;
pub mod weights;

pub use error::{ExportError, Mismatch};
