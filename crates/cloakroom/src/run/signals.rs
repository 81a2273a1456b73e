//! Signals: the command gets them as if nothing stood between.
//!
//! The terminal sends `SIGINT` and `SIGQUIT` to every process in the foreground, the command among them: the others stay. What is sent to
//! `cloakroom run` alone is passed on, over a socket, because the command is in a process namespace of its own.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is passed on, by its number on Linux.
const PASSED: [i32; 4] = [1, 10, 12, 15];

/// Keeps this process alive when the terminal interrupts the command.
pub(super) struct Kept {
    _interrupt: Signal,
    _quit: Signal,
}

impl Kept {
    /// From now on.
    pub(super) fn alive() -> io::Result<Self> {
        Ok(Self { _interrupt: signal(SignalKind::interrupt())?, _quit: signal(SignalKind::quit())? })
    }
}

/// The signals to pass on, from now on.
pub(super) struct Outside([(i32, Signal); 4]);

impl Outside {
    pub(super) fn watch() -> io::Result<Self> {
        let [hangup, one, two, terminate] = PASSED;
        let watch = |number| signal(SignalKind::from_raw(number));
        Ok(Self([
            (hangup, watch(hangup)?),
            (one, watch(one)?),
            (two, watch(two)?),
            (terminate, watch(terminate)?),
        ]))
    }

    /// Writes the number of each that comes. Ends when nobody listens any more.
    pub(super) async fn pass_on(&mut self, to: &mut UnixStream) {
        let [(a, first), (b, second), (c, third), (d, fourth)] = &mut self.0;
        loop {
            let number = tokio::select! {
                Some(()) = first.recv() => *a,
                Some(()) = second.recv() => *b,
                Some(()) = third.recv() => *c,
                Some(()) = fourth.recv() => *d,
                else => return,
            };
            let Ok(byte) = u8::try_from(number) else { continue };
            if to.write_all(&[byte]).await.is_err() {
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
