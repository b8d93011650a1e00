//! What the servers of all transports keep of those who come: strangers, sessions, and lines about both.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// How long a stranger may take to become a client.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Most strangers at once. Another one takes the place of the oldest.
const STRANGERS: usize = 64;
/// How long a client waits for a session while all are taken: one may be about to end.
const QUEUE: Duration = Duration::from_secs(3);
/// Most lines about strangers in [`WINDOW`].
const LINES: usize = 20;
/// The time that [`LINES`] are counted in.
const WINDOW: Duration = Duration::from_secs(10);

/// Why a connection is turned away.
pub type Refusal = String;

/// Keeps the lists of those who come.
pub struct Porter {
    sessions: Arc<Semaphore>,
    most_sessions: usize,
    arrived: AtomicU64,
    /// The oldest first.
    strangers: Mutex<VecDeque<Open>>,
    /// The oldest first.
    open: Mutex<Vec<Open>>,
    lines: Lines,
    report: Box<dyn Fn(&str) + Send + Sync>,
}

/// An open connection. It is ended when `end` is sent, or dropped.
struct Open {
    number: u64,
    end: oneshot::Sender<()>,
}

/// Lines about strangers, of which there are not too many.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Option<Window>>);

/// What was said since a time.
#[derive(Debug)]
struct Window {
    since: Instant,
    said: usize,
    left_out: usize,
}

impl Lines {
    /// Makes lines of which none was said.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Reports a line, unless there were too many.
    pub fn say(&self, report: &dyn Fn(&str), line: &str) {
        let mut window = locked(&self.0);
        if window.as_ref().is_none_or(|window| window.since.elapsed() > WINDOW) {
            let left_out = window.take().map_or(0, |window| window.left_out);
            if left_out > 0 {
                report(&format!("{left_out} more were turned away"));
            }
        }
        let window =
            window.get_or_insert_with(|| Window { since: Instant::now(), said: 0, left_out: 0 });
        if window.said < LINES {
            window.said += 1;
            report(line);
        } else {
            window.left_out += 1;
        }
    }
}

/// Locks what no code can leave half-done.
pub fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds one of the locks, so what they guard is whole.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Porter {
    /// Makes a porter. `report` gets lines on connections that are turned away.
    pub fn new(most_sessions: usize, report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            sessions: Arc::new(Semaphore::new(most_sessions)),
            most_sessions,
            arrived: AtomicU64::new(0),
            strangers: Mutex::default(),
            open: Mutex::default(),
            lines: Lines::new(),
            report: Box::new(report),
        }
    }

    /// Ends the newest session, and returns whether there was one.
    pub fn end_newest(&self) -> bool {
        let newest = locked(&self.open).pop();
        newest.is_some_and(|session| session.end.send(()).is_ok())
    }

    /// Notes a stranger, and returns its number. It may stay until the receiver is ready.
    pub fn arrives(&self) -> (u64, oneshot::Receiver<()>) {
        let number = self.arrived.fetch_add(1, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        let mut strangers = locked(&self.strangers);
        if strangers.len() >= STRANGERS {
            // Its sender is dropped, which ends it.
            strangers.pop_front();
        }
        strangers.push_back(Open { number, end });
        (number, ended)
    }

    /// Lets `work` make a client of a stranger, if it may stay for so long.
    ///
    /// # Errors
    /// Those of `work`, and if too many others came.
    pub async fn admit<T>(
        &self,
        number: u64,
        ended: oneshot::Receiver<()>,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let admitted = tokio::select! {
            admitted = work => admitted,
            _ = ended => Err("too many ask at once".to_owned()),
        };
        locked(&self.strangers).retain(|stranger| stranger.number != number);
        admitted
    }

    /// Waits some seconds for a session that is free. It is not taken yet: a stranger takes none from a client.
    ///
    /// # Errors
    /// If all are taken.
    pub async fn has_room(&self) -> Result<(), Refusal> {
        match timeout(QUEUE, self.sessions.acquire()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.all_taken()),
        }
    }

    /// Begins a session. It ends when what is returned is dropped; it has to end when the receiver is ready.
    ///
    /// # Errors
    /// If all are taken.
    pub fn begins(
        self: &Arc<Self>,
        number: u64,
    ) -> Result<(Session, oneshot::Receiver<()>), Refusal> {
        let permit =
            Arc::clone(&self.sessions).try_acquire_owned().map_err(|_| self.all_taken())?;
        let (end, ended) = oneshot::channel();
        locked(&self.open).push(Open { number, end });
        Ok((Session { porter: Arc::clone(self), number, _permit: permit }, ended))
    }

    fn all_taken(&self) -> Refusal {
        format!("all {} sessions are taken", self.most_sessions)
    }

    /// Reports a connection that is turned away, unless there were too many.
    pub fn turned_away(&self, who: impl fmt::Display, why: &str) {
        self.lines.say(&*self.report, &format!("{who} was turned away: {why}"));
    }
}

/// A session of a client.
pub struct Session {
    porter: Arc<Porter>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Session {
    fn drop(&mut self) {
        locked(&self.porter.open).retain(|session| session.number != self.number);
    }
}
