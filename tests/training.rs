//! The same training again: resumed, on another backend, and by a later version.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod backends;
#[cfg(feature = "flex")]
mod former_versions;
mod resume;
