//! `cloakroom run -- COMMAND`: the command as a workload, in namespaces of its own, where only the broker can be reached.
//!
//! ```text
//!  cloakroom run ──── spawns ───► bwrap ─── namespaces ───► cloakroom inside ──► COMMAND
//!       │ relay.sock                                            │ 127.0.0.1:8480      │
//!  broker's listener ◄── relay ─────────────────────────────────┴◄── HTTPS_PROXY ─────┘
//! ```
//!
//! The namespace has no network but its own loopback. What connects there to the proxy's port is carried over one Unix socket to the broker's
//! workload listener; every other address is unreachable, whatever the command does. That does not depend on the broker being alive.

mod attend;
mod carry;
pub(crate) mod environment;
mod filter;
mod hidden;
mod inherited;
mod inside;
pub(crate) mod key_store;
mod kit;
mod listeners;
mod machine;
mod sandbox;
pub(crate) mod signals;

pub(crate) use attend::blocking;
pub(crate) use carry::{Places, carry};
pub(crate) use inherited::close_inherited;
pub(crate) use inside::{code_of, inside, not_started};
pub(crate) use kit::Kit;

use crate::Outcome;
use crate::cli::RunArguments;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::guest::Broker;
use crate::output::Output;
use crate::serve::Listening;
use sandbox::Sandbox;
use std::fs::File;
use std::io::{Seek, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The port on the loopback of the namespace at which the broker answers.
pub(crate) const PORT: u16 = 8480;
/// Where it answers to base URLs and `/.cloakroom/…`. Not the proxy's own address: clients go there past the proxy (`NO_PROXY`), and would so
/// to every destination on it.
pub(crate) const DIRECT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How long nobody is let in where a connection could not be: out of files, say, which the next moment may have.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Runs the command, and ends as it ends.
pub(crate) fn run(data: &DataDir, arguments: &RunArguments, output: &Output) -> Outcome {
    close_inherited()?;
    let kit = Kit::find(data, arguments.workload.as_deref())?;
    let broker = match &arguments.broker {
        Some(broker) => elsewhere(broker.clone())?,
        None => listening(data)?,
    };
    let sandbox = Sandbox::plan(data, &kit, arguments)?;
    output.talk(&sandbox.says());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(sandbox.run(broker))?;
    Ok(Exit::OfCommand(code))
}

/// Without a broker nothing gets out; but whoever starts the command wants to know before.
fn elsewhere(broker: Broker) -> Result<Broker, Failure> {
    match broker.answers() {
        true => Ok(broker),
        false => Err(Failure::no_broker("nobody answers where --broker says")
            .hinting("name the workload listener of a broker: http://ADDRESS:PORT or unix:PATH")),
    }
}

/// Where the broker of this data directory listens, if it does.
fn listening(data: &DataDir) -> Result<Broker, Failure> {
    // SECURITY: an appliance's address is good on the workloads' wire. From anywhere else a router may have a stranger answer there, who would be
    // shown the workload's key.
    if data.path().join("appliance.toml").exists() {
        return Err(Failure::no_broker(format!(
            "{} is an operator's, of an appliance",
            data.path().display()
        ))
        .hinting("name the way to its workload listener from here: --broker http://ADDRESS:PORT"));
    }
    let nobody = || {
        Failure::no_broker(format!("no broker runs on {}", data.path().display()))
            .hinting("start one: cloakroom serve")
    };
    let Listening { address, speaks_tls } = Listening::last(data).ok_or_else(nobody)?;
    let broker = Some(Broker::Network(address)).filter(Broker::answers).ok_or_else(nobody)?;
    if speaks_tls {
        return Err(Failure::failed("the broker's listener speaks TLS ([listen.tls]), and `run` does not")
            .hinting("run the command on a broker whose listener has no [listen.tls]; or start it yourself with the variables of: cloakroom workload add"));
    }
    Ok(broker)
}

/// A file of memory, which the programs that are started inherit.
pub(crate) fn in_memory(bytes: &[u8]) -> Result<File, Failure> {
    let file = rustix::fs::memfd_create("cloakroom", rustix::fs::MemfdFlags::empty())
        .map_err(std::io::Error::from)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn nobody_is_asked_at_an_appliances_address_which_others_may_have_here() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::find(Some(directory.path())).unwrap();
        let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
        somebody.set_nonblocking(true).unwrap();
        let address = somebody.local_addr().unwrap();
        std::fs::write(directory.path().join("listen"), format!("http://{address}\n")).unwrap();
        std::fs::write(directory.path().join("appliance.toml"), "").unwrap();
        let failure = listening(&data).unwrap_err();
        assert!(failure.to_string().contains("of an appliance"), "{failure}");
        assert!(somebody.accept().is_err(), "nobody connected");
        // Without that file it is a broker of this machine's.
        std::fs::remove_file(directory.path().join("appliance.toml")).unwrap();
        assert_eq!(listening(&data).unwrap(), Broker::Network(address));
        assert!(somebody.accept().is_ok());
    }
}
