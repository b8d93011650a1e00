//! Asks a server for signs of life.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Instant;

use crate::remote::client::{ANSWER, GONE, INTERVAL, SILENCE};

/// Asks the server for a sign of life until there is none, and returns what was seen.
pub fn until_lost(places: &[SocketAddr]) -> String {
    let mut silent: Option<Instant> = None;
    loop {
        thread::sleep(INTERVAL);
        match sign_of_life(places) {
            Ok(()) => silent = None,
            // Nothing listens there any more, twice in a row.
            Err(why) if why == GONE && silent.is_some() => return why,
            // A network may be away for a moment.
            Err(why) if silent.is_some_and(|since| since.elapsed() > SILENCE) => return why,
            Err(_) => {
                silent.get_or_insert_with(Instant::now);
            }
        }
    }
}

/// Returns where a server may be found.
///
/// # Errors
/// If nobody knows its name.
pub fn places(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, port).to_socket_addrs().map(Iterator::collect).map_err(|e| e.to_string())
}

/// Asks a server for a sign of life. Any answer is one, and so is a connection that is closed.
///
/// # Errors
/// If there is no answer; the message says what was seen.
pub fn sign_of_life(places: &[SocketAddr]) -> Result<(), String> {
    let mut why = "its name is not known".to_owned();
    for place in places {
        let Err(e) = ask(place) else { return Ok(()) };
        why = match e.kind() {
            ErrorKind::ConnectionRefused => GONE.to_owned(),
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "its server does not answer".to_owned(),
            _ => e.to_string(),
        };
    }
    Err(why)
}

fn ask(place: &SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(place, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(b"GET /alive HTTP/1.1\r\nHost: vae\r\nConnection: close\r\n\r\n")?;
    match stream.read(&mut [0]) {
        Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(()),
        read => read.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_a_sign_of_life_and_a_closed_port_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let places = places("127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
        });
        assert_eq!(sign_of_life(&places), Ok(()));
        server.join().unwrap();
        assert_eq!(sign_of_life(&places), Err(GONE.to_owned()));
    }
}
