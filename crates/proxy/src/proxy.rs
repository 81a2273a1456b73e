//! All that the workload side needs, and what its connections share.

use crate::calls::Calls;
use crate::entry::{Entrance, EntryTls};
use crate::guesses::Guesses;
use crate::last_use::LastUses;
use crate::leaf::Leaves;
use crate::recall::Recall;
use crate::repeats::Repeats;
use crate::seats::Seats;
use crate::{Authority, Limits, Pool, ProxyError, Tracer};
use arc_swap::ArcSwap;
use cloakroom_egress::{Upstream, custody::Custody};
use cloakroom_model::RequiredLocks;
use cloakroom_policy::{Lessons, PolicySet};
use cloakroom_store::{Events, Parking, Proposals, Store, Uses, Warden, journal::Journal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Whether a call waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every intent is on the disk before its call goes out.
    BeforeSend,
    /// Intents reach the disk in groups; a counted use still waits for it.
    Grouped,
}

/// All that the workload side needs.
pub struct Proxy {
    /// The policies in force; swapped when a row changes.
    pub policies: Arc<ArcSwap<PolicySet>>,
    /// Opens secrets.
    pub custody: Arc<Custody>,
    /// The way out.
    pub upstream: Arc<Upstream>,
    /// Holds what is to be claimed.
    pub store: Arc<dyn Store>,
    /// Counts uses.
    pub uses: Arc<Uses>,
    /// The record.
    pub journal: Arc<Journal>,
    /// Where security events are raised, and calls counted.
    pub events: Arc<Events>,
    /// Ends placeholders that are misused.
    pub warden: Arc<dyn Warden>,
    /// Signs the leaves of intercepted hosts.
    pub authority: Authority,
    /// What a stranger may send.
    pub limits: Limits,
    /// What the listener speaks.
    pub entrance: Entrance,
    /// Whether a call waits for the disk.
    pub durability: Durability,
    /// Calls that wait for a human.
    pub parking: Arc<Parking>,
    /// What workloads ask for.
    pub proposals: Arc<Proposals>,
    /// Workloads whose calls are refused and looked at.
    pub lessons: Arc<Lessons>,
    /// Which addresses stand for which names, where workloads behind a lock ask for them.
    pub names: Option<Arc<Pool>>,
    /// How long such a call is held before it is told to come again.
    pub hold: Duration,
    /// The locks without which no call goes out.
    pub locks: Arc<RequiredLocks>,
    /// Where the spans of calls go, where anybody wants them.
    pub tracer: Option<Tracer>,
    /// The origin of the console, where people decide.
    pub console: String,
}

/// What all connections of one listener share.
pub(crate) struct Shared {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) leaves: Leaves,
    pub(crate) tls: Option<EntryTls>,
    pub(crate) guesses: Guesses,
    pub(crate) seats: Arc<Seats>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) last_uses: LastUses,
    pub(crate) recall: Recall,
    pub(crate) repeats: Arc<Repeats>,
    pub(crate) handshakes: Semaphore,
    /// Turns true when the broker stops.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Shared {
    pub(crate) fn new(proxy: Arc<Proxy>, stop: watch::Receiver<bool>) -> Result<Self, ProxyError> {
        let (limits, leaves) = (&proxy.limits, Leaves::new()?);
        let workloads = proxy.entrance.workloads.as_ref();
        let tls = proxy.entrance.tls.as_ref();
        let tls = tls.map(|shown| EntryTls::new(shown, workloads, &leaves)).transpose()?;
        Ok(Self {
            leaves,
            tls,
            guesses: Guesses::new(limits.free_guesses),
            seats: Seats::new(limits.connections_per_workload),
            calls: Calls::new(limits.calls, limits.calls_per_workload, Arc::clone(proxy.events.meters())),
            last_uses: LastUses::default(),
            recall: Recall::default(),
            repeats: Repeats::new(),
            handshakes: Semaphore::new(limits.handshakes.clamp(1, Semaphore::MAX_PERMITS)),
            stop,
            proxy,
        })
    }
}
