//! All leases that are not known to be gone: taken, held, renewed, ended.

use super::super::vault::{Access, Ended};
use super::super::{Asker, Desk, Source};
use super::book::{LeaseBook, LeaseStep};
use super::entry::{Entry, Held, Phase};
use super::handle::Handle;
use crate::custody::{CustodyError, LeaseSeal};
use crate::mint::Failure;
use cloakroom_model::{LeaseId, LeaseRecord, LeaseState, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Calls that were armed with a secret whose place another took have so long to arrive.
const GRACE: Duration = Duration::from_secs(10);

/// The leases.
pub(crate) struct Leases {
    book: Arc<dyn LeaseBook>,
    seal: LeaseSeal,
    entries: Mutex<BTreeMap<LeaseId, Entry>>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Renew,
    End,
}

impl Leases {
    pub(crate) fn new(book: Arc<dyn LeaseBook>, seal: LeaseSeal) -> Self {
        Self { book, seal, entries: Mutex::default() }
    }

    /// What a process before this one left: its secrets are lost, so all of it is ended.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub(crate) async fn take_over(&self) -> Result<(), String> {
        let rows = self.book.all().await?;
        let mut entries = self.lock();
        for mut row in rows {
            if row.state == LeaseState::Held {
                row.state = LeaseState::Ending;
            }
            entries.entry(row.id).or_insert(Entry { row, phase: Phase::ending(), busy: false });
        }
        Ok(())
    }

    /// Brings what is held under the current root key.
    ///
    /// # Errors
    /// When something does not open.
    pub(crate) fn rewrap(&self) -> Result<(), CustodyError> {
        for entry in self.lock().values_mut() {
            if let Some(sealed) = self.seal.rewrap(&entry.row)? {
                entry.row.sealed = sealed;
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Puts on record, durably, that the source is about to be asked. `ends_by`: when a lease ends by itself at the latest.
    pub(in crate::source) async fn begin(
        &self,
        asker: &Asker<'_>,
        access: &Access,
        accessor: Option<&str>,
        ends_by: Option<Duration>,
    ) -> Result<LeaseId, Failure> {
        let _writing = self.seal.writing();
        let id = LeaseId::fresh().map_err(|_| unkept())?;
        let now = Timestamp::now();
        let handle = Handle { access, lease: None, accessor: accessor.map(str::to_owned) };
        let sealed = handle.write().and_then(|text| self.seal.seal(id, asker.credential, &text));
        let row = LeaseRecord {
            id,
            credential: asker.credential,
            generation: asker.generation,
            state: LeaseState::Asked,
            sealed: sealed.ok_or_else(unkept)?,
            asked: now,
            expires: ends_by.map(|ends_by| now.plus(ends_by)),
            attempts: 0,
            trouble: None,
        };
        self.book.keep(row.clone(), LeaseStep::Asked).await.map_err(|error| {
            tracing::error!(lease = %id, %error, "a lease could not be put on record, so it is not taken");
            unkept()
        })?;
        self.lock().insert(id, Entry { row, phase: Phase::Taking, busy: false });
        Ok(id)
    }

    /// The source lent nothing.
    pub(in crate::source) async fn cancel(&self, id: LeaseId) {
        let Some(entry) = self.lock().remove(&id) else { return };
        if let Err(error) = self.book.forget(entry.row, false).await {
            tracing::warn!(lease = %id, %error, "the row of a lease that was not taken stays until the next start");
        }
    }

    /// Whether the source lent anything is not known.
    pub(in crate::source) async fn lost(&self, id: LeaseId) {
        self.end(id).await;
    }

    /// The source lent it: on record, durably, before its secret is used.
    pub(in crate::source) async fn hold(
        &self,
        id: LeaseId,
        handle: &Handle<&Access>,
        lasts: Duration,
        renewable: bool,
    ) -> Result<(), Failure> {
        let _writing = self.seal.writing();
        let row = {
            let mut entries = self.lock();
            let entry = entries.get_mut(&id).ok_or_else(unkept)?;
            let text = handle.write().ok_or_else(unkept)?;
            entry.row.sealed = self.seal.seal(id, entry.row.credential, &text).ok_or_else(unkept)?;
            entry.row.state = LeaseState::Held;
            entry.row.expires = Some(Timestamp::now().plus(lasts));
            entry.phase = Phase::Held(Held::new(lasts, renewable));
            entry.row.clone()
        };
        let kept = self.book.keep(row, LeaseStep::Taken).await;
        if let Err(error) = kept {
            tracing::error!(lease = %id, %error, "a lease could not be put on record, so it is ended");
            self.end(id).await;
            return Err(unkept());
        }
        Ok(())
    }

    /// Another took its place.
    pub(crate) fn supersede(&self, id: LeaseId) {
        if let Some(Entry { phase: Phase::Held(held), .. }) = self.lock().get_mut(&id) {
            held.until = Some(Instant::now() + GRACE);
        }
    }

    /// It is to be gone. What cannot be written is tried all the same: the row that is kept leads to the same end at the next start.
    pub(crate) async fn end(&self, id: LeaseId) {
        let _writing = self.seal.writing();
        let row = {
            let mut entries = self.lock();
            let Some(entry) = entries.get_mut(&id) else { return };
            entry.phase = Phase::ending();
            if entry.row.state == LeaseState::Held {
                entry.row.state = LeaseState::Ending;
            }
            entry.row.clone()
        };
        if let Err(error) = self.book.keep(row, LeaseStep::Ending).await {
            tracing::warn!(lease = %id, %error, "that a lease is to end could not be put on record");
        }
    }

    /// Whether it is held: nobody has decided that it is to end.
    pub(crate) fn is_held(&self, id: LeaseId) -> bool {
        matches!(self.lock().get(&id), Some(Entry { phase: Phase::Held(_), .. }))
    }

    /// Whether a task sees to any of them now.
    pub(crate) fn is_busy(&self) -> bool {
        self.lock().values().any(|entry| entry.busy)
    }

    /// Every lease that is held.
    pub(crate) fn held(&self) -> Vec<LeaseRecord> {
        let entries = self.lock();
        let held =
            entries.values().filter(|entry| !matches!(entry.phase, Phase::Ending { .. } | Phase::Taking));
        held.map(|entry| entry.row.clone()).collect()
    }

    /// Whether a lease has no more to give: its time is over, or another took its place.
    pub(crate) fn is_over(&self, id: LeaseId) -> bool {
        let now = Instant::now();
        matches!(self.lock().get(&id), Some(Entry { phase: Phase::Held(held), .. }) if held.is_over(now))
    }

    /// What is due, each marked as seen to; `at_once`: what was put off is due, too.
    pub(crate) fn due(&self, at_once: bool) -> Vec<(LeaseRecord, Task)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for entry in self.lock().values_mut().filter(|entry| !entry.busy) {
            let task = match &entry.phase {
                Phase::Held(held) if held.wants_renewal(now) => Task::Renew,
                Phase::Ending { next, .. } if at_once || *next <= now => Task::End,
                _ => continue,
            };
            entry.busy = true;
            due.push((entry.row.clone(), task));
        }
        due
    }

    /// Has the source lend it for longer. Gives for how long, where it does.
    pub(crate) async fn renew(
        &self,
        asker: &Asker<'_>,
        desk: &Desk,
        row: &LeaseRecord,
        newer: Option<Access>,
    ) -> Option<Duration> {
        let lasts = match &self.lock().get(&row.id)?.phase {
            Phase::Held(held) => held.lasts,
            _ => return None,
        };
        let handle = self.handle(row)?;
        let access = newer.as_ref().unwrap_or(&handle.access);
        let renewed = access.renew_lease(asker, desk, handle.lease.as_deref()?, lasts).await;
        let _writing = self.seal.writing();
        let row = {
            let mut entries = self.lock();
            let entry = entries.get_mut(&row.id)?;
            entry.busy = false;
            let Phase::Held(held) = &mut entry.phase else { return None };
            match renewed {
                Ok((lasts, renewable)) => held.renewed(lasts, renewable),
                Err(failure) => {
                    tracing::warn!(lease = %row.id, ?failure, "a lease was not renewed");
                    held.not_renewed();
                }
            }
            entry.row.expires =
                Some(Timestamp::now().plus(held.ends.saturating_duration_since(Instant::now())));
            entry.row.clone()
        };
        let (lasts, _) = renewed.ok()?;
        if let Err(error) = self.book.keep(row, LeaseStep::Renewed).await {
            tracing::warn!(%error, "that a lease was renewed could not be put on record");
        }
        Some(lasts)
    }

    /// Asks the source to end it, and looks whether it did. The row goes only where the source says that it is gone.
    pub(crate) async fn give_back(
        &self,
        asker: &Asker<'_>,
        desk: &Desk,
        row: &LeaseRecord,
        newer: Option<Access>,
    ) {
        let ended = match self.handle(row) {
            Some(handle) => {
                let access = newer.as_ref().unwrap_or(&handle.access);
                let ended =
                    access.end_lease(asker, desk, handle.lease.as_deref(), handle.accessor.as_deref()).await;
                if handle.lease.is_none() { or_over(ended, row) } else { ended }
            }
            None => Ended::Lingers("what ends it does not open: the key-encryption key is another"),
        };
        match ended {
            Ended::Gone => self.is_gone(row.id).await,
            Ended::Lingers(why) => self.lingers(row.id, why).await,
        }
    }

    async fn is_gone(&self, id: LeaseId) {
        let Some(entry) = self.lock().remove(&id) else { return };
        tracing::info!(lease = %id, credential = %entry.row.credential, "a lease is gone");
        if let Err(error) = self.book.forget(entry.row, true).await {
            tracing::warn!(lease = %id, %error, "the row of a lease that is gone stays until the next start");
        }
    }

    async fn lingers(&self, id: LeaseId, why: &'static str) {
        let _writing = self.seal.writing();
        let row = {
            let mut entries = self.lock();
            let Some(entry) = entries.get_mut(&id) else { return };
            entry.busy = false;
            entry.phase.put_off();
            entry.row.attempts = entry.row.attempts.saturating_add(1);
            entry.row.trouble = Some(why.to_owned());
            entry.row.clone()
        };
        tracing::warn!(lease = %id, credential = %row.credential, attempts = row.attempts, why, "a lease is not gone; it is tried again");
        if let Err(error) = self.book.keep(row, LeaseStep::Lingers).await {
            tracing::warn!(lease = %id, %error, "that a lease is not gone could not be put on record");
        }
    }

    /// How the broker is let in now, where that is at the lease's server.
    pub(crate) fn instead(&self, row: &LeaseRecord, newer: Source) -> Option<Access> {
        newer.access_instead_of(&self.handle(row)?.access)
    }

    /// An operator who knows better says that it is gone.
    pub(crate) fn dismiss(&self, id: LeaseId) {
        self.lock().remove(&id);
    }

    fn handle(&self, row: &LeaseRecord) -> Option<Handle> {
        let text = self.seal.open(row.id, row.credential, &row.sealed)?;
        Handle::read(&text)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LeaseId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease whose name never came back ends with the login that it was asked for with, and nobody renews that any more.
fn or_over(ended: Ended, row: &LeaseRecord) -> Ended {
    match ended {
        Ended::Lingers(_) if row.expires.is_some_and(|end| end <= Timestamp::now()) => Ended::Gone,
        ended => ended,
    }
}

fn unkept() -> Failure {
    Failure::Unavailable("a lease could not be put on record, so none was taken", None)
}
