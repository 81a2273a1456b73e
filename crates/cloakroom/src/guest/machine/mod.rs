//! The virtual machine of `cloakroom run --vm`, from inside: this program is its first process, and the command's files are its host's, shared
//! over virtio. What it is to do lies in its root as [`Plan`]; what it says and hears goes over the one wire, to `run/machine.rs`.
//!
//! Nothing here protects anybody from the command: that is done outside of the machine. Here it is made to feel at home.

mod files;
pub(crate) mod host;
mod terminal;

use super::broker::Broker;
use super::program::{Children, Program, tell};
use super::relay::Relay;
use super::user::User;
use super::{aws, say};
use crate::failure::Failure;
use crate::init::{Address, modules, mounts, network, power};
use crate::run::{PORT, environment};
use host::{Host, Word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use terminal::Ends;

/// Where it lies in the machine's first root.
pub(crate) const PLAN: &str = "plan.json";
/// The host's end of the wire, and this one. QEMU's user network has them so.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// Where the host hears and says what goes beside the calls.
pub(crate) const STREAMS: u16 = 8479;
/// What a command has written is read by then, or nobody reads it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the machine is for.
#[derive(Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) command: Vec<OsString>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) user: User,
    pub(crate) directory: PathBuf,
    /// Whether the command gets a terminal; else it gets pipes.
    pub(crate) has_terminal: bool,
    /// Directories that are empty and in memory.
    pub(crate) rooms: Vec<PathBuf>,
    /// Directories of the host, the root first.
    pub(crate) shares: Vec<Share>,
    /// The broker's certificate authority, in PEM.
    pub(crate) authority: String,
}

/// A directory of the host.
#[derive(Serialize, Deserialize)]
pub(crate) struct Share {
    /// Its name on the machine's bus.
    pub(crate) tag: String,
    pub(crate) at: PathBuf,
    pub(crate) is_writable: bool,
}

/// Whether this is such a machine: its host put a plan into it.
pub(crate) fn is_this_one() -> bool {
    Path::new("/").join(PLAN).exists()
}

/// Does what the plan says; then the machine goes off.
pub(crate) fn run() -> ! {
    if let Err(failure) = machine() {
        say(&failure.to_string());
    }
    power::off()
}

fn machine() -> Result<(), Failure> {
    let plan = std::fs::read(Path::new("/").join(PLAN))?;
    let plan: Plan = serde_json::from_slice(&plan).map_err(|_| Failure::failed("the plan cannot be read"))?;
    mounts::at("proc", "/proc", mounts::PLAIN, c"")?;
    mounts::at("sysfs", "/sys", mounts::PLAIN, c"")?;
    power::prepare();
    modules::load(Path::new(crate::image::MODULES))?;
    network::attach(Some(&Address::plain("eth0", IpAddr::V4(OWN), 24)))?;
    files::enter(&plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lived = runtime.block_on(live(plan));
    runtime.shutdown_background();
    lived
}

async fn live(plan: Plan) -> Result<(), Failure> {
    let mut host = Host::connect().await?;
    let relay = Relay::listen(Broker::Network((HOST, PORT).into()), Some(plan.user)).await?;
    tokio::spawn(relay.carry());
    let mut variables: BTreeMap<OsString, OsString> = plan.variables.into_iter().collect();
    if let Some(role) = aws::Role::wanted(&variables, None, plan.user)? {
        let key = variables.get::<std::ffi::OsStr>("CLOAKROOM_KEY".as_ref()).and_then(|key| key.to_str());
        let key = key.map(str::to_owned);
        role.fill(&mut variables, key.as_deref());
        tokio::spawn(role.renew());
    }
    environment::forget_own(&mut variables);
    // In between stands this program once more, which is the command's from then on: it leads a session, and says if there is no such command.
    let leader = ["/proc/self/exe", "inside", "--part", "session", "--"].map(OsString::from);
    let command = leader.into_iter().chain(plan.command).collect();
    let program = Program { command, variables, user: Some(plan.user) };
    let mut children = Children::watch()?;
    let mut command = program.command().ok_or_else(|| Failure::bad_input("there is no command"))?;
    command.current_dir(&plan.directory);
    let (ends, pid) = Ends::start(command, plan.has_terminal, plan.user, host.streams()?)?;
    let code = loop {
        tokio::select! {
            code = children.end_of(pid) => break code?,
            word = host.hears() => match word {
                Some(Word::Signal(number)) => tell(pid, number),
                Some(Word::Size(size)) => ends.resize(size),
                // The host is gone, and this machine with it.
                None => return Ok(()),
            },
        }
    };
    // As in a process namespace: with the command everything ends. Then nobody holds its streams any more.
    files::end_all();
    let _ = tokio::time::timeout(PATIENCE, ends.drained()).await;
    host.ended(code).await
}
