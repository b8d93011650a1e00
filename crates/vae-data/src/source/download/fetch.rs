//! Downloads of published files from the first mirror that works. Size and checksum are checked. A
//! file is stored completely or not at all.

use super::PublishedFile;
use crate::error::DataError;
use crate::source::environment::Progress;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::config::AutoHeaderValue;

/// Time limit for each step of a connection (name, connection, answer) without `patience`.
const STEP: Duration = Duration::from_secs(15);
/// Time limit for a download without new bytes.
const STALL: Duration = Duration::from_secs(30);

/// Why a file could not be downloaded.
enum Failure {
    /// No mirror provided the file.
    Mirrors(String),
    /// The file could not be stored.
    Local(DataError),
}

/// Downloads `files` into `folder` from the first of the `mirrors` that works.
///
/// `patience` limits the time until the first bytes arrive. There is no limit for the whole
/// download.
///
/// # Errors
/// `Unavailable` with a short reason if no mirror provides the files, or an error of the file
/// system.
pub fn download(
    mirrors: &'static [&'static str],
    files: Vec<&'static PublishedFile>,
    folder: PathBuf,
    patience: Option<Duration>,
    report: &dyn Fn(Progress),
) -> Result<(), DataError> {
    // The download runs in a thread that can be abandoned, because a DNS lookup may block for long.
    let (sender, events) = mpsc::channel();
    let abandoned = Arc::new(AtomicBool::new(false));
    let worker = Worker {
        agent: agent(patience.map_or(STEP, |patience| patience / mirrors.len().max(1) as u32)),
        events: sender,
        abandoned: abandoned.clone(),
    };
    let at = folder.clone();
    thread::Builder::new()
        .name("download".into())
        .spawn(move || {
            let end = worker.fetch_all(mirrors, &files, &folder);
            let _ = worker.events.send(Event::End(end));
        })
        .map_err(|e| DataError::io(&at, e))?;
    let mut deadline = patience.map(|patience| Instant::now() + patience);
    loop {
        let event = match deadline {
            Some(deadline) => {
                events.recv_timeout(deadline.saturating_duration_since(Instant::now()))
            }
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(Event::Progress(progress)) => {
                deadline = None;
                report(progress);
            }
            Ok(Event::End(Ok(()))) => return Ok(()),
            Ok(Event::End(Err(Failure::Local(error)))) => return Err(error),
            Ok(Event::End(Err(Failure::Mirrors(why)))) => return Err(DataError::Unavailable(why)),
            Err(RecvTimeoutError::Timeout) => {
                abandoned.store(true, Ordering::Relaxed);
                let seconds = patience.unwrap_or_default().as_secs_f32();
                return Err(DataError::Unavailable(format!(
                    "no mirror answered within {seconds} seconds"
                )));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(DataError::Unavailable("the download ended unexpectedly".into()));
            }
        }
    }
}

fn agent(step: Duration) -> Agent {
    Agent::config_builder()
        .timeout_resolve(Some(step))
        .timeout_connect(Some(step))
        .timeout_recv_response(Some(step))
        .timeout_per_read(Some(STALL))
        // No compression for transfer: the files are compressed already.
        .accept_encoding(AutoHeaderValue::None)
        .build()
        .into()
}

/// An event of the worker.
enum Event {
    Progress(Progress),
    End(Result<(), Failure>),
}

struct Worker {
    agent: Agent,
    events: Sender<Event>,
    /// Set when the files are no longer needed.
    abandoned: Arc<AtomicBool>,
}

