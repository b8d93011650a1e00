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
use crate::remote::{Iroh, Limits, Place, Server, Token, Transport, Way};

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
            devices: vec![crate::Backend::any_cpu().unwrap().device],
            transport: Transport::Iroh { relays: Relays::Disabled, key: None },
            token: Some(Token::new("secret").unwrap()),
            limits: Limits { sessions, memory: None },
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
        // The way to the server itself, without the door.
        let direct = connect(BURN_REMOTE_ALPN).await.unwrap();
        assert!(told(&direct.closed().await).contains("does not know this client"));
        host.says("it did not knock").await;
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

        let before = memory();
        let mut all = tokio::task::JoinSet::new();
        for i in 0..1000 {
            let (stranger, address) = (stranger.clone(), host.address());
            all.spawn(async move {
                let alpn = if i % 2 == 0 { DOOR } else { BURN_REMOTE_ALPN };
                let Ok(door) = stranger.connect(address, alpn).await else { return };
                if i % 4 == 0 {
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
    });
    assert!(host.knock("secret").is_ok());
    assert!(host.said.lock().unwrap().len() < 100);
}

#[test]
fn a_session_is_free_when_its_client_has_left() {
    let host = Host::start(1);
    run(async {
        let [first, second] = [stranger().await, stranger().await];
        let door = first.connect(host.address(), DOOR).await.unwrap();
        assert_eq!(say(&door, &greeting("secret")).await.unwrap(), b"welcome");
        let waits = second.connect(host.address(), DOOR).await.unwrap();
        assert_eq!(say(&waits, &greeting("secret")).await.unwrap(), b"full");
        host.says("all 1 sessions are taken").await;
        // It may bring a server, and others may not.
        let server = stranger().await;
        let closed = server.connect(host.address(), BURN_REMOTE_ALPN).await.unwrap();
        assert!(told(&closed.closed().await).contains("does not know"));
        assert_eq!(say(&door, server.id().to_string().as_bytes()).await.unwrap(), b"welcome");
        let brought = server.connect(host.address(), BURN_REMOTE_ALPN).await.unwrap();
        tokio::time::sleep(INTERVAL / 4).await;
        assert!(brought.close_reason().is_none());
        // What a guest has opened ends with its visit.
        let inside = first.connect(host.address(), BURN_REMOTE_ALPN).await.unwrap();
        door.close(GOODBYE, b"");
        for connection in [inside, brought] {
            // The server may not have looked at it before the door closed.
            let why = told(&connection.closed().await);
            assert!(why.contains("session ended") || why.contains("does not know"), "{why}");
        }
        let next = second.connect(host.address(), DOOR).await.unwrap();
        assert_eq!(say(&next, &greeting("secret")).await.unwrap(), b"welcome");
    });
}

/// Memory of this process in bytes, where the system tells it.
fn memory() -> u64 {
    crate::remote::server::resident_memory().unwrap_or(0)
}
