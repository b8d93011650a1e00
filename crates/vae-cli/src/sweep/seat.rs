//! `Seat`: a device on which runs of a sweep are trained, one after another.

use std::ffi::OsString;

use anyhow::Result;

use crate::args::BackendArgs;
use crate::failure::request;

/// A device on which runs are trained, one after another.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its name, as `--backend` takes it.
    pub name: String,
    /// The flags that name it.
    pub flags: Vec<OsString>,
    /// Whether it is elsewhere, and may be lost.
    pub is_elsewhere: bool,
    /// The machine, to remember where figures come from.
    pub machine: String,
}

impl Seat {
    /// Returns the device that flags name. One of this machine is opened, so that the runs need not choose;
    /// one that is elsewhere is not, because it may come later.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(args: &BackendArgs) -> Result<Self> {
        if let Some(name) = args.elsewhere()? {
            return Ok(Self {
                flags: args.flags(Some(&name)),
                name,
                is_elsewhere: true,
                machine: "a device elsewhere".to_owned(),
            });
        }
        let opened = args.open()?;
        Ok(Self {
            name: opened.spec.clone(),
            flags: args.flags(Some(&opened.spec)),
            is_elsewhere: false,
            machine: machine(opened.name, &opened.note),
        })
    }

    /// Returns the devices of `--devices`, each once.
    ///
    /// # Errors
    /// The errors of [`Self::new`], and if one is named twice.
    pub fn all(names: &[String], args: &BackendArgs) -> Result<Vec<Self>> {
        let mut seats: Vec<Self> = Vec::new();
        for name in names {
            let mut args = args.clone();
            args.backend.clone_from(name);
            let seat = Self::new(&args)?;
            if seats.iter().any(|other| other.name == seat.name) {
                return Err(request(format!("--devices names {} twice", seat.name)));
            }
            seats.push(seat);
        }
        Ok(seats)
    }
}

/// Returns the backend, the processor and its threads.
fn machine(name: &str, note: &str) -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    let processor = processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let threads = match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    };
    format!("{name} on {note}, {processor}, {threads}")
}
