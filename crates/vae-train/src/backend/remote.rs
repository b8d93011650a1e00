//! The backend of devices that are elsewhere: those that `vae-cli serve-device` hosts.

use super::{Auto, Entry, Opened};
use crate::error::TrainError;
use crate::remote::{Address, FORM, Token, open as connect};

/// The entry of the table.
pub(super) const REMOTE: Entry = Entry {
    name: "remote",
    about: "a device of another process or machine, which `vae-cli serve-device` hosts",
    is_cpu: false,
    address: Some("ADDRESS"),
    auto: Auto::Never,
    adapters: Vec::new,
    open: |address| {
        let Some(address) = address else {
            let why = format!("backend remote needs an address: remote:ADDRESS with {FORM}");
            return Err(TrainError::Request(why));
        };
        open(&address.parse().map_err(TrainError::Request)?, None)
    },
};

/// Opens the device at `address`.
pub(super) fn open(address: &Address, token: Option<&Token>) -> Opened {
    // Not the address: the record of a run has this, and may be shown to others.
    Ok((connect(address, token)?, "a device elsewhere".to_owned()))
}
