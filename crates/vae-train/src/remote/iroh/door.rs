//! The server's side: a door, and a server behind it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use burn::server::{
    AllowAll, AuthorizationRequest, BURN_REMOTE_ALPN, ClientId, IrohIdentity, PeerAuthorizer,
    RemoteServer, TokenAuthorizer,
};
use iroh::endpoint::{Connection, Incoming, IncomingAddr, SendStream, ServerConfig, VarInt};
use iroh::protocol::DynProtocolHandler;
use iroh::{Endpoint, EndpointId};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{DOOR, GOODBYE, MOST_WORDS, Relays, TURNED_AWAY, VERSION, builder, transport};
use crate::error::TrainError;
use crate::remote::Token;
use crate::remote::porter::{PATIENCE, Porter, Refusal, locked};
use crate::remote::server::failed;

/// What is behind the door of a server.
struct House {
    /// How connections of strangers begin.
    strangers: Arc<ServerConfig>,
    right: Box<dyn PeerAuthorizer>,
    porter: Arc<Porter>,
    server: Box<dyn DynProtocolHandler>,
    /// Who was let in. The sender is dropped when a guest leaves.
    guests: Mutex<HashMap<EndpointId, Guest>>,
    /// Servers that guests brought, each with its guest: devices send tensors to each other.
    friends: Mutex<Vec<(EndpointId, EndpointId)>>,
}

/// A client that was let in: the number of its connection to the door, and what ends with it.
type Guest = (u64, watch::Sender<()>);

/// How long to wait until a client that is refused has read why.
const PARTING: Duration = Duration::from_secs(1);
/// Most bytes of a stranger, in all its streams together, that wait to be read.
const STRANGERS_WINDOW: u32 = 1 << 14;
/// How long a server may take to be known to others.
const ONLINE: Duration = Duration::from_secs(10);
/// Most servers that a guest may bring.
const FRIENDS: usize = 64;

/// Serves on a UDP port of an address until the endpoint is closed. `identity` is the file of the
/// server's key, which is made if it is not there; without it the key is new.
///
/// # Errors
/// If the port is taken, or if the key cannot be read or written.
pub fn serve(
    runtime: &Runtime,
    server: RemoteServer,
    token: Option<&Token>,
    place: SocketAddr,
    porter: &Arc<Porter>,
    (relays, identity): (&Relays, Option<&Path>),
    ended: impl FnOnce(String) + Send + 'static,
) -> Result<Endpoint, TrainError> {
    let key = match identity {
        None => IrohIdentity::random(),
        Some(path) => {
            let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            parent
                .and_then(|()| IrohIdentity::load_or_create(path))
                .map_err(|e| TrainError::Request(format!("{}: {e}", path.display())))?
        }
    };
    let refused = |e: &dyn std::fmt::Display| {
        TrainError::Request(format!("cannot listen on {place}: {e}; choose another port"))
    };
    let alone = std::net::UdpSocket::bind(place).map_err(|e| refused(&e))?;
    let place = alone.local_addr().map_err(|e| failed("cannot listen", &e))?;
    drop(alone);
    let endpoint = runtime.block_on(async {
        let mut builder = builder(relays)
            .secret_key(key.to_bytes().into())
            .alpns(alpns())
            .clear_ip_transports()
            .bind_addr(place)
            .map_err(|e| refused(&e))?;
        if place.ip() == Ipv6Addr::UNSPECIFIED {
            // iroh's sockets are of one family.
            let all = (Ipv4Addr::UNSPECIFIED, place.port());
            builder = builder.bind_addr(all).map_err(|e| refused(&e))?;
        }
        builder.bind().await.map_err(|e| refused(&e))
    })?;
    if *relays != Relays::Disabled {
        // Clients look it up as soon as they know its address. It may have no network yet.
        let _ = runtime.block_on(async { timeout(ONLINE, endpoint.online()).await });
    }
    let right: Box<dyn PeerAuthorizer> = match token {
        None => Box::new(AllowAll),
        Some(token) => {
            let right = TokenAuthorizer::new(token.secret());
            Box::new(right.map_err(|e| failed("the token", &e))?)
        }
    };
    // The door has checked the token. Tensors go to other servers by a capability of the session.
    let server = server.with_authorizer(AllowAll).into_protocol(&endpoint);
    let server = server.map_err(|e| failed("cannot serve", &e))?;
    // A connection that the server itself opens, to fetch a tensor from another, has the usual limits.
    let strangers = endpoint.create_server_config_builder(alpns());
    let strangers = strangers.set_transport_config(transport(Some(STRANGERS_WINDOW))).build();
    let house = House {
        strangers: Arc::new(strangers),
        right,
        porter: Arc::clone(porter),
        server: server.into(),
        guests: Mutex::default(),
        friends: Mutex::default(),
    };
    let open = endpoint.clone();
    runtime.spawn(async move {
        Arc::new(house).receive(&open).await;
        ended("its endpoint was closed".to_owned());
    });
    Ok(endpoint)
}

