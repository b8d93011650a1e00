//! `Room`: the process that a session has for itself.
//!
//! ```text
//!   the server's process                            the room's process
//!   guard or door: who may come in
//!   Room::open        -- what is wished for -->     host_session: a server of burn-remote
//!                    <-- where it is open   --
//!   Room::lets_in     -- another room's ID -->      lets it in (iroh)
//!   Room::ended      <-- why it has ended   --
//!   Room::close       -- end of input      -->      ends
//! ```
//!
//! So the memory of a session is limited by itself, all of it is free when the session has ended, and a crash
//! does not touch other sessions. A room whose server is gone has no input any more, and ends.

use std::io::{BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use burn::server::RemoteServer;
use burn::tensor::Device;
use iroh::EndpointId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Process};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::client::NOT_BEGUN;
use super::iroh::{Relays, host as host_iroh};
use super::porter::Refusal;
use super::server::failed;
use super::websocket::host as host_websocket;
use crate::error::TrainError;

/// How long the devices of a room may take to be opened.
const OPENING: Duration = Duration::from_secs(20);
/// Time between two looks of a room at its memory.
const LOOK: Duration = Duration::from_millis(100);
/// What a line of a room begins with. Drivers of devices may print others.
const ROOM: &str = "room ";
/// How long a room may take to end when its input does.
const CLOSING: Duration = Duration::from_secs(2);
/// The version of the program: it may be updated while a server runs.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a client wishes for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Wish {
    /// A TCP port that only this machine reaches.
    WebSocket {
        /// Where the only connection comes from that is let in.
        client: SocketAddr,
    },
    /// An endpoint.
    Iroh(IrohWish),
}

/// An endpoint that a client wishes for.
#[derive(Debug, Serialize, Deserialize)]
pub struct IrohWish {
    /// How it is found.
    pub relays: Relays,
    /// The IP address that it listens on.
    pub host: IpAddr,
    /// The UDP ports that it may listen on. The first one that is free is taken.
    pub ports: RangeInclusive<u16>,
    /// Who is let in.
    pub client: EndpointId,
}

/// What a room is told first.
#[derive(Serialize, Deserialize)]
struct Order {
    version: String,
    wish: Wish,
    /// Memory in bytes above which the session is ended.
    memory: Option<u64>,
}

/// What a room says.
#[derive(Debug, Serialize, Deserialize)]
enum Says {
    /// Where it is open, as its transport has it.
    Open(serde_json::Value),
    /// Why it ends.
    Ends(String),
}

/// The process of a session. The session ends when it is dropped.
pub struct Room {
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    process: Child,
    session: OwnedSemaphorePermit,
}

impl Room {
    /// Starts the process of a room, and waits until it is open. Returns where it is open, too.
    ///
    /// # Errors
    /// If the process does not start, or if its devices do not open.
    pub async fn open<E: DeserializeOwned>(
        mut command: Command,
        wish: Wish,
        memory: Option<u64>,
        session: OwnedSemaphorePermit,
    ) -> Result<(Self, E), Refusal> {
        let failed = |e: &dyn std::fmt::Display| format!("{NOT_BEGUN}{e}");
        // Ctrl-C is for the server, which ends its rooms.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = Process::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| failed(&e))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(failed(&"its process cannot be told anything"));
        };
        let lines = BufReader::new(output).lines();
        let mut room = Self { input, lines, process, session };
        let opened = timeout(OPENING, async {
            // If it cannot be told any more, it has ended.
            let _ = room.tell(&Order { version: VERSION.to_owned(), wish, memory }).await;
            match room.says().await {
                Some(Says::Open(entrance)) => {
                    serde_json::from_value(entrance).map_err(|e| e.to_string())
                }
                Some(Says::Ends(why)) => Err(why),
                None => Err(room.status().await),
            }
        });
        let late = || Err(format!("no device in {} seconds", OPENING.as_secs()));
        match opened.await.unwrap_or_else(|_| late()) {
            Ok(entrance) => Ok((room, entrance)),
            Err(why) => {
                room.close().await;
                Err(failed(&why))
            }
        }
    }

    /// Lets the room of another server in.
    ///
    /// # Errors
    /// If this one has ended.
    pub async fn lets_in(&mut self, other: EndpointId) -> Result<(), Refusal> {
        self.tell(&other).await
    }

    /// Waits until the room ends by itself, and returns why.
    pub async fn ended(&mut self) -> String {
        match self.says().await {
            Some(Says::Ends(why)) => why,
            _ => self.status().await,
        }
    }

    /// Ends the room. The session is free when its process has ended.
    pub async fn close(self) {
        let Self { input, lines, mut process, session } = self;
        drop((input, lines));
        if timeout(CLOSING, process.wait()).await.is_err() {
            // It fails if the process has ended by now.
            let _ = process.kill().await;
        }
        drop(session);
    }

    async fn tell(&mut self, what: &impl Serialize) -> Result<(), Refusal> {
        let mut line = serde_json::to_vec(what).map_err(|e| e.to_string())?;
        line.push(b'\n');
        self.input.write_all(&line).await.map_err(|e| e.to_string())
    }

    async fn says(&mut self) -> Option<Says> {
        loop {
            let line = self.lines.next_line().await.ok()??;
            if let Some(said) = line.strip_prefix(ROOM) {
                return serde_json::from_str(said).ok();
            }
        }
    }

    /// Waits until the process has ended, and tells how.
    async fn status(&mut self) -> String {
        match self.process.wait().await {
            Ok(status) => format!("its process ended ({status})"),
            Err(e) => e.to_string(),
        }
    }
}

