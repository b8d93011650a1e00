//! Who has connected to a server: strangers and clients, their limits, and lines about them for the owner.

use std::collections::VecDeque;
use std::fmt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::server::{AuthorizationRequest, ClientId, PeerAuthorizer};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::room::{Room, Wish};
use super::server::Limits;

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

/// Makes the command that starts the process of a session.
pub type RoomCommand = Box<dyn Fn() -> Command + Send + Sync>;

/// Reports a line to the owner of a server.
pub type Report = Box<dyn Fn(&str) + Send + Sync>;

/// Lets clients in, each into a room of its own.
pub struct Porter {
    /// Those who are not let in yet.
    pub strangers: Strangers,
    /// Devices that a client may ask for.
    pub devices: u32,
    right: Box<dyn PeerAuthorizer>,
    /// What clients may use.
    pub limits: Limits,
    sessions: Arc<Semaphore>,
    command: RoomCommand,
}

impl Porter {
    /// Makes a porter that lets in whom `right` allows.
    pub fn new(
        right: Box<dyn PeerAuthorizer>,
        devices: u32,
        limits: Limits,
        command: RoomCommand,
        report: Report,
    ) -> Self {
        let sessions = Arc::new(Semaphore::new(limits.sessions));
        Self { strangers: Strangers::new(report), devices, right, sessions, limits, command }
    }

    /// Checks the token of a client that asks for a device.
    ///
    /// # Errors
    /// If it is wrong.
    pub fn check(&self, client: ClientId, device: u32, token: &[u8]) -> Result<(), Refusal> {
        let credential = &token.into();
        let request = AuthorizationRequest { client, device_index: device, credential };
        self.right.authorize(request).map_err(|_| "it has a wrong token".to_owned())
    }

    /// Waits some seconds until a session is free. It is not taken: a stranger takes none from a client.
    ///
    /// # Errors
    /// If all are taken.
    pub async fn has_free_session(&self) -> Result<(), Refusal> {
        self.session().await.map(drop)
    }

    /// Takes a session, for which it waits some seconds. It is free again when what is returned is dropped.
    ///
    /// # Errors
    /// If all are taken.
    pub async fn session(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        match timeout(QUEUE, Arc::clone(&self.sessions).acquire_owned()).await {
            Ok(Ok(session)) => Ok(session),
            _ => Err(format!("all {} sessions are taken", self.limits.sessions)),
        }
    }

    /// Opens a room for a session. Returns where it is open, too.
    ///
    /// # Errors
    /// If it does not open.
    pub async fn open<E: DeserializeOwned>(
        &self,
        session: OwnedSemaphorePermit,
        wish: Wish,
    ) -> Result<(Room, E), Refusal> {
        Room::open((self.command)(), wish, self.limits.memory, session).await
    }
}

/// Those who are not let in yet.
pub struct Strangers {
    arrived: AtomicU64,
    /// The oldest first.
    list: Mutex<VecDeque<Stranger>>,
    lines: Lines,
    report: Report,
}

/// A connection of a stranger. It has to end when the sender is dropped.
struct Stranger {
    number: u64,
    _stays: oneshot::Sender<()>,
}

impl Strangers {
    /// Makes an empty list. `report` gets lines on connections that are turned away.
    pub fn new(report: Report) -> Self {
        Self { arrived: AtomicU64::new(0), list: Mutex::default(), lines: Lines::new(), report }
    }

    /// Lets `work` make a client of a new stranger, while there are not too many others.
    ///
    /// # Errors
    /// Those of `work`, and if too many others came.
    pub async fn admit<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let number = self.arrived.fetch_add(1, Ordering::Relaxed);
        let (stays, ended) = oneshot::channel();
        {
            let mut list = locked(&self.list);
            if list.len() >= STRANGERS {
                list.pop_front();
            }
            list.push_back(Stranger { number, _stays: stays });
        }
        let admitted = tokio::select! {
            admitted = work => admitted,
            _ = ended => Err("too many ask at once".to_owned()),
        };
        locked(&self.list).retain(|stranger| stranger.number != number);
        admitted
    }

    /// Reports a connection that is turned away, unless there were too many.
    pub fn turned_away(&self, who: impl fmt::Display, why: &str) {
        self.lines.say(&*self.report, &format!("{who} was turned away: {why}"));
    }

    /// Reports a session that did not end by its client.
    pub fn session_ended(&self, who: impl fmt::Display, why: &str) {
        (self.report)(&format!("the session of {who} ended: {why}"));
    }
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
