//! Signals: the command gets them as if nothing stood between.
//!
//! The terminal sends `SIGINT` and `SIGQUIT` to every process in the foreground, the command among them: the others stay. What is sent to
//! `cloakroom run` alone is passed on, over a socket, because the command is in a process namespace of its own.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is passed on, by its number on Linux: `SIGHUP`, `SIGUSR1`, `SIGUSR2`, `SIGTERM`.
const PASSED: [i32; 4] = [1, 10, 12, 15];
/// What a terminal sends to all that are in its foreground: `SIGINT`, `SIGQUIT`.
const OF_TERMINAL: [i32; 2] = [2, 3];

/// Keeps this process alive when the terminal interrupts the command.
pub(crate) struct Kept {
    _interrupt: Signal,
    _quit: Signal,
}

impl Kept {
    /// From now on.
    pub(crate) fn alive() -> io::Result<Self> {
        Ok(Self { _interrupt: signal(SignalKind::interrupt())?, _quit: signal(SignalKind::quit())? })
    }
}

/// The signals to pass on, from now on.
pub(crate) struct Outside(Vec<(i32, Signal)>);

impl Outside {
    /// Those that no terminal sends.
    pub(crate) fn watch() -> io::Result<Self> {
        Self::of(&PASSED)
    }

    /// All of them: for a command that has no terminal, or one of its own.
    pub(crate) fn watch_all() -> io::Result<Self> {
        Self::of(&[&PASSED[..], &OF_TERMINAL].concat())
    }

    fn of(numbers: &[i32]) -> io::Result<Self> {
        let watch = |number: &i32| Ok((*number, signal(SignalKind::from_raw(*number))?));
        numbers.iter().map(watch).collect::<io::Result<_>>().map(Self)
    }

    /// The number of the next one that comes.
    pub(crate) async fn next(&mut self) -> u8 {
        let number = poll_fn(|context| {
            let come = self
                .0
                .iter_mut()
                .find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
            come.map_or(Poll::Pending, Poll::Ready)
        });
        number.await.to_le_bytes()[0]
    }

    /// Writes the number of each that comes. Ends when nobody listens any more.
    pub(super) async fn pass_on(&mut self, to: &mut UnixStream) {
        loop {
            let number = self.next().await;
            if to.write_all(&[number]).await.is_err() {
                return;
            }
        }
    }
}

/// The next signal that was passed on; `None` when the other end is gone.
pub(super) async fn next(from: &mut UnixStream) -> Option<rustix::process::Signal> {
    let number = from.read_u8().await.ok()?;
    rustix::process::Signal::from_named_raw(i32::from(number))
}
