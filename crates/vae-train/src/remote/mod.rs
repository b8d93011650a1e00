//! Devices of other processes and machines, on Burn's remote devices (burn-remote).
//!
//! ```text
//!   client process                                 server process: `vae-cli serve-device`
//!   Backend "remote"                               Server
//!     -> client   opens the device, and notices      -> guard    limits what reaches the server
//!                 when its server is gone            -> burn-remote, one session a client
//!   Address       where the server is
//!   Token         the secret that both sides know
//! ```
//!
//! The graph of autodiff is the client's. The server sees operations on tensors, and keeps the tensors
//! of each session apart.

mod address;
mod client;
mod guard;
mod server;
mod token;

pub use address::Address;
pub(crate) use client::open;
pub use client::{Loss, loss, on_loss, tells_of_loss};
pub use server::{Limits, Server, Serving};
pub use token::Token;
