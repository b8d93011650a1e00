//! `Server`: hosts devices of this machine for clients of other processes and machines.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use burn::server::{AllowAll, PeerAuthorizer, TokenAuthorizer};
use iroh::Endpoint;
use tokio::runtime::Runtime;

use super::address::{Iroh, Place, Way};
use super::iroh::{Relays, serve as serve_iroh};
use super::porter::Porter;
use super::room::{gigabytes, resident_memory};
use super::websocket::serve as serve_websocket;
use super::{Address, Token};
use crate::error::TrainError;

/// Time between two looks at the flag that ends the server.
const LOOK: Duration = Duration::from_millis(100);
/// How long the sessions may take to end with the server.
const ENDING: Duration = Duration::from_secs(2);

/// What clients may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most sessions at once.
    pub sessions: usize,
    /// Memory in bytes of the process of a session, above which the session is ended. On Linux only.
    pub memory: Option<u64>,
}

/// How clients and a server speak.
#[derive(Clone, Debug)]
pub enum Transport {
    /// WebSocket: readable on the way.
    WebSocket,
    /// iroh: encrypted, and the server is named by its key.
    Iroh {
        /// How clients find the server.
        relays: Relays,
        /// The file of its key, which is made if it is not there. Without it, its key is new.
        key: Option<PathBuf>,
    },
}

/// A server of devices.
pub struct Server<R> {
    /// Makes the command of a process that calls [`host_session`](super::host_session) with the devices: each
    /// session has its own.
    pub room: R,
    /// How many devices there are. A client names one by its position.
    pub devices: u32,
    /// How clients speak to it.
    pub transport: Transport,
    /// What clients must present. Without it everybody who reaches the server may use it.
    pub token: Option<Token>,
    /// What they may use.
    pub limits: Limits,
}

/// Returns the error of something that failed.
pub(super) fn failed(what: &str, e: &dyn std::fmt::Display) -> TrainError {
    TrainError::Failed(format!("{what}: {e}"))
}

impl<R: Fn() -> Command + Send + Sync + 'static> Server<R> {
    /// Listens on a port of an address of this machine; port 0 is any free one. `report` gets a line on
    /// each connection that is turned away and each session that is ended.
    ///
    /// # Errors
    /// If other machines can reach the address and there is no token, or if the port is taken.
    pub fn listen(
        self,
        host: IpAddr,
        port: u16,
        report: impl Fn(&str) + Clone + Send + Sync + 'static,
    ) -> Result<Serving, TrainError> {
        let by_relay = matches!(
            &self.transport,
            Transport::Iroh { relays, .. } if *relays != Relays::Disabled
        );
        if (by_relay || !host.is_loopback()) && self.token.is_none() {
            return Err(TrainError::NoToken { host });
        }
        if let (Some(most), Some(used)) = (self.limits.memory, resident_memory())
            && used > most
        {
            return Err(TrainError::Request(format!(
                "a session that does nothing uses {}, more than {}: allow more memory",
                gigabytes(used),
                gigabytes(most)
            )));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("server")
            .build()
            .map_err(|e| failed("cannot start a thread", &e))?;
        let ended = Arc::new(AtomicBool::new(false));
        let (flag, said) = (Arc::clone(&ended), report.clone());
        let ends = move |why: String| {
            if !flag.swap(true, Ordering::Relaxed) {
                said(&format!("the server ended: {why}"));
            }
        };
        let right: Box<dyn PeerAuthorizer> = match &self.token {
            None => Box::new(AllowAll),
            Some(token) => {
                let right = TokenAuthorizer::new(token.secret());
                Box::new(right.map_err(|e| failed("the token", &e))?)
            }
        };
        let (command, report) = (Box::new(self.room), Box::new(report));
        let porter = Porter::new(right, self.devices, self.limits, command, report);
        let place = SocketAddr::new(host, port);
        let name = |ip: IpAddr| match ip {
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        };
        let (place, endpoint) = match &self.transport {
            Transport::WebSocket => {
                let place = serve_websocket(&runtime, place, porter)?;
                (Place::WebSocket { host: name(place.ip()), port: place.port() }, None)
            }
            Transport::Iroh { relays, key } => {
                let how = (relays, key.as_deref());
                let endpoint = serve_iroh(&runtime, place, porter, how, ends)?;
                let way = match relays {
                    Relays::Public => Way::Lookup,
                    Relays::Private(url) => Way::Relay(url.clone()),
                    Relays::Disabled => {
                        let port = endpoint.bound_sockets().first().map_or(port, SocketAddr::port);
                        Way::Direct { host: name(host), port }
                    }
                };
                (Place::Iroh(Iroh { id: endpoint.id(), way }), Some(endpoint))
            }
        };
        Ok(Serving { place, runtime, endpoint, ended })
    }
}