/// Hosts devices for one session: the work of a room's process. It is told by standard input what is wished
/// for, tells by standard output where the devices are, and ends when its input does. `report` gets a line on
/// each connection that is turned away.
///
/// # Errors
/// If nobody says what is wished for.
pub fn host_session(
    devices: Vec<Device>,
    report: impl Fn(&str) + Send + Sync + 'static,
) -> Result<(), TrainError> {
    let mut input = BufRead::lines(std::io::BufReader::new(std::io::stdin()));
    let order = input.next().and_then(Result::ok);
    let Some(Order { version, wish, memory }) = order.and_then(read) else {
        return Err(TrainError::Request(
            "this is the process of a session: `vae-cli serve-device` starts it".to_owned(),
        ));
    };
    if version != VERSION {
        let why = "the program was updated, and its server was not started again";
        return say(&Says::Ends(why.to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed("cannot start a thread", &e))?;
    let (sender, events) = channel();
    let ends = sender.clone();
    let ended = move |why| {
        // The room may have ended already.
        let _ = ends.send(Event::Ends(why));
    };
    let server = RemoteServer::new(devices);
    let opened = match wish {
        Wish::WebSocket { client } => {
            host_websocket(&runtime, server, client, ended).map(|port| (None, json!(port)))
        }
        Wish::Iroh(wish) => host_iroh(&runtime, server, wish, Box::new(report), ended)
            .map(|(guests, address, port)| (Some(guests), json!((address, port)))),
    };
    let (guests, entrance) = match opened {
        Ok(opened) => opened,
        Err(why) => return say(&Says::Ends(why.to_string())),
    };
    say(&Says::Open(entrance))?;
    std::thread::spawn(move || listen(input, &sender));
    let why = loop {
        match events.recv_timeout(LOOK) {
            Ok(Event::LetsIn(server)) => {
                if let Some(guests) = &guests {
                    guests.lets_in(server);
                }
            }
            Ok(Event::Ends(why)) => break Some(why),
            Ok(Event::EndOfInput) | Err(RecvTimeoutError::Disconnected) => break None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(most) = memory.filter(|most| resident_memory().is_some_and(|is| is > *most)) {
            break Some(format!("it used more than {} of memory", gigabytes(most)));
        }
    };
    // Before its connections close.
    let said = why.map_or(Ok(()), |why| say(&Says::Ends(why)));
    if let Some(guests) = guests {
        guests.see_off(&runtime);
    }
    // Its work ends with the process.
    runtime.shutdown_background();
    said
}

/// What happens to a room.
enum Event {
    LetsIn(EndpointId),
    Ends(String),
    EndOfInput,
}

/// Passes on what a room is told.
fn listen(input: impl Iterator<Item = std::io::Result<String>>, to: &Sender<Event>) {
    for line in input.map_while(Result::ok) {
        if let Some(server) = read(line)
            && to.send(Event::LetsIn(server)).is_err()
        {
            return;
        }
    }
    let _ = to.send(Event::EndOfInput);
}

fn read<T: DeserializeOwned>(line: String) -> Option<T> {
    serde_json::from_str(&line).ok()
}

fn say(what: &Says) -> Result<(), TrainError> {
    let text = serde_json::to_string(what).map_err(|e| failed("a message of a room", &e))?;
    let mut out = std::io::stdout().lock();
    // Somebody may have begun a line.
    let said = writeln!(out, "\n{ROOM}{text}").and_then(|()| out.flush());
    said.map_err(|e| failed("the server is gone", &e))
}

/// Returns the memory that this process uses, in bytes. `None` where the system does not say.
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Writes a number of bytes.
pub fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
pub mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;
    use tokio::sync::Semaphore;

    use super::*;

    /// Set in the process of a room.
    const IS_ROOM: &str = "VAE_TEST_ROOM";

    /// Makes the command of a room: this program of tests, which runs one.
    pub fn room() -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "remote::room::tests::is_a_room", "--nocapture"]);
        command.env(IS_ROOM, "1");
        command
    }

    #[test]
    fn is_a_room() {
        if std::env::var_os(IS_ROOM).is_some() {
            let devices = vec![crate::Backend::any_cpu().unwrap().device];
            host_session(devices, |_| {}).unwrap();
            std::process::exit(0);
        }
    }

    fn client() -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }

    fn open(command: Command, memory: Option<u64>) -> Result<(Room, u16), Refusal> {
        let session = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let wish = Wish::WebSocket { client: client() };
        runtime().block_on(Room::open(command, wish, memory, session))
    }

    fn runtime() -> &'static tokio::runtime::Runtime {
        static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
        let new = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        RUNTIME.get_or_init(new)
    }

    #[test]
    fn a_room_lets_only_its_client_in_and_ends_with_its_input() {
        let (room, port) = open(room(), None).unwrap();
        runtime().block_on(async {
            let place = (std::net::Ipv4Addr::LOCALHOST, port);
            let mut stranger = TcpStream::connect(place).await.unwrap();
            // A whole handshake: version 2, session 1, device 0, no token; the mask is 0.
            let request = b"GET /session HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            let init = b"\x82\x8e\0\0\0\0\x91\x81\xa4Init\x94\x02\x91\x01\0\xc4\0";
            stranger.write_all(&[request.as_slice(), init].concat()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stranger.read_to_end(&mut answer).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
            assert!(answer.contains("InitRefused") && answer.contains("Unauthorized"), "{answer}");

            let mut open = TcpStream::connect(place).await.unwrap();
            room.close().await;
            // It was closed, or reset if the room had not accepted it yet.
            let read = open.read(&mut [0]).await;
            assert!(read.is_err() || read.is_ok_and(|n| n == 0));
            assert!(TcpStream::connect(place).await.is_err());
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_room_that_uses_too_much_memory_ends_and_says_so() {
        let (mut room, _) = open(room(), Some(1_000_000)).unwrap();
        let why = runtime().block_on(room.ended());
        assert!(why.contains("used more than 0.0 GB"), "{why}");
    }

    #[test]
    fn a_room_that_does_not_open_says_why() {
        let refused = open(Command::new("/nowhere/vae-cli"), None).err().unwrap();
        assert!(refused.contains("did not begin"), "{refused}");
        let mut other = room();
        other.env_remove(IS_ROOM);
        let refused = open(other, None).err().unwrap();
        assert!(refused.contains("its process ended"), "{refused}");
    }

    #[test]
    fn what_is_said_reads_as_it_is_written() {
        let relays = Relays::Private("https://relay.example.com".parse().unwrap());
        let client = iroh::SecretKey::from_bytes(&[7; 32]).public();
        let host = IpAddr::from([0, 0, 0, 0]);
        let wish = IrohWish { relays, host, ports: 7..=9, client };
        let text = serde_json::to_string(&wish).unwrap();
        let Some(IrohWish { relays, host: _, ports, client: id }) = read(text) else { panic!() };
        assert_eq!((ports, id), (7..=9, client));
        assert_eq!(relays, Relays::Private("https://relay.example.com/".parse().unwrap()));
    }
}
