//! The room's side: a server of burn-remote for the client of a session, and for the servers that it brings.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use burn::server::{AllowAll, BURN_REMOTE_ALPN, IrohIdentity, RemoteServer};
use iroh::endpoint::{Connection, VarInt};
use iroh::protocol::DynProtocolHandler;
use iroh::{Endpoint, EndpointAddr, EndpointId};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::reception::{Reception, receive};
use super::{GOODBYE, TURNED_AWAY, bind};
use crate::error::TrainError;
use crate::remote::porter::{Refusal, Report, Strangers};
use crate::remote::room::IrohWish;
use crate::remote::server::failed;

/// How long a guest waits for the message that lets it in.
pub(super) const AHEAD: Duration = Duration::from_secs(2);

/// How long guests may take to hear that the room ends.
const PARTING: Duration = Duration::from_millis(500);

/// Those who are let into a room.
pub struct Guests {
    known: watch::Sender<HashSet<EndpointId>>,
    endpoint: Endpoint,
}

impl Guests {
    /// Lets another one in.
    pub fn lets_in(&self, guest: EndpointId) {
        self.known.send_modify(|known| {
            known.insert(guest);
        });
    }

    /// Tells all who are here that the room ends.
    pub fn see_off(self, runtime: &Runtime) {
        // Those who do not answer will notice.
        let _ = runtime.block_on(async { timeout(PARTING, self.endpoint.close()).await });
    }
}

/// Hosts devices for a client. Returns what lets others in, the address of this server, and its port.
/// `ended` is told why the server ended by itself.
///
/// # Errors
/// If no port is free.
pub fn host(
    runtime: &Runtime,
    server: RemoteServer,
    IrohWish { relays, host, ports, client }: IrohWish,
    report: Report,
    ended: impl FnOnce(String) + Send + 'static,
) -> Result<(Guests, EndpointAddr, u16), TrainError> {
    let bind = |port| {
        let (key, place) = (IrohIdentity::random().to_bytes().into(), SocketAddr::new(host, port));
        bind(runtime, &relays, key, BURN_REMOTE_ALPN, place)
    };
    // If no port is free, what is said of the last one.
    let mut endpoint = bind(*ports.start());
    for port in ports.skip(1) {
        if endpoint.is_ok() {
            break;
        }
        endpoint = bind(port);
    }
    let endpoint = endpoint?;
    let port = endpoint.bound_sockets().first().map_or(0, SocketAddr::port);
    // The door has checked the token. Tensors go to other servers by a capability of the session.
    let server = server.with_authorizer(AllowAll).into_protocol(&endpoint);
    let server = server.map_err(|e| failed("cannot serve", &e))?;
    let (sender, known) = watch::channel(HashSet::from([client]));
    let host = Host { known, server: server.into(), strangers: Strangers::new(report) };
    let address = endpoint.addr();
    let guests = Guests { known: sender, endpoint: endpoint.clone() };
    runtime.spawn(async move {
        receive(&endpoint, BURN_REMOTE_ALPN, Arc::new(host)).await;
        ended("its endpoint was closed".to_owned());
    });
    Ok((guests, address, port))
}

struct Host {
    known: watch::Receiver<HashSet<EndpointId>>,
    server: Box<dyn DynProtocolHandler>,
    strangers: Strangers,
}

impl Reception for Host {
    type Client = Connection;

    fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    async fn greet(&self, connection: Connection) -> Result<Connection, Refusal> {
        let (mut known, id) = (self.known.clone(), connection.remote_id());
        if timeout(AHEAD, known.wait_for(|known| known.contains(&id)))
            .await
            .is_ok_and(|k| k.is_ok())
        {
            return Ok(connection);
        }
        connection.close(TURNED_AWAY, b"the server does not know this client");
        Err("it did not knock".to_owned())
    }

    async fn serve(&self, connection: Connection) -> Result<(), Refusal> {
        connection.set_receive_window(VarInt::from_u32(u32::MAX));
        // What breaks a connection is seen, and said, at its two ends.
        let _ = self.server.accept(connection.clone()).await;
        connection.close(GOODBYE, b"");
        Ok(())
    }
}
