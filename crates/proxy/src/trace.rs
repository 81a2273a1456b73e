//! What is known of a request so far, and its record when it ends in a refusal.

use crate::Proxy;
use crate::peer::Peer;
use crate::problem::Audience;
use crate::traced::{Ending, Traced};
use cloakroom_model::{Code, Destination, Principal, Refusal, RequestId, SecurityEvent, Timestamp, Way};
use cloakroom_store::journal::Entry;
use std::sync::Arc;

/// What is known of a request so far.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) request: RequestId,
    pub(crate) peer: Peer,
    pub(crate) way: Option<Way>,
    pub(crate) principal: Option<Principal>,
    pub(crate) destination: Option<Destination>,
    /// Whether the intent is in the journal.
    pub(crate) intended: bool,
    /// Its spans, where it is traced.
    pub(crate) traced: Option<Arc<Traced>>,
}

impl Trace {
    /// Nothing but the peer.
    pub(crate) fn begin(peer: Peer) -> Self {
        // An id names a call and protects nothing; without random bytes its time still names it.
        let request = RequestId::fresh().unwrap_or_else(|_| RequestId::new(Timestamp::now(), [0; 10]));
        Self { request, peer, way: None, principal: None, destination: None, intended: false, traced: None }
    }

    /// How much the reader of a refusal may learn.
    pub(crate) fn audience(&self) -> Audience {
        if self.principal.is_some() { Audience::Workload } else { Audience::Stranger }
    }

    /// The call is over, for whoever follows it by its spans. Where it wanted to go is told only where a permit leads there: a name that
    /// nobody permitted is the workload's own word.
    pub(crate) fn ending(&self, status: Option<u16>, code: Option<Code>) -> Ending {
        let is_permitted = self.intended || status.is_some();
        Ending {
            way: self.way,
            workload: self.principal.as_ref().map(|principal| principal.name().clone()),
            destination: self.destination.clone().filter(|_| is_permitted),
            status,
            code,
        }
    }

    /// Adds what is known to the facts of a refusal.
    pub(crate) fn complete(&self, refusal: Refusal) -> Refusal {
        refusal.with(|facts| {
            facts.workload =
                facts.workload.take().or_else(|| self.principal.as_ref().map(|p| p.name().clone()));
            facts.destination = facts.destination.take().or_else(|| self.destination.clone());
        })
    }

    /// Records a refusal. That the record failed does not change the answer: it is a *no* already.
    pub(crate) async fn record(&self, refusal: &Refusal, proxy: &Proxy) {
        let code = refusal.code();
        let workload = self.principal.as_ref().map(|principal| principal.name().as_str());
        tracing::info!(request = %self.request, %code, workload, peer = %self.peer, "refused");
        proxy.events.meters().refusal(code);
        if let Some(traced) = &self.traced {
            traced.end(self.ending(None, Some(code)));
        }
        let appended = proxy.journal.append(&self.entry(refusal, code));
        if let Some(event) = self.event(refusal) {
            proxy.events.raise(event);
        }
        // Whoever gets the answer, or hears of it, finds the record.
        let recorded = match appended {
            Ok(_) => proxy.journal.all_written().await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            tracing::error!(request = %self.request, %code, %error, "a refusal could not be recorded");
        }
    }

    /// The security event that this refusal is, if it is one. The one place where refusals become events.
    pub(crate) fn event(&self, refusal: &Refusal) -> Option<SecurityEvent> {
        let facts = refusal.facts();
        Some(SecurityEvent::new(refusal.event_kind()?).with(|event| {
            event.placeholder = facts.placeholder;
            event.workload = self.principal.as_ref().map(Principal::workload);
            event.peer = Some(self.peer.to_string());
            event.destination = facts.destination.clone().or_else(|| self.destination.clone());
            event.request = Some(self.request);
        }))
    }

    fn entry(&self, refusal: &Refusal, code: Code) -> Entry {
        let (request, at) = (self.request, Timestamp::now());
        if self.intended {
            return Entry::Failure { request, at, code };
        }
        Entry::Refusal {
            request,
            at,
            code,
            event: refusal.event(),
            workload: self.principal.as_ref().map(Principal::workload),
            way: self.way,
            destination: refusal.facts().destination.clone().or_else(|| self.destination.clone()),
            placeholder: refusal.facts().placeholder,
            peer: Some(self.peer.to_string()),
        }
    }
}
