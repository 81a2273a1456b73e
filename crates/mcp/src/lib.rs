//! What a workload can ask of the broker, as tools for agents (SPEC: Model Context Protocol, 2026-07-28 and before).
//!
//! A client of the workload listener and of nothing else: it knows no admin route, so it approves nothing, and the answers that it
//! passes on hold no credential. How the listener is reached is left to whoever gives a [`Listener`].

mod handler;
mod listener;
mod loopback;
mod plain;
mod tools;
mod wait;

pub use listener::{Answered, Listener, Unreached};
pub use loopback::{Loopback, serve_http};

use handler::{Handler, Keys};
use rmcp::ServiceExt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Serves one agent over stdin and stdout, until it closes them. `key` is the workload's, and shown to the listener alone.
///
/// # Errors
/// In words, where the agent does not speak the protocol.
pub async fn serve_stdio(listener: Arc<dyn Listener>, key: Option<Zeroizing<String>>) -> Result<(), String> {
    let handler = Handler::new(listener, Keys::Own(key.map(Arc::new)));
    let running = handler.serve(rmcp::transport::stdio()).await.map_err(|error| error.to_string())?;
    running.waiting().await.map(drop).map_err(|error| error.to_string())
}
