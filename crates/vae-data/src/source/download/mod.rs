//! Published files: their description, checksum and download.

pub mod checksum;
pub mod fetch;

/// A published file.
#[derive(Debug)]
pub struct PublishedFile {
    /// The name, on mirrors and on disk.
    pub name: &'static str,
    /// The size in bytes.
    pub bytes: u64,
    /// The SHA-256, in hexadecimal.
    pub sha256: &'static str,
}

/// Makes the description of a published file.
pub const fn file(name: &'static str, bytes: u64, sha256: &'static str) -> PublishedFile {
    PublishedFile { name, bytes, sha256 }
}
