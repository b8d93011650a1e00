//! Trained models in the formats of other programs.
//!
//! ```text
//! onnx/   encoder and decoder as graphs of operations    encoder.onnx, decoder.onnx
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod error;
pub mod onnx;

pub use error::ExportError;
