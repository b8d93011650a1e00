//! SHA-256 of files, as hexadecimal text.

use crate::error::DataError;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Checks the SHA-256 of a file.
pub fn verify(path: &Path, expected: &str) -> Result<(), DataError> {
    let found = hash(path).map_err(|e| DataError::io(path, e))?;
    matches(path, expected, &found)
}

/// Checks that the SHA-256 `found` of a file equals the published one.
pub fn matches(path: &Path, expected: &str, found: &str) -> Result<(), DataError> {
    if expected == found {
        return Ok(());
    }
    let why = format!(
        "wrong checksum: the published SHA-256 is {expected}, and this file has {found}; delete it \
         to download it again"
    );
    Err(DataError::malformed(path, why))
}

fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_names_the_file_both_hashes_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // The first example of FIPS 180-2.
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&path, right).unwrap();
        let error = verify(&path, &"0".repeat(64)).unwrap_err().to_string();
        for part in [path.to_str().unwrap(), right, &"0".repeat(64), "delete it"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
