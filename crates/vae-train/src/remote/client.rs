//! The client's side: opens a device, and notices when its server is gone.
//!
//! Burn's operations do not fail where a server is gone: they say nothing, and the next read of a
//! result panics, or waits forever if the server stands still. Two things turn that into an error in
//! bounded time: after a panic [`loss`] says whether a device was the cause, and a thread asks each
//! server for a sign of life and calls the listener of [`on_loss`].

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use burn::remote::{ConnectError, RemoteHost};
use burn::tensor::Device;

use super::address::Place;
use super::porter::locked;
use super::{Address, Token, iroh, websocket};
use crate::error::TrainError;

/// How long to wait for a device to be opened. Burn tries for 16 seconds if no server listens.
const OPENING: Duration = Duration::from_secs(25);
/// How long to wait for an answer about a device that is open.
pub(super) const ANSWER: Duration = Duration::from_secs(8);
/// Time between two questions for a sign of life.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// How long a server may give no sign of life.
pub(super) const SILENCE: Duration = Duration::from_secs(12);
/// Time between two questions whether a device still works, and how long it may take to answer: it may have
/// much to do for others.
const STUCK: Duration = Duration::from_secs(600);
/// What is seen where no server listens.
pub(super) const GONE: &str = "its server is gone";

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
    [LOST, NOT_REACHED, TAKEN, NOT_BEGUN].iter().any(|words| message.contains(words))
}

/// What the message of a loss contains.
const LOST: &str = " was lost: ";
/// What the message of a device that is not reached contains.
const NOT_REACHED: &str = "; is `vae-cli serve-device` of this version running there, and does a firewall let its ports through?";

/// What the message of a server without a free session contains.
const TAKEN: &str = ": all sessions of this server are taken; try again when one has ended";

/// What the message of a session contains whose process did not start.
pub(super) const NOT_BEGUN: &str = "its session did not begin: ";

type Listener = Box<dyn Fn(&Loss) + Send>;

/// The devices of this process, and what became of them.
struct Open {
    devices: Vec<(Address, Device, Link)>,
    loss: Option<Loss>,
    listener: Option<Listener>,
}

fn state() -> MutexGuard<'static, Open> {
    static OPEN: Mutex<Open> = Mutex::new(Open { devices: Vec::new(), loss: None, listener: None });
    locked(&OPEN)
}

/// How it is known that a server lives.
#[derive(Clone)]
enum Link {
    /// It answers there.
    WebSocket(Vec<SocketAddr>),
    /// It keeps this connection.
    Iroh(iroh::Visit),
}

impl Link {
    /// Returns what is wrong, if the server gives no sign of life.
    fn silence(&self) -> Option<String> {
        match self {
            Self::WebSocket(places) => websocket::sign_of_life(places).err(),
            Self::Iroh(visit) => visit.end(),
        }
    }

    /// Returns what is wrong, if the server gives no sign of life, at most after `limit`.
    fn silence_within(&self, limit: Duration) -> Option<String> {
        let since = Instant::now();
        loop {
            match self.silence() {
                None if since.elapsed() < limit => thread::sleep(limit / 20),
                found => return found,
            }
        }
    }

