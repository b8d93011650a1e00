//! The guard in front of a server: it limits what a stranger can do before the server knows who asks.
//!
//! burn-remote reads whatever a connection sends, up to a gigabyte a message, for as long as it takes,
//! before it checks the token. The guard listens in its place. It passes at most [`HANDSHAKE`] bytes in
//! `PATIENCE` until the server has accepted the client.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, copy_buf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::remote::porter::{PATIENCE, Porter, Refusal, locked};

/// Most bytes that a stranger may send: a request, and a handshake with a token.
const HANDSHAKE: usize = 1 << 14;
/// Size of a buffer between a client and the server.
const BUFFER: usize = 1 << 17;

/// What the guard does.
pub struct Guard {
    /// Where the server listens.
    server: SocketAddr,
    porter: Arc<Porter>,
    /// Where the connections to the server come from, by their ports on this machine.
    peers: Mutex<HashMap<u16, SocketAddr>>,
}

impl Guard {
    /// Makes a guard of the server at `server`.
    pub fn new(server: SocketAddr, porter: Arc<Porter>) -> Self {
        Self { server, porter, peers: Mutex::default() }
    }

    /// Returns where a connection to the server comes from, by its address on this machine.
    pub fn peer(&self, inner: SocketAddr) -> SocketAddr {
        locked(&self.peers).get(&inner.port()).copied().unwrap_or(inner)
    }

    /// Accepts connections until the future is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((client, peer)) = listener.accept().await else {
                // Too many open files, for example: others close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (number, ended) = self.porter.arrives();
            let guard = Arc::clone(&self);
            tokio::spawn(async move {
                let admitted = guard.porter.admit(number, ended, guard.receive(client, peer)).await;
                let passed = match admitted {
                    Ok(Some([client, server])) => guard.pass(client, server, number).await,
                    Ok(None) => Ok(()),
                    Err(why) => Err(why),
                };
                if let Err(why) = passed {
                    guard.porter.turned_away(peer, &why);
                }
            });
        }
    }

    /// Lets a stranger speak to the server until the server has accepted it. Returns both connections,
    /// or none if the stranger got its answer.
    async fn receive(
        &self,
        mut client: TcpStream,
        peer: SocketAddr,
    ) -> Result<Option<[TcpStream; 2]>, Refusal> {
        let failed = |e: io::Error| format!("the connection broke: {e}");
        // A client whose machine is gone is noticed within half a minute.
        let alive = TcpKeepalive::new().with_time(PATIENCE).with_interval(PATIENCE / 2);
        SockRef::from(&client).set_tcp_keepalive(&alive.with_retries(4)).map_err(failed)?;
        #[cfg(target_os = "linux")]
        SockRef::from(&client).set_tcp_user_timeout(Some(PATIENCE * 3)).map_err(failed)?;
        client.set_nodelay(true).map_err(failed)?;
        let request = timeout(PATIENCE, head(&mut client))
            .await
            .map_err(|_| format!("no request in {} seconds", PATIENCE.as_secs()))??;
        match path(&request) {
            Some("/alive") => {
                let _ = answer(&mut client, "204 No Content").await;
                return Ok(None);
            }
            Some("/session") => {}
            _ => {
                let _ = answer(&mut client, "404 Not Found").await;
                return Err("it asks for something else than a device".to_owned());
            }
        }
        if has_origin(&request) {
            let _ = answer(&mut client, "403 Forbidden").await;
            return Err("it is a web page".to_owned());
        }
        if let Err(why) = self.porter.has_room().await {
            let _ = answer(&mut client, "503 Service Unavailable").await;
            return Err(why);
        }
        let mut server = TcpStream::connect(self.server).await.map_err(failed)?;
        server.set_nodelay(true).map_err(failed)?;
        let inner = server.local_addr().map_err(failed)?.port();
        locked(&self.peers).insert(inner, peer);
        server.write_all(&request).await.map_err(failed)?;
        let shaken = timeout(PATIENCE, handshake(&mut client, &mut server, request.len())).await;
        locked(&self.peers).remove(&inner);
        let shaken =
            shaken.map_err(|_| format!("no handshake in {} seconds", PATIENCE.as_secs()))??;
        // The server has said, and logged, why it does not accept one.
        Ok(shaken.then_some([client, server]))
    }

    /// Passes everything on between a client and the server until one of them ends, or the session is
    /// ended.
    async fn pass(&self, client: TcpStream, server: TcpStream, number: u64) -> Result<(), Refusal> {
        let (_session, ended) = self.porter.begins(number)?;
        let (from_client, mut to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let mut from_client = BufReader::with_capacity(BUFFER, from_client);
        let mut from_server = BufReader::with_capacity(BUFFER, from_server);
        // What breaks a connection is seen, and said, at its two ends.
        tokio::select! {
            _ = copy_buf(&mut from_client, &mut to_server) => {}
            _ = copy_buf(&mut from_server, &mut to_client) => {}
            _ = ended => {}
        }
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
        if end_of_head(&request).is_some() {
            return Ok(request);
        }
        if request.len() > HANDSHAKE {
            return Err("its request is too long".to_owned());
        }
    }
}