impl Worker {
    fn fetch_all(
        &self,
        mirrors: &[&str],
        files: &[&'static PublishedFile],
        folder: &Path,
    ) -> Result<(), Failure> {
        files.iter().try_for_each(|file| self.fetch_from_any(mirrors, file, folder))
    }

    /// Downloads one file from the first mirror that provides it.
    fn fetch_from_any(
        &self,
        mirrors: &[&str],
        file: &'static PublishedFile,
        folder: &Path,
    ) -> Result<(), Failure> {
        let mut reasons = Vec::new();
        for mirror in mirrors {
            match self.fetch(mirror, file, folder) {
                Err(Failure::Mirrors(why)) => reasons.push(why),
                stored_or_not => return stored_or_not,
            }
        }
        let name = file.name;
        // Without network, the reason is the same for every mirror.
        let why = if reasons.len() > 1 && reasons.iter().all(|why| *why == reasons[0]) {
            format!("{name} from each of {} mirrors: {}", reasons.len(), reasons[0])
        } else {
            let each =
                mirrors.iter().zip(&reasons).map(|(mirror, why)| format!("{mirror}{name}: {why}"));
            each.collect::<Vec<_>>().join("; ")
        };
        Err(Failure::Mirrors(why))
    }

    /// Downloads one file from one mirror into a temporary file, which is renamed if it is
    /// complete.
    fn fetch(
        &self,
        mirror: &str,
        file: &'static PublishedFile,
        folder: &Path,
    ) -> Result<(), Failure> {
        let mirror_failed = |why: String| Err(Failure::Mirrors(why));
        let local = |e| Failure::Local(DataError::io(folder, e));
        let answer = self
            .agent
            .get(format!("{mirror}{}", file.name))
            .call()
            .map_err(|e| Failure::Mirrors(describe(e)))?;
        let wrong_size = |bytes| format!("offers {bytes} bytes, but {} were published", file.bytes);
        if let Some(bytes) = answer.body().content_length().filter(|&bytes| bytes != file.bytes) {
            return mirror_failed(wrong_size(bytes.to_string()));
        }
        // One byte too many is enough to detect a wrong size.
        let mut body = answer.into_body().into_reader().take(file.bytes + 1);
        fs::create_dir_all(folder).map_err(local)?;
        let mut temporary =
            tempfile::Builder::new().prefix(".download-").tempfile_in(folder).map_err(local)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut done = 0;
        loop {
            let n = body.read(&mut buffer).map_err(|e| Failure::Mirrors(e.to_string()))?;
            if n == 0 {
                break;
            }
            if self.abandoned.load(Ordering::Relaxed) {
                return mirror_failed("the download was abandoned".into());
            }
            done += n as u64;
            if done > file.bytes {
                return mirror_failed(wrong_size("more".into()));
            }
            hash.update(&buffer[..n]);
            temporary.write_all(&buffer[..n]).map_err(local)?;
            let progress = Progress { file: file.name, done, total: file.bytes };
            let _ = self.events.send(Event::Progress(progress));
        }
        if done < file.bytes {
            return mirror_failed(wrong_size(done.to_string()));
        }
        let hash = hex::encode(hash.finalize());
        if hash != file.sha256 {
            return mirror_failed(format!(
                "wrong checksum: expected SHA-256 {}, got {hash}",
                file.sha256
            ));
        }
        temporary.as_file().sync_all().map_err(local)?;
        temporary.persist(folder.join(file.name)).map_err(|e| local(e.error))?;
        Ok(())
    }
}

/// Returns a message for an error of a mirror. Errors of the system have the system's message.
fn describe(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};

