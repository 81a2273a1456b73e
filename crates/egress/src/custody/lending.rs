//! What sources have lent: given back when no placeholder needs it any more, renewed until then.

use super::{Custody, Held, LeaseSeal};
use crate::mint::{Means, Mint};
use crate::source::{Access, Asker, LeaseBook, Leases, Source, Task, spans};
use cloakroom_model::{CredentialId, LeaseId, LeaseRecord};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

impl Custody {
    /// Lets leases be taken, kept in this book, and takes over what a process before this one left: all of that is ended. Once, after
    /// [`Custody::mint_through`].
    ///
    /// # Errors
    /// When the book cannot be read: a lease might be forgotten.
    pub async fn lease_through(&self, book: Arc<dyn LeaseBook>) -> Result<(), String> {
        let means = self.means.get().ok_or("nothing can be read elsewhere in this process")?;
        means.sources.lease_through(Leases::new(book, LeaseSeal::new(Arc::clone(&self.keys))));
        let leases = self.leases().ok_or("no leases are kept in this process")?;
        leases.take_over().await
    }

    /// Whether any lease is not known to be gone.
    pub fn has_leases(&self) -> bool {
        self.leases().is_some_and(|leases| !leases.is_empty())
    }

    /// An operator says that a lease is gone, whatever the source says.
    pub fn dismiss_lease(&self, id: LeaseId) {
        if let Some(leases) = self.leases() {
            leases.dismiss(id);
        }
    }

    /// One turn: leases of credentials that are not among `wanted` are to end, the others are renewed where it is time. What is to end is
    /// asked for, and looked at until it is gone. Comes back before that is done.
    pub async fn tend_leases(&self, wanted: &BTreeSet<CredentialId>) {
        let Some(leases) = self.leases() else { return };
        for row in leases.held() {
            let mint = self.mint_of_lease(&row);
            if wanted.contains(&row.credential) && mint.is_some() && !leases.is_over(row.id) {
                continue;
            }
            // INVARIANT: no call is armed with it from here on.
            if let Some(mint) = &mint {
                mint.forget(row.id);
            }
            leases.end(row.id).await;
        }
        self.see_to(false).detach_all();
    }

    /// Ends every lease; gives up after this time. What is left is ended by the next start.
    pub async fn end_leases(&self, within: Duration) {
        let Some(leases) = self.leases() else { return };
        for row in leases.held() {
            if let Some(mint) = self.mint_of_lease(&row) {
                mint.forget(row.id);
            }
            leases.end(row.id).await;
        }
        let ended = async {
            self.see_to(true).join_all().await;
            while leases.is_busy() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(within, ended).await.is_ok();
        if !in_time || !leases.is_empty() {
            tracing::warn!("not every lease could be ended: the next start goes on with it");
        }
    }

    /// Begins all that is due.
    fn see_to(&self, at_once: bool) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (Some(means), Some(leases)) = (self.means.get(), self.leases()) else { return tasks };
        for (row, task) in leases.due(at_once) {
            let (means, mint) = (means.clone(), self.mint_of_lease(&row));
            let (newer, generation) = self.newer(&row);
            tasks.spawn(async move { see_to(&means, mint, &row, generation, task, newer).await });
        }
        tasks
    }

    fn leases(&self) -> Option<&Leases> {
        self.means.get()?.sources.leases().ok()
    }

    /// Where the lease is placed, while its generation is held.
    fn mint_of_lease(&self, row: &LeaseRecord) -> Option<Arc<Mint>> {
        let held = self.held.load();
        let mint = held.get(&row.credential)?.mint.clone()?;
        (mint.generation() == row.generation).then_some(mint)
    }

    /// How the broker is let in now, where the credential was rotated since.
    fn newer(&self, row: &LeaseRecord) -> (Option<Source>, u32) {
        let held: Option<Held> = self.held.load().get(&row.credential).cloned();
        let newer =
            held.filter(|held| held.record.removed.is_none() && held.record.generation != row.generation);
        match newer.map(|held| (self.source(&held).ok(), held.record.generation)) {
            Some((Some(source), generation)) => (Some(source), generation),
            _ => (None, row.generation),
        }
    }
}

async fn see_to(
    means: &Means,
    mint: Option<Arc<Mint>>,
    row: &LeaseRecord,
    generation: u32,
    task: Task,
    newer: Option<Source>,
) {
    let Ok(leases) = means.sources.leases() else { return };
    let asker = Asker { upstream: &means.upstream, credential: row.credential, generation };
    let newer: Option<Access> = newer.and_then(|source| leases.instead(row, source));
    match task {
        Task::End => leases.give_back(&asker, &means.sources, row, newer).await,
        Task::Renew => {
            let renewed = leases.renew(&asker, &means.sources, row, newer).await;
            if let (Some(lasts), Some(mint)) = (renewed, mint) {
                let (fresh_for, valid_for) = spans(lasts);
                mint.extend(row.id, fresh_for, valid_for);
            }
        }
    }
}
