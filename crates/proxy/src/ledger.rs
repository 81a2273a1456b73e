//! Where an intent is recorded before a secret is opened: the store spends, the journal remembers.

use crate::last_use::LastUses;
use crate::peer::Peer;
use crate::proxy::Shared;
use crate::{Durability, Proxy};
use cloakroom_model::{Code, EventKind, Intent, LastUse, Ledger, Meters, PlaceholderId, Refusal};
use cloakroom_store::Store;
use cloakroom_store::journal::Journal;
use std::sync::OnceLock;

/// The ledger of one call.
pub(crate) struct CallLedger<'a> {
    store: &'a dyn Store,
    journal: &'a Journal,
    durability: Durability,
    meters: &'a Meters,
    last_uses: &'a LastUses,
    peer: Peer,
    recorded: OnceLock<Vec<PlaceholderId>>,
}

impl<'a> CallLedger<'a> {
    /// Of a call that comes from `peer`.
    pub(crate) fn new(shared: &'a Shared, peer: Peer) -> Self {
        let Proxy { store, journal, durability, events, .. } = &*shared.proxy;
        Self {
            store: &**store,
            journal,
            durability: *durability,
            meters: events.meters(),
            last_uses: &shared.last_uses,
            peer,
            recorded: OnceLock::new(),
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

    /// The same, of a call that is over.
    pub(crate) fn into_placeholders(self) -> Vec<PlaceholderId> {
        self.recorded.into_inner().unwrap_or_default()
    }

    /// INVARIANT: a counted use is spent for good before the call goes out (invariant 7); whatever happens then, it is
    /// not given back.
    async fn spend(&self, intent: &Intent) -> Result<bool, Refusal> {
        let counted: Vec<_> =
            intent.uses.iter().filter(|used| used.counted).map(|used| used.placeholder).collect();
        if counted.is_empty() {
            return Ok(false);
        }
        // Of several, nobody says which one was gone.
        let only = if let [only] = counted[..] { Some(only) } else { None };
        match self.store.spend(counted).await {
            Ok(true) => Ok(true),
            Ok(false) => Err(Refusal::new(Code::PlaceholderSpent, "the last use was taken by another call")
                .with(|facts| facts.placeholder = only)
                .as_event(EventKind::SpentUsed)),
            Err(error) => {
                tracing::error!(request = %intent.request, %error, "a use could not be spent");
                Err(Refusal::new(Code::JournalUnavailable, "the use could not be recorded"))
            }
        }
    }
}

impl Ledger for CallLedger<'_> {
    async fn record(&self, intent: &Intent) -> Result<(), Refusal> {
        let unavailable = |error| {
            tracing::error!(request = %intent.request, %error, "an intent could not be recorded");
            Refusal::new(Code::JournalUnavailable, "the intent could not be recorded")
        };
        let counted = self.spend(intent).await?;
        let position = self.journal.append_intent(intent).map_err(unavailable)?;
        // INVARIANT: what is opened next is on record (invariant 2): a crash of the process cannot lose it any more.
        self.journal.written(position).await.map_err(unavailable)?;
        // One call records one intent; a second would change nothing about which placeholders it used.
        let _ = self.recorded.set(intent.uses.iter().map(|used| used.placeholder).collect());
        let mut spent = 0;
        for used in intent.uses.iter().filter(|used| used.counted) {
            let last = LastUse { at: intent.at, peer: self.peer.to_string(), request: intent.request };
            self.last_uses.note(used.placeholder, last);
            spent += 1;
        }
        self.meters.call(spent);
        if counted || self.durability == Durability::BeforeSend {
            self.journal.durable(position).await.map_err(unavailable)?;
        }
        Ok(())
    }
}