    /// Serves every request with the complete response `answer`, and returns the address.
    pub fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> &'static str {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream: TcpStream = stream.unwrap();
                let mut lines =
                    BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                let path = request
                    .split(' ')
                    .nth(1)
                    .unwrap_or_default()
                    .trim_start_matches('/')
                    .to_owned();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let _ = stream.write_all(&answer(&path));
            }
        });
        Box::leak(address.into_boxed_str())
    }

    /// Returns a response with its length.
    pub fn ok(body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// Returns a response without its length.
    fn open_ended(body: &[u8]) -> Vec<u8> {
        [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", body].concat()
    }

    /// Returns the description of a file with this content.
    pub fn known(name: &'static str, content: &[u8]) -> PublishedFile {
        let mut hash = Sha256::new();
        hash.update(content);
        let sha256 = Box::leak(hex::encode(hash.finalize()).into_boxed_str());
        PublishedFile { name, bytes: content.len() as u64, sha256 }
    }

    fn mirrors(list: &[&'static str]) -> &'static [&'static str] {
        Box::leak(list.to_vec().into_boxed_slice())
    }

    /// Downloads one file. Returns the result and the names of the files in the folder.
    fn outcome(list: &[&'static str], content: &[u8]) -> (Result<(), DataError>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        let file: &'static PublishedFile = Box::leak(Box::new(known("file.gz", content)));
        let result = download(mirrors(list), vec![file], folder.clone(), None, &|_| {});
        let names = fs::read_dir(&folder).map_or(vec![], |entries| {
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        });
        if result.is_ok() {
            assert_eq!(fs::read(folder.join("file.gz")).unwrap(), content);
        }
        (result, names)
    }

    fn content() -> Vec<u8> {
        (0..300_000u32).map(|i| (i % 253) as u8).collect()
    }

    const UNREACHABLE: &str = "http://127.0.0.1:1/";

    #[test]
    fn a_good_file_is_stored_completely_and_no_other_file_is() {
        let content = content();
        for answer in [ok(&content), open_ended(&content)] {
            let (result, names) = outcome(&[serve(move |_| answer.clone())], &content);
            result.unwrap();
            assert_eq!(names, ["file.gz"]);
        }
    }

    #[test]
    fn a_bad_answer_leaves_no_file_behind_and_says_why() {
        let content = content();
        let mut flipped = content.clone();
        flipped[1000] ^= 1;
        let long = [&content[..], &[0]].concat();
        let mut cut = ok(&content);
        cut.truncate(cut.len() / 2);
        for (answer, why) in [
            (ok(&flipped), "wrong checksum"),
            (ok(&long), "offers 300001 bytes, but 300000"),
            (open_ended(&long), "offers more bytes, but 300000"),
            (open_ended(&content[..1000]), "offers 1000 bytes, but 300000"),
            (cut, ""),
            (
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    .to_vec(),
                "404",
            ),
            (b"not http".to_vec(), ""),
        ] {
            let address = serve(move |_| answer.clone());
            let (result, names) = outcome(&[address], &content);
            let error = result.unwrap_err();
            assert!(matches!(error, DataError::Unavailable(_)), "{error:?}");
            assert!(
                error.to_string().contains(why) && error.to_string().contains(address),
                "{error}"
            );
            assert!(names.is_empty(), "{names:?}");
        }
    }

    #[test]
    fn the_next_mirror_is_asked_when_one_fails() {
        let content = content();
        let (good, bad) = (ok(&content), ok(b"<html>log in first</html>"));
        let list = [UNREACHABLE, serve(move |_| bad.clone()), serve(move |_| good.clone())];
        outcome(&list, &content).0.unwrap();
    }

    #[test]
    fn a_reason_common_to_all_mirrors_is_given_once() {
        let (result, _) = outcome(&[UNREACHABLE, UNREACHABLE], b"x");
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with("file.gz from each of 2 mirrors: "), "{message}");
    }

    #[test]
    fn progress_rises_to_the_size_of_the_file() {
        let content = content();
        let dir = tempfile::tempdir().unwrap();
        let file: &'static PublishedFile = Box::leak(Box::new(known("file.gz", &content)));
        let seen = RefCell::new(Vec::new());
        let address = serve(move |_| ok(&content));
        let report = |progress: Progress| {
            assert_eq!((progress.file, progress.total), ("file.gz", 300_000));
            seen.borrow_mut().push(progress.done);
        };
        download(mirrors(&[address]), vec![file], dir.path().to_owned(), None, &report).unwrap();
        let seen = seen.into_inner();
        assert!(seen.is_sorted() && seen.last() == Some(&300_000), "{seen:?}");
    }

    #[test]
    fn a_mirror_that_never_answers_is_given_up_when_patience_ends() {
        // The listener queues connections and never answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let file: &'static PublishedFile = Box::leak(Box::new(known("file.gz", b"x")));
        let error = download(
            mirrors(&[Box::leak(address.into_boxed_str())]),
            vec![file],
            dir.path().join("new"),
            Some(Duration::from_millis(200)),
            &|_| {},
        )
        .unwrap_err();
        assert!(matches!(error, DataError::Unavailable(_)), "{error:?}");
        assert!(!dir.path().join("new").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_failure_of_this_machine() {
        let content = content();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("occupied"), "").unwrap();
        let file: &'static PublishedFile = Box::leak(Box::new(known("file.gz", &content)));
        let address = serve(move |_| ok(&content));
        let error =
            download(mirrors(&[address]), vec![file], dir.path().join("occupied"), None, &|_| {})
                .unwrap_err();
        assert!(matches!(error, DataError::Io { .. }), "{error:?}");
    }
}
