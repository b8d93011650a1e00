//! Reads untrusted files: never more bytes than the header announces, and without allocating memory
//! only because the header announces it.

use crate::error::DataError;
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Largest number of decompressed bytes that are read from a file at once: 4 GiB - 1.
const MOST_BYTES: u64 = u32::MAX as u64;

/// Size of the first allocation, in bytes.
const FIRST: usize = 1 << 20;

/// A file that is read from its start, and decompressed if it is gzip.
pub struct Input {
    path: PathBuf,
    reader: Box<dyn Read>,
    /// How it is packed, if it is.
    packing: Option<&'static str>,
}

/// Opens a regular file.
pub fn open(path: &Path) -> Result<File, DataError> {
    let io = |e| DataError::io(path, e);
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(DataError::malformed(path, "is not a regular file"));
    }
    File::open(path).map_err(io)
}

impl Input {
    /// Opens a regular file. The first two bytes determine whether it is gzip, not the name.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let io = |e| DataError::io(path, e);
        let mut file = open(path)?;
        let mut magic = Vec::with_capacity(2);
        file.by_ref().take(2).read_to_end(&mut magic).map_err(io)?;
        file.rewind().map_err(io)?;
        let packed = magic == [0x1f, 0x8b];
        let reader: Box<dyn Read> =
            if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self::of(path, reader, packed.then_some("gzip")))
    }

    /// Makes the input of a reader of the file at `path`, or of a part of it that is packed.
    pub fn of(path: &Path, reader: Box<dyn Read>, packing: Option<&'static str>) -> Self {
        Self { path: path.to_owned(), reader, packing }
    }

    /// Reads the next bytes, at most `buffer.len()`. Returns their number, 0 at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DataError> {
        loop {
            match self.reader.read(buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => return other.map_err(|e| self.failed(e)),
            }
        }
    }

    /// Reads the next `n` bytes of a header. `n` must be small, or checked by the caller.
    pub fn header(&mut self, n: usize) -> Result<Vec<u8>, DataError> {
        let bytes = self.at_most(n)?;
        if bytes.len() < n {
            return Err(DataError::malformed(&self.path, "truncated: it ends within its header"));
        }
        Ok(bytes)
    }

    /// Returns the rest of the file, which must have exactly `promised` bytes.
    pub fn body(self, promised: u64) -> Body {
        Body { input: self, promised, got: 0 }
    }

    /// Reads until there are `len` bytes or the file ends.
    fn at_most(&mut self, len: usize) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let more = (len - bytes.len()).min(bytes.len().max(FIRST));
            reserve(&mut bytes, more)?;
            let got = self.reader.by_ref().take(more as u64).read_to_end(&mut bytes);
            if got.map_err(|e| self.failed(e))? < more {
                break;
            }
        }
        Ok(bytes)
    }

    /// Returns a reader of the rest of the file, decompressed. It reads at most as many bytes as both
    /// budgets allow.
    pub fn stream(self, part: Budget, line: Budget) -> Stream {
        Stream { input: self, part, line, ended: false }
    }

    /// Returns the error of a failed read. Invalid gzip is wrong input, not a failure of the disk.
    fn failed(&self, e: io::Error) -> DataError {
        let broken = [ErrorKind::UnexpectedEof, ErrorKind::InvalidData, ErrorKind::InvalidInput]
            .contains(&e.kind());
        if let Some(packing) = self.packing.filter(|_| broken) {
            DataError::malformed(
                &self.path,
                format!("cannot be decompressed: truncated or broken {packing} ({e})"),
            )
        } else {
            DataError::io(&self.path, e)
        }
    }
}

/// The data below a header, which are read a part at a time.
pub struct Body {
    input: Input,
    promised: u64,
    got: u64,
}

impl Body {
    /// Reads the next `len` bytes. With the last ones it checks that the file ends there. `len` must
    /// be at most what is left of the promised bytes.
    ///
    /// The buffer grows with the number of bytes read. At the end it has no spare capacity.
    pub fn next(&mut self, len: u64) -> Result<Vec<u8>, DataError> {
        let promised = self.promised;
        let path = self.input.path.clone();
        let wrong = |why: String| Err(DataError::malformed(&path, why));
        let Some(len) = usize::try_from(len).ok().filter(|_| len <= MOST_BYTES) else {
            return wrong(format!(
                "its header promises {promised} bytes, more than the {MOST_BYTES} that are read \
                 at once"
            ));
        };
        let bytes = self.input.at_most(len)?;
        self.got += bytes.len() as u64;
        if bytes.len() < len {
            let got = self.got;
            return wrong(format!(
                "truncated: its header promises {promised} bytes of data, but only {got} are there"
            ));
        }
        if self.got == promised && self.input.read(&mut [0])? > 0 {
            return wrong(format!(
                "holds more than the {promised} bytes of data that its header promises"
            ));
        }
        Ok(bytes)
    }
}

/// The number of bytes that may be read before the budget is renewed. Clones share the number.
#[derive(Clone)]
pub struct Budget {
    left: Rc<Cell<u64>>,
    most: u64,
}

impl Budget {
    /// Makes a budget of `most` bytes.
    pub fn new(most: u64) -> Self {
        Self { left: Rc::new(Cell::new(most)), most }
    }

    /// Makes a budget of what is read from a file at once.
    pub fn of_part() -> Self {
        Self::new(MOST_BYTES)
    }

    fn spend(&self, bytes: usize) {
        self.left.set(self.left.get() - bytes as u64);
    }

    /// Resets the budget to its initial number of bytes.
    pub fn renew(&self) {
        self.left.set(self.most);
    }
}

