//! How endpoints receive connections: as those of strangers, of whom they read little.

use std::sync::Arc;

use iroh::Endpoint;
use iroh::endpoint::{Connection, Incoming, IncomingAddr, ServerConfig};
use tokio::time::timeout;

use super::transport;
use crate::remote::porter::{PATIENCE, Refusal, Strangers};

/// Most bytes of a stranger, in all its streams together, that wait to be read.
const WINDOW: u32 = 1 << 14;

/// Receives those who come.
pub trait Reception: Send + Sync + 'static {
    /// Somebody who may come in.
    type Client: Send;

    /// Returns the list of those who are not in yet.
    fn strangers(&self) -> &Strangers;

    /// Finds out who comes.
    ///
    /// # Errors
    /// If it may not come in.
    fn greet(
        &self,
        connection: Connection,
    ) -> impl Future<Output = Result<Self::Client, Refusal>> + Send;

    /// Serves a client until it leaves.
    ///
    /// # Errors
    /// If it may not come in after all.
    fn serve(&self, client: Self::Client) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Receives connections of a protocol until the endpoint is closed.
pub async fn receive<R: Reception>(endpoint: &Endpoint, protocol: &[u8], reception: Arc<R>) {
    // A connection that the endpoint itself opens has the usual limits.
    let config = endpoint.create_server_config_builder(vec![protocol.to_vec()]);
    let config = Arc::new(config.set_transport_config(transport(Some(WINDOW))).build());
    while let Some(incoming) = endpoint.accept().await {
        if !incoming.remote_addr_validated() {
            // Its address may be another's: it has to answer there first.
            if let Err(e) = incoming.retry() {
                e.into_incoming().refuse();
            }
            continue;
        }
        let (reception, config) = (Arc::clone(&reception), Arc::clone(&config));
        tokio::spawn(async move {
            let strangers = reception.strangers();
            let who = match incoming.remote_addr() {
                IncomingAddr::Ip(address) => address.to_string(),
                IncomingAddr::Relay { endpoint_id, .. } => endpoint_id.to_string(),
                other => format!("{other:?}"),
            };
            let greeted = async {
                let greeted = async { reception.greet(connected(incoming, config).await?).await };
                let late = || format!("no greeting in {} seconds", PATIENCE.as_secs());
                timeout(PATIENCE, greeted).await.map_err(|_| late())?
            };
            let served = match strangers.admit(greeted).await {
                Ok(client) => reception.serve(client).await,
                Err(why) => Err(why),
            };
            if let Err(why) = served {
                strangers.turned_away(who, &why);
            }
        });
    }
}

async fn connected(incoming: Incoming, config: Arc<ServerConfig>) -> Result<Connection, Refusal> {
    let none = |e: &dyn std::fmt::Display| format!("no handshake: {e}");
    incoming.accept_with(config).map_err(|e| none(&e))?.await.map_err(|e| none(&e))
}
