//! `cloakroom mcp`: the tools for agents, on a workload's own machine and with its own key.

use crate::Outcome;
use crate::cli::McpArguments;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::{Failure, plain};
use crate::listener::{Listener, Proving};
use crate::output::Output;
use cloakroom_mcp::{Answered, Loopback, Unreached, serve_http, serve_stdio};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Where `cloakroom run` puts the key.
const VARIABLE: &str = "CLOAKROOM_KEY";

pub(super) fn run(data: &DataDir, asked: &McpArguments, output: &Output) -> Outcome {
    let listener = Listener::of(data, asked.url.as_deref())?;
    let certificate = asked.cert.clone().zip(asked.cert_key.clone());
    let shows_one = certificate.is_some();
    let reached = Reached { listener, ca: asked.ca.clone().unwrap_or_else(|| data.ca()), certificate };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match asked.http {
        Some(address) => runtime.block_on(over_http(reached, address, output))?,
        None => {
            let key = key(asked)?;
            if key.is_none() && !shows_one {
                output.hint("no workload key was given: --key-file FILE, or CLOAKROOM_KEY. Without one the broker has to know the workload by its address");
            }
            let served = runtime.block_on(serve_stdio(Arc::new(reached), key));
            served.map_err(|why| {
                Failure::failed(format!("the agent's program does not speak the protocol: {why}")).hinting(
                    "an agent's program starts this command and speaks to it: docs/agents.md says how",
                )
            })?;
        }
    }
    // A read of stdin that nobody ends any more.
    runtime.shutdown_background();
    Ok(Exit::Done)
}

async fn over_http(reached: Reached, address: SocketAddr, output: &Output) -> Result<(), Failure> {
    let loopback = Loopback::new(address).ok_or_else(|| {
        Failure::bad_input(format!("{address} can be reached from other machines"))
            .hinting("choose an address of this machine, such as 127.0.0.1:8482: what is spoken there is not encrypted")
    })?;
    let socket = loopback.listen().await.map_err(|error| {
        Failure::failed(format!("cannot listen on {address}: {}", plain(&error)))
            .hinting("choose another address; port 0 takes any free one")
    })?;
    let url = format!("http://{}/mcp", socket.local_addr()?);
    output.data(&json!({ "ready": true, "url": url }), || format!("the tools are at {url}"))?;
    serve_http(Arc::new(reached), socket).await;
    Ok(())
}

/// The workload key; none where an address or a certificate says who asks.
fn key(asked: &McpArguments) -> Result<Option<Zeroizing<String>>, Failure> {
    let text = match &asked.key_file {
        Some(file) => {
            let read = std::fs::read_to_string(file);
            Some(Zeroizing::new(read.map_err(|error| Failure::file("read", file, &error))?))
        }
        None => std::env::var(VARIABLE).ok().map(Zeroizing::new),
    };
    let Some(text) = text else { return Ok(None) };
    crate::listener::key_in(&text)
        .map(Some)
        .ok_or_else(|| Failure::bad_input("what was read is no workload key").hinting("it begins with cwk_"))
}

/// The workload listener, and whom it has to be.
struct Reached {
    listener: Listener,
    ca: PathBuf,
    /// The workload's certificate and the private key of that.
    certificate: Option<(PathBuf, PathBuf)>,
}

impl cloakroom_mcp::Listener for Reached {
    fn ask(&self, key: Option<&str>, path: &str, document: Option<&str>) -> Result<Answered, Unreached> {
        let certificate = self.certificate.as_ref().map(|(shown, key)| (shown.as_path(), key.as_path()));
        let proving = Proving { key, certificate, ca: self.ca.clone() };
        let answer = match document {
            Some(document) => self.listener.post(path, document, &proving),
            None => self.listener.get(path, &proving),
        };
        answer
            .map(|(status, body)| Answered { status, body })
            .map_err(|failure| Unreached(failure.to_string()))
    }
}
