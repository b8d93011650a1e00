//! The client's side: opens a device, and notices when its server is gone.
//!
//! Burn's operations do not fail where a server is gone: they say nothing, and the next read of a
//! result panics, or waits forever if the server stands still. Two things turn that into an error in
//! bounded time: after a panic [`loss`] says whether a device was the cause, and a thread asks each
//! server for a sign of life and calls the listener of [`on_loss`].

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use burn::remote::ConnectError;
use burn::tensor::Device;

use super::{Address, Token};
use crate::error::TrainError;

/// How long to wait for a device to be opened. Burn tries for 16 seconds if no server listens.
const OPENING: Duration = Duration::from_secs(25);
/// How long to wait for an answer about a device that is open.
const ANSWER: Duration = Duration::from_secs(8);
/// Time between two questions for a sign of life.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a server may give no sign of life.
const SILENCE: Duration = Duration::from_secs(12);

/// A device that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where its server was.
    pub address: Address,
    /// What was seen.
    pub why: String,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the device at {}{LOST}{}", self.address, self.why)
    }
}

/// Returns whether a message of a failed command says that a device was lost, or not reached.
pub fn tells_of_loss(message: &str) -> bool {
    [LOST, NOT_REACHED, TAKEN].iter().any(|words| message.contains(words))
}

/// What the message of a loss contains.
const LOST: &str = " was lost: ";
/// What the message of a device that is not reached contains.
const NOT_REACHED: &str =
    "; is `vae-cli serve-device` running there, and is it a server of this version?";

/// What the message of a server without a free session contains.
const TAKEN: &str = ": all sessions of this server are taken; try again when one has ended";

type Listener = Box<dyn Fn(&Loss) + Send>;

/// The devices of this process, and what became of them.
struct Open {
    devices: Vec<(Address, Device)>,
    loss: Option<Loss>,
    listener: Option<Listener>,
}

fn state() -> MutexGuard<'static, Open> {
    static OPEN: Mutex<Open> = Mutex::new(Open { devices: Vec::new(), loss: None, listener: None });
    // No code panics while it holds the lock, so what it guards is whole.
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `listener` once, from another thread, if a server gives no sign of life any more.
pub fn on_loss(listener: impl Fn(&Loss) + Send + 'static) {
    state().listener = Some(Box::new(listener));
}

/// Returns the device that was lost, if one was. Asks all open devices, and waits some seconds for
/// their answers.
pub fn loss() -> Option<Loss> {
    let (known, devices) = {
        let state = state();
        (state.loss.clone(), state.devices.clone())
    };
    if known.is_some() {
        return known;
    }
    let found = devices.into_iter().find_map(|(address, device)| {
        let why = match within(ANSWER, move || device.sync()) {
            Some(Ok(())) => return None,
            Some(Err(why)) => format!("its session ended ({why})"),
            // It may only have much to do.
            None => places(&address).and_then(|places| sign_of_life(&places)).err()?,
        };
        Some(Loss { address, why })
    });
    // What is said of a loss is the same whoever asks.
    found.map(|loss| state().loss.get_or_insert(loss).clone())
}

/// Opens the device at `address`.
///
/// # Errors
/// If the server cannot be reached, does not answer, or does not accept the token.
pub(crate) fn open(address: &Address, token: Option<&Token>) -> Result<Device, TrainError> {
    let opened = state().devices.iter().find(|(a, _)| a == address).map(|(_, d)| d.clone());
    if let Some(device) = opened {
        return Ok(device);
    }
    let mut host = address.host();
    if let Some(token) = token {
        host = host.with_credential(token.secret());
    }
    let index = address.device;
    let connect = move || Device::remote_options(&host).device_index(index as usize).init();
    let device = match within(OPENING, connect) {
        Some(Ok(device)) => device,
        Some(Err(why)) => return Err(refused(address, token.is_some(), &why)),
        None => {
            let seconds = OPENING.as_secs();
            return Err(unreachable(address, format!("no answer in {seconds} seconds")));
        }
    };
    state().devices.push((address.clone(), device.clone()));
    let watched = address.clone();
    thread::spawn(move || watch(&watched));
    Ok(device)
}

