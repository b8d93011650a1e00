//! What strangers may do to a server: knock, and little else.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use burn::remote::RemoteHost;
use burn::server::BURN_REMOTE_ALPN;
use burn::tensor::{Device, Tensor};
use iroh::EndpointAddr;
use iroh::endpoint::Connection;

use super::knock::Refused;
use super::*;
use crate::remote::room::tests::room;
use crate::remote::{Iroh, Limits, Place, Server, Token, Transport, Way};

/// What a session may use, in bytes.
const MEMORY: u64 = 1_000_000_000;

static MEGABYTE: [u8; 1 << 20] = [7; 1 << 20];

/// A server in this process, and what it said.
struct Host {
    server: Iroh,
    said: Arc<Mutex<Vec<String>>>,
}

impl Host {
    fn start(sessions: usize) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&said);
        let server = Server {
            room,
            devices: 1,
            transport: Transport::Iroh { relays: Relays::Disabled, key: None },
            token: Some(Token::new("secret").unwrap()),
            limits: Limits { sessions, memory: Some(MEMORY) },
        };
        let report = move |line: &str| lines.lock().unwrap().push(line.to_owned());
        let serving = server.listen(IpAddr::from([127, 0, 0, 1]), 0, report).unwrap();
        let Place::Iroh(server) = serving.address().server else { panic!() };
        std::thread::spawn(move || serving.run(&false.into()));
        Self { server, said }
    }

    fn address(&self) -> EndpointAddr {
        let Way::Direct { host, port } = &self.server.way else { panic!() };
        let place = format!("{host}:{port}").parse().unwrap();
        EndpointAddr::new(self.server.id).with_ip_addr(place)
    }

    /// Returns where a room is, of the door's answer.
    fn room(&self, answer: &[u8]) -> EndpointAddr {
        let Way::Direct { host, .. } = &self.server.way else { panic!() };
        let place = answer.strip_prefix(b"welcome ").unwrap();
        let (room, port): (EndpointAddr, u16) = serde_json::from_slice(place).unwrap();
        EndpointAddr::new(room.id).with_ip_addr(format!("{host}:{port}").parse().unwrap())
    }

    /// Waits until the server has said something.
    async fn says(&self, words: &str) {
        for _ in 0..1000 {
            if self.said.lock().unwrap().iter().any(|line| line.contains(words)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{words} is not in: {:?}", self.said.lock().unwrap());
    }

    fn knock(&self, token: &str) -> Result<Visit, Refused> {
        knock(&self.server, Some(&Token::new(token).unwrap()))
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

async fn stranger() -> Endpoint {
    builder(&Relays::Disabled).bind().await.unwrap()
}

/// Says something to a door, and returns its answer, or why it closed.
async fn say(door: &Connection, words: &[u8]) -> Result<Vec<u8>, String> {
    let (mut send, mut receive) = door.open_bi().await.map_err(|e| e.to_string())?;
    let _ = send.write_all(words).await;
    let _ = send.finish();
    receive.read_to_end(MOST_ANSWER).await.map_err(|e| e.to_string())
}

fn greeting(token: &str) -> Vec<u8> {
    format!("{VERSION}\n{token}").into_bytes()
}

#[test]
fn relays_read_as_they_are_written() {
    assert_eq!("public".parse(), Ok(Relays::Public));
    assert_eq!("disabled".parse(), Ok(Relays::Disabled));
    let url = "https://relay.example.com";
    assert_eq!(url.parse(), Ok(Relays::Private(url.parse().unwrap())));
    for wrong in ["", "off", "ftp://a", "relay.example.com"] {
        assert!(wrong.parse::<Relays>().is_err_and(|why| why.contains("disabled")), "{wrong}");
    }
    assert!(idle(SILENCE).is_some());
}

#[test]
fn only_the_token_opens_the_door() {
    let host = Host::start(2);
    assert_eq!(knock(&host.server, None).err(), Some(Refused::Token));
    assert_eq!(host.knock("wrong").err(), Some(Refused::Token));
    let visit = host.knock("secret").unwrap();
    assert_eq!(visit.end(), None);
    let device = Device::remote_options(&RemoteHost::iroh(visit.host)).init().unwrap();
    let sum = Tensor::<1>::from_floats([1.0, 2.0], &device).sum().into_scalar::<f32>();
    assert_eq!(sum, 3.0);
    let said = host.said.lock().unwrap().join("\n");
    assert_eq!(said.matches("wrong token").count(), 2, "{said}");
    assert!(!said.contains("secret"));
}

#[test]
fn strangers_are_turned_away_and_the_server_serves_on() {
    let host = Host::start(1);
    run(async {
        let stranger = stranger().await;
        let connect = |alpn: &'static [u8]| stranger.connect(host.address(), alpn);
        // A room's protocol.
        assert!(connect(BURN_REMOTE_ALPN).await.is_err());
        let other = say(&connect(DOOR).await.unwrap(), b"0.0.1\nsecret").await.unwrap();
        assert_eq!(other, format!("version {VERSION}").into_bytes());
        assert_eq!(say(&connect(DOOR).await.unwrap(), b"GET / HTTP/1.1").await, Ok(Vec::new()));
        let long = vec![b'x'; 1 << 20];
        assert!(say(&connect(DOOR).await.unwrap(), &long).await.is_err());
        let silent = connect(DOOR).await.unwrap();
        assert!(connect(b"another/protocol").await.is_err());
        host.says("its greeting makes no sense").await;
        host.says("a client of version 0.0.1").await;
        host.says("no greeting in 10 seconds").await;
        silent.closed().await;

        let guest = self::stranger().await;
        let door = guest.connect(host.address(), DOOR).await.unwrap();
        let room = host.room(&say(&door, &greeting("secret")).await.unwrap());
        let before = memory();
        let mut all = tokio::task::JoinSet::new();
        for i in 0..1000 {
            let stranger = stranger.clone();
            let (address, alpn) = match i % 2 {
                0 => (host.address(), DOOR),
                _ => (room.clone(), BURN_REMOTE_ALPN),
            };
            all.spawn(async move {
                let Ok(door) = stranger.connect(address, alpn).await else { return };
                if i % 4 < 2 {
                    // It fills as many streams as it may, until it is turned away.
                    while let Ok((mut send, _)) = door.open_bi().await {
                        let _ =
                            tokio::time::timeout(INTERVAL / 20, send.write_all(&MEGABYTE)).await;
                    }
                }
            });
            if all.len() > 20 {
                all.join_next().await;
            }
        }
        all.join_all().await;
        // Other tests use some too. Without limits it would be gigabytes.
        assert!(memory() < before + 400_000_000, "{before} bytes, then {}", memory());
        // Nor has the room used too much.
        assert_eq!(door.close_reason(), None);
        door.close(GOODBYE, b"");
        guest.close().await;
    });
    assert_eq!(host.knock("secret").err(), None);
    assert!(host.said.lock().unwrap().len() < 100);
}

#[test]
fn a_session_is_free_when_its_client_has_left() {
    let host = Host::start(1);
    run(async {
        let [first, second] = [stranger().await, stranger().await];
        let door = first.connect(host.address(), DOOR).await.unwrap();
        let room = host.room(&say(&door, &greeting("secret")).await.unwrap());
        let waits = second.connect(host.address(), DOOR).await.unwrap();
        assert_eq!(say(&waits, &greeting("secret")).await.unwrap(), b"full");
        host.says("all 1 sessions are taken").await;
        // The client may bring a server into its room, and others may not come.
        let server = stranger().await;
        let closed = server.connect(room.clone(), BURN_REMOTE_ALPN).await.unwrap();
        assert!(told(&closed.closed().await).contains("does not know this client"));
        assert_eq!(say(&door, server.id().to_string().as_bytes()).await.unwrap(), b"welcome");
        let brought = server.connect(room.clone(), BURN_REMOTE_ALPN).await.unwrap();
        assert!(timeout(2 * guests::AHEAD, brought.closed()).await.is_err());
        // What is open in the room ends with the visit.
        let inside = first.connect(room, BURN_REMOTE_ALPN).await.unwrap();
        door.close(GOODBYE, b"");
        for connection in [inside, brought] {
            assert_eq!(told(&connection.closed().await), GONE);
        }
        let next = second.connect(host.address(), DOOR).await.unwrap();
        host.room(&say(&next, &greeting("secret")).await.unwrap());
    });
}

/// Memory of this process in bytes, where the system tells it.
fn memory() -> u64 {
    crate::remote::room::resident_memory().unwrap_or(0)
}
