//! Devices of other processes and machines, on Burn's remote devices (burn-remote).
//!
//! ```text
//!   client process                                 server process: `vae-cli serve-device`
//!   Backend "remote"                               Server
//!     -> client     opens the device, and notices    -> porter      sessions, strangers, lines on both
//!                   when its server is gone          -> websocket/  a guard: who may come in
//!     -> websocket/ or iroh/, the transports         -> iroh/       a door: the same
//!   Address         where the server is              -> room        starts a process for each session
//!   Token           the secret that both sides know
//!                                                  room process, one for each session
//!                                                  host_session
//!                                                    -> burn-remote, the devices and the tensors
//! ```
//!
//! The graph of autodiff is the client's. A room sees operations on tensors, and keeps the tensors of its
//! session.

mod address;
mod client;
mod iroh;
mod porter;
mod room;
mod server;
mod token;
mod websocket;

pub use address::{Address, FORM, Iroh, Place, Way, check_exchange};
pub(crate) use client::open;
pub use client::{Loss, loss, on_loss, tells_of_loss};
pub use iroh::{Relays, leave};
pub use porter::Lines;
pub use room::host_session;
pub use server::{Limits, Server, Serving, Transport};
pub use token::Token;
