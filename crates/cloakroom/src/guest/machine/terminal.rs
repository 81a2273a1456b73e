//! The command's ends of its streams: three pipes, or a terminal.

use super::User;
use super::host::{Streams, size};
use crate::failure::Failure;
use crate::guest::program::start;
use crate::run::blocking;
use rustix::fs::{Gid, OFlags, Uid, fchown};
use rustix::process::Pid;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::tcsetwinsize;
use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy};
use tokio::task::JoinSet;

/// What this process holds of them.
pub(super) struct Ends {
    /// The master of the terminal.
    terminal: Option<Arc<File>>,
    /// Those that carry what the command says.
    saying: JoinSet<()>,
}

impl Ends {
    /// Starts the command on them.
    pub(super) fn start(
        command: Command,
        has_terminal: bool,
        user: User,
        streams: Streams,
    ) -> Result<(Self, Pid), Failure> {
        let started =
            if has_terminal { on_terminal(command, user, streams) } else { on_pipes(command, streams) };
        started.map_err(Failure::from)
    }

    pub(super) fn resize(&self, [rows, columns]: [u16; 2]) {
        if let Some(terminal) = &self.terminal {
            let _ = tcsetwinsize(&**terminal, size(rows, columns));
        }
    }

    /// When all that was said has been carried.
    pub(super) async fn drained(mut self) {
        while self.saying.join_next().await.is_some() {}
    }
}

fn on_pipes(mut command: Command, streams: Streams) -> io::Result<(Ends, Pid)> {
    let pipe = || -> io::Result<_> { io::pipe() };
    let ((in_here, input), (output, out_there), (errors, err_there)) = (pipe()?, pipe()?, pipe()?);
    command.stdin(in_here).stdout(out_there).stderr(err_there);
    let pid = start(command)?;
    let Streams { input: from, output: to, errors: to_errors } = streams;
    let input = tokio::net::unix::pipe::Sender::from_owned_fd(input.into())?;
    tokio::spawn(carry(from, input));
    let mut saying = JoinSet::new();
    for (pipe, to) in [(output, to), (errors, to_errors)] {
        let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(pipe.into())?;
        saying.spawn(carry(pipe, to));
    }
    Ok((Ends { terminal: None, saying }, pid))
}

/// One direction, until it ends.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

fn on_terminal(mut command: Command, user: User, streams: Streams) -> io::Result<(Ends, Pid)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let mut options = File::options();
    options.read(true).write(true).custom_flags(OFlags::NOCTTY.bits().cast_signed());
    let slave = options.open(std::ffi::OsStr::from_bytes(name.as_bytes()))?;
    fchown(&slave, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
    command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(Stdio::from(slave));
    let pid = start(command)?;
    let master = Arc::new(File::from(master));
    let (typed, shown) = (blocking(streams.input)?, blocking(streams.output)?);
    let terminal = Arc::clone(&master);
    std::thread::spawn(move || type_into(&terminal, typed));
    let mut saying: JoinSet<()> = JoinSet::new();
    let terminal = Arc::clone(&master);
    saying.spawn_blocking(move || show(&terminal, shown));
    // The errors are on the terminal.
    drop(streams.errors);
    Ok((Ends { terminal: Some(master), saying }, pid))
}

fn type_into(mut terminal: &File, mut from: TcpStream) {
    let _ = io::copy(&mut from, &mut terminal);
}

/// Ends when nobody holds the other end any more, which reads as an error.
fn show(mut terminal: &File, mut to: TcpStream) {
    let _ = io::copy(&mut terminal, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