    /// Waits until the server is gone, and returns what was seen.
    fn until_lost(&self) -> String {
        match self {
            Self::WebSocket(places) => websocket::until_lost(places),
            Self::Iroh(visit) => iroh::until_lost(visit),
        }
    }
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
    let found = devices.into_iter().find_map(|(address, device, link)| {
        let why = match within(ANSWER, move || device.sync()) {
            Some(Ok(())) => return None,
            // Why it ended is often known a little later.
            Some(Err(why)) => {
                let known = link.silence_within(INTERVAL);
                known.unwrap_or_else(|| format!("its session ended ({why})"))
            }
            // It may only have much to do.
            None => link.silence()?,
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
    let opened = state().devices.iter().find(|(a, ..)| a == address).map(|(_, d, _)| d.clone());
    if let Some(device) = opened {
        return Ok(device);
    }
    let late = || unreachable(address, format!("no answer in {} seconds", OPENING.as_secs()));
    let (host, link) = match &address.server {
        Place::WebSocket { host, port } => {
            let url = RemoteHost::websocket(&format!("ws://{host}:{port}"));
            let places = websocket::places(host, *port).map_err(|e| unreachable(address, e))?;
            let url = match token {
                Some(token) => url.with_credential(token.secret()),
                None => url,
            };
            (url, Link::WebSocket(places))
        }
        Place::Iroh(server) => {
            let (server, secret) = (server.clone(), token.cloned());
            let visit = within(OPENING, move || iroh::knock(&server, secret.as_ref()));
            let visit = visit.ok_or_else(late)?.map_err(|why| match why {
                iroh::Refused::Token => unauthorized(address, token.is_some()),
                iroh::Refused::Failed(why) => TrainError::Failed(format!("{address}: {why}")),
                iroh::Refused::Full => TrainError::Failed(format!("{address}{TAKEN}")),
                iroh::Refused::Version(theirs) => TrainError::Request(format!(
                    "{address}: the server is of version {theirs}, and this program of {}: use the same",
                    env!("CARGO_PKG_VERSION")
                )),
                iroh::Refused::Unreachable(why) => unreachable(address, why),
            })?;
            (RemoteHost::iroh(visit.host.clone()), Link::Iroh(visit))
        }
    };
    let index = address.device;
    let connect = move || Device::remote_options(&host).device_index(index as usize).init();
    let device = within(OPENING, connect).ok_or_else(late)?;
    let device = device.map_err(|why| refused(address, token.is_some(), &why))?;
    state().devices.push((address.clone(), device.clone(), link.clone()));
    let watched = address.clone();
    thread::spawn(move || lost(Loss { why: link.until_lost(), address: watched }));
    // A server answers for itself while its device stands still.
    let (watched, asked) = (address.clone(), device.clone());
    thread::spawn(move || {
        let question = || {
            let asked = asked.clone();
            // Whether its session has ended is seen elsewhere.
            move || drop(asked.sync())
        };
        if gets_stuck(STUCK, question) {
            let why = format!("it has not answered for {} seconds", STUCK.as_secs());
            lost(Loss { why, address: watched });
        }
    });
    Ok(device)
}

/// Returns the error of a device that cannot be reached.
fn unreachable(address: &Address, why: impl std::fmt::Display) -> TrainError {
    TrainError::Failed(format!("{address}: {why}{NOT_REACHED}"))
}

/// Returns the error of a server that wants another token.
fn unauthorized(address: &Address, has_token: bool) -> TrainError {
    TrainError::Unauthorized { address: address.to_string(), has_token }
}

/// Returns the error of a device that was not opened.
fn refused(address: &Address, has_token: bool, why: &ConnectError) -> TrainError {
    match why {
        ConnectError::Unauthorized => unauthorized(address, has_token),
        ConnectError::NoSuchDevice { device_count } => TrainError::Request(format!(
            "{address}: the server has {device_count} devices: leave #{} out, or name a smaller number",
            address.device
        )),
        ConnectError::Unreachable { reason } if reason.contains("503") => {
            TrainError::Failed(format!("{address}{TAKEN}"))
        }
        why @ ConnectError::IncompatibleProtocol { .. } => {
            TrainError::Request(format!("{address}: {why}: use the same release on both sides"))
        }
        why => unreachable(address, why),
    }
}

/// Returns what `work` returns, or `None` if it needs longer than `limit` or panics. It goes on then.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    answer_within(limit, work).ok()
}

/// Returns what `work` returns, or whether it needs longer than `limit`, or has panicked.
fn answer_within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RecvTimeoutError> {
    let (sender, result) = channel();
    thread::spawn(move || {
        // The receiver is gone if this took too long.
        let _ = sender.send(work());
    });
    result.recv_timeout(limit)
}

/// Asks a device again and again whether it still works, by the `question` that is made anew each time.
/// Returns true if it does not answer for as long as `limit`, and false if it can no longer be asked.
fn gets_stuck<Q: FnOnce() + Send + 'static>(limit: Duration, question: impl Fn() -> Q) -> bool {
    loop {
        match answer_within(limit, question()) {
            Ok(()) => thread::sleep(limit),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// Tells that a device was lost, if none was before.
fn lost(loss: Loss) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn work_that_takes_too_long_or_panics_has_no_result() {
        assert_eq!(within(ANSWER, || 7), Some(7));
        assert_eq!(within(Duration::from_millis(1), || thread::sleep(ANSWER)), None);
        assert_eq!(within(ANSWER, || std::panic::resume_unwind(Box::new(()))), None::<()>);
    }

    #[test]
    fn a_device_that_stops_to_answer_is_noticed() {
        for (stuck, last) in [(true, (|| thread::park()) as fn()), (false, || panic!("gone"))] {
            let asked = AtomicU32::new(0);
            let question = || {
                let earlier = asked.fetch_add(1, Ordering::Relaxed);
                move || {
                    if earlier == 1 {
                        last()
                    }
                }
            };
            assert_eq!(gets_stuck(INTERVAL, question), stuck);
            assert_eq!(asked.into_inner(), 2);
        }
    }

    #[test]
    fn messages_of_loss_are_recognized() {
        let address: Address = "ws://gpu:7700".parse().unwrap();
        let loss = Loss { address: address.clone(), why: "its server is gone".to_owned() };
        assert!(tells_of_loss(&format!("error: {loss}; go on")));
        assert!(tells_of_loss(&unreachable(&address, "no answer").to_string()));
        assert!(!tells_of_loss("error: loss is NaN at step 3"));
    }
}
