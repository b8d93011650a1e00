//! `Address`: where the server of a device is.

use std::fmt;
use std::str::FromStr;

use burn::remote::EndpointId;
use iroh::RelayUrl;

/// Where the server of a device is, and which of its devices it is: `ws://HOST:PORT` or `iroh:ID`, and
/// `#N` behind it for the device `N` of several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The server.
    pub server: Place,
    /// The device, by its position in the server's list.
    pub device: u32,
}

/// Where a server is, by the transport that reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// `ws://HOST:PORT`.
    WebSocket {
        /// Name or IP address of the machine; an IPv6 address is in brackets.
        host: String,
        /// TCP port of the server.
        port: u16,
    },
    /// `iroh:ID`, `iroh:ID@HOST:PORT` or `iroh:ID@RELAY`.
    Iroh(Iroh),
}

/// A server that is named by its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Iroh {
    /// The public key of the server.
    pub id: EndpointId,
    /// How to find it.
    pub way: Way,
}

/// How to find a server that is named by its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// The public servers of iroh's makers know.
    Lookup,
    /// At a relay of one's own.
    Relay(RelayUrl),
    /// Directly.
    Direct {
        /// Name or IP address of the machine; an IPv6 address is in brackets.
        host: String,
        /// UDP port of the server.
        port: u16,
    },
}

impl Address {
    /// Returns the name or IP address of the server's machine, if the address has it.
    pub fn host_mut(&mut self) -> Option<&mut String> {
        match &mut self.server {
            Place::WebSocket { host, .. } => Some(host),
            Place::Iroh(Iroh { way: Way::Direct { host, .. }, .. }) => Some(host),
            Place::Iroh(_) => None,
        }
    }
}

/// Checks that devices elsewhere can send tensors to each other.
///
/// With WebSocket each device has a room of its own, and Burn sends tensors between servers without a token, which
/// the guard refuses. With iroh all devices that a client uses of one server are in one room.
///
/// # Errors
/// What to do instead.
pub fn check_exchange(devices: &[Address]) -> Result<(), String> {
    let is_iroh = |device: &Address| matches!(device.server, Place::Iroh(_));
    if devices.len() > 1 && !devices.iter().all(is_iroh) {
        return Err(
            "servers send tensors to each other by iroh only: start all with --transport iroh"
                .to_owned(),
        );
    }
    let own = |device: &Address| match &device.server {
        Place::Iroh(Iroh { id, .. }) => Some((*id, device.device)),
        Place::WebSocket { .. } => None,
    };
    for (i, device) in devices.iter().enumerate() {
        if devices[..i].iter().any(|other| own(other) == own(device)) {
            return Err(format!("{device}: this device is named twice"));
        }
    }
    Ok(())
}

/// How addresses are written.
pub const FORM: &str = "ws://HOST:PORT, iroh:ID or iroh:ID@HOST:PORT";

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Place::WebSocket { host, port } => write!(f, "ws://{host}:{port}")?,
            Place::Iroh(Iroh { id, way }) => {
                write!(f, "iroh:{id}")?;
                match way {
                    Way::Lookup => {}
                    Way::Relay(url) => write!(f, "@{}", url.as_str().trim_end_matches('/'))?,
                    Way::Direct { host, port } => write!(f, "@{host}:{port}")?,
                }
            }
        }
        match self.device {
            0 => Ok(()),
            device => write!(f, "#{device}"),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).map_err(|why| {
            format!("{text}: {why}; expected {FORM}, as `vae-cli serve-device` prints it")
        })
    }
}

/// Reads an address. The error is what is wrong with it.
fn read(text: &str) -> Result<Address, String> {
    let (place, device) = match text.split_once('#') {
        None => (text, 0),
        Some((place, device)) => {
            let read = device.parse();
            (place, read.map_err(|_| format!("`{device}` is no number of a device"))?)
        }
    };
    let server = if let Some(place) = place.strip_prefix("ws://") {
        let (host, port) = host_and_port(place)?;
        Place::WebSocket { host, port }
    } else if let Some(place) = place.strip_prefix("iroh:") {
        let (id, way) = match place.split_once('@') {
            None => (place, Way::Lookup),
            Some((id, url)) if url.starts_with("http://") || url.starts_with("https://") => {
                (id, Way::Relay(url.parse().map_err(|e| format!("`{url}` is no relay: {e}"))?))
            }
            Some((id, place)) => {
                let (host, port) = host_and_port(place)?;
                (id, Way::Direct { host, port })
            }
        };
        let id = id.parse().map_err(|_| format!("`{id}` is no ID of a server"))?;
        Place::Iroh(Iroh { id, way })
    } else {
        return Err(match place.split_once("://") {
            Some(("wss", _)) => "WebSocket with TLS is not supported".to_owned(),
            Some((scheme, _)) => format!("there is no transport `{scheme}`"),
            None => "this is no address".to_owned(),
        });
    };
    Ok(Address { server, device })
}

