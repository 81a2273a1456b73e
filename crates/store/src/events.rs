//! Where security events are raised: on record first, then counted, then offered to whoever carries them further.

use crate::BoxFuture;
use crate::journal::{Entry, Journal};
use cloakroom_model::{EventKind, Meters, OnMisuse, PlaceholderId, SecurityEvent};
use std::sync::{Arc, OnceLock};
use tokio::sync::broadcast;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Events that wait for one who listens.
const HEARD: usize = 256;

/// Whoever can end a placeholder that was misused. The data plane asks; it cannot change a row itself.
pub trait Warden: Send + Sync {
    /// Freezes or revokes the placeholder, as was decided when it was issued, and comes back when no snapshot counts it any more, or
    /// when that failed and was said.
    fn end(&self, placeholder: PlaceholderId, how: OnMisuse, because: EventKind) -> BoxFuture<'_, ()>;
}

/// Raises security events. Never waits for anybody who listens.
pub struct Events {
    journal: Arc<Journal>,
    meters: Arc<Meters>,
    carrier: OnceLock<Sender<SecurityEvent>>,
    heard: broadcast::Sender<SecurityEvent>,
}

impl Events {
    /// Events go into this journal.
    pub fn new(journal: Arc<Journal>) -> Arc<Self> {
        let heard = broadcast::Sender::new(HEARD);
        Arc::new(Self { journal, meters: Arc::default(), carrier: OnceLock::new(), heard })
    }

    /// Where they are recorded.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// What is counted beside the events.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Where events can be fetched to be carried further, at most `capacity` at a time: what does not fit is dropped and
    /// counted. Once; a second carrier gets nothing.
    pub fn carry(&self, capacity: usize) -> Receiver<SecurityEvent> {
        let (sender, receiver) = channel(capacity.max(1));
        let _ = self.carrier.set(sender);
        receiver
    }

    /// Events from now on, as they are raised; whoever is slow misses the oldest, and is told so.
    pub fn hear(&self) -> broadcast::Receiver<SecurityEvent> {
        self.heard.subscribe()
    }

    /// Puts an event on record. That it cannot be recorded stops nobody: what it is about was refused already.
    pub fn raise(&self, event: SecurityEvent) {
        self.meters.event(event.event);
        tracing::warn!(
            event = %event.event,
            severity = %event.severity,
            request = event.request.map(tracing::field::display),
            placeholder = event.placeholder.map(tracing::field::display),
            peer = event.peer.as_deref(),
            "security event"
        );
        if let Err(error) = self.journal.append(&Entry::Event(event.clone())) {
            tracing::error!(event = %event.event, %error, "a security event could not be recorded");
        }
        // Nobody listens, mostly.
        let _ = self.heard.send(event.clone());
        if let Some(carrier) = self.carrier.get()
            && carrier.try_send(event).is_err()
        {
            self.meters.undelivered();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{JournalSettings, read};

    #[test]
    fn an_event_is_on_record_though_nobody_fetches_it_and_what_does_not_fit_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (files, key) = (dir.path().join("journal"), dir.path().join("key"));
        let (journal, _) = Journal::open(&files, &key, JournalSettings::default()).unwrap();
        let events = Events::new(Arc::clone(&journal));
        let mut carried = events.carry(2);
        for kind in [EventKind::SpentUsed, EventKind::Altered, EventKind::SpentUsed] {
            events.raise(SecurityEvent::new(kind));
        }
        journal.close().unwrap();
        let recorded = read(&files, 0).unwrap().into_iter().filter_map(|record| match record.entry {
            Entry::Event(event) => Some(event.event),
            _ => None,
        });
        let all = [EventKind::SpentUsed, EventKind::Altered, EventKind::SpentUsed];
        assert_eq!(recorded.collect::<Vec<_>>(), all);
        let counted = events.meters().read();
        assert_eq!((counted.events_of(EventKind::SpentUsed), counted.undelivered), (2, 1));
        assert_eq!(carried.try_recv().unwrap().event, EventKind::SpentUsed);
        assert_eq!(carried.try_recv().unwrap().event, EventKind::Altered);
        assert!(carried.try_recv().is_err());
    }
}
