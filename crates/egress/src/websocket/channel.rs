//! A WebSocket that an upstream accepted: relayed until it ends, and told how.

use super::close::Close;
use super::decoder::Sender;
use super::ending::{Ending, Side};
use super::extension::Agreed;
use super::handshake::Greeting;
use super::hop::{Sink, Source};
use super::state::{ChannelTally, State};
use super::{back, out};
use crate::custody::Custody;
use crate::scrub::Finder;
use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use cloakroom_model::{Code, Destination, EventKind, Ledger, Refusal};
use cloakroom_policy::{MessageJudge, PolicySet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

/// How long a channel may outlive the placeholders it was armed with.
const BOUND: Duration = Duration::from_millis(30);
/// How long the other side may take to answer a Close.
const CLOSING: Duration = Duration::from_secs(10);
/// How long a side may take to read what is left for it, once the channel is over.
const PARTING: Duration = Duration::from_secs(1);
/// The same where a placeholder does not count any more.
const CUT: Duration = Duration::from_millis(20);

/// Bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A WebSocket with an upstream, over which nothing was said yet. Made only by [`crate::Returned::scrub`].
pub struct Channel {
    pub(crate) upstream: Box<dyn Io>,
    /// What was read behind the upstream's handshake.
    pub(crate) early: BytesMut,
    /// Compression, as agreed with the upstream.
    pub(crate) deflate: Option<Agreed>,
    pub(crate) finder: Arc<Finder>,
    pub(crate) judge: MessageJudge,
    pub(crate) destination: Destination,
    /// Secrets that were replaced in the handshake's reply.
    pub(crate) replaced: u64,
}

/// Bounds of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// The longest message, either way.
    pub message: u64,
    /// How long a channel may be silent.
    pub idle: Duration,
}

/// What judging and arming messages takes.
pub struct Terms<'a, L> {
    /// Opens secrets.
    pub custody: &'a Custody,
    /// Records uses.
    pub ledger: &'a L,
    /// The policies in force at any time.
    pub policies: &'a ArcSwap<PolicySet>,
    /// Bounds.
    pub limits: ChannelLimits,
}

/// How a channel ended.
#[derive(Debug)]
pub struct Ended {
    /// What it came to.
    pub tally: ChannelTally,
    /// Why the broker ended it, where policy did.
    pub refusal: Option<Refusal>,
}

impl Channel {
    /// Hands messages on until a side ends the channel, `stop` is ready, or policy ends it. `early` is what was read of
    /// the workload behind its handshake, which `greeting` answered.
    pub async fn relay<L: Ledger>(
        self,
        workload: impl AsyncRead + AsyncWrite + Send + Unpin,
        early: BytesMut,
        greeting: &Greeting,
        terms: Terms<'_, L>,
        stop: impl Future<Output = ()> + Send,
    ) -> Ended {
        let most = terms.limits.message;
        let state = State::new(self.finder, self.judge, self.replaced);
        let (read, write) = tokio::io::split(workload);
        let deflates = greeting.deflate.is_some();
        let mut from_workload = Source::new(read, early, Sender::Workload, deflates, most);
        let mut to_workload = Sink::new(write, false, greeting.deflate);
        let (read, write) = tokio::io::split(self.upstream);
        let deflates = self.deflate.is_some();
        let mut from_upstream = Source::new(read, self.early, Sender::Upstream, deflates, most);
        let mut to_upstream = Sink::new(write, true, self.deflate);
        let ending = {
            let out = out::relay(&mut from_workload, &mut to_upstream, &state, &terms, &self.destination);
            let back = back::relay(&mut from_upstream, &mut to_workload, &state);
            tokio::select! {
                biased;
                ending = watch(&state, &terms) => ending,
                () = stop => Ending::Draining,
                ended = async { tokio::try_join!(out, back) } => match ended {
                    Ok(((), ())) => Ending::Closed,
                    // Behind a Close nothing can be lost.
                    Err(Ending::Lost(_)) if state.closing_for().is_some() => Ending::Closed,
                    Err(ending) => ending,
                },
            }
        };
        let patience = if matches!(ending, Ending::Refused(_)) { CUT } else { PARTING };
        // The upstream first: to it nothing more is owed.
        tokio::join!(
            part(&mut to_upstream, &ending, Side::Upstream, patience),
            part(&mut to_workload, &ending, Side::Workload, patience),
        );
        drop((from_upstream, to_upstream));
        // What the workload still sends would reset its connection, and the Close with it.
        let _ = timeout(PARTING, from_workload.drain()).await;
        let refusal = match ending {
            Ending::Refused(refusal) => Some(refusal),
            _ => None,
        };
        Ended { tally: state.tally(), refusal }
    }
}

impl fmt::Debug for Channel {
    /// SECURITY: what came early may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("destination", &self.destination).finish_non_exhaustive()
    }
}

/// Ends a channel that must not go on, whatever its sides do.
async fn watch<L: Ledger>(state: &State, terms: &Terms<'_, L>) -> Ending {
    let mut seen: Option<Arc<PolicySet>> = None;
    loop {
        let policies = terms.policies.load();
        // Nothing can have changed but by a change of policies: an idle channel costs no more than this comparison.
        if seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &policies)) {
            if !state.may_stay(&policies) {
                return Ending::Refused(gone());
            }
            seen = Some(Arc::clone(&policies));
        }
        drop(policies);
        if terms.custody.is_shut() {
            return Ending::Refused(shut());
        }
        if state.silence() >= terms.limits.idle || state.closing_for().is_some_and(|since| since >= CLOSING) {
            return Ending::Idle;
        }
        sleep(BOUND).await;
    }
}

fn shut() -> Refusal {
    Refusal::new(Code::BrokerSealed, "an operator sealed the broker")
}

fn gone() -> Refusal {
    let reason = "the placeholder that opened the channel does not count any more";
    Refusal::new(Code::PlaceholderRevoked, reason).as_event(EventKind::CutShort)
}

/// Says Close, where that is still to be said, and ends the connection.
async fn part<W: AsyncWrite + Unpin>(sink: &mut Sink<W>, ending: &Ending, to: Side, patience: Duration) {
    if let Some((status, reason)) = ending.farewell(to) {
        let close = Close { code: status.code(), reason: Bytes::from_static(reason.as_bytes()) };
        if sink.close(Some(&close)).is_err() {
            return;
        }
    }
    // A side that does not read is not waited for.
    let _ = timeout(patience, sink.finish()).await;
}
