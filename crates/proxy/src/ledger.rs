//! Where an intent is recorded before a secret is opened: its uses are taken, and the journal remembers.

use crate::laps::Laps;
use crate::last_use::LastUses;
use crate::peer::Peer;
use crate::proxy::Shared;
use crate::repeats::{Kept, Met, Repeats};
use crate::traced::Traced;
use crate::{Durability, Proxy};
use arc_swap::ArcSwap;
use cloakroom_model::{
    Code, EventKind, Intent, LastUse, Ledger, Meters, PlaceholderId, Refusal, RequestId, Step,
};
use cloakroom_policy::{PolicySet, Repeatable};
use cloakroom_store::journal::{Entry, Journal, JournalError};
use cloakroom_store::{NotSpent, Spent, Uses};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The ledger of one call.
pub(crate) struct CallLedger<'a> {
    uses: &'a Uses,
    journal: &'a Journal,
    policies: &'a ArcSwap<PolicySet>,
    durability: Durability,
    meters: &'a Meters,
    last_uses: &'a LastUses,
    peer: Peer,
    recorded: OnceLock<Vec<PlaceholderId>>,
    repeats: &'a Arc<Repeats>,
    laps: Laps,
    /// The call whose use this one goes out under.
    first: OnceLock<RequestId>,
    /// What was spent for the call, until it is known that some of it may have been sent.
    spent: Mutex<Option<Spent>>,
}

impl<'a> CallLedger<'a> {
    /// Of a call that comes from `peer`, and is traced or not. Its first step begins.
    pub(crate) fn new(shared: &'a Shared, peer: Peer, traced: Option<Arc<Traced>>) -> Self {
        let Proxy { uses, journal, policies, durability, events, .. } = &*shared.proxy;
        Self {
            uses,
            journal,
            policies,
            durability: *durability,
            meters: events.meters(),
            last_uses: &shared.last_uses,
            peer,
            recorded: OnceLock::new(),
            repeats: &shared.repeats,
            laps: Laps::begin(traced),
            first: OnceLock::new(),
            spent: Mutex::new(None),
        }
    }

    /// Whether the intent is on record: what goes wrong from then on is a failure, not a refusal.
    pub(crate) fn has_recorded(&self) -> bool {
        self.recorded.get().is_some()
    }

    /// The placeholders of the intent, once it is recorded.
    pub(crate) fn placeholders(&self) -> &[PlaceholderId] {
        self.recorded.get().map_or(&[], Vec::as_slice)
    }

    /// This step of the call ends, and the next one begins.
    pub(crate) fn lap(&self, step: Step) {
        self.laps.lap(step, self.meters);
    }

    /// The placeholders of a call that has its answer, and how its time is counted on.
    pub(crate) fn close(self) -> (Vec<PlaceholderId>, Laps) {
        (self.recorded.into_inner().unwrap_or_default(), self.laps)
    }

    /// What this call is to the ones before it. From here on its intent says which one it repeats.
    ///
    /// # Errors
    /// As [`Repeats::meet`]; `journal-unavailable` where the answer that was kept cannot be recorded as given.
    pub(crate) async fn meet(&self, repeatable: Repeatable, intent: Intent) -> Result<Met, Refusal> {
        let met = self.repeats.meet(repeatable, intent.request)?;
        match &met {
            Met::Again(_, first) => drop(self.first.set(*first)),
            Met::Answered(kept) => self.note_replay(&intent, kept).await?,
            Met::Fresh | Met::First(_) => {}
        }
        Ok(met)
    }

    async fn note_replay(&self, intent: &Intent, kept: &Kept) -> Result<(), Refusal> {
        let entry = Entry::Replayed {
            request: intent.request,
            at: intent.at,
            first: kept.first,
            workload: intent.workload,
            placeholders: intent.uses.iter().map(|used| used.placeholder).collect(),
            status: kept.status.as_u16(),
            bytes: kept.body.len() as u64,
        };
        let recorded = async { self.journal.written(self.journal.append(&entry)?).await };
        recorded.await.map_err(|error| unavailable(intent, &error))
    }

    /// Gives back what was spent for a call that failed, where the failure proves that no byte of it was sent.
    ///
    /// INVARIANT: whatever else went wrong, a use that was spent stays spent (invariant 7).
    pub(crate) fn conclude(&self, refusal: Refusal) -> Refusal {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner).take();
        match spent {
            Some(spent) if refusal.is_unsent() && spent.count() > 0 => {
                self.uses.give_back(spent);
                refusal.with(|facts| facts.use_returned = true)
            }
            _ => refusal,
        }
    }

    /// What was revoked or frozen since the call was authorized does not go out any more.
    fn require_live(&self, intent: &Intent) -> Result<(), Refusal> {
        let policies = self.policies.load();
        match intent.uses.iter().find(|used| !policies.is_live(used.placeholder, intent.at)) {
            None => Ok(()),
            Some(used) => {
                Err(Refusal::new(Code::PlaceholderRevoked, "the placeholder was revoked during the call")
                    .with(|facts| facts.placeholder = Some(used.placeholder)))
            }
        }
    }

    fn take_note(&self, intent: &Intent, spent: Spent) {
        for used in intent.uses.iter().filter(|used| used.counted) {
            let last = LastUse { at: intent.at, peer: self.peer.to_string(), request: intent.request };
            self.last_uses.note(used.placeholder, last);
        }
        self.meters.call(spent.count() as u64);
        // One call records one intent; a second would change nothing about which placeholders it used.
        let _ = self.recorded.set(intent.uses.iter().map(|used| used.placeholder).collect());
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) = Some(spent);
    }
}

impl Ledger for CallLedger<'_> {
    async fn record(&self, intent: &Intent) -> Result<(), Refusal> {
        self.require_live(intent)?;
        let repeating;
        let intent = match self.first.get() {
            None => intent,
            Some(first) => {
                repeating = Intent { repeats: Some(*first), ..intent.clone() };
                &repeating
            }
        };
        let taken = self.uses.spend(intent).map_err(|no| match no {
            NotSpent::Gone(placeholder) => spent(placeholder),
            NotSpent::Journal(error) => unavailable(intent, &error),
        })?;
        // INVARIANT: what is opened next is on record (invariant 2), and a counted use is on the disk (invariant 7).
        let waits = self.durability == Durability::BeforeSend || intent.uses.iter().any(|used| used.counted);
        let recorded = if waits { self.uses.durable(taken).await } else { self.uses.written(taken).await };
        self.take_note(intent, recorded.map_err(|error| unavailable(intent, &error))?);
        Ok(())
    }
}

fn unavailable(intent: &Intent, error: &JournalError) -> Refusal {
    tracing::error!(request = %intent.request, %error, "an intent could not be recorded");
    Refusal::new(Code::JournalUnavailable, "the intent could not be recorded")
}

/// A placeholder whose uses are gone was shown again.
pub(crate) fn spent(placeholder: PlaceholderId) -> Refusal {
    Refusal::new(Code::PlaceholderSpent, "the placeholder has been used as often as it may be")
        .with(|facts| facts.placeholder = Some(placeholder))
        .as_event(EventKind::SpentUsed)
}
