//! `cloakroom hsm`: the processes that stand between the broker and a PKCS#11 token. Nobody runs them by hand.

use crate::Outcome;
use crate::cli::{HsmArguments, HsmPart};
use crate::exit::Exit;
use crate::failure::Failure;
use cloakroom_keys::{keep, work};
use std::io::{stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Runs one of them.
pub(super) fn run(arguments: &HsmArguments) -> Outcome {
    match arguments.part {
        HsmPart::Keep => keep_for_broker(&arguments.settings)?,
        HsmPart::Work => work(&arguments.settings, stdin().lock(), stdout().lock())?,
    }
    Ok(Exit::Done)
}

fn keep_for_broker(settings: &str) -> Result<(), Failure> {
    // A service manager ends the broker by a signal to all of its processes; this one is needed until the broker has drained, and ends
    // when the other end of its socket does.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let _deaf = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    drop(entered);
    let broker = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
    keep(settings, broker, || worker(settings))?;
    Ok(())
}

fn worker(settings: &str) -> Command {
    let mut worker = this_program();
    worker.args(["hsm", "work", settings]);
    worker
}

/// This program, also where its file was replaced since it was started.
#[cfg(target_os = "linux")]
pub(crate) fn this_program() -> Command {
    Command::new("/proc/self/exe")
}

/// This program.
#[cfg(not(target_os = "linux"))]
pub(crate) fn this_program() -> Command {
    Command::new(std::env::current_exe().unwrap_or_else(|_| "cloakroom".into()))
}
