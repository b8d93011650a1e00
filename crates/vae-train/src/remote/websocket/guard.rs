//! The guard of a server: it limits what a stranger can do before it is known who asks.
//!
//! burn-remote reads whatever a connection sends, up to a gigabyte a message, for as long as it takes,
//! before it checks the token. So a stranger speaks to the guard: a request and a message, each in about
//! [`HANDSHAKE`] bytes and `PATIENCE` at most. What it said is said again to the server of its room.

use std::fmt::Display;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use burn::server::ClientId;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, copy_buf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;

use super::first::{self, PROTOCOL, Refused};
use crate::remote::client::NOT_BEGUN;
use crate::remote::porter::{PATIENCE, Porter, Refusal};
use crate::remote::room::{Room, Wish};

/// Most bytes of a stranger's request, and most of its first message.
const HANDSHAKE: usize = 1 << 14;
/// How long it may take until it is known why a process has ended.
const MOMENT: Duration = Duration::from_millis(200);
/// Size of a buffer between a client and the server.
const BUFFER: usize = 1 << 17;

/// What the guard does.
pub struct Guard(Porter);

/// A client that may come in.
struct Client {
    stream: TcpStream,
    /// Its request, and what it sent since.
    said: Vec<u8>,
}

impl Guard {
    /// Makes a guard.
    pub fn new(porter: Porter) -> Self {
        Self(porter)
    }

    /// Accepts connections until the future is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                // Too many open files, for example: others close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let guard = Arc::clone(&self);
            tokio::spawn(async move {
                let strangers = &guard.0.strangers;
                let passed = match strangers.admit(guard.receive(stream, peer)).await {
                    Ok(Some(client)) => guard.let_in(client, peer).await,
                    Ok(None) => Ok(()),
                    Err(why) => Err(why),
                };
                if let Err(why) = passed {
                    strangers.turned_away(peer, &why);
                }
            });
        }
    }

    /// Listens to a stranger until it is a client, or got its answer, which is none.
    async fn receive(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<Option<Client>, Refusal> {
        // A client whose machine is gone is noticed within half a minute.
        let alive = TcpKeepalive::new().with_time(PATIENCE).with_interval(PATIENCE / 2);
        SockRef::from(&stream).set_tcp_keepalive(&alive.with_retries(4)).map_err(broke)?;
        #[cfg(target_os = "linux")]
        SockRef::from(&stream).set_tcp_user_timeout(Some(PATIENCE * 3)).map_err(broke)?;
        stream.set_nodelay(true).map_err(broke)?;
        let late = |what: &str| format!("no {what} in {} seconds", PATIENCE.as_secs());
        let request = timeout(PATIENCE, head(&mut stream, b"GET ")).await;
        let (mut said, end) = request.map_err(|_| late("request"))??;
        let key = match self.judge(&said[..end]) {
            Ok(Some(key)) => key,
            Ok(None) => {
                let _ = answer(&mut stream, "204 No Content").await;
                return Ok(None);
            }
            Err((status, why)) => {
                let _ = answer(&mut stream, status).await;
                return Err(why.to_owned());
            }
        };
        if let Err(why) = self.0.has_free_session().await {
            let _ = answer(&mut stream, "503 Service Unavailable").await;
            return Err(why);
        }
        let switch = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {key}\r\n\r\n"
        );
        stream.write_all(switch.as_bytes()).await.map_err(broke)?;
        let message = timeout(PATIENCE, message(&mut stream, &mut said, end)).await;
        let message = message.map_err(|_| late("handshake"))??;
        match self.know(peer, &message) {
            Ok(()) => Ok(Some(Client { stream, said })),
            Err((refused, why)) => {
                let _ = stream.write_all(&first::answer(refused)).await;
                let _ = stream.shutdown().await;
                Err(why)
            }
        }
    }

    /// Returns what a request for a session is answered with, or none if it only asks for a sign of life.
    fn judge(&self, request: &[u8]) -> Result<Option<String>, (&'static str, &'static str)> {
        match path(request) {
            Some("/alive") => return Ok(None),
            Some("/session") => {}
            _ => return Err(("404 Not Found", "it asks for something else than a device")),
        }
        // Any page may ask for a device of the machine that shows it.
        if header(request, "origin").is_some() {
            return Err(("403 Forbidden", "it is a web page"));
        }
        match header(request, "sec-websocket-key") {
            Some(key) => Ok(Some(derive_accept_key(key))),
            None => Err(("400 Bad Request", "it does not begin a session")),
        }
    }

    /// Checks whether a client may come in, by its first message.
    fn know(&self, peer: SocketAddr, message: &[u8]) -> Result<(), (Refused, Refusal)> {
        let other = |what: &str| {
            let refused = Refused::IncompatibleProtocol { server_version: PROTOCOL };
            (refused, format!("it speaks {what}, not protocol version {PROTOCOL} of Burn"))
        };
        let init = first::init(message).ok_or_else(|| other("something else"))?;
        if init.version != PROTOCOL {
            return Err(other(&format!("protocol version {}", init.version)));
        }
        let known = self.0.check(ClientId::WebSocket(peer), init.device, &init.token);
        known.map_err(|why| (Refused::Unauthorized, why))?;
        let device_count = self.0.devices;
        if init.device >= device_count {
            let why = format!("it asks for device #{} of {device_count}", init.device);
            return Err((Refused::NoSuchDevice { device_count }, why));
        }
        Ok(())
    }

    /// Opens a room for a client, and serves it there.
    async fn let_in(&self, client: Client, peer: SocketAddr) -> Result<(), Refusal> {
        let session = self.0.session().await?;
        // The room lets in only what comes from here.
        let way = TcpSocket::new_v4().map_err(broke)?;
        way.bind((Ipv4Addr::LOCALHOST, 0).into()).map_err(broke)?;
        let wish = Wish::WebSocket { client: way.local_addr().map_err(broke)? };
        let (mut room, port) = self.0.open::<u16>(session, wish).await?;
        let served = self.serve_in(&mut room, way, port, client, peer).await;
        room.close().await;
        served
    }

    /// Passes everything on between a client and its room until one of them ends.
    async fn serve_in(
        &self,
        room: &mut Room,
        way: TcpSocket,
        port: u16,
        Client { mut stream, said }: Client,
        peer: SocketAddr,
    ) -> Result<(), Refusal> {
        let begun = timeout(PATIENCE, async {
            let mut server =
                way.connect((Ipv4Addr::LOCALHOST, port).into()).await.map_err(broke)?;
            server.set_nodelay(true).map_err(broke)?;
            server.write_all(&said).await.map_err(broke)?;
            let (answer, end) = head(&mut server, b"HTTP/1.1 101").await?;
            // The client has got its answer to the request already.
            stream.write_all(&answer[end..]).await.map_err(broke)?;
            Ok(server)
        });
        let late = || Err(format!("no answer in {} seconds", PATIENCE.as_secs()));
        let server = begun.await.unwrap_or_else(|_| late());
        let server =
            server.map_err(|why| format!("{NOT_BEGUN}its process does not answer: {why}"))?;
        let (from_client, mut to_client) = stream.into_split();
        let (from_server, mut to_server) = server.into_split();
        let mut from_client = BufReader::with_capacity(BUFFER, from_client);
        let mut from_server = BufReader::with_capacity(BUFFER, from_server);
        // What breaks a connection is seen, and said, at its two ends.
        let by_client = tokio::select! {
            passed = copy_buf(&mut from_client, &mut to_server) => passed.is_ok(),
            _ = copy_buf(&mut from_server, &mut to_client) => false,
            why = room.ended() => {
                self.0.strangers.session_ended(peer, &why);
                return Ok(());
            }
        };
        // If the process of the room has ended, that is known in a moment.
        if !by_client && let Ok(why) = timeout(MOMENT, room.ended()).await {
            self.0.strangers.session_ended(peer, &why);
        }
        Ok(())
    }
}

