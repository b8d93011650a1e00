//! `Server`: hosts devices of this machine for clients of other processes and machines.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use burn::server::{
    AllowAll, AuthorizationRequest, ClientId, PeerAuthorizer, RemoteServer, TokenAuthorizer,
    WebSocketTransport,
};
use burn::tensor::Device;
use tokio::runtime::Runtime;

use super::guard::Guard;
use super::{Address, Token};
use crate::error::TrainError;

/// Time between two looks at the flag that ends the server, and at its memory.
const LOOK: Duration = Duration::from_millis(100);
/// Looks until the memory of a session that was ended is given back to the system.
const LOOKS_TO_GIVE_BACK: u32 = 50;

/// What clients may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most sessions at once.
    pub sessions: usize,
    /// Memory of the process in bytes, above which the newest session is ended. On Linux only.
    pub memory: Option<u64>,
}

/// A server of devices.
#[derive(Debug)]
pub struct Server {
    /// The devices, all of one backend. A client names one by its position.
    pub devices: Vec<Device>,
    /// What clients must present. Without it everybody who reaches the server may use it.
    pub token: Option<Token>,
    /// What they may use.
    pub limits: Limits,
}

impl Server {
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
        if !host.is_loopback() && self.token.is_none() {
            return Err(TrainError::NoToken { host });
        }
        let failed =
            |what: &str, e: &dyn std::fmt::Display| TrainError::Failed(format!("{what}: {e}"));
        let place = SocketAddr::new(host, port);
        let bound = TcpListener::bind(place).and_then(|public| {
            public.set_nonblocking(true)?;
            // The server itself is reached through the guard, on this machine.
            Ok((public.local_addr()?, public, TcpListener::bind("127.0.0.1:0")?))
        });
        let (place, public, inner) = bound.map_err(|e| match e.kind() {
            std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable => {
                TrainError::Request(format!("cannot listen on {place}: {e}; choose another port"))
            }
            _ => failed(&format!("cannot listen on {place}"), &e),
        })?;
        let inner_place = inner.local_addr().map_err(|e| failed("cannot listen", &e))?;

        let guard = Arc::new(Guard::new(inner_place, self.limits.sessions, report.clone()));
        let server = RemoteServer::new(self.devices);
        let server = match &self.token {
            None => server.with_authorizer(AllowAll),
            Some(token) => {
                let right = TokenAuthorizer::new(token.secret());
                let right = right.map_err(|e| failed("the token", &e))?;
                let guard = Arc::clone(&guard);
                server.with_authorizer(move |request: AuthorizationRequest<'_>| {
                    let client = match request.client {
                        ClientId::WebSocket(inner) => guard.peer(inner).to_string(),
                        other => other.to_string(),
                    };
                    right.authorize(request).map_err(|_| format!("{client} has a wrong token"))
                })
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("server")
            .build()
            .map_err(|e| failed("cannot start a thread", &e))?;
        let ended = Arc::new(AtomicBool::new(false));
        let (flag, said) = (Arc::clone(&ended), report.clone());
        runtime.spawn(async move {
            let served = server.serve_async(WebSocketTransport::from_listener(inner)).await;
            if let Err(why) = served {
                said(&format!("the server ended: {why}"));
            }
            flag.store(true, Ordering::Relaxed);
        });
        let guarding = Arc::clone(&guard);
        let public = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(public).map_err(|e| failed("cannot listen", &e))?
        };
        runtime.spawn(guarding.serve(public));
        let memory = self.limits.memory;
        Ok(Serving { place, runtime, guard, ended, memory, report: Box::new(report) })
    }
}

/// A server that listens.
pub struct Serving {
    place: SocketAddr,
    runtime: Runtime,
    guard: Arc<Guard>,
    ended: Arc<AtomicBool>,
    memory: Option<u64>,
    report: Box<dyn Fn(&str) + Send>,
}

impl Serving {
    /// Returns the address of the server's first device, as clients on this machine name it.
    pub fn address(&self) -> Address {
        let host = match self.place.ip() {
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        };
        Address { host, port: self.place.port(), device: 0 }
    }

    /// Serves until `stop` is set. Then all sessions end.
    ///
    /// # Errors
    /// If the server itself ends before.
    pub fn run(self, stop: &AtomicBool) -> Result<(), TrainError> {
        let mut patience = 0;
        while !stop.load(Ordering::Relaxed) {
            if self.ended.load(Ordering::Relaxed) {
                return Err(TrainError::Failed("the server ended by itself".to_owned()));
            }
            let above = self.memory.filter(|most| resident_memory().is_some_and(|is| is > *most));
            patience = if patience > 0 { patience - 1 } else { 0 };
            if let Some(most) = above.filter(|_| patience == 0) {
                let gigabytes = most as f64 / 1e9;
                if self.guard.end_newest() {
                    (self.report)(&format!(
                        "the newest session was ended: this process used more than {gigabytes:.1} GB"
                    ));
                    patience = LOOKS_TO_GIVE_BACK;
                }
            }
            std::thread::sleep(LOOK);
        }
        self.runtime.shutdown_timeout(Duration::from_secs(2));
        Ok(())
    }
}

/// Returns the memory that this process uses, in bytes. `None` where the system does not say.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { sessions: 2, memory: None };

    fn server(token: Option<Token>) -> Server {
        Server { devices: vec![crate::Backend::any_cpu().unwrap().device], token, limits: LIMITS }
    }

    #[test]
    fn other_machines_need_a_token() {
        let everywhere = IpAddr::from([0, 0, 0, 0]);
        let refused = server(None).listen(everywhere, 0, |_| {}).err().unwrap();
        assert!(refused.is_request(), "{refused}");
        let token = Token::new("secret").unwrap();
        assert!(server(Some(token)).listen(everywhere, 0, |_| {}).is_ok());
    }

    #[test]
    fn a_taken_port_is_refused() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let first = server(None).listen(here, 0, |_| {}).unwrap();
        let refused = server(None).listen(here, first.address().port, |_| {}).err().unwrap();
        assert!(refused.is_request() && refused.to_string().contains("another port"), "{refused}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        assert!(resident_memory().unwrap() > 1_000_000);
    }
}
