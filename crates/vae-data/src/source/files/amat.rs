//! `.amat` text: one image per line, with pixels 0 or 1 separated by spaces, plain or gzip.

use super::bounded::{Input, reserve};
use crate::error::DataError;
use sha2::{Digest, Sha256};
use std::path::Path;

/// The content of an `.amat` file.
pub struct Pixels {
    /// The pixels as 0 and 255, `[lines, width]`.
    pub bytes: Vec<u8>,
    /// The SHA-256 of the decompressed text, in hexadecimal.
    pub sha256: String,
}

/// Reads `lines` lines of `width` pixels.
///
/// # Errors
/// For wrong content, at the first unexpected byte. No more is read than what was published.
pub fn read(path: &Path, lines: usize, width: usize) -> Result<Pixels, DataError> {
    let mut input = Input::open(path)?;
    let mut hash = Sha256::new();
    let mut parser =
        Parser { path, lines, width, line: 1, column: 0, spaced: true, pixels: vec![] };
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        parser.feed(&buffer[..n])?;
    }
    Ok(Pixels { bytes: parser.finish()?, sha256: hex::encode(hash.finalize()) })
}

struct Parser<'a> {
    path: &'a Path,
    lines: usize,
    width: usize,
    /// The current line, counted from 1.
    line: usize,
    /// Number of pixels of the current line so far.
    column: usize,
    /// Whether a space or line end follows the last pixel.
    spaced: bool,
    pixels: Vec<u8>,
}

impl Parser<'_> {
    fn feed(&mut self, text: &[u8]) -> Result<(), DataError> {
        // The buffer grows with the number of pixels read, up to the largest possible number.
        let most = (self.lines * self.width).saturating_sub(self.pixels.len());
        if self.pixels.capacity() - self.pixels.len() < text.len().min(most) {
            let more = most.min(self.pixels.len().max(text.len()));
            reserve(&mut self.pixels, more)?;
        }
        for &byte in text {
            match byte {
                b'0' | b'1'
                    if self.spaced && self.column < self.width && self.line <= self.lines =>
                {
                    self.pixels.push(if byte == b'1' { 255 } else { 0 });
                    self.column += 1;
                    self.spaced = false;
                }
                b' ' if !self.spaced => self.spaced = true,
                b'\n' if self.column == self.width => {
                    self.line += 1;
                    self.column = 0;
                    self.spaced = true;
                }
                _ => return Err(self.unexpected(byte)),
            }
        }
        Ok(())
    }

    /// Returns the error for the unexpected `byte` at the current position.
    fn unexpected(&self, byte: u8) -> DataError {
        let shown = byte.escape_ascii();
        let why = if self.line > self.lines {
            format!("more than {} lines", self.lines)
        } else if byte == b'\n' {
            format!("{} pixels where {} are needed", self.column, self.width)
        } else if self.column == self.width && self.spaced {
            format!("more than {} pixels", self.width)
        } else if self.spaced {
            format!("`{shown}` where a pixel (0 or 1) is needed")
        } else {
            format!("`{shown}` where a space must follow a pixel")
        };
        // The column of the current pixel, or of the next one after a space.
        let column = if self.spaced { self.column + 1 } else { self.column };
        DataError::malformed(self.path, format!("line {}, column {column}: {why}", self.line))
    }

    fn finish(self) -> Result<Vec<u8>, DataError> {
        // The last line need not have a line end.
        let read = if self.column == self.width { self.line } else { self.line - 1 };
        if read == self.lines {
            return Ok(self.pixels);
        }
        let why = format!(
            "truncated: it ends in line {}, column {}, and {} lines of {} pixels are needed",
            self.line, self.column, self.lines, self.width
        );
        Err(DataError::malformed(self.path, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<u8>, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.amat");
        std::fs::write(&path, text).unwrap();
        let pixels = read(&path, 2, 3)?;
        assert_eq!(pixels.sha256, hex::encode(Sha256::digest(text)));
        Ok(pixels.bytes)
    }

    #[test]
    fn reads_zeros_and_ones_with_or_without_the_last_line_end() {
        for text in ["0 1 0\n1 1 0\n", "0 1 0\n1 1 0", "0 1 0 \n1 1 0 \n"] {
            assert_eq!(parse(text).unwrap(), [0, 255, 0, 255, 255, 0], "{text:?}");
        }
    }

    #[test]
    fn a_bad_line_says_line_and_column() {
        for (text, why) in [
            ("0 1 0\n1 2 0\n", "line 2, column 2: `2` where a pixel"),
            ("0 1 0\n1 10 0\n", "line 2, column 2: `0` where a space"),
            ("0 1\n1 1 0\n", "line 1, column 2: 2 pixels where 3"),
            ("0 1 0 1\n1 1 0\n", "line 1, column 4: more than 3 pixels"),
            ("0 1 0\n1 1 0\n1", "more than 2 lines"),
            ("0 1 0\n1 1 0\n\n", "more than 2 lines"),
            ("0 1 0\n1", "truncated: it ends in line 2, column 1"),
            ("0 1 0\n", "truncated"),
            ("", "truncated"),
            ("0  1 0\n1 1 0\n", "line 1, column 2: ` ` where a pixel"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(why), "{text:?}: {message}");
        }
    }
}
