//! The admin side's hands: what it may touch, and how rows are put in force.

use crate::Locks;
use crate::api::feed::Feeds;
use crate::api::replays::Replays;
use crate::ballot::Ballots;
use crate::console::ConsoleState;
use crate::handover::Handover;
use crate::identity::{Identity, SingleSignOn};
use crate::login::Logins;
use crate::pin::Pin;
use crate::rewrap::Rewrap;
use crate::wire::{CertificateView, Evidence, IssuedCertificate, LayerView};
use crate::{Draining, Problem, ProblemCode};
use arc_swap::{ArcSwap, ArcSwapOption};
use cloakroom_egress::custody::{Custody, DropBox, DropKey};
use cloakroom_egress::issuer::Issuer;
use cloakroom_model::{
    Destination, EventKind, LookupKey, Name, PlaceholderId, Rows, SecurityEvent, Timestamp, WorkloadId,
};
use cloakroom_policy::{Approvers, Background, Ignored, Lessons, PolicySet, Service};
use cloakroom_store::journal::{Entry, Journal};
use cloakroom_store::{Events, Parking, Proposals, Store, StoreError, Uses};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// All that the operator side needs.
pub struct Admin {
    /// The rows.
    pub store: Arc<dyn Store>,
    /// How often counted placeholders were used: the rows may be behind.
    pub uses: Arc<Uses>,
    /// The record.
    pub journal: Arc<Journal>,
    /// Takes secrets in, and is told which credentials there are.
    pub custody: Arc<Custody>,
    /// Takes secrets in that were sealed elsewhere.
    pub drop_box: DropBox,
    /// Vouches for the drop-off key, where the machine has something that can.
    pub attestor: Option<Arc<dyn Attestor>>,
    /// The policy in force, shared with the data plane.
    pub policies: Arc<ArcSwap<PolicySet>>,
    /// The approvers that were trusted first; who they are now follows from the changes among the rows.
    pub trusted: Approvers,
    /// How far the changes were followed, as it is kept.
    pub pin: Pin,
    /// Changes of the approvers that wait for signatures, and links for passkeys.
    pub ballots: Ballots,
    /// Who uses the console, and how long without being asked again.
    pub identity: Identity,
    /// The provider by which people log in besides, where there is one.
    pub sign_on: Option<SingleSignOn>,
    /// Logins that wait for a person.
    pub logins: Logins,
    /// How long an approval counts, where it ends before its placeholder.
    pub approval_lifetime: Option<Duration>,
    /// Whether an approval covers one generation of its credential only.
    pub pin_generation: bool,
    /// Makes placeholders and keyed hashes.
    pub lookup_key: Arc<LookupKey>,
    /// Where security events are raised.
    pub events: Arc<Events>,
    /// The data directory.
    pub data: std::path::PathBuf,
    /// Makes changes one at a time.
    pub changes: Changes,
    /// Calls that wait for a human.
    pub parking: Arc<Parking>,
    /// What is known of the service at a destination, for the remarks beside an approval.
    pub services: fn(&Destination) -> Option<Service>,
    /// What workloads ask for.
    pub proposals: Arc<Proposals>,
    /// Workloads whose calls are refused and looked at.
    pub lessons: Arc<Lessons>,
    /// Makes the certificates of workloads.
    pub certifier: Arc<dyn Certifier>,
    /// What checks of locks found.
    pub locks: Locks,
    /// Where the broker signs tokens of its own.
    pub issuer: Option<Arc<Issuer>>,
    /// Brings everything under the current root key.
    pub rewrap: Rewrap,
    /// What the console's pages are made of besides.
    pub console: ConsoleState,
    /// Answers to requests that made something, for whoever asks again.
    pub replays: Replays,
    /// Who listens to what happens.
    pub feeds: Feeds,
    /// The listening sockets, for a broker that takes over.
    pub handover: Handover,
    /// The console's certificate, where somebody sees to it.
    pub certificate: ArcSwapOption<CertificateView>,
    /// Where workloads are heard, in words.
    pub listeners: Vec<String>,
    /// How the process is closed in, said once it is.
    pub confinement: OnceLock<Vec<LayerView>>,
    /// Whether the broker stops.
    pub draining: Draining,
}

/// Vouches for this machine and a key of its broker. How is left to whoever wires the broker.
pub trait Attestor: Send + Sync {
    /// What the machine's hardware says, in answer to `nonce`. Waits for the hardware.
    ///
    /// # Errors
    /// In words, where it says nothing.
    fn attest(&self, key: &DropKey, nonce: &[u8; 32]) -> Result<Evidence, String>;
}

/// Makes certificates for workloads. The authority that signs them is left to whoever wires the broker.
pub trait Certifier: Send + Sync {
    /// A fresh key pair and its certificate.
    ///
    /// # Errors
    /// In words, where none can be made.
    fn certify(&self, workload: WorkloadId, name: &Name) -> Result<IssuedCertificate, String>;
}

