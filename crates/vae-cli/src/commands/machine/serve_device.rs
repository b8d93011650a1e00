//! `serve-device`: hosts a device of this machine for other processes and machines.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use serde_json::json;
use vae_train::remote::{Limits, Lines, Relays, Server, Token, Transport, host_session};
use vae_train::{Backend, backend};

use crate::args::{self, TOKEN_VARIABLE, count};
use crate::commands::Execute;
use crate::failure::request;
use crate::output::printer::{Printer, print_to_stderr};
use crate::output::text::quoted;
use crate::signal::stop_on_signal;

/// Host a device of this machine for other processes and machines.
///
/// Prints a command that uses it: `vae-cli train --backend remote:ADDRESS`. Serves until Ctrl-C. Unless
/// --host names another address, only programs of this machine reach it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vae-cli serve-device --port 7700\n  \
    vae-cli serve-device --port 7700 --transport iroh\n  \
    vae-cli serve-device --port 7700 --host 0.0.0.0 --token-file token")]
pub struct ServeDeviceArgs {
    /// Backend to host: auto, or one of this build that is not remote itself. May be repeated: each is a
    /// device, #0, #1 and so on, and all must be of one backend.
    #[arg(long, value_name = "NAME", default_value = backend::AUTO)]
    pub backend: Vec<String>,
    /// Port to listen on, of TCP for ws and of UDP for iroh; 0 is any free one. With iroh each session
    /// has a UDP port too: the next free one.
    #[arg(long, value_name = "P")]
    pub port: u16,
    /// IP address of this machine to listen on; 0.0.0.0 is every IPv4 address, :: every one. An address that
    /// other machines can reach needs a token.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// How clients speak to it. With iroh all is encrypted, and the address is the server's public key; the
    /// secret key is kept for the port among the user's data. With ws all is readable on the way: use it in a
    /// network that you trust, or through `ssh -L` [default: ws for programs of this machine, else iroh].
    #[arg(long, value_name = "NAME")]
    pub transport: Option<TransportArg>,
    /// How clients of iroh find this machine: `disabled`, by its name or IP address; `public`, by servers of
    /// iroh's makers, from anywhere in the Internet; or the URL of a relay of your own [default: disabled].
    #[arg(long, value_name = "HOW")]
    pub relays: Option<Relays>,
    /// File with the token that clients must present. It is made if it is not there
    /// [default: the variable VAE_REMOTE_TOKEN].
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Most sessions at once. A training or another command is one.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = count)]
    pub max_sessions: usize,
    /// Memory that a session may use, in GB: above it the session is ended (on Linux; memory of a GPU is not
    /// counted) [default: no limit].
    #[arg(long, value_name = "GB", value_parser = args::positive)]
    pub memory: Option<f32>,
    /// Be the process of a session, which a server starts.
    #[arg(long, hide = true)]
    pub session: bool,
}

/// How clients and a server speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TransportArg {
    /// WebSocket, readable on the way.
    Ws,
    /// iroh, encrypted.
    Iroh,
}

impl ServeDeviceArgs {
    /// Returns how clients speak to the server.
    fn transport(&self) -> Result<Transport> {
        let near = self.host.is_loopback();
        let default = if near { TransportArg::Ws } else { TransportArg::Iroh };
        Ok(match (self.transport.unwrap_or(default), &self.relays) {
            (TransportArg::Ws, None) => Transport::WebSocket,
            (TransportArg::Ws, Some(_)) => {
                return Err(request("--relays is of --transport iroh: leave it out"));
            }
            (TransportArg::Iroh, Some(Relays::Public | Relays::Private(_))) if near => {
                return Err(request(
                    "--relays is for clients of other machines: add --host 0.0.0.0, or leave it out",
                ));
            }
            (TransportArg::Iroh, relays) => Transport::Iroh {
                relays: relays.clone().unwrap_or_default(),
                key: dirs::data_dir().filter(|_| self.port != 0).map(|folder| {
                    folder.join("vae-cli").join(format!("serve-device-{}.key", self.port))
                }),
            },
        })
    }
}

