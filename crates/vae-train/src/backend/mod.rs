//! The table of backends. An entry in the table is all that a backend needs.
//!
//! An entry has the name of the backend, whether it is a CPU, and how to open it. The command line,
//! its output and the tests read the table.

#[cfg(any(feature = "flex", feature = "ndarray"))]
mod cpu;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "wgpu")]
mod wgpu;

use burn::tensor::Device;

use crate::error::TrainError;

/// The name for the automatic choice of a backend.
pub const AUTO: &str = "auto";

/// Makes the table. A backend's name is that of the feature that adds it.
macro_rules! table {
    ($($name:tt: $entry:path,)*) => {
        /// Every backend of this build.
        pub const TABLE: &[Entry] = &[$(#[cfg(feature = $name)] $entry,)*];

        /// The names of the backends that this build leaves out.
        pub const LEFT_OUT: &[&str] = &[$(#[cfg(not(feature = $name))] $name,)*];
    };
}

table! {
    "flex": cpu::FLEX,
    "ndarray": cpu::NDARRAY,
    "wgpu": wgpu::WGPU,
    "remote": remote::REMOTE,
}

/// One backend.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name of the backend.
    pub name: &'static str,
    /// A description in one line.
    pub about: &'static str,
    /// Whether it is a CPU, which computes in host memory. Replicas can share the cores of a CPU.
    pub is_cpu: bool,
    /// The form of its address, for a backend that is elsewhere and is named `NAME:ADDRESS`.
    pub address: Option<&'static str>,
    /// When `auto` chooses it.
    auto: Auto,
    /// Returns the adapters that it finds, best first, as `name (kind, graphics API)`.
    adapters: fn() -> Vec<String>,
    /// Opens the backend, at an address if it needs one.
    open: fn(Option<&str>) -> Opened,
}

/// A device and the name of its hardware.
type Opened = Result<(Device, String), TrainError>;

/// When `auto` chooses a backend.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(all(feature = "flex", feature = "ndarray", feature = "wgpu")), allow(dead_code))]
enum Auto {
    /// If this returns true: there is hardware that is faster than a CPU.
    Preferred(fn() -> bool),
    /// If no backend is preferred.
    Fallback,
    /// Never.
    Never,
}

impl Entry {
    fn open(&'static self, address: Option<&str>) -> Result<Backend, TrainError> {
        let (device, note) = (self.open)(address)?;
        Ok(self.opened(address, device, note))
    }

    fn opened(&'static self, address: Option<&str>, device: Device, note: String) -> Backend {
        let spec = match address {
            Some(address) => format!("{}:{address}", self.name),
            None => self.name.to_owned(),
        };
        Backend { entry: self, name: self.name, spec, device, note, others: Vec::new() }
    }

    /// Returns an error if there is an address, for a backend without addresses.
    #[cfg_attr(not(any(feature = "flex", feature = "ndarray", feature = "wgpu")), allow(dead_code))]
    fn takes_no_address(&self, address: Option<&str>) -> Result<(), TrainError> {
        let Some(address) = address else { return Ok(()) };
        let name = self.name;
        Err(TrainError::Request(format!("backend {name} takes no address, and got `{address}`")))
    }

    /// Returns the error of a backend that finds no hardware to run on.
    #[cfg_attr(not(feature = "wgpu"), allow(dead_code))]
    fn unusable(&self, why: String) -> TrainError {
        TrainError::Backend { name: self.name, why }
    }
}

/// Returns every valid name in this build: `auto`, then the names in the table.
pub fn names() -> Vec<&'static str> {
    [AUTO].into_iter().chain(TABLE.iter().map(|entry| entry.name)).collect()
}

/// Returns the error for a backend that is not in the table.
fn absent(name: &str, is_left_out: bool) -> TrainError {
    let with = match is_left_out {
        true => format!("build it with `cargo build --release --features {name}`, or "),
        false => String::new(),
    };
    let names = names().join(", ");
    TrainError::Request(format!("no backend `{name}` in this build: {with}choose one of {names}"))
}

/// Returns the backend that `auto` chooses if no backend is preferred, if this build has one.
pub fn fallback() -> Option<&'static Entry> {
    TABLE.iter().find(|entry| matches!(entry.auto, Auto::Fallback))
}

/// Returns whether this build has a backend that `auto` prefers if it finds hardware for it.
pub fn looks_for_gpus() -> bool {
    TABLE.iter().any(|entry| matches!(entry.auto, Auto::Preferred(_)))
}

/// Returns the adapters that the backends of this build find, best first, as
/// `name (kind, graphics API)`.
pub fn adapters() -> Vec<String> {
    TABLE.iter().flat_map(|entry| (entry.adapters)()).collect()
}

/// An opened backend.
#[derive(Clone, Debug)]
pub struct Backend {
    entry: &'static Entry,
    /// The name of the backend, one of [`names`] except `auto`.
    pub name: &'static str,
    /// What opens it again: the name, and the address if there is one.
    pub spec: String,
    /// The device, without autodiff.
    pub device: Device,
    /// The hardware, and for `auto` the reason for the choice.
    pub note: String,
    /// Further devices, which share the batches of a training; see [`Self::with`].
    pub others: Vec<Backend>,
}

impl Backend {
    /// Opens the backend `name`, or `NAME:ADDRESS` for one that is elsewhere. `auto` chooses a hardware
    /// GPU if there is one, otherwise a CPU.
    ///
    /// # Errors
    /// If this build has no backend of that name, or if the backend finds no hardware to run on.
    pub fn open(name: &str) -> Result<Self, TrainError> {
        match name.split_once(':') {
            Some((name, address)) => Self::open_at(name, Some(address)),
            None if name == AUTO => Self::auto(),
            None => Self::open_at(name, None),
        }
    }

    /// Opens the device of a server elsewhere, which may want a token.
    ///
    /// # Errors
    /// If the server cannot be reached, or does not accept the token.
    #[cfg(feature = "remote")]
    pub fn open_remote(
        address: &crate::remote::Address,
        token: Option<&crate::remote::Token>,
    ) -> Result<Self, TrainError> {
        let (device, note) = remote::open(address, token)?;
        static ENTRY: Entry = remote::REMOTE;
        Ok(ENTRY.opened(Some(&address.to_string()), device, note))
    }

    /// Opens the backend `name` at an address, for backends that need one.
    ///
    /// # Errors
    /// The errors of [`Self::open`], and if there is an address but the backend has no addresses.
    pub fn open_at(name: &str, address: Option<&str>) -> Result<Self, TrainError> {
        match TABLE.iter().find(|entry| entry.name == name) {
            Some(entry) => entry.open(address),
            None => Err(absent(name, LEFT_OUT.contains(&name))),
        }
    }

    /// Returns the backend with further devices, which share the batches of a training with it.
    #[must_use]
    pub fn with(self, others: Vec<Self>) -> Self {
        Self { others, ..self }
    }

    /// Returns the backend without further devices.
    #[must_use]
    pub fn alone(&self) -> Self {
        self.clone().with(Vec::new())
    }

    /// Returns whether the backend is a CPU. Replicas can share the cores of a CPU.
    pub fn is_cpu(&self) -> bool {
        self.entry.is_cpu
    }

    /// Returns the backend as one that is no CPU, for tests where there is no other device.
    #[cfg(test)]
    pub(crate) fn posing_as_no_cpu(self) -> Self {
        Self { entry: Box::leak(Box::new(Entry { is_cpu: false, ..*self.entry })), ..self }
    }

    /// Opens the first CPU backend of this build.
    ///
    /// # Errors
    /// If this build has no CPU backend.
    pub fn any_cpu() -> Result<Self, TrainError> {
        let entry = TABLE.iter().find(|entry| entry.is_cpu);
        let entry = entry.ok_or_else(|| {
            TrainError::Failed("this build has no CPU backend: build it with one".to_owned())
        })?;
        entry.open(None)
    }

    fn auto() -> Result<Self, TrainError> {
        let preferred = |entry: &&Entry| matches!(entry.auto, Auto::Preferred(is) if is());
        if let Some(entry) = TABLE.iter().find(preferred) {
            return entry.open(None);
        }
        let why = if looks_for_gpus() {
            "no GPU was found"
        } else {
            "this build has no backend for GPUs"
        };
        let entry = fallback().ok_or_else(|| {
            TrainError::Failed(format!(
                "{why}, and this build has no CPU backend: choose one of {}",
                names().join(", ")
            ))
        })?;
        let backend = entry.open(None)?;
        Ok(Self { note: format!("{}; {why}", backend.note), ..backend })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_with_the_names_of_the_table() {
        let refused = Backend::open("no-such-backend").unwrap_err().to_string();
        assert!(names().iter().all(|name| refused.contains(name)), "{refused}");
    }

    #[cfg(all(feature = "flex", feature = "ndarray", feature = "remote", feature = "wgpu"))]
    #[test]
    fn every_entry_of_this_folder_is_in_the_table() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend");
        let entries: usize = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|file| !file.ends_with("mod.rs"))
            .map(|file| std::fs::read_to_string(file).unwrap().matches(": Entry = Entry {").count())
            .sum();
        assert_eq!(entries, TABLE.len());
        assert_eq!(names()[1..], ["flex", "ndarray", "wgpu", "remote"]);
    }

    #[test]
    fn a_backend_that_was_left_out_is_refused_with_what_adds_it() {
        let refused = absent("wgpu", true).to_string();
        assert!(refused.contains("`cargo build --release --features wgpu`"), "{refused}");
        for name in LEFT_OUT {
            let refused = Backend::open(name).unwrap_err();
            assert!(
                refused.is_request() && refused.to_string().contains("--features"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_cpu_backend_opens_and_takes_no_address() {
        for entry in TABLE.iter().filter(|entry| entry.is_cpu) {
            assert!(Backend::open(entry.name).unwrap().is_cpu());
            let refused = Backend::open_at(entry.name, Some("127.0.0.1:7000")).unwrap_err();
            assert!(refused.is_request() && refused.to_string().contains("address"), "{refused}");
        }
    }
}
