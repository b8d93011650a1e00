//! The transport iroh: QUIC, encrypted, with each side named by its public key.
//!
//! ```text
//!   client: knock                               server: door
//!     connection [`DOOR`]: version, token  -->    opens a room for a session, and says where it is
//!                                               room: guests
//!     connections of burn-remote           -->    only from this client, and from servers that it brought
//! ```
//!
//! burn-remote reads up to a gigabyte of a stranger before it checks a token, and keeps its streams
//! open for as long as the stranger likes. So a stranger speaks to the door first, in few words. The
//! connection to the door stays open as long as the session: its end is the session's, on both sides.

mod door;
mod guests;
mod knock;
mod reception;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use iroh::endpoint::{
    Builder, ConnectionError, PortmapperConfig, QuicTransportConfig, VarInt, presets,
};
use iroh::{Endpoint, RelayMode, RelayUrl, SecretKey};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::time::timeout;

pub(super) use self::door::serve;
pub(super) use self::guests::host;
pub use self::knock::leave;
pub(super) use self::knock::{Refused, Visit, knock, until_lost};
use super::client::{GONE, INTERVAL, SILENCE};
use crate::error::TrainError;

/// The protocol between a client and the door of a server. Versions of the program are compared behind it, so it
/// stays the same.
const DOOR: &[u8] = b"vae-cli/door/2";
/// Most bytes of what a client says to the door: its version and its token.
const MOST_WORDS: usize = 2048;
/// Most bytes of the door's answer: where a room is, or why there is none.
const MOST_ANSWER: usize = 4096;
/// The version of both programs, which must be the same.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a server may take to be known to others.
const ONLINE: Duration = Duration::from_secs(10);

/// The code of a connection that ends as it should.
const GOODBYE: VarInt = VarInt::from_u32(0);
/// The code of a connection that is turned away.
const TURNED_AWAY: VarInt = VarInt::from_u32(1);

/// How two sides that know each other's keys find each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Relays {
    /// Directly: the client knows the server's address.
    #[default]
    Disabled,
    /// By the public servers of number 0 (iroh's makers): they learn keys and addresses, and pass on what
    /// cannot go directly. It stays encrypted.
    Public,
    /// By a relay of one's own.
    Private(RelayUrl),
}

impl std::str::FromStr for Relays {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "public" => Ok(Self::Public),
            "disabled" => Ok(Self::Disabled),
            url => match url.parse::<RelayUrl>() {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self::Private(url)),
                _ => Err(format!(
                    "`{url}` is none: expected public, disabled, or a relay's URL, https://..."
                )),
            },
        }
    }
}

/// Starts an endpoint of a server, on a UDP port of an address.
///
/// # Errors
/// If the port is taken.
fn bind(
    runtime: &Runtime,
    relays: &Relays,
    key: SecretKey,
    protocol: &[u8],
    place: SocketAddr,
) -> Result<Endpoint, TrainError> {
    let refused = |e: &dyn std::fmt::Display| {
        TrainError::Request(format!("cannot listen on {place}: {e}; choose another port"))
    };
    // Of a free port, IPv4 and IPv6 get the same.
    let alone = std::net::UdpSocket::bind(place).map_err(|e| refused(&e))?;
    let own = alone.local_addr().map_err(|e| refused(&e))?;
    drop(alone);
    runtime.block_on(async {
        let mut builder = builder(relays)
            .secret_key(key)
            .alpns(vec![protocol.to_vec()])
            .clear_ip_transports()
            .bind_addr(own)
            .map_err(|e| refused(&e))?;
        if own.ip() == Ipv6Addr::UNSPECIFIED {
            // iroh's sockets are of one family.
            let all = (Ipv4Addr::UNSPECIFIED, own.port());
            builder = builder.bind_addr(all).map_err(|e| refused(&e))?;
        }
        let endpoint = builder.bind().await.map_err(|e| refused(&e))?;
        if *relays != Relays::Disabled {
            // Clients look it up as soon as they know its address. It may have no network yet.
            let _ = timeout(ONLINE, endpoint.online()).await;
        }
        Ok(endpoint)
    })
}

/// Starts an endpoint of either side.
fn builder(relays: &Relays) -> Builder {
    let builder = match relays {
        Relays::Public => Endpoint::builder(presets::N0),
        Relays::Private(url) => {
            Endpoint::builder(presets::Minimal).relay_mode(RelayMode::custom([url.clone()]))
        }
        Relays::Disabled => Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled),
    };
    // No router is asked to open a port.
    builder.portmapper_config(PortmapperConfig::Disabled).transport_config(transport(None))
}

/// Returns how connections behave. `window` is the most bytes that wait to be read, of all streams together.
fn transport(window: Option<u32>) -> QuicTransportConfig {
    let transport = QuicTransportConfig::builder()
        .max_idle_timeout(idle(SILENCE))
        .default_path_max_idle_timeout(SILENCE)
        .keep_alive_interval(INTERVAL)
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // Burn leaves it out too (iroh issue 4555).
        .enable_segmentation_offload(false);
    match window {
        Some(window) => transport.receive_window(VarInt::from_u32(window)),
        None => transport,
    }
    .build()
}

/// Returns how long a connection may be silent, as iroh has it.
fn idle(duration: Duration) -> Option<iroh::endpoint::IdleTimeout> {
    duration.try_into().ok()
}

/// Tells why a connection ended.
fn told(reason: &ConnectionError) -> String {
    match reason {
        ConnectionError::TimedOut => "its server does not answer".to_owned(),
        ConnectionError::ApplicationClosed(closed) if !closed.reason.is_empty() => {
            String::from_utf8_lossy(&closed.reason).escape_debug().to_string()
        }
        ConnectionError::ApplicationClosed(_) | ConnectionError::ConnectionClosed(_) => {
            GONE.to_owned()
        }
        other => other.to_string(),
    }
}
