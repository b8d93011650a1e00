//! The CPU backends, which compute in host memory.

use burn::tensor::Device;

use super::{Auto, Entry};

/// Burn's own CPU backend.
#[cfg(feature = "flex")]
pub(super) const FLEX: Entry = Entry {
    name: "flex",
    about: "CPU, Burn's own; the fastest here, with operations of this workspace",
    is_cpu: true,
    address: None,
    auto: Auto::Fallback,
    adapters: Vec::new,
    open: |address| {
        FLEX.takes_no_address(address)?;
        Ok((Device::flex(), "CPU".to_owned()))
    },
};

/// The CPU backend on the ndarray crate. Deprecated by Burn since 0.22, which is why the workspace
/// stays on that release.
#[cfg(feature = "ndarray")]
pub(super) const NDARRAY: Entry = Entry {
    name: "ndarray",
    about: "CPU, on the ndarray crate",
    is_cpu: true,
    address: None,
    auto: Auto::Never,
    adapters: Vec::new,
    open: |address| {
        NDARRAY.takes_no_address(address)?;
        #[allow(deprecated)]
        let device = Device::ndarray();
        Ok((device, "CPU".to_owned()))
    },
};
