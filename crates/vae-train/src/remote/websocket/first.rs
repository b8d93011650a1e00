//! The first message of a client, and the answer to one that is refused, as burn-remote writes them:
//! MessagePack in a WebSocket message of bytes.

use std::io::Cursor;

use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::remote::porter::Refusal;

/// The version of burn-remote's protocol.
pub const PROTOCOL: u16 = 2;

/// The beginning of a session.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub struct Init {
    /// The version of the client's protocol.
    pub version: u16,
    _session: (u64,),
    /// The device that it asks for.
    pub device: u32,
    /// What it presents.
    #[serde(with = "serde_bytes")]
    pub token: Vec<u8>,
}

#[derive(Deserialize)]
enum Message {
    Init(Init),
}

/// Why a client is refused, as it is told.
#[derive(Debug, Serialize)]
pub enum Refused {
    /// It has another token.
    Unauthorized,
    /// There are not as many devices.
    NoSuchDevice {
        /// Their number.
        device_count: u32,
    },
    /// It speaks another version of the protocol.
    IncompatibleProtocol {
        /// The server's version.
        server_version: u16,
    },
}

#[derive(Serialize)]
enum Answer {
    InitRefused(Refused),
}

/// Reads a message of a client from the bytes that it sent so far. `None` if it is not complete yet.
///
/// # Errors
/// If it is no message of bytes, or longer than `most`.
pub fn message(sent: &[u8], most: usize) -> Result<Option<Vec<u8>>, Refusal> {
    let mut cursor = Cursor::new(sent);
    let none = || "it does not begin a session".to_owned();
    let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| none())? else {
        return Ok(None);
    };
    let is_data = header.is_final && header.opcode == OpCode::Data(Data::Binary);
    let Some(mask) = header.mask.filter(|_| is_data) else { return Err(none()) };
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= most) else {
        return Err("its handshake is too long".to_owned());
    };
    let rest = &sent[cursor.position() as usize..];
    let masked = rest.get(..length);
    Ok(masked.map(|bytes| bytes.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect()))
}

/// Reads the beginning of a session.
pub fn init(message: &[u8]) -> Option<Init> {
    let [Message::Init(init)] = rmp_serde::from_slice(message).ok()?;
    Some(init)
}

/// Returns the bytes that tell a client why it is refused.
pub fn answer(why: Refused) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Nothing in it can fail.
    if let Ok(message) = rmp_serde::to_vec(&(Answer::InitRefused(why), 0_u64)) {
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
        let _ = header.format(message.len() as u64, &mut bytes);
        bytes.extend_from_slice(&message);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_complete_unmasked_and_bounded() {
        let sent = [0x82, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, 9];
        assert_eq!(message(&sent, 3), Ok(Some(b"abc".to_vec())));
        for end in 0..9 {
            assert_eq!(message(&sent[..end], 3), Ok(None), "{end}");
        }
        assert!(message(&sent, 2).unwrap_err().contains("too long"));
        // A gigabyte is refused by its length.
        let large = [0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4];
        assert!(message(&large, 3).unwrap_err().contains("too long"));
        // A ping, text, a part of a message, one without a mask, and one of no kind.
        for first in [[0x89, 0x80], [0x81, 0x80], [0x02, 0x80], [0x82, 0x03], [0x8f, 0x80]] {
            let sent = [&first[..], &[0; 4]].concat();
            assert!(message(&sent, 3).unwrap_err().contains("does not begin"), "{first:?}");
        }
    }

    #[test]
    fn messages_are_those_of_burn() {
        // `RemoteMessage::Init` of burn-remote 0.22.1: [{"Init": [version, [session], device, token]}].
        let bytes = b"\x91\x81\xa4Init\x94\x02\x91\xcd\x03\xe8\x01\xc4\x02ab";
        let expected = Init { version: 2, _session: (1000,), device: 1, token: b"ab".to_vec() };
        assert_eq!(init(bytes), Some(expected));
        assert_eq!(init(b"\x91\x81\xa5Close\x91\x01"), None);
        assert_eq!(init(&bytes[..17]), None);
        assert_eq!(init(&[b"\x92", &bytes[1..], &bytes[1..]].concat()), None);
        // The encoding that burn-remote's own test has.
        let refusal = answer(Refused::IncompatibleProtocol { server_version: PROTOCOL });
        let expected = [
            b"\x82\x27\x92\x81\xabInitRefused".as_slice(),
            b"\x81\xb4IncompatibleProtocol\x91\x02\x00",
        ]
        .concat();
        assert_eq!(refusal, expected);
    }
}
