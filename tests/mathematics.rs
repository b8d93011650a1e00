//! What a formula says, checked without training: golden numbers of independent programs, and
//! properties that hold by mathematics alone.

#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "golden/common.rs"]
mod common;
mod golden;
mod golden_axes;
mod golden_counts;
mod properties;
