//! `Token`: the secret that lets a client use a server's devices.

use std::fmt;
use std::io::Write;
use std::path::Path;

use crate::error::TrainError;

/// Number of random bytes of a new token.
const BYTES: usize = 32;
/// Most characters of a token that is read. A file that holds more is another file.
const LONGEST: usize = 1024;

/// The secret that lets a client use a server's devices. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Makes a token of a text, without the white space around it.
    ///
    /// # Errors
    /// If nothing is left, or if it is too long.
    pub fn new(text: &str) -> Result<Self, TrainError> {
        match text.trim() {
            "" => Err(TrainError::Request("the token is empty".to_owned())),
            text if text.len() > LONGEST => {
                let why = format!("the token has {} characters; at most {LONGEST}", text.len());
                Err(TrainError::Request(why))
            }
            text => Ok(Self(text.to_owned())),
        }
    }

    /// Returns the secret.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    /// Reads the token of a file.
    ///
    /// # Errors
    /// If the file cannot be read, if it holds no token, or if others may read it (on Unix).
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let place = |why: String| TrainError::Request(format!("{}: {why}", path.display()));
        let copy = |e: std::io::Error| format!("{e}; copy the token file of the server");
        let metadata = std::fs::metadata(path).map_err(|e| place(copy(e)))?;
        if metadata.len() > LONGEST as u64 {
            return Err(place(format!("{} bytes are too many for a token", metadata.len())));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if metadata.permissions().mode() & 0o077 != 0 {
                return Err(place(
                    "other users may read this token: run `chmod 600` on it".to_owned(),
                ));
            }
        }
        let text = std::fs::read_to_string(path).map_err(|e| place(e.to_string()))?;
        Self::new(&text).map_err(|e| place(e.to_string()))
    }

    /// Reads the token of a file, or writes a new one that only its owner may read. Returns whether it
    /// is new, too.
    ///
    /// # Errors
    /// The errors of [`Self::read`], and if the file cannot be written.
    pub fn read_or_make(path: &Path) -> Result<(Self, bool), TrainError> {
        if path.exists() {
            return Ok((Self::read(path)?, false));
        }
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|e| TrainError::Failed(format!("no random numbers for a token: {e}")))?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(path)
            .and_then(|mut file| writeln!(file, "{token}").and_then(|()| file.sync_all()))
            .map_err(|e| TrainError::io(path, e))?;
        Ok((Self(token), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_random_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let (token, is_new) = Token::read_or_make(&a).unwrap();
        assert!(is_new && token.secret().len() == 2 * BYTES);
        assert_eq!(Token::read_or_make(&a).unwrap(), (token.clone(), false));
        assert_ne!(Token::read_or_make(&b).unwrap().0, token);
        assert_eq!(format!("{token:?}"), "Token(..)");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&a).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&a, std::fs::Permissions::from_mode(0o644)).unwrap();
            let refused = Token::read(&a).unwrap_err().to_string();
            assert!(refused.contains("chmod 600") && !refused.contains(token.secret()));
        }
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, why) in
            [("empty", String::new(), "empty"), ("long", "x".repeat(LONGEST + 1), "too many")]
        {
            let path = folder.path().join(name);
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&path).unwrap().write_all(text.as_bytes()).unwrap();
            let refused = Token::read(&path).unwrap_err();
            assert!(refused.is_request() && refused.to_string().contains(why), "{refused}");
        }
        assert!(Token::read(&folder.path().join("missing")).unwrap_err().is_request());
    }
}