/// Returns the protocols that a server speaks.
fn alpns() -> Vec<Vec<u8>> {
    vec![DOOR.to_vec(), BURN_REMOTE_ALPN.to_vec()]
}

impl House {
    /// Receives connections until the endpoint is closed.
    async fn receive(self: Arc<Self>, endpoint: &Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            if !incoming.remote_addr_validated() {
                // Its address may be another's: it has to answer there first.
                if let Err(e) = incoming.retry() {
                    e.into_incoming().refuse();
                }
                continue;
            }
            let house = Arc::clone(&self);
            tokio::spawn(async move {
                let (number, ended) = house.porter.arrives();
                let who = match incoming.remote_addr() {
                    IncomingAddr::Ip(address) => address.to_string(),
                    IncomingAddr::Relay { endpoint_id, .. } => endpoint_id.to_string(),
                    other => format!("{other:?}"),
                };
                let greeted = async {
                    let late = || format!("no greeting in {} seconds", PATIENCE.as_secs());
                    timeout(PATIENCE, house.greet(incoming)).await.map_err(|_| late())?
                };
                let passed = match house.porter.admit(number, ended, greeted).await {
                    Ok(Greeted::Stranger(door)) => house.let_in(door, number).await,
                    Ok(Greeted::Guest(connection, leaves)) => {
                        house.serve(connection, leaves).await;
                        Ok(())
                    }
                    Err(why) => Err(why),
                };
                if let Err(why) = passed {
                    house.porter.turned_away(who, &why);
                }
            });
        }
    }

    /// Returns what is ready when a guest leaves, or the guest that brought a server. `None` if it is neither.
    fn leaves(&self, id: EndpointId) -> Option<watch::Receiver<()>> {
        let guests = locked(&self.guests);
        let by_itself = guests.get(&id);
        let brought = || {
            let friends = locked(&self.friends);
            let hosts = friends.iter().filter(|(friend, _)| *friend == id);
            hosts.map(|(_, guest)| guest).find_map(|guest| guests.get(guest))
        };
        by_itself.or_else(brought).map(|(_, stays)| stays.subscribe())
    }

    /// Lets the servers in that a guest names, each in a stream of its own, until it leaves.
    async fn friends_of(&self, id: EndpointId, connection: &Connection) {
        while let Ok((mut send, mut receive)) = connection.accept_bi().await {
            let words = timeout(PATIENCE, receive.read_to_end(MOST_WORDS)).await;
            let words = words.ok().and_then(Result::ok).unwrap_or_default();
            let friend = std::str::from_utf8(&words).ok().and_then(|words| words.parse().ok());
            if let Some(friend) = friend {
                let mut friends = locked(&self.friends);
                if friends.iter().filter(|(_, guest)| *guest == id).count() < FRIENDS {
                    friends.push((friend, id));
                }
            }
            let _ = send.write_all(b"welcome").await;
            let _ = send.finish();
        }
    }

    /// Finds out who comes: a stranger with the token, or a guest.
    async fn greet(&self, incoming: Incoming) -> Result<Greeted, Refusal> {
        let none = |e: &dyn std::fmt::Display| format!("no handshake: {e}");
        let accepted = incoming.accept_with(Arc::clone(&self.strangers)).map_err(|e| none(&e))?;
        let connection = accepted.await.map_err(|e| none(&e))?;
        let id = connection.remote_id();
        if connection.alpn() != DOOR {
            return match self.leaves(id) {
                Some(leaves) => Ok(Greeted::Guest(connection, leaves)),
                None => {
                    connection.close(TURNED_AWAY, b"the server does not know this client");
                    Err("it did not knock".to_owned())
                }
            };
        }
        let broke = |e: &dyn std::fmt::Display| format!("the connection broke: {e}");
        let (mut send, mut receive) = connection.accept_bi().await.map_err(|e| broke(&e))?;
        let words = receive.read_to_end(MOST_WORDS).await.map_err(|e| broke(&e))?;
        let answer = match self.judge(id, &words).await {
            Ok(()) => return Ok(Greeted::Stranger(Door { connection, answer: send })),
            Err(answer) => answer,
        };
        let _ = timeout(PARTING, async {
            let _ = send.write_all(answer.words.as_bytes()).await;
            let _ = send.finish();
            // The client closes when it has read the answer.
            connection.closed().await
        })
        .await;
        connection.close(TURNED_AWAY, b"");
        Err(answer.why)
    }

    /// Returns how a client is answered that may not come in.
    async fn judge(&self, id: EndpointId, words: &[u8]) -> Result<(), Answer> {
        let answer =
            |words: &str, why: &str| Err(Answer { words: words.to_owned(), why: why.to_owned() });
        let Some((version, token)) =
            std::str::from_utf8(words).ok().and_then(|words| words.split_once('\n'))
        else {
            return answer("", "its greeting makes no sense");
        };
        if version != VERSION {
            let why = format!(
                "it is a client of version {:.20}, not {VERSION}",
                version.escape_debug().to_string()
            );
            return answer(&format!("version {VERSION}"), &why);
        }
        let request = AuthorizationRequest {
            client: ClientId::Iroh(id),
            device_index: 0,
            credential: &token.into(),
        };
        if self.right.authorize(request).is_err() {
            return answer("token", "it has a wrong token");
        }
        if let Err(why) = self.porter.has_room().await {
            return answer("full", &why);
        }
        Ok(())
    }

    /// Makes a stranger a guest until it leaves, or its session is ended.
    async fn let_in(&self, door: Door, number: u64) -> Result<(), Refusal> {
        let Door { connection, mut answer } = door;
        let id = connection.remote_id();
        let begun = self.porter.begins(number);
        if begun.is_ok() {
            locked(&self.guests).insert(id, (number, watch::channel(()).0));
        }
        let words: &[u8] = if begun.is_ok() { b"welcome" } else { b"full" };
        let answered = async {
            let _ = answer.write_all(words).await;
            let _ = answer.finish();
        };
        let (_session, ended) = match begun {
            Ok(begun) => begun,
            Err(why) => {
                let closed = async { (answered.await, connection.closed().await) };
                let _ = timeout(PARTING, closed).await;
                connection.close(TURNED_AWAY, b"");
                return Err(why);
            }
        };
        let stay = async {
            answered.await;
            self.friends_of(id, &connection).await;
        };
        tokio::select! {
            () = stay => {}
            _ = ended => connection.close(TURNED_AWAY, b"its session ended"),
        }
        let mut guests = locked(&self.guests);
        if guests.get(&id).is_some_and(|(own, _)| *own == number) {
            guests.remove(&id);
            locked(&self.friends).retain(|(_, guest)| *guest != id);
        }
        Ok(())
    }

    /// Serves a connection of a guest until it leaves.
    async fn serve(&self, connection: Connection, mut leaves: watch::Receiver<()>) {
        connection.set_receive_window(VarInt::from_u32(u32::MAX));
        let mut served = self.server.accept(connection.clone());
        loop {
            tokio::select! {
                // What breaks a connection is seen, and said, at its two ends.
                _ = &mut served => return connection.close(GOODBYE, b""),
                _ = leaves.changed() => match self.leaves(connection.remote_id()) {
                    // Another guest has brought this server too.
                    Some(others) => leaves = others,
                    None => return connection.close(GOODBYE, b"its session ended"),
                },
            }
        }
    }
}

/// Who comes.
enum Greeted {
    /// Somebody who may come in.
    Stranger(Door),
    /// Somebody who was let in; the receiver is ready when it leaves.
    Guest(Connection, watch::Receiver<()>),
}

/// A stranger at the door, and the stream that its answer goes to.
struct Door {
    connection: Connection,
    answer: SendStream,
}

/// What is said to a client that may not come in, and to the owner of the server.
struct Answer {
    words: String,
    why: Refusal,
}