/// Returns where the head of an HTTP message ends.
fn end_of_head(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
}

/// Returns the path that a request asks for.
fn path(request: &[u8]) -> Option<&str> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line).ok()?.split(' ').nth(1)
}

/// Returns whether a browser sends the request for a page. Any page may ask for a device of the machine
/// that shows it.
fn has_origin(request: &[u8]) -> bool {
    let lines = request.split(|byte| *byte == b'\n');
    lines.into_iter().any(|line| line.len() >= 7 && line[..7].eq_ignore_ascii_case(b"origin:"))
}

/// Answers a request, and says that nothing follows.
async fn answer(client: &mut TcpStream, status: &str) -> io::Result<()> {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}

/// Passes bytes on until the server has accepted the client, which is true, or refused it. `sent` bytes
/// were passed on already.
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
                if let Some(accepted) = verdict(&answered)? {
                    return Ok(accepted);
                }
                if answered.len() > HANDSHAKE {
                    return Err("the server's answer makes no sense".to_owned());
                }
            }
        }
    }
}

/// Returns whether the server accepts a client, from what it has answered so far. `None` if it has not
/// said so yet.
fn verdict(answered: &[u8]) -> Result<Option<bool>, Refusal> {
    /// First byte of a whole message of bytes (RFC 6455, section 5.2).
    const MESSAGE: u8 = 0x82;
    /// The name of a refusal in burn-remote's messages.
    const REFUSED: &[u8] = b"InitRefused";
    let Some(at) = end_of_head(answered) else { return Ok(None) };
    let no_handshake = || Err("it does not begin a session".to_owned());
    if !answered.starts_with(b"HTTP/1.1 101") {
        return no_handshake();
    }
    let (length, from) = match answered[at..] {
        [] | [MESSAGE] => return Ok(None),
        [MESSAGE, 126, a, b, ..] => (usize::from(u16::from_be_bytes([a, b])), at + 4),
        [MESSAGE, 126, ..] => return Ok(None),
        [MESSAGE, length @ 0..126, ..] => (usize::from(length), at + 2),
        // A pong, for example: the server answers pings of strangers.
        _ => return no_handshake(),
    };
    let Some(message) = answered.get(from..from + length) else { return Ok(None) };
    Ok(Some(!message.windows(REFUSED.len()).any(|part| part == REFUSED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_request_is_found_in_its_first_line() {
        assert_eq!(path(b"GET /session HTTP/1.1\r\nHost: a\r\n\r\n"), Some("/session"));
        assert_eq!(path(b"GET\r\n\r\n"), None);
        assert_eq!(path(b"GET /\xff HTTP/1.1\r\n\r\n"), None);
        assert!(has_origin(b"GET / HTTP/1.1\r\nORIGIN: http://a\r\n\r\n"));
        assert!(!has_origin(b"GET /origin: HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    #[test]
    fn only_a_message_that_is_no_refusal_accepts_a_client() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let after = |bytes: &[u8]| verdict(&[&head[..], bytes].concat());
        for (bytes, expected) in [
            (&b""[..], None),
            (b"\x82", None),
            (b"\x82\x04Ini", None),
            (b"\x82\x04Init", Some(true)),
            (b"\x82\x0bInitRefused", Some(false)),
            (b"\x82\x7e\x00", None),
            (b"\x82\x7e\x00\x03abc", Some(true)),
        ] {
            assert_eq!(after(bytes), Ok(expected), "{bytes:?}");
        }
        assert!(after(b"\x8a\x00").is_err());
        assert_eq!(verdict(b"HTTP/1.1 101"), Ok(None));
        assert!(verdict(b"HTTP/1.1 400 Bad Request\r\n\r\nno").is_err());
    }
}
