//! The same training again: resumed, and on another backend.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod backends;
mod resume;
