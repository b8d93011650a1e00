//! Published files: what is known of each, checking one that is here, and downloading one that is
//! not.

pub mod checksum;
pub mod fetch;

/// A published file.
#[derive(Debug)]
pub struct PublishedFile {
    /// Its name, at the mirrors and on disk.
    pub name: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: &'static str,
}

/// Describes a published file.
pub const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> PublishedFile {
    PublishedFile { name, bytes, sha256 }
}