/// A server that listens.
pub struct Serving {
    place: Place,
    runtime: Runtime,
    endpoint: Option<Endpoint>,
    ended: Arc<AtomicBool>,
}

impl Serving {
    /// Returns the address of the server's first device, as clients on this machine name it.
    pub fn address(&self) -> Address {
        Address { server: self.place.clone(), device: 0 }
    }

    /// Serves until `stop` is set. Then all sessions end.
    ///
    /// # Errors
    /// If the server itself ends before.
    pub fn run(self, stop: &AtomicBool) -> Result<(), TrainError> {
        while !stop.load(Ordering::Relaxed) {
            if self.ended.load(Ordering::Relaxed) {
                return Err(TrainError::Failed("the server ended by itself".to_owned()));
            }
            std::thread::sleep(LOOK);
        }
        self.ended.store(true, Ordering::Relaxed);
        if let Some(endpoint) = self.endpoint {
            // So that clients learn it at once. If they do not answer, they will notice.
            let _ = self
                .runtime
                .block_on(async { tokio::time::timeout(ENDING, endpoint.close()).await });
        }
        self.runtime.shutdown_timeout(ENDING);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::room::tests::room;

    const LIMITS: Limits = Limits { sessions: 2, memory: None };

    fn server(token: Option<Token>, transport: Transport) -> Server<fn() -> Command> {
        Server { room, devices: 1, transport, token, limits: LIMITS }
    }

    fn transports() -> [Transport; 2] {
        [Transport::WebSocket, Transport::Iroh { relays: Relays::Disabled, key: None }]
    }

    fn port(serving: &Serving) -> u16 {
        match serving.place {
            Place::WebSocket { port, .. }
            | Place::Iroh(Iroh { way: Way::Direct { port, .. }, .. }) => port,
            Place::Iroh(_) => panic!("{:?}", serving.place),
        }
    }

    #[test]
    fn other_machines_need_a_token() {
        let everywhere = IpAddr::from([0, 0, 0, 0]);
        for transport in transports() {
            let refused = server(None, transport.clone()).listen(everywhere, 0, |_| {});
            let refused = refused.err().unwrap();
            assert!(refused.is_request(), "{refused}");
            let token = Token::new("secret").unwrap();
            assert!(server(Some(token), transport).listen(everywhere, 0, |_| {}).is_ok());
        }
    }

    #[test]
    fn a_taken_port_is_refused() {
        let here = IpAddr::from([127, 0, 0, 1]);
        for transport in transports() {
            let first = server(None, transport.clone()).listen(here, 0, |_| {}).unwrap();
            let refused = server(None, transport).listen(here, port(&first), |_| {}).err().unwrap();
            let text = refused.to_string();
            assert!(refused.is_request() && text.contains("another port"), "{text}");
        }
    }

    #[test]
    fn a_key_is_kept_so_that_the_address_stays() {
        let folder = tempfile::tempdir().unwrap();
        let key = Some(folder.path().join("keys/7700.key"));
        let here = IpAddr::from([127, 0, 0, 1]);
        let id = |key: Option<PathBuf>| {
            let transport = Transport::Iroh { relays: Relays::Disabled, key };
            match server(None, transport).listen(here, 0, |_| {}).unwrap().place {
                Place::Iroh(Iroh { id, .. }) => id,
                place => panic!("{place:?}"),
            }
        };
        assert_eq!(id(key.clone()), id(key.clone()));
        assert_ne!(id(key.clone()), id(None));
        std::fs::write(key.as_ref().unwrap(), "no key").unwrap();
        let transport = Transport::Iroh { relays: Relays::Disabled, key };
        let refused = server(None, transport).listen(here, 0, |_| {}).err().unwrap();
        assert!(refused.is_request() && refused.to_string().contains("7700.key"), "{refused}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_limit_that_no_session_keeps_is_refused() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let mut server = server(None, Transport::WebSocket);
        server.limits.memory = Some(1_000_000);
        let refused = server.listen(here, 0, |_| {}).err().unwrap();
        assert!(refused.is_request() && refused.to_string().contains("allow more"), "{refused}");
    }
}