fn broke(e: impl Display) -> Refusal {
    format!("the connection broke: {e}")
}

/// Reads at least the head of an HTTP message. Returns what was read, and where the head ends.
async fn head(stream: &mut TcpStream, start: &[u8]) -> Result<(Vec<u8>, usize), Refusal> {
    let mut message = Vec::new();
    loop {
        if !read(stream, &mut message).await? {
            return Err("it closed before it asked for anything".to_owned());
        }
        if !start.starts_with(&message[..message.len().min(start.len())]) {
            return Err("it does not speak WebSocket".to_owned());
        }
        if let Some(end) = message.windows(4).position(|end| end == b"\r\n\r\n") {
            return Ok((message, end + 4));
        }
        if message.len() > HANDSHAKE {
            return Err("its request is too long".to_owned());
        }
    }
}

/// Reads the first message after a request. `said` gets what is read.
async fn message(
    stream: &mut TcpStream,
    said: &mut Vec<u8>,
    after: usize,
) -> Result<Vec<u8>, Refusal> {
    loop {
        if let Some(message) = first::message(&said[after..], HANDSHAKE)? {
            return Ok(message);
        }
        if !read(stream, said).await? {
            return Err("it closed during the handshake".to_owned());
        }
    }
}

/// Reads some bytes. Returns whether there were any.
async fn read(stream: &mut TcpStream, into: &mut Vec<u8>) -> Result<bool, Refusal> {
    let mut buffer = [0; 4096];
    let n = stream.read(&mut buffer).await.map_err(broke)?;
    into.extend_from_slice(&buffer[..n]);
    Ok(n > 0)
}

/// Returns the path that a request asks for.
fn path(request: &[u8]) -> Option<&str> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line).ok()?.split(' ').nth(1)
}

/// Returns the value of a header of a request.
fn header<'a>(request: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let lines = request.split(|byte| *byte == b'\n').skip(1);
    lines.into_iter().find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let is_it = line[..colon].eq_ignore_ascii_case(name.as_bytes());
        is_it.then(|| line[colon + 1..].trim_ascii())
    })
}

/// Answers a request, and says that nothing follows.
async fn answer(client: &mut TcpStream, status: &str) -> io::Result<()> {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_request_is_found_in_its_first_line() {
        assert_eq!(path(b"GET /session HTTP/1.1\r\nHost: a\r\n\r\n"), Some("/session"));
        assert_eq!(path(b"GET\r\n\r\n"), None);
        assert_eq!(path(b"GET /\xff HTTP/1.1\r\n\r\n"), None);
        let request = b"GET /origin: HTTP/1.1\r\nORIGIN: http://a\r\nkey:\r\n\r\n";
        assert_eq!(header(request, "origin"), Some(&b"http://a"[..]));
        assert_eq!(header(request, "key"), Some(&b""[..]));
        assert_eq!(header(b"GET /origin: HTTP/1.1\r\nHost: a\r\n\r\n", "origin"), None);
    }
}
