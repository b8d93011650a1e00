//! The transport WebSocket. What it carries, tokens too, is readable on the way.
//!
//! ```text
//!   client   <-- TCP -->   guard, in the server   <-- TCP on this machine -->   burn-remote, in a room
//! ```

mod first;
mod guard;
mod life;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use burn::server::{AuthorizationRequest, ClientId, RemoteServer, WebSocketTransport};
use tokio::runtime::Runtime;

use self::guard::Guard;
pub(super) use self::life::{places, sign_of_life, until_lost};
use super::porter::Porter;
use super::server::failed;
use crate::error::TrainError;

/// Receives clients on a port of an address until the runtime ends. Returns where it listens.
///
/// # Errors
/// If the port is taken.
pub(super) fn serve(
    runtime: &Runtime,
    place: SocketAddr,
    porter: Porter,
) -> Result<SocketAddr, TrainError> {
    let bound = TcpListener::bind(place).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let _inside = runtime.enter();
        Ok((listener.local_addr()?, tokio::net::TcpListener::from_std(listener)?))
    });
    let (place, listener) = bound.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable => {
            TrainError::Request(format!("cannot listen on {place}: {e}; choose another port"))
        }
        _ => failed(&format!("cannot listen on {place}"), &e),
    })?;
    runtime.spawn(Arc::new(Guard::new(porter)).serve(listener));
    Ok(place)
}

/// Hosts devices in a room: on a port that only this machine reaches, for the connection that comes from
/// `client`. Returns the port. `ended` is told why the server ended by itself.
///
/// # Errors
/// If there is no port.
pub(super) fn host(
    runtime: &Runtime,
    server: RemoteServer,
    client: SocketAddr,
    ended: impl FnOnce(String) + Send + 'static,
) -> Result<u16, TrainError> {
    let none = |e: &dyn std::fmt::Display| failed("cannot listen", e);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| none(&e))?;
    let port = listener.local_addr().map_err(|e| none(&e))?.port();
    // The guard has checked the token.
    let server = server.with_authorizer(move |request: AuthorizationRequest<'_>| {
        match request.client == ClientId::WebSocket(client) {
            true => Ok(()),
            false => Err(format!("{} is not the client of this session", request.client)),
        }
    });
    runtime.spawn(async move {
        let served = server.serve_async(WebSocketTransport::from_listener(listener)).await;
        ended(served.err().map_or_else(|| "it was closed".to_owned(), |why| why.to_string()));
    });
    Ok(port)
}
