//! A deadline that moves with every byte, watched by a timer that is set again only when it rings.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer. Setting one costs more than reading the clock, and almost every deadline is replaced before it comes.
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// One that is not set.
    pub(super) fn new() -> Self {
        Self { sleep: None }
    }

    /// Forgets the timer, which belongs to the runtime that set it.
    pub(super) fn unset(&mut self) {
        self.sleep = None;
    }

    /// Ready when nothing happened for `limit` after `moved`. Where the same alarm serves two limits, `shortest` is the
    /// shorter: the timer is never set further than that, so that it need not be set anew for the shorter one.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        moved: Instant,
        limit: Duration,
        shortest: Duration,
    ) -> Poll<()> {
        let deadline = moved + limit;
        let sleep =
            self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline.min(Instant::now() + shortest))));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline.min(now + shortest));
        }
        Poll::Pending
    }
}
