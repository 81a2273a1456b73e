//! Informational replies of the upstream (1xx), on their way to the workload before the call is done.

use crate::live::Beat;
use cloakroom_egress::Interim;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

/// What came in between and is not written yet. How much that can be, `egress` bounds.
#[derive(Default)]
pub(crate) struct Interims(Mutex<VecDeque<Interim>>);

/// What goes on beside a call until its reply comes.
pub(crate) struct Meanwhile<'a> {
    pub(crate) interims: &'a Interims,
    /// When to look whether its placeholders count still.
    pub(crate) beat: &'a mut Beat,
}

/// How far a call came.
pub(crate) struct Progress<T> {
    /// What is to be written first.
    pub(crate) interims: VecDeque<Interim>,
    /// What it came to, where it is done.
    pub(crate) done: Option<T>,
}

impl Interims {
    /// Notes one.
    pub(crate) fn push(&self, interim: Interim) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(interim);
    }

    /// Goes on with the call until there is something to write. The call itself is what fills the queue, so whoever polls
    /// it sees what is new without being woken.
    pub(crate) async fn progress<F: Future + Unpin>(&self, call: &mut F) -> Progress<F::Output> {
        poll_fn(|cx| {
            let polled = Pin::new(&mut *call).poll(cx);
            let interims = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            match polled {
                Poll::Ready(done) => Poll::Ready(Progress { interims, done: Some(done) }),
                Poll::Pending if interims.is_empty() => Poll::Pending,
                Poll::Pending => Poll::Ready(Progress { interims, done: None }),
            }
        })
        .await
    }
}
