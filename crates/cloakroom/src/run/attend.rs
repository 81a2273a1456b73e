//! Beside a machine, in its namespaces: starts QEMU, carries the command's streams, passes signals and the terminal's size on, and hears the
//! exit code. The machine's side of it is `guest::machine::host`.

use super::machine::{SAID, forget_parts};
use super::signals::{Outside, next};
use crate::failure::Failure;
use crate::guest::machine::STREAMS;
use crate::guest::machine::host::{ROLES, Word};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Shutdown};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A machine that has not begun by then will not: an emulated one on a busy host takes a while.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long it may take to go off.
const END: Duration = Duration::from_secs(10);
/// How much of what the machine said is shown where it failed.
const SHOWN: usize = 2000;

/// Runs the machine to its end; the exit code of the command in it.
pub(super) async fn attend(command: &[OsString], control: &mut UnixStream) -> Result<u8, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, STREAMS)).await?;
    let mut outside = Outside::watch_all()?;
    let mut qemu = start(command)?;
    let begun = tokio::select! {
        streams = connections(&listener) => streams?,
        ended = qemu.wait() => return Err(failed(&format!("it ended before its command began ({})", ended?))),
        () = tokio::time::sleep(PATIENCE) => return Err(failed("its command did not begin in time")),
    };
    // From here on the machine can reach the broker and nothing else.
    drop(listener);
    forget_parts();
    let [input, output, errors, words] = begun;
    let raw = Raw::set()?;
    let (from, to) = (File::from(io::stdin().as_fd().try_clone_to_owned()?), blocking(input)?);
    // On a thread that nobody waits for: whoever types may go on after the end.
    std::thread::spawn(move || carry_input(from, to));
    let mut saying: JoinSet<()> = JoinSet::new();
    for (from, to) in [(output, io::stdout().as_fd()), (errors, io::stderr().as_fd())] {
        let (mut from, mut to) = (blocking(from)?, File::from(to.try_clone_to_owned()?));
        saying.spawn_blocking(move || drop(io::copy(&mut from, &mut to)));
    }
    let (mut says, mut hears) = words.into_split();
    let mut resized = signal(SignalKind::window_change())?;
    resize(&mut hears).await;
    let mut is_led = true;
    let code = loop {
        tokio::select! {
            code = says.read_u8() => break code.map_err(|_| failed("it ended before its command did")),
            number = outside.next() => say(&mut hears, Word::Signal(number)).await,
            signal = next(control), if is_led => match signal {
                Some(signal) => say(&mut hears, Word::Signal(signal.as_raw().to_le_bytes()[0])).await,
                None => is_led = false,
            },
            Some(()) = resized.recv() => resize(&mut hears).await,
        }
    }?;
    while saying.join_next().await.is_some() {}
    drop(raw);
    drop(hears);
    drop(says);
    if timeout(END, qemu.wait()).await.is_err() {
        let _ = qemu.start_kill();
    }
    Ok(code)
}

/// QEMU itself says nothing to the command's streams, and hears no terminal.
fn start(command: &[OsString]) -> Result<Child, Failure> {
    let Some((program, rest)) = command.split_first() else {
        return Err(Failure::bad_input("there is no machine"));
    };
    let complaints = File::options().create(true).append(true).open(SAID)?;
    let mut qemu = Command::new(program);
    qemu.args(rest).stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints).process_group(0);
    Ok(qemu.kill_on_drop(true).spawn()?)
}

/// One of each kind, in the order of [`ROLES`].
async fn connections(listener: &TcpListener) -> io::Result<[TcpStream; 4]> {
    let mut streams = Vec::with_capacity(ROLES.len());
    for role in ROLES {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        if stream.read_u8().await? != role {
            return Err(io::Error::other("the machine's connections are not those that were agreed"));
        }
        streams.push(stream);
    }
    streams.try_into().map_err(|_| io::Error::other("there are too few connections"))
}

/// A connection for a thread of its own. These streams may be files and terminals, which only threads can wait for.
pub(crate) fn blocking(stream: TcpStream) -> io::Result<std::net::TcpStream> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn carry_input(mut from: File, mut to: std::net::TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

async fn say(to: &mut OwnedWriteHalf, word: Word) {
    let _ = to.write_all(&word.bytes()).await;
}

async fn resize(to: &mut OwnedWriteHalf) {
    if let Ok(size) = tcgetwinsize(io::stdin()) {
        say(to, Word::Size([size.ws_row, size.ws_col])).await;
    }
}

/// The caller's terminal, which passes on each key as it is typed for as long as this lives.
struct Raw(Option<Termios>);

impl Raw {
    fn set() -> io::Result<Self> {
        if !isatty(io::stdin()) || !isatty(io::stdout()) {
            return Ok(Self(None));
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// With the end of what the machine and QEMU said.
fn failed(why: &str) -> Failure {
    let said = std::fs::read(SAID).unwrap_or_default();
    let end = String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN)..]).replace('\r', "");
    let said: String = end.trim().chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    Failure::failed(format!("the machine failed: {why}")).hinting(match said.is_empty() {
        true => "it said nothing; more memory may help: --vm-memory MIB".to_owned(),
        false => format!("it said: {said}"),
    })
}
