//! The client's side: knocks at a server's door, and notices when the server is gone.

use std::collections::HashMap;
use std::net::ToSocketAddrs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use burn::remote::IrohHost;
use iroh::endpoint::Connection;
use iroh::{Endpoint, EndpointAddr, EndpointId};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::{DOOR, GOODBYE, MOST_ANSWER, Relays, VERSION, builder, told};
use crate::remote::Token;
use crate::remote::address::{Iroh, Way};
use crate::remote::client::GONE;
use crate::remote::porter::locked;

/// How long a server may take to be known to those who look it up.
const KNOWN: Duration = Duration::from_secs(10);
/// How long to take leave of the servers at the end of the process.
const LEAVE: Duration = Duration::from_secs(2);

/// A server that let this process in, while the visit lasts.
#[derive(Clone)]
pub struct Visit {
    door: Connection,
    /// Its room.
    room: EndpointId,
    /// The room for Burn.
    pub host: IrohHost,
}

impl Visit {
    /// Returns why the visit has ended, if it has.
    pub fn end(&self) -> Option<String> {
        self.door.close_reason().map(|reason| told(&reason))
    }
}

/// Why a server does not let this process in.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It wants another token.
    Token,
    /// All its sessions are taken.
    Full,
    /// It is of another version, which is here.
    Version(String),
    /// It opened no session for it.
    Failed(String),
    /// It cannot be reached.
    Unreachable(String),
}

/// What runs the tasks of connections, once there is one.
static RUNTIME: Mutex<Option<&'static Runtime>> = Mutex::new(None);

/// Returns what runs the tasks of connections, while the process computes.
fn runtime() -> Result<&'static Runtime, Refused> {
    let mut runtime = locked(&RUNTIME);
    if let Some(runtime) = *runtime {
        return Ok(runtime);
    }
    let made = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("iroh")
        .enable_all()
        .build()
        .map_err(|e| Refused::Unreachable(e.to_string()))?;
    Ok(runtime.insert(Box::leak(Box::new(made))))
}

/// The endpoints of this process, which has one for each way to find servers, and its visits.
struct Here {
    endpoints: Mutex<HashMap<Relays, Endpoint>>,
    visits: tokio::sync::Mutex<HashMap<EndpointId, Visit>>,
}

async fn here() -> &'static Here {
    static HERE: OnceCell<Here> = OnceCell::const_new();
    let new =
        || async { Here { endpoints: Mutex::default(), visits: tokio::sync::Mutex::default() } };
    HERE.get_or_init(new).await
}

/// Asks a server to let this process in. It is asked once, however many devices of it are used.
pub fn knock(server: &Iroh, token: Option<&Token>) -> Result<Visit, Refused> {
    runtime()?.block_on(async {
        let mut visits = here().await.visits.lock().await;
        if let Some(visit) = visits.get(&server.id).filter(|visit| visit.end().is_none()) {
            return Ok(visit.clone());
        }
        let visit = visit(server, token).await?;
        // Devices send tensors to each other: their rooms let each other in.
        for other in visits.values().filter(|visit| visit.end().is_none()) {
            // It may be gone by now, which is seen where it is waited for.
            let _ = bring(&other.door, visit.room).await;
            bring(&visit.door, other.room).await?;
        }
        visits.insert(server.id, visit.clone());
        Ok(visit)
    })
}