/// Serialises changes, so that an older snapshot never overwrites a newer one, and remembers which placeholders do
/// not count.
#[derive(Default)]
pub struct Changes(Mutex<BTreeMap<PlaceholderId, String>>);

/// The right to make a change: at most one exists.
pub(crate) type Turn<'a> = MutexGuard<'a, BTreeMap<PlaceholderId, String>>;

/// Why the admin side cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The rows could not be put in force.
    #[error("{0}")]
    NotInForce(Problem),
    /// A listener failed.
    #[error("the admin listener failed: {0}")]
    Listener(#[from] std::io::Error),
}

impl Admin {
    /// Reads the rows and puts them in force: policy snapshot and custody. After every change, and at start.
    ///
    /// # Errors
    /// When the store cannot be read. Then nothing is in force: every call is refused until a reload succeeds.
    pub async fn reload(&self) -> Result<(), AdminError> {
        let mut turn = self.turn().await;
        self.put_in_force(&mut turn).await.map(drop).map_err(AdminError::NotInForce)
    }

    /// The rows, with the uses as they are now.
    pub(crate) async fn rows(&self) -> Result<Rows, StoreError> {
        let mut rows = self.store.load().await?;
        self.uses.show(&mut rows.placeholders);
        Ok(rows)
    }

    /// Whose signatures count now.
    pub(crate) fn approvers(&self) -> Arc<Approvers> {
        Arc::clone(self.policies.load().approvers())
    }

    /// Where people's browsers open the console.
    pub fn console_origin(&self) -> &str {
        self.ballots.party.origin()
    }

    pub(crate) async fn turn(&self) -> Turn<'_> {
        self.changes.0.lock().await
    }

    /// What is known of a credential that may go there.
    pub(crate) fn background(&self, destinations: &[Destination]) -> Background<'_> {
        Background { destinations: destinations.to_vec(), service: &self.services }
    }

    /// INVARIANT: callers hold the turn, so a snapshot is swapped in before any later change is stored.
    pub(crate) async fn put_in_force(&self, turn: &mut Turn<'_>) -> Result<Arc<Rows>, Problem> {
        let rows = match self.rows().await {
            Ok(rows) => Arc::new(rows),
            Err(error) => {
                // SECURITY: the change may have been a revocation. Without rows nothing is permitted.
                tracing::error!(%error, "the rows cannot be read: every call is refused");
                self.swap(&Rows::default());
                self.console.hold(None);
                return Err(Problem::new(ProblemCode::NotInForce, error.to_string()));
            }
        };
        let ignored = self.swap(&rows);
        self.report(turn, ignored);
        self.console.hold(Some(Arc::clone(&rows)));
        Ok(rows)
    }

    fn swap(&self, rows: &Rows) -> Vec<Ignored> {
        let previous = self.policies.load_full();
        let key = Arc::clone(&self.lookup_key);
        let (set, ignored) = PolicySet::assert_active(rows, &self.trusted, key, Some(&previous));
        if let Some(why) = set.approvers_unknown() {
            self.say_unknown(why);
        }
        // Custody first: a permit must not appear before the credential it names, and a credential that is gone
        // does not open whatever the older snapshot says.
        self.custody.hold(&rows.credentials);
        if let Err(error) = self.uses.hold(&rows.placeholders) {
            tracing::error!(%error, "new counted placeholders cannot be used");
        }
        self.custody.end_tokens(&set);
        self.policies.store(Arc::new(set));
        ignored
    }

    /// Says loudly that it is not known who the approvers are.
    fn say_unknown(&self, why: &str) {
        tracing::error!(%why, "the approvers' changes do not hold: nobody's signature counts");
        let act = Entry::Act {
            at: Timestamp::now(),
            act: "approvers unknown".into(),
            subject: why.to_owned(),
            name: None,
            by: "the data plane".into(),
        };
        if let Err(error) = self.journal.append(&act) {
            tracing::error!(%error, "the journal cannot be written");
        }
        self.events.raise(SecurityEvent::new(EventKind::ApprovalForged));
    }

    /// Says loudly, once, that a stored permit does not count.
    fn report(&self, turn: &mut Turn<'_>, ignored: Vec<Ignored>) {
        let fresh: BTreeMap<_, _> = ignored.into_iter().map(|one| (one.placeholder, one.why)).collect();
        for (placeholder, why) in &fresh {
            if turn.get(placeholder) == Some(why) {
                continue;
            }
            tracing::error!(%placeholder, %why, "a stored permit does not count");
            let entry = Entry::Ignored { at: Timestamp::now(), placeholder: *placeholder, why: why.clone() };
            if let Err(error) = self.journal.append(&entry) {
                tracing::error!(%error, "the journal cannot be written");
            }
            let forged = SecurityEvent::new(EventKind::ApprovalForged);
            self.events.raise(forged.with(|event| event.placeholder = Some(*placeholder)));
        }
        **turn = fresh;
    }
}