/// A reader of a decompressed file with two limits: for a part of the file, and for a line.
pub struct Stream {
    input: Input,
    part: Budget,
    line: Budget,
    ended: bool,
}

impl Stream {
    /// Returns whether a read has returned the end of the file.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns the error of a failed read, or of an exceeded limit.
    pub fn failed(&self, e: io::Error) -> DataError {
        let path = &self.input.path;
        if self.part.left.get() == 0 {
            let why = format!("holds more than the {} bytes that are read at once", self.part.most);
            DataError::malformed(path, why)
        } else if self.line.left.get() == 0 {
            let why = format!("has a line or cell of more than {} bytes", self.line.most);
            DataError::malformed(path, why)
        } else {
            self.input.failed(e)
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.part.left.get().min(self.line.left.get());
        let most = most.min(buffer.len() as u64) as usize;
        if most == 0 && !buffer.is_empty() {
            // The file may end exactly at the limit.
            self.ended = self.input.reader.read(&mut [0])? == 0;
            return if self.ended { Ok(0) } else { Err(io::Error::other("too many bytes")) };
        }
        let n = self.input.reader.read(&mut buffer[..most])?;
        self.ended = n == 0;
        self.part.spend(n);
        self.line.spend(n);
        Ok(n)
    }
}

/// Reserves memory for exactly `more` further elements.
///
/// # Errors
/// If there is not enough memory.
pub fn reserve<T>(values: &mut Vec<T>, more: usize) -> Result<(), DataError> {
    values.try_reserve_exact(more).map_err(|_| {
        let bytes = (values.len() + more).saturating_mul(size_of::<T>());
        DataError::Request(format!(
            "there is no memory for {bytes} bytes of data: use fewer or smaller examples"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn file(dir: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
        let path = dir.path().join("file");
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn reads_plain_and_packed_bytes_alike_without_spare_room() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3 * FIRST + 17).map(|i| (i % 251) as u8).collect();
        for content in [bytes.clone(), gzip(&bytes)] {
            let mut input = Input::open(&file(&dir, &content)).unwrap();
            assert_eq!(input.header(16).unwrap(), bytes[..16]);
            let rest = bytes.len() as u64 - 16;
            let body = input.body(rest).next(rest).unwrap();
            assert_eq!(body, bytes[16..]);
            assert_eq!(body.capacity(), body.len());
        }
    }

    #[test]
    fn a_body_shorter_or_longer_than_promised_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for content in [vec![1; 100], gzip(&[1; 100])] {
            let path = file(&dir, &content);
            let why = |promised| {
                Input::open(&path).unwrap().body(promised).next(promised).unwrap_err().to_string()
            };
            assert!(why(101).contains("promises 101 bytes of data, but only 100"), "{}", why(101));
            assert!(why(99).contains("more than the 99 bytes"), "{}", why(99));
        }
    }

    #[test]
    fn a_promise_beyond_the_cap_is_refused_before_anything_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, &[0; 10]);
        let error = Input::open(&path).unwrap().body(1 << 32).next(1 << 32).unwrap_err();
        assert!(error.to_string().contains("more than the 4294967295"), "{error}");
    }

    #[test]
    fn a_gzip_bomb_is_read_no_further_than_promised() {
        let dir = tempfile::tempdir().unwrap();
        // 256 MiB of zeros in about a megabyte. The stream is truncated, so that reading too far
        // fails in another way.
        let mut bomb = gzip(&vec![0; 256 << 20]);
        bomb.truncate(bomb.len() - 100);
        let error = Input::open(&file(&dir, &bomb)).unwrap().body(1000).next(1000).unwrap_err();
        assert!(error.to_string().contains("more than the 1000 bytes"), "{error}");
    }

    #[test]
    fn a_truncated_gzip_is_wrong_input_not_a_failing_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut packed = gzip(&(0..9999).map(|i| (i * i % 251) as u8).collect::<Vec<u8>>());
        packed.truncate(packed.len() / 2);
        let error = Input::open(&file(&dir, &packed)).unwrap().body(9999).next(9999).unwrap_err();
        assert!(matches!(error, DataError::Malformed { .. }), "{error:?}");
        assert!(error.to_string().contains("truncated or broken gzip"), "{error}");
    }

    #[test]
    fn bytes_after_a_gzip_stream_are_not_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let packed = [gzip(&[7; 100]), b"more".to_vec()].concat();
        assert!(Input::open(&file(&dir, &packed)).unwrap().body(100).next(100).is_err());
    }

    #[test]
    fn a_stream_stops_at_its_budget_unless_it_is_renewed() {
        let dir = tempfile::tempdir().unwrap();
        for content in [vec![5; 100], gzip(&[5; 100])] {
            let path = file(&dir, &content);
            let budget = Budget::new(60);
            let mut stream = Input::open(&path).unwrap().stream(Budget::of_part(), budget.clone());
            let mut bytes = [0; 60];
            stream.read_exact(&mut bytes).unwrap();
            budget.renew();
            assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 40);
            let mut stream = Input::open(&path).unwrap().stream(Budget::of_part(), Budget::new(99));
            let e = stream.read_to_end(&mut Vec::new()).unwrap_err();
            assert!(stream.failed(e).to_string().contains("more than 99 bytes"));
            // A budget of exactly the size of the file is enough.
            let mut stream =
                Input::open(&path).unwrap().stream(Budget::of_part(), Budget::new(100));
            assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 100);
        }
    }

    #[test]
    fn a_folder_is_not_a_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            Input::open(dir.path()).is_err_and(|e| e.to_string().contains("not a regular file"))
        );
        assert!(Input::open(&dir.path().join("none")).is_err_and(|e| e.is_request()));
    }
}
