//! The command: started as its user, told the signals, waited for; and whatever else it leaves behind is reaped.

use super::user::User;
use crate::failure::Failure;
use crate::run::signals::{Kept, Outside};
use crate::run::{code_of, not_started};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, set_child_subreaper, wait};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use tokio::signal::unix::{SignalKind, signal};

/// A command and what it runs with.
pub(crate) struct Program {
    pub(crate) command: Vec<OsString>,
    pub(crate) variables: BTreeMap<OsString, OsString>,
    /// Whoever runs this process, where nobody was asked for.
    pub(crate) user: Option<User>,
}

impl Program {
    /// Starts it on this process's own streams and waits for its end.
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        // A terminal tells the command itself what its user types.
        let has_terminal = io::stdin().is_terminal();
        let (_kept, mut outside) =
            (Kept::alive()?, if has_terminal { Outside::watch()? } else { Outside::watch_all()? });
        let mut children = Children::watch()?;
        let Some(command) = self.command() else { return Err(Failure::bad_input("there is no command")) };
        let started = match self.user {
            Some(user) => user.alone(|| start(command)),
            None => start(command),
        };
        let started = match started {
            Ok(pid) => pid,
            Err(error) => return Ok(not_started("cloakroom init", &self.command[0], &error)),
        };
        loop {
            tokio::select! {
                code = children.end_of(started) => return Ok(code?),
                number = outside.next() => tell(started, number),
            }
        }
    }

    /// The command itself, its environment and its user.
    pub(crate) fn command(&self) -> Option<Command> {
        let (program, rest) = self.command.split_first()?;
        let mut command = Command::new(program);
        command.args(rest).env_clear().envs(&self.variables);
        if let Some(user) = self.user {
            user.dress(&mut command);
        }
        Some(command)
    }
}

/// Starts it. Its end is seen by [`Children`], which reaps every process.
pub(super) fn start(mut command: Command) -> io::Result<Pid> {
    let child = command.spawn()?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("a process without a number"))
}

/// A command that is gone already needs to be told nothing.
pub(super) fn tell(pid: Pid, number: u8) {
    if let Some(signal) = Signal::from_named_raw(i32::from(number)) {
        let _ = kill_process(pid, signal);
    }
}

/// Every process whose parent this one is, or became when its own parent ended.
pub(super) struct Children(tokio::signal::unix::Signal);

impl Children {
    /// From now on.
    pub(super) fn watch() -> io::Result<Self> {
        // The first process of a namespace or a machine is that anyway.
        let _ = set_child_subreaper(Some(rustix::process::getpid()));
        Ok(Self(signal(SignalKind::child())?))
    }

    /// Reaps whatever ends, until this one does; its code.
    pub(super) async fn end_of(&mut self, main: Pid) -> io::Result<u8> {
        loop {
            if let Some(status) = reap(main)? {
                return Ok(code_of(ExitStatus::from_raw(status.as_raw())));
            }
            self.0.recv().await;
        }
    }
}

/// Reaps all that has ended. The end of `main`, if that was among it.
fn reap(main: Pid) -> io::Result<Option<WaitStatus>> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == main => return Ok(Some(status)),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
