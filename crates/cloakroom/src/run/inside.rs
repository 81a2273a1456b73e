//! The first program in the namespace: filters system calls, carries connections out, starts the command, ends as it ends.

use super::signals::{Kept, Outside, next};
use super::{PAUSE, Places, attend::attend, carry, filter, sandbox};
use crate::Outcome;
use crate::cli::{InsideArguments, Part};
use crate::exit::Exit;
use crate::failure::Failure;
use rustix::process::{Pid, kill_process};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::ExitStatus;
use tokio::net::{TcpListener, UnixStream};
use tokio::process::{Child, Command};

/// Runs in the namespace that `cloakroom run` made, or in its machine.
pub(crate) fn inside(arguments: &InsideArguments) -> Outcome {
    if arguments.part == Part::Session {
        return Ok(Exit::OfCommand(lead(&arguments.command)?));
    }
    // SECURITY: before anything else runs, and before there is a thread or a child that would be without.
    filter::apply()
        .map_err(|error| Failure::failed(format!("the filter of system calls does not hold: {error}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(command(arguments));
    // Whoever reads standard input is not waited for.
    runtime.shutdown_background();
    Ok(Exit::OfCommand(code?))
}

/// Begins a session, with the terminal that is standard input (if it is one) as its own, and becomes the command. Comes back only where there is
/// no such command.
fn lead(command: &[OsString]) -> Result<u8, Failure> {
    let Some((program, rest)) = command.split_first() else {
        return Err(Failure::bad_input("there is no command"));
    };
    let _ = rustix::process::setsid();
    if io::stdin().is_terminal() {
        rustix::process::ioctl_tiocsctty(io::stdin()).map_err(io::Error::from)?;
    }
    let error = std::process::Command::new(program).args(rest).exec();
    Ok(not_started("cloakroom run", program, &error))
}

async fn command(arguments: &InsideArguments) -> Result<u8, Failure> {
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::bad_input("there is no command"));
    };
    // Before the command can: who connects first hears the signals.
    let mut control = UnixStream::connect(sandbox::CONTROL).await?;
    let places = Places::new();
    for address in [Ipv4Addr::LOCALHOST, super::DIRECT] {
        tokio::spawn(carry_out(TcpListener::bind((address, super::PORT)).await?, places.clone()));
    }
    if arguments.part == Part::Machine {
        return attend(&arguments.command, &mut control).await;
    }
    // What is caught here was ignored until now, and has its default again in the command.
    let _kept = (Kept::alive()?, Outside::watch()?);
    let child = match Command::new(program).args(rest).spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_started("cloakroom run", program, &error)),
    };
    Ok(code_of(until_it_ends(child, &mut control).await?))
}

/// Each connection to the proxy's port goes out over the socket; there is nothing else to connect to.
async fn carry_out(listener: TcpListener, places: Places) {
    loop {
        let place = places.one().await;
        // Out of files, say: the next may work.
        let Ok((connection, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let _ = connection.set_nodelay(true);
        tokio::spawn(async move {
            let _place = place;
            if let Ok(outside) = UnixStream::connect(sandbox::RELAY).await {
                carry(connection, outside).await;
            }
        });
    }
}

async fn until_it_ends(mut child: Child, control: &mut UnixStream) -> io::Result<ExitStatus> {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let mut heard = true;
    loop {
        tokio::select! {
            ended = child.wait() => return ended,
            signal = next(control), if heard => match (signal, pid) {
                (Some(signal), Some(pid)) => { let _ = kill_process(pid, signal); }
                _ => heard = false,
            },
        }
    }
}

/// As a shell says it: 127 for a command that is not there, 126 for one that cannot be run.
pub(crate) fn not_started(who: &str, program: &std::ffi::OsStr, error: &io::Error) -> u8 {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let why = if missing { "command not found".to_owned() } else { crate::failure::plain(error) };
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("{who}: {}: {why}\n", program.display()));
    if missing { 127 } else { 126 }
}

/// The command's own code, or 128 and the signal that ended it, as a shell says it.
pub(crate) fn code_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