/// Reads the name and the port of a machine.
fn host_and_port(place: &str) -> Result<(String, u16), String> {
    let place = place.strip_suffix('/').unwrap_or(place);
    let Some((host, port)) = place.rsplit_once(':') else {
        return Err("there is no port".to_owned());
    };
    let Ok(port @ 1..) = port.parse::<u16>() else { return Err(format!("`{port}` is no port")) };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_name = !host.is_empty() && host.chars().all(allowed);
    let is_ipv6 = bracketed && host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok();
    if !is_name && !is_ipv6 {
        return Err(format!("`{host}` is no name of a machine"));
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6";

    #[test]
    fn an_address_reads_as_it_is_written() {
        for (text, host, port, device) in [
            ("ws://127.0.0.1:7700", "127.0.0.1", 7700, 0),
            ("ws://gpu-box.lan:1", "gpu-box.lan", 1, 0),
            ("ws://[::1]:7700#2", "[::1]", 7700, 2),
        ] {
            let address: Address = text.parse().unwrap();
            let server = Place::WebSocket { host: host.to_owned(), port };
            assert_eq!(address, Address { server, device });
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("ws://a:7/#1".parse::<Address>().unwrap().to_string(), "ws://a:7#1");
        for rest in ["", "#3", "@gpu:7700", "@[::1]:7700#1", "@https://relay.example.com"] {
            let text = format!("iroh:{ID}{rest}");
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_servers_that_send_to_each_other_share_a_training() {
        let of = |texts: &[&str]| {
            let devices: Vec<Address> = texts.iter().map(|text| text.parse().unwrap()).collect();
            check_exchange(&devices)
        };
        let (here, there) = (format!("iroh:{ID}"), format!("iroh:{ID}@gpu:7#1"));
        let other = format!("iroh:{}", iroh::SecretKey::from_bytes(&[7; 32]).public());
        for allowed in [&[][..], &["ws://a:7"], &[&here], &[&here, &other, &there]] {
            assert_eq!(of(allowed), Ok(()));
        }
        assert!(of(&["ws://a:7", "ws://b:7"]).unwrap_err().contains("--transport iroh"));
        let again = format!("iroh:{ID}@gpu:7#0");
        assert!(of(&[&here, &other, &again]).unwrap_err().contains("twice"));
        assert!(of(&["ws://a:7", &here]).unwrap_err().contains("--transport iroh"));
    }

    #[test]
    fn a_wrong_address_is_refused_with_what_is_wrong() {
        for (text, why) in [
            ("", "no address"),
            ("gpu:7700", "no address"),
            ("wss://gpu:7700", "TLS"),
            ("http://gpu:7700", "no transport `http`"),
            ("ws://gpu", "no port"),
            ("ws://gpu:0", "`0` is no port"),
            ("ws://gpu:70000", "`70000` is no port"),
            ("ws://gpu:7700#x", "`x` is no number"),
            ("ws://:7700", "`` is no name"),
            ("ws://a/b:7700", "`a/b` is no name"),
            ("ws://user@gpu:7700", "is no name"),
            ("ws://::1:7700", "`::1` is no name"),
            ("iroh:", "`` is no ID"),
            ("iroh:gpu", "`gpu` is no ID"),
            ("iroh:gpu:7700", "`gpu:7700` is no ID"),
            (&format!("iroh:{ID}@"), "no port"),
            (&format!("iroh:{ID}@gpu"), "no port"),
            (&format!("iroh:{ID}@https://"), "no relay"),
        ] {
            let refused = text.parse::<Address>().unwrap_err();
            assert!(refused.contains(why) && refused.contains(FORM), "{refused}");
        }
    }
}
