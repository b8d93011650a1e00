//! `Address`: where the server of a device is.

use std::fmt;
use std::str::FromStr;

use burn::remote::RemoteHost;

/// Where the server of a device is, written `ws://HOST:PORT`, or `ws://HOST:PORT#N` for the device `N`
/// of several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Name or IP address of the machine; an IPv6 address is in brackets.
    pub host: String,
    /// TCP port of the server.
    pub port: u16,
    /// The device, by its position in the server's list.
    pub device: u32,
}

impl Address {
    /// Returns the host for Burn.
    pub(super) fn host(&self) -> RemoteHost {
        RemoteHost::websocket(&format!("ws://{}:{}", self.host, self.port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}:{}", self.host, self.port)?;
        match self.device {
            0 => Ok(()),
            device => write!(f, "#{device}"),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "expected ws://HOST:PORT, as `vae-cli serve-device` prints it";
        let wrong = |why: &str| Err(format!("{text}: {why}; {form}"));
        let Some(rest) = text.strip_prefix("ws://") else {
            return match text.split_once("://") {
                Some(("wss", _)) => wrong("WebSocket with TLS is not supported"),
                Some((scheme, _)) => wrong(&format!("there is no transport `{scheme}`")),
                None => wrong("this is no address"),
            };
        };
        let (place, device) = match rest.split_once('#') {
            None => (rest, 0),
            Some((place, device)) => match device.parse() {
                Ok(device) => (place, device),
                Err(_) => return wrong(&format!("`{device}` is no number of a device")),
            },
        };
        let place = place.strip_suffix('/').unwrap_or(place);
        let Some((host, port)) = place.rsplit_once(':') else { return wrong("there is no port") };
        let Ok(port @ 1..) = port.parse::<u16>() else {
            return wrong(&format!("`{port}` is no port"));
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_name = !host.is_empty() && host.chars().all(allowed);
        let is_ipv6 = bracketed && host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok();
        if !is_name && !is_ipv6 {
            return wrong(&format!("`{host}` is no name of a machine"));
        }
        Ok(Self { host: host.to_owned(), port, device })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_it_is_written() {
        for (text, host, port, device) in [
            ("ws://127.0.0.1:7700", "127.0.0.1", 7700, 0),
            ("ws://gpu-box.lan:1", "gpu-box.lan", 1, 0),
            ("ws://[::1]:7700#2", "[::1]", 7700, 2),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address, Address { host: host.to_owned(), port, device });
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("ws://a:7/#1".parse::<Address>().unwrap().to_string(), "ws://a:7#1");
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
        ] {
            let refused = text.parse::<Address>().unwrap_err();
            assert!(refused.contains(why) && refused.contains("ws://HOST:PORT"), "{refused}");
        }
    }
}
