//! Sources that are made by the program: the same bytes on every machine, no network.
//!
//! One file each, named as the source is. The catalog lists them.

pub mod curves;
pub mod digits;
