//! Keeps what sources have lent: rows in the store, acts in the journal; and sees to it that it is given back.

use cloakroom_admin::Admin;
use cloakroom_egress::custody::Custody;
use cloakroom_egress::{LeaseBook, LeaseStep};
use cloakroom_model::{EventKind, LeaseRecord, SecurityEvent, Timestamp};
use cloakroom_store::journal::{Entry, Journal};
use cloakroom_store::{Events, Store, fault};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How soon is noticed that nobody needs a lease any more, and how many times longer than a look the pause is.
const PAUSE: Duration = Duration::from_secs(1);
const REST: u32 = 20;
/// How long a broker that stops waits for leases to end.
const LAST: Duration = Duration::from_secs(10);

/// Keeps leases in the store.
pub(super) struct LeaseKeeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) journal: Arc<Journal>,
    pub(super) events: Arc<Events>,
}

impl LeaseKeeper {
    /// On record, as far as that is possible: a lease must not be lost because the journal cannot be written.
    fn note(&self, act: &str, row: &LeaseRecord) {
        let entry = Entry::Act {
            at: Timestamp::now(),
            act: act.into(),
            subject: format!("{} {}", row.id, row.credential),
            name: None,
            by: "the broker".into(),
        };
        if let Err(error) = self.journal.append(&entry) {
            tracing::error!(lease = %row.id, act, %error, "an act is not on record");
        }
    }
}

impl LeaseBook for LeaseKeeper {
    fn keep(
        &self,
        row: LeaseRecord,
        step: LeaseStep,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            match step {
                LeaseStep::Taken => {
                    fault::point("lease-taken");
                    self.note("lease taken", &row);
                }
                LeaseStep::Ending => self.note("lease to end", &row),
                // Once for each lease: what follows are repeats.
                LeaseStep::Lingers if row.attempts == 1 => {
                    self.note("lease not ended yet", &row);
                    self.events.raise(SecurityEvent::new(EventKind::LeaseLingers));
                }
                LeaseStep::Asked | LeaseStep::Renewed | LeaseStep::Lingers => {}
            }
            let kept = self.store.keep_lease(row).await.map_err(|error| error.to_string());
            match step {
                LeaseStep::Asked => fault::point("lease-asked"),
                LeaseStep::Taken => fault::point("lease-kept"),
                _ => {}
            }
            kept
        })
    }

    fn forget(
        &self,
        row: LeaseRecord,
        was_lent: bool,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            if was_lent {
                self.note("lease ended", &row);
            }
            self.store.end_lease(row.id).await.map_err(|error| error.to_string())
        })
    }

    fn all(&self) -> Pin<Box<dyn Future<Output = Result<Vec<LeaseRecord>, String>> + Send + '_>> {
        Box::pin(async move { self.store.leases().await.map_err(|error| error.to_string()) })
    }
}

/// Gives leases back when nobody needs them any more, until the broker stops; then gives all of them back.
pub(super) async fn tend(admin: Arc<Admin>, custody: Arc<Custody>, mut stopped: watch::Receiver<bool>) {
    loop {
        let begun = Instant::now();
        if custody.has_leases() {
            match admin.credentials_in_use().await {
                Ok(wanted) => custody.tend_leases(&wanted).await,
                Err(problem) => tracing::error!(%problem, "which leases are needed cannot be read"),
            }
        }
        let rest = PAUSE.max(begun.elapsed() * REST);
        if tokio::time::timeout(rest, stopped.wait_for(|stop| *stop)).await.is_ok() {
            break;
        }
    }
}

/// Gives back all that is left.
pub(super) async fn end_all(custody: &Custody) {
    if custody.has_leases() {
        custody.end_leases(LAST).await;
    }
}