impl Execute for ServeDeviceArgs {
    fn execute(&self, printer: &Printer) -> Result<()> {
        let backends = self
            .backend
            .iter()
            .map(|name| match name.split(':').next() {
                Some("remote") => Err(request("a device that is remote itself cannot be hosted")),
                _ => Ok(Backend::open(name)?),
            })
            .collect::<Result<Vec<Backend>>>()?;
        if let Some(first) = backends.first()
            && let Some(other) = backends.iter().find(|backend| backend.name != first.name)
        {
            return Err(request(format!(
                "one server hosts devices of one backend, not of {} and {}: start two",
                first.name, other.name
            )));
        }
        if self.session {
            Diary::start();
            let devices = backends.into_iter().map(|backend| backend.device).collect();
            return Ok(host_session(devices, print_to_stderr)?);
        }
        let transport = self.transport()?;
        if matches!(transport, Transport::Iroh { key: None, .. }) && self.port != 0 {
            printer.say(
                "this user has no folder for data: the server has a new key, and so a new ID, each time",
            );
        }
        let token = match &self.token_file {
            Some(file) => {
                let (token, is_new) = Token::read_or_make(file)?;
                if is_new {
                    printer.say(&format!("{}: a new token", file.display()));
                }
                Some(token)
            }
            None => args::token(None)?,
        };
        let stop = stop_on_signal("stopping the server");
        let names: Vec<String> = std::iter::zip(&self.backend, &backends)
            // A session has the backend that was chosen here.
            .map(|(name, opened)| if name == backend::AUTO { opened.name } else { name })
            .map(str::to_owned)
            .collect();
        let program = std::env::current_exe()?;
        let room = move || {
            let mut command = Command::new(&program);
            command.args(["serve-device", "--session", "--port", "0"]);
            command.args(names.iter().flat_map(|name| ["--backend", name]));
            command.env_remove(TOKEN_VARIABLE);
            command
        };
        let server = Server {
            room,
            devices: u32::try_from(backends.len()).unwrap_or(u32::MAX),
            transport,
            token: token.clone(),
            limits: Limits {
                sessions: self.max_sessions,
                memory: self.memory.map(|gigabytes| (f64::from(gigabytes) * 1e9) as u64),
            },
        };
        let serving = server.listen(self.host, self.port, print_to_stderr)?;
        let address = serving.address();
        let hosted: Vec<String> =
            backends.iter().map(|backend| format!("{} ({})", backend.name, backend.note)).collect();
        printer.say(&format!("hosting {}", hosted.join(", ")));
        let flags = match &self.token_file {
            None => String::new(),
            Some(file) => format!(" --token-file {}", quoted(file)),
        };
        match (&token, &self.token_file) {
            (None, _) => {}
            (Some(_), Some(_)) => printer.say("on the other side: a copy of the token file"),
            (Some(_), None) => {
                printer.say(&format!("on the other side: the same {TOKEN_VARIABLE}"))
            }
        }
        let mut shown = address.clone();
        if let Some(host) = shown.host_mut().filter(|_| self.host.is_unspecified()) {
            // This address of all addresses is none for another machine.
            "NAME-OF-THIS-MACHINE".clone_into(host);
            printer.say("there, the name or IP address of this machine for NAME-OF-THIS-MACHINE");
        }
        let line = format!("vae-cli train --backend remote:{shown}{flags}");
        printer.result(&line, || {
            json!({
                "address": address.to_string(),
                "backend": backends.first().map(|backend| backend.name),
                "devices": backends.len(),
                "needs_token": token.is_some(),
            })
        })?;
        serving.run(&stop).map_err(|why| anyhow!(why))
    }
}

/// Prints what burn-remote says in the process of a session: of a failed operation, of a stranger at its port.
struct Diary;

/// What burn-remote says of a client whose process has ended, which is no news.
const ENDED: [&str; 2] = ["without closing handshake", "connection lost"];

impl Diary {
    fn start() {
        // Nobody else sets a logger in this program.
        if log::set_logger(&Diary).is_ok() {
            log::set_max_level(log::LevelFilter::Warn);
        }
    }
}

impl log::Log for Diary {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("burn_remote")
    }

    fn log(&self, record: &log::Record<'_>) {
        static LINES: Lines = Lines::new();
        let line = record.args().to_string();
        if self.enabled(record.metadata()) && !ENDED.iter().any(|words| line.contains(words)) {
            LINES.say(&print_to_stderr, &line);
        }
    }

    fn flush(&self) {}
}
