//! One HTTP/1.1 connection to a destination. It belongs to one call at a time, or to the pool.

use super::alarm::Alarm;
use super::socket::Stream;
use bytes::BytesMut;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// The connection. While it is idle it keeps no buffer.
pub(super) struct Line {
    pub(super) io: Stream,
    pub(super) alarm: Alarm,
    home: usize,
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HERE: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// The number of this thread, counted from 0 in the order in which they asked.
pub(super) fn here() -> usize {
    HERE.with(|here| *here)
}

impl Line {
    /// A connection whose runtime is that of this thread.
    pub(super) fn new(io: Stream) -> Self {
        Self { io, alarm: Alarm::new(), home: here() }
    }

    /// Has the runtime of this thread watch the connection: otherwise each read would wake another thread first.
    ///
    /// # Errors
    /// When it cannot be moved; then it is of no more use.
    pub(super) fn come_here(&mut self) -> io::Result<()> {
        if self.home == here() {
            return Ok(());
        }
        self.io.move_here()?;
        self.alarm.unset();
        self.home = here();
        Ok(())
    }

    /// Whether the destination said nothing since its last reply: neither that it closes, nor a reply that nobody asked
    /// for (T43). Wakes nobody, and costs no call to the operating system where nothing came.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut unasked = BytesMut::new();
        self.io.poll_fill(&mut Context::from_waker(Waker::noop()), &mut unasked).is_pending()
    }

    /// Adds what came to `buffer`: 0 bytes at the end.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        self.io.poll_fill(cx, buffer)
    }
}
