//! The transport WebSocket. What it carries, tokens too, is readable on the way.

mod guard;
mod life;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use burn::server::{
    AllowAll, AuthorizationRequest, ClientId, PeerAuthorizer, RemoteServer, TokenAuthorizer,
    WebSocketTransport,
};
use tokio::runtime::Runtime;

use self::guard::Guard;
pub(super) use self::life::{places, sign_of_life, until_lost};
use super::Token;
use super::porter::Porter;
use super::server::failed;
use crate::error::TrainError;

/// Serves on a port of an address, behind a guard, until the runtime ends. Returns where it listens.
///
/// # Errors
/// If the port is taken.
pub(super) fn serve(
    runtime: &Runtime,
    server: RemoteServer,
    token: Option<&Token>,
    place: SocketAddr,
    porter: &Arc<Porter>,
    ended: impl FnOnce(String) + Send + 'static,
) -> Result<SocketAddr, TrainError> {
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
    let guard = Arc::new(Guard::new(inner_place, Arc::clone(porter)));
    let server = match token {
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
    runtime.spawn(async move {
        let served = server.serve_async(WebSocketTransport::from_listener(inner)).await;
        ended(served.err().map_or_else(|| "it was closed".to_owned(), |why| why.to_string()));
    });
    let public = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(public).map_err(|e| failed("cannot listen", &e))?
    };
    runtime.spawn(guard.serve(public));
    Ok(place)
}
