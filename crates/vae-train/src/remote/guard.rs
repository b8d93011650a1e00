//! The guard in front of a server: it limits what a stranger can do before the server knows who asks.
//!
//! burn-remote reads whatever a connection sends, up to a gigabyte a message, for as long as it takes,
//! before it checks the token. The guard listens in its place. It passes a connection on once it has
//! asked for one of the server's two paths, and passes at most [`HANDSHAKE`] bytes in [`PATIENCE`] until
//! the server has answered. A server answers only those that it accepts, or refuses and closes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// How long a stranger may take to become a client.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes that a stranger may send: a request, and a handshake with a token.
const HANDSHAKE: usize = 1 << 14;
/// Most strangers at once. Others are turned away.
const STRANGERS: usize = 64;
/// Size of a buffer between a client and the server.
const BUFFER: usize = 1 << 17;

/// What the guard does.
pub struct Guard {
    /// Where the server listens.
    server: SocketAddr,
    strangers: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    most_sessions: usize,
    /// The open sessions, the oldest first.
    open: Mutex<Vec<Session>>,
    /// Called with one line for each connection that is turned away.
    report: Arc<dyn Fn(&str) + Send + Sync>,
}

/// An open session.
struct Session {
    /// The number of its connection.
    number: u64,
    end: oneshot::Sender<()>,
}

/// Why a connection is turned away.
type Refusal = String;

impl Guard {
    /// Makes a guard of the server at `server`, with `report` for a line on each connection that is
    /// turned away.
    pub fn new(
        server: SocketAddr,
        most_sessions: usize,
        report: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            server,
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            sessions: Arc::new(Semaphore::new(most_sessions)),
            most_sessions,
            open: Mutex::default(),
            report: Arc::new(report),
        }
    }

    /// Ends the newest session, and returns whether there was one.
    pub fn end_newest(&self) -> bool {
        let newest = self.sessions_open().pop();
        newest.is_some_and(|session| session.end.send(()).is_ok())
    }

    fn sessions_open(&self) -> MutexGuard<'_, Vec<Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_taken(&self) -> Refusal {
        format!("all {} sessions are taken", self.most_sessions)
    }

    /// Accepts connections until the future is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut number = 0;
        loop {
            let Ok((client, peer)) = listener.accept().await else {
                // Too many open files, for example: others close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(stranger) = Arc::clone(&self.strangers).try_acquire_owned() else {
                // Their number is limited, so is that of the lines about them: none here.
                drop(client);
                continue;
            };
            number += 1;
            let guard = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(why) = guard.handle(client, stranger, number).await {
                    (guard.report)(&format!("{peer} was turned away: {why}"));
                }
            });
        }
    }

    /// Handles one connection to its end.
    async fn handle(
        &self,
        mut client: TcpStream,
        stranger: OwnedSemaphorePermit,
        number: u64,
    ) -> Result<(), Refusal> {
        let request = timeout(PATIENCE, head(&mut client))
            .await
            .map_err(|_| format!("no request in {} seconds", PATIENCE.as_secs()))??;
        let is_session = match path(&request) {
            // A connection of another server, which fetches a tensor for one of its sessions.
            Some("/data") => false,
            Some("/session") if self.sessions.available_permits() == 0 => {
                let _ = answer(&mut client, "503 Service Unavailable").await;
                return Err(self.all_taken());
            }
            Some("/session") => true,
            Some("/alive") => {
                let _ = answer(&mut client, "204 No Content").await;
                return Ok(());
            }
            _ => {
                let _ = answer(&mut client, "404 Not Found").await;
                return Err("it asks for something else than a device".to_owned());
            }
        };
        let failed = |e: io::Error| format!("the connection broke: {e}");
        let mut server = TcpStream::connect(self.server).await.map_err(failed)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true).map_err(failed)?;
        }
        server.write_all(&request).await.map_err(failed)?;
        match timeout(PATIENCE, handshake(&mut client, &mut server, request.len())).await {
            Err(_) => return Err(format!("no handshake in {} seconds", PATIENCE.as_secs())),
            Ok(done) => {
                if !done? {
                    // The server said why.
                    return Ok(());
                }
            }
        }
        drop(stranger);
        // What breaks a connection later is seen, and said, at its two ends.
        let pass = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER);
        if !is_session {
            let _ = pass.await;
            return Ok(());
        }
        // Only now: a stranger takes no session from a client.
        let Ok(_session) = Arc::clone(&self.sessions).try_acquire_owned() else {
            return Err(self.all_taken());
        };
        let (end, ended) = oneshot::channel();
        self.sessions_open().push(Session { number, end });
        tokio::select! {
            _ = pass => {}
            _ = ended => {}
        }
        self.sessions_open().retain(|session| session.number != number);
        Ok(())
    }
}

/// Reads the head of an HTTP request.
async fn head(client: &mut TcpStream) -> Result<Vec<u8>, Refusal> {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 1024];
        match client.read(&mut buffer).await {
            Err(e) => return Err(format!("the connection broke: {e}")),
            Ok(0) => return Err("it closed before it asked for anything".to_owned()),
            Ok(n) => request.extend_from_slice(&buffer[..n]),
        }
        if !b"GET ".starts_with(&request[..request.len().min(4)]) {
            return Err("it does not speak WebSocket".to_owned());
        }
        if request.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(request);
        }
        if request.len() > HANDSHAKE {
            return Err("its request is too long".to_owned());
        }
    }
}

/// Returns the path that a request asks for.
fn path(request: &[u8]) -> Option<&str> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line).ok()?.split(' ').nth(1)
}

/// Answers a request, and says that nothing follows.
async fn answer(client: &mut TcpStream, status: &str) -> io::Result<()> {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}

/// Passes bytes on until the server has answered more than the head of its HTTP answer. Returns false
/// if the connection ends before. `sent` bytes were passed on already.
async fn handshake(
    client: &mut TcpStream,
    server: &mut TcpStream,
    mut sent: usize,
) -> Result<bool, Refusal> {
    let (mut from_client, mut from_server) = ([0; 4096], [0; 4096]);
    let mut answered = Vec::new();
    let failed = |e: io::Error| format!("the connection broke: {e}");
    loop {
        tokio::select! {
            n = client.read(&mut from_client) => {
                let n = n.map_err(failed)?;
                if n == 0 {
                    return Err("it closed during the handshake".to_owned());
                }
                sent += n;
                if sent > HANDSHAKE {
                    return Err("its handshake is too long".to_owned());
                }
                server.write_all(&from_client[..n]).await.map_err(failed)?;
            }
            n = server.read(&mut from_server) => {
                let n = n.map_err(failed)?;
                if n == 0 {
                    return Ok(false);
                }
                client.write_all(&from_server[..n]).await.map_err(failed)?;
                answered.extend_from_slice(&from_server[..n]);
                let head = answered.windows(4).position(|end| end == b"\r\n\r\n");
                if head.is_some_and(|at| answered.len() > at + 4) {
                    return Ok(true);
                }
                if answered.len() > HANDSHAKE {
                    return Err("the server's answer makes no sense".to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_request_is_found_in_its_first_line() {
        assert_eq!(path(b"GET /session HTTP/1.1\r\nHost: a\r\n\r\n"), Some("/session"));
        assert_eq!(path(b"GET\r\n\r\n"), None);
        assert_eq!(path(b"GET /\xff HTTP/1.1\r\n\r\n"), None);
    }
}
