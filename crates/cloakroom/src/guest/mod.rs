//! `cloakroom init -- COMMAND`: the first process of a workload's container or machine. What the command connects to on the loopback is
//! carried to the broker; it finds the usual variables, and where it assumes an AWS role the file and the variables for that.
//!
//! ```text
//!  COMMAND ── 127.0.0.1:8480 ──► cloakroom init ── TCP, Unix socket or vsock ──► broker's workload listener
//!     ▲ signals, exit code           │ reaps what is left behind
//! ```
//!
//! Whoever connects through here is the workload in the broker's eyes. So only the command's user may: another user's connection is closed
//! before a byte of it goes on (T93).

mod aws;
mod broker;
mod first;
pub(crate) mod machine;
mod owner;
mod program;
mod relay;
mod user;

pub(crate) use broker::Broker;
pub(crate) use program::Program;
pub(crate) use relay::Relay;
pub(crate) use user::User;

use crate::Outcome;
use crate::cli::InitArguments;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::close_inherited;
use crate::run::environment::{self, Leading};
use cloakroom_proxy::BootNonce;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Runs the command, and ends as it ends; with it, the machine where this is its first process.
pub(crate) fn run(arguments: &InitArguments) -> Outcome {
    if first::is_this() {
        first::end(first::begin(arguments.network.as_ref()).and_then(|()| command(arguments)))
    }
    if arguments.network.is_some() {
        return Err(Failure::bad_input("--network is for the first process of a virtual machine")
            .hinting("a container's network is made by whoever makes the container"));
    }
    command(arguments)
}

fn command(arguments: &InitArguments) -> Outcome {
    close_inherited()?;
    let wanted = Wanted::read(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(wanted.run())?;
    Ok(Exit::OfCommand(code))
}

/// What was asked for, read and found possible.
struct Wanted {
    broker: Broker,
    /// Who was asked for.
    user: Option<User>,
    variables: BTreeMap<OsString, OsString>,
    role: Option<aws::Role>,
    command: Vec<OsString>,
}

impl Wanted {
    fn read(arguments: &InitArguments) -> Result<Self, Failure> {
        let lacking =
            |what: &str, hint: &str| Failure::bad_input(format!("{what} is not said")).hinting(hint);
        let broker = arguments.broker.clone().ok_or_else(|| {
            lacking(
                "where the broker is",
                "name it: --broker http://ADDRESS:PORT, unix:PATH or vsock:CID:PORT",
            )
        })?;
        let broker = match &arguments.boot {
            Some(file) => at_boot(broker, file)?,
            None => broker,
        };
        let ca = arguments.ca.clone().ok_or_else(|| {
            lacking("whom the command shall trust", "name the broker's certificate authority: --ca FILE")
        })?;
        let ca = readable(&ca)?;
        let own: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let text = |name: &str| own.get(OsStr::new(name)).and_then(|value| value.to_str()).map(str::to_owned);
        let user = arguments.user;
        let leading =
            Leading { workload: text("CLOAKROOM_WORKLOAD"), key: text("CLOAKROOM_KEY"), authority: ca };
        let mut variables = own.clone();
        leading.fill(&mut variables)?;
        let role =
            aws::Role::wanted(&own, arguments.aws_placeholder.as_deref(), user.unwrap_or_else(User::own))?;
        if let Some(role) = &role {
            role.fill(&mut variables, leading.key.as_deref());
        }
        environment::forget_own(&mut variables);
        Ok(Self { broker, user, variables, role, command: arguments.command.clone() })
    }

    async fn run(self) -> Result<u8, Failure> {
        let relay = Relay::listen(self.broker, Some(self.user.unwrap_or_else(User::own))).await?;
        tokio::spawn(relay.carry());
        if let Some(role) = self.role {
            tokio::spawn(role.renew());
        }
        let program = Program { command: self.command, variables: self.variables, user: self.user };
        program.run().await
    }
}

/// SECURITY: read here, once, and said to the broker alone: the command and other users of this machine are the workload only through this
/// process.
fn at_boot(broker: Broker, file: &Path) -> Result<Broker, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    let wrong = |why: &str| Failure::bad_input(format!("--boot {}: {why}", file.display()));
    let nonce = text.trim().parse::<BootNonce>().map_err(wrong)?;
    broker.at_boot(nonce).map_err(wrong)
}

/// The file as the command will name it, wherever it runs.
fn readable(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = path.canonicalize().map_err(|error| Failure::file("read", path, &error))?;
    std::fs::File::open(&absolute).map_err(|error| Failure::file("read", path, &error))?;
    Ok(absolute)
}

/// A line for whoever looks at what this process says. That nobody does is no reason to end.
fn say(text: &str) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("cloakroom init: {text}\n"));
}