/// Returns the error of a device that cannot be reached.
fn unreachable(address: &Address, why: impl std::fmt::Display) -> TrainError {
    TrainError::Failed(format!("{address}: {why}{NOT_REACHED}"))
}

/// Returns the error of a device that was not opened.
fn refused(address: &Address, has_token: bool, why: &ConnectError) -> TrainError {
    match why {
        ConnectError::Unauthorized => {
            TrainError::Unauthorized { address: address.to_string(), has_token }
        }
        ConnectError::NoSuchDevice { device_count } => TrainError::Request(format!(
            "{address}: the server has {device_count} devices: leave #{} out, or name a smaller number",
            address.device
        )),
        ConnectError::Unreachable { reason } if reason.contains("503") => {
            TrainError::Failed(format!("{address}{TAKEN}"))
        }
        why => unreachable(address, why),
    }
}

/// Returns what `work` returns, or `None` if it needs longer than `limit` or panics. It goes on then.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, result) = channel();
    thread::spawn(move || {
        // The receiver is gone if this took too long.
        let _ = sender.send(work());
    });
    result.recv_timeout(limit).ok()
}

/// Asks the server for a sign of life until there is none.
fn watch(address: &Address) {
    let Ok(places) = places(address) else { return };
    let mut silent: Option<Instant> = None;
    let why = loop {
        thread::sleep(INTERVAL);
        match sign_of_life(&places) {
            Ok(()) => silent = None,
            // Nothing listens there any more, twice in a row.
            Err(why) if why == GONE && silent.is_some() => break why,
            // A network may be away for a moment.
            Err(why) if silent.is_some_and(|since| since.elapsed() > SILENCE) => break why,
            Err(_) => {
                silent.get_or_insert_with(Instant::now);
            }
        }
    };
    let loss = Loss { address: address.clone(), why };
    let listener = {
        let mut state = state();
        if state.loss.is_some() {
            return;
        }
        state.loss = Some(loss.clone());
        state.listener.take()
    };
    if let Some(listener) = listener {
        listener(&loss);
    }
}

/// What is seen where no server listens.
const GONE: &str = "its server is gone";

/// Returns where a server may be found.
fn places(address: &Address) -> Result<Vec<SocketAddr>, String> {
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    (host, address.port).to_socket_addrs().map(Iterator::collect).map_err(|e| e.to_string())
}

/// Asks for a page that no server has. Any answer is a sign of life, and so is a connection that is closed.
fn sign_of_life(places: &[SocketAddr]) -> Result<(), String> {
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

    fn address(listener: &TcpListener) -> Address {
        format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap()
    }

    #[test]
    fn work_that_takes_too_long_or_panics_has_no_result() {
        assert_eq!(within(ANSWER, || 7), Some(7));
        assert_eq!(within(Duration::from_millis(1), || thread::sleep(ANSWER)), None);
        assert_eq!(within(ANSWER, || std::panic::resume_unwind(Box::new(()))), None::<()>);
    }

    #[test]
    fn messages_of_loss_are_recognized() {
        let address: Address = "ws://gpu:7700".parse().unwrap();
        let loss = Loss { address: address.clone(), why: "its server is gone".to_owned() };
        assert!(tells_of_loss(&format!("error: {loss}; go on")));
        assert!(tells_of_loss(&unreachable(&address, "no answer").to_string()));
        assert!(!tells_of_loss("error: loss is NaN at step 3"));
    }

    #[test]
    fn an_answer_is_a_sign_of_life_and_a_closed_port_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = address(&listener);
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
        });
        let places = places(&address).unwrap();
        assert_eq!(sign_of_life(&places), Ok(()));
        server.join().unwrap();
        assert_eq!(sign_of_life(&places), Err(GONE.to_owned()));
    }
}
