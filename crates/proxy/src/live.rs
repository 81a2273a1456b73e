//! A call and its reply end when their placeholder does: revocation reaches what is under way (invariant 8, T67).

use crate::ledger::CallLedger;
use crate::proxy::Proxy;
use arc_swap::ArcSwap;
use bytes::Bytes;
use cloakroom_egress::ScrubbedBody;
use cloakroom_egress::custody::Custody;
use cloakroom_model::{BodyFault, Code, PlaceholderId, Refusal, Timestamp};
use cloakroom_policy::PolicySet;
use http_body::{Body, Frame, SizeHint};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep};

/// How long a stream may outlive the placeholder it was armed with.
const BOUND: Duration = Duration::from_millis(50);

/// When to look whether placeholders count still: at least each [`BOUND`] while somebody waits for it. One for all calls of
/// a connection, set again only when it rings, so that a short call costs no timer.
#[derive(Default)]
pub(crate) struct Beat(Option<Pin<Box<Sleep>>>);

impl Beat {
    /// Ready when it rings, and set again then.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = self.0.get_or_insert_with(|| Box::pin(sleep(BOUND)));
        ready!(alarm.as_mut().poll(cx));
        alarm.as_mut().reset(tokio::time::Instant::now() + BOUND);
        Poll::Ready(())
    }
}

/// Runs a call up to its reply for as long as its placeholders count and no operator seals the broker: while it uploads, and while the
/// upstream thinks.
///
/// # Errors
/// The call's own, `placeholder-revoked` and `broker-sealed`.
pub(crate) async fn while_live<T>(
    mut call: Pin<&mut impl Future<Output = Result<T, Refusal>>>,
    beat: &mut Beat,
    proxy: &Proxy,
    ledger: &CallLedger<'_>,
) -> Result<T, Refusal> {
    poll_fn(|cx| {
        if let Poll::Ready(done) = call.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        while beat.poll(cx).is_ready() {
            if proxy.custody.is_shut() {
                return Poll::Ready(Err(Refusal::new(Code::BrokerSealed, "an operator sealed the broker")));
            }
            if !all_live(&proxy.policies, ledger.placeholders()) {
                let reason = "the placeholder was revoked, frozen or at its end during the call";
                return Poll::Ready(Err(Refusal::new(Code::PlaceholderRevoked, reason)));
            }
        }
        Poll::Pending
    })
    .await
}

fn all_live(policies: &ArcSwap<PolicySet>, placeholders: &[PlaceholderId]) -> bool {
    let policies = policies.load();
    let now = Timestamp::now();
    placeholders.iter().all(|placeholder| policies.is_live(*placeholder, now))
}

/// Whether the placeholders of a call count still, and no operator has sealed the broker.
pub(crate) struct Liveness {
    custody: Arc<Custody>,
    policies: Arc<ArcSwap<PolicySet>>,
    placeholders: Vec<PlaceholderId>,
}

impl Liveness {
    pub(crate) fn new(proxy: &Proxy, placeholders: Vec<PlaceholderId>) -> Self {
        let (custody, policies) = (Arc::clone(&proxy.custody), Arc::clone(&proxy.policies));
        Self { custody, policies, placeholders }
    }

    fn holds(&self) -> bool {
        !self.custody.is_shut() && all_live(&self.policies, &self.placeholders)
    }
}

/// A scrubbed body that is looked after: before its first frame, and each [`BOUND`] while it lasts.
pub(crate) struct Live {
    body: ScrubbedBody,
    liveness: Liveness,
    checked: Option<Instant>,
    /// Wakes a stream that is silent; made only when it is, so that short replies cost no timer.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Live {
    pub(crate) fn new(body: ScrubbedBody, liveness: Liveness) -> Self {
        Self { body, liveness, checked: None, alarm: None }
    }

    fn is_due(&self) -> bool {
        self.checked.is_none_or(|at| at.elapsed() >= BOUND)
    }

    /// Waits for the alarm, and sets it again as often as it rings. Ready when the placeholder is gone.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(BOUND)));
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.alarm = None;
            if !self.liveness.holds() {
                return Poll::Ready(());
            }
        }
    }
}

impl Body for Live {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if self.is_due() {
            if !self.liveness.holds() {
                return Poll::Ready(Some(Err(BodyFault::Ended)));
            }
            self.checked = Some(Instant::now());
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => self.poll_gone(cx).map(|()| Some(Err(BodyFault::Ended))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
