//! The door of a server: strangers knock there, and clients stay there as long as their sessions.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use burn::server::{ClientId, IrohIdentity};
use iroh::endpoint::{Connection, SendStream};
use iroh::{Endpoint, EndpointAddr, EndpointId};
use tokio::runtime::Runtime;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::reception::{Reception, receive};
use super::{DOOR, GOODBYE, MOST_ANSWER, MOST_WORDS, Relays, TURNED_AWAY, VERSION, bind};
use crate::error::TrainError;
use crate::remote::porter::{PATIENCE, Porter, Refusal, Strangers};
use crate::remote::room::{IrohWish, Wish};

/// How long to wait until a client that is refused has read why.
const PARTING: Duration = Duration::from_secs(1);

/// The door of a server.
struct Door {
    porter: Porter,
    relays: Relays,
    place: SocketAddr,
    /// The UDP ports that rooms may listen on.
    ports: RangeInclusive<u16>,
}

/// Serves on a UDP port of an address until the endpoint is closed. `identity` is the file of the
/// server's key, which is made if it is not there; without it the key is new. Rooms listen on the next
/// ports, or on any if the port is 0.
///
/// # Errors
/// If the port is taken, or if the key cannot be read or written.
pub fn serve(
    runtime: &Runtime,
    place: SocketAddr,
    porter: Porter,
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
    let ports = match place.port() {
        0 => 0..=0,
        port => {
            let sessions = porter.limits.sessions;
            let last = u16::try_from(sessions).ok().and_then(|rooms| port.checked_add(rooms));
            let last = last.ok_or_else(|| {
                TrainError::Request(format!(
                    "{sessions} sessions need as many ports after {port}: choose a smaller port, or \
                     allow fewer sessions"
                ))
            })?;
            port + 1..=last
        }
    };
    let endpoint = bind(runtime, relays, key.to_bytes().into(), DOOR, place)?;
    let door = Door { porter, relays: relays.clone(), place, ports };
    let open = endpoint.clone();
    runtime.spawn(async move {
        receive(&open, DOOR, Arc::new(door)).await;
        ended("its endpoint was closed".to_owned());
    });
    Ok(endpoint)
}

/// Somebody who asks to come in, and the stream that the answer goes to.
struct Visitor {
    connection: Connection,
    answer: SendStream,
}

/// What is said to a client that may not come in, and to the owner of the server.
struct Answer {
    words: String,
    why: Refusal,
}

impl Reception for Door {
    type Client = (Visitor, OwnedSemaphorePermit);

    fn strangers(&self) -> &Strangers {
        &self.porter.strangers
    }

    async fn greet(&self, connection: Connection) -> Result<Self::Client, Refusal> {
        let broke = |e: &dyn std::fmt::Display| format!("the connection broke: {e}");
        let (send, mut read) = connection.accept_bi().await.map_err(|e| broke(&e))?;
        let words = read.read_to_end(MOST_WORDS).await.map_err(|e| broke(&e))?;
        let visitor = Visitor { connection, answer: send };
        match self.judge(&visitor.connection, &words).await {
            Ok(session) => Ok((visitor, session)),
            Err(answer) => Err(visitor.parts(answer).await),
        }
    }

    async fn serve(&self, (client, session): Self::Client) -> Result<(), Refusal> {
        let wish = Wish::Iroh(IrohWish {
            relays: self.relays.clone(),
            host: self.place.ip(),
            ports: self.ports.clone(),
            client: client.connection.remote_id(),
        });
        let opened = self.porter.open::<(EndpointAddr, u16)>(session, wish).await;
        let (mut room, place) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                let words = format!("failed {why}");
                return Err(client.parts(Answer { words, why }).await);
            }
        };
        let words = serde_json::to_string(&place).map_err(|e| e.to_string())?;
        let Visitor { connection, mut answer } = client;
        let _ = answer.write_all(format!("welcome {words}").as_bytes()).await;
        let _ = answer.finish();
        let why = loop {
            tokio::select! {
                friend = friend(&connection) => match friend {
                    // If the room has ended, so does this.
                    Some((friend, mut answer)) => {
                        let _ = room.lets_in(friend).await;
                        let _ = answer.write_all(b"welcome").await;
                        let _ = answer.finish();
                    }
                    None => break None,
                },
                why = room.ended() => break Some(why),
            }
        };
        match why {
            None => connection.close(GOODBYE, b""),
            Some(why) => {
                self.strangers().session_ended(connection.remote_id().fmt_short(), &why);
                connection.close(TURNED_AWAY, format!("its session ended: {why}").as_bytes());
            }
        }
        room.close().await;
        Ok(())
    }
}

impl Door {
    /// Returns the session of one that may come in, or how it is answered.
    async fn judge(
        &self,
        connection: &Connection,
        words: &[u8],
    ) -> Result<OwnedSemaphorePermit, Answer> {
        let answer = |words: &str, why: Refusal| Err(Answer { words: words.to_owned(), why });
        let Some((version, token)) =
            std::str::from_utf8(words).ok().and_then(|words| words.split_once('\n'))
        else {
            return answer("", "its greeting makes no sense".to_owned());
        };
        if version != VERSION {
            let why = format!(
                "it is a client of version {:.20}, not {VERSION}",
                version.escape_debug().to_string()
            );
            return answer(&format!("version {VERSION}"), why);
        }
        let id = ClientId::Iroh(connection.remote_id());
        if let Err(why) = self.porter.check(id, 0, token.as_bytes()) {
            return answer("token", why);
        }
        match self.porter.session().await {
            Ok(session) => Ok(session),
            Err(why) => answer("full", why),
        }
    }
}

impl Visitor {
    /// Answers one that may not come in, and returns why.
    async fn parts(mut self, Answer { words, why }: Answer) -> Refusal {
        let words = &words.as_bytes()[..words.len().min(MOST_ANSWER)];
        let answered = async {
            let _ = self.answer.write_all(words).await;
            let _ = self.answer.finish();
            // The client closes when it has read the answer.
            self.connection.closed().await
        };
        let _ = timeout(PARTING, answered).await;
        self.connection.close(TURNED_AWAY, b"");
        why
    }
}

/// Waits until a client names another room that it uses. Returns that room, and the stream for the answer, or
/// `None` if the client leaves.
async fn friend(connection: &Connection) -> Option<(EndpointId, SendStream)> {
    loop {
        let (send, mut receive) = connection.accept_bi().await.ok()?;
        let words = timeout(PATIENCE, receive.read_to_end(MOST_WORDS)).await;
        let words = words.ok().and_then(Result::ok).unwrap_or_default();
        if let Some(friend) = std::str::from_utf8(&words).ok().and_then(|words| words.parse().ok())
        {
            return Some((friend, send));
        }
    }
}