async fn visit(server: &Iroh, token: Option<&Token>) -> Result<Visit, Refused> {
    let failed = |e: &dyn std::fmt::Display| Refused::Unreachable(e.to_string());
    let relays = match &server.way {
        Way::Lookup => Relays::Public,
        Way::Relay(url) => Relays::Private(url.clone()),
        Way::Direct { .. } => Relays::Disabled,
    };
    let place = address(server.id, &server.way).map_err(|e| failed(&e))?;
    let endpoint = endpoint(&relays).await?;
    let since = Instant::now();
    let door = loop {
        match endpoint.connect(place.clone(), DOOR).await {
            Ok(door) => break door,
            // A server that has just started may not be known yet.
            Err(_) if relays != Relays::Disabled && since.elapsed() < KNOWN => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(e) => return Err(failed(&e)),
        }
    };
    let words = format!("{VERSION}\n{}", token.map_or("", Token::secret));
    let answer = say(&door, words.as_bytes()).await?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.split_once(' ').unwrap_or((&answer, "")) {
        ("welcome", place) => {
            let (room, port): (EndpointAddr, u16) = serde_json::from_str(place)
                .map_err(|_| failed(&"it does not say where its room is"))?;
            let id = room.id;
            let room = match &server.way {
                // As its server, on another port.
                Way::Direct { host, .. } => {
                    let way = Way::Direct { host: host.clone(), port };
                    address(id, &way).map_err(|e| failed(&e))?
                }
                Way::Lookup | Way::Relay(_) => room,
            };
            let host = IrohHost::new(room).with_endpoint(endpoint);
            Ok(Visit { door, room: id, host })
        }
        ("token", _) => Err(Refused::Token),
        ("failed", why) => Err(Refused::Failed(why.escape_debug().to_string())),
        ("full", _) => Err(Refused::Full),
        ("version", other) => Err(Refused::Version(other.escape_debug().to_string())),
        _ => Err(failed(&"its answer makes no sense")),
    }
}

/// Returns where an endpoint is for iroh.
fn address(id: EndpointId, way: &Way) -> std::io::Result<EndpointAddr> {
    let address = EndpointAddr::new(id);
    Ok(match way {
        Way::Lookup => address,
        Way::Relay(url) => address.with_relay_url(url.clone()),
        Way::Direct { host, port } => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (host, *port).to_socket_addrs()?.fold(address, EndpointAddr::with_ip_addr)
        }
    })
}

/// Asks a room's server to let another room in.
async fn bring(door: &Connection, friend: EndpointId) -> Result<(), Refused> {
    say(door, friend.to_string().as_bytes()).await.map(|_| ())
}

/// Says something to a door, and returns its answer.
async fn say(door: &Connection, words: &[u8]) -> Result<Vec<u8>, Refused> {
    let failed = |e: &dyn std::fmt::Display| Refused::Unreachable(e.to_string());
    let (mut send, mut receive) = door.open_bi().await.map_err(|e| failed(&told(&e)))?;
    // A door that turns a connection away does not read: what it says counts.
    let _ = send.write_all(words).await;
    let _ = send.finish();
    receive.read_to_end(MOST_ANSWER).await.map_err(|e| match door.close_reason() {
        Some(reason) => failed(&told(&reason)),
        None => failed(&e),
    })
}

/// Returns this process's endpoint for a way to find servers.
async fn endpoint(relays: &Relays) -> Result<Endpoint, Refused> {
    let endpoints = &here().await.endpoints;
    let found = locked(endpoints).get(relays).cloned();
    if let Some(endpoint) = found {
        return Ok(endpoint);
    }
    let bound = builder(relays).bind().await;
    let endpoint = bound.map_err(|e| Refused::Unreachable(e.to_string()))?;
    locked(endpoints).insert(relays.clone(), endpoint.clone());
    Ok(endpoint)
}

/// Waits until the server is gone, and returns what was seen.
pub fn until_lost(visit: &Visit) -> String {
    match runtime() {
        Ok(runtime) => told(&runtime.block_on(visit.door.closed())),
        Err(_) => GONE.to_owned(),
    }
}

/// Takes leave of all servers, so that they need not wait for this process.
pub fn leave() {
    // Nothing was reached by iroh.
    let Some(runtime) = *locked(&RUNTIME) else { return };
    let farewell = async {
        let Here { endpoints, visits } = here().await;
        for visit in visits.lock().await.values() {
            visit.door.close(GOODBYE, b"");
        }
        let endpoints: Vec<Endpoint> = locked(endpoints).drain().map(|(_, open)| open).collect();
        for endpoint in endpoints {
            endpoint.close().await;
        }
    };
    // The process ends anyhow.
    let _ = runtime.block_on(async { tokio::time::timeout(LEAVE, farewell).await });
}
