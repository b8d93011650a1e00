//! Devices of other processes and machines, on Burn's remote devices (burn-remote).
//!
//! ```text
//!   client process                                 server process: `vae-cli serve-device`
//!   Backend "remote"                               Server
//!     -> client     opens the device, and notices    -> porter      sessions, strangers, lines on both
//!                   when its server is gone          -> websocket/  a guard before burn-remote
//!     -> websocket/ or iroh/, the transports         -> iroh/       a door before burn-remote
//!   Address         where the server is              -> burn-remote, one session a client
//!   Token           the secret that both sides know
//! ```
//!
//! The graph of autodiff is the client's. The server sees operations on tensors, and keeps the tensors
//! of each session apart.

mod address;
mod client;
mod iroh;
mod porter;
mod server;
mod token;
mod websocket;

pub use address::{Address, FORM, Iroh, Place, Way, check_exchange};
pub(crate) use client::open;
pub use client::{Loss, loss, on_loss, tells_of_loss};
pub use iroh::{Relays, leave};
pub use porter::Lines;
pub use server::{Limits, Server, Serving, Transport};
pub use token::Token;
