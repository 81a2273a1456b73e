//! Brings every sealed row under the current root key, while the broker serves. Only wrapped keys pass through here, and ciphertext.
//!
//! How far it has come is counted from the rows, each time: a crash leaves nothing behind that could be wrong.

use crate::Problem;
use crate::admin::Admin;
use crate::wire::{RewrapView, RootVersion};
use cloakroom_egress::custody::{CustodyError, Standing, root_of};
use cloakroom_model::{SealedSecret, Timestamp};
use cloakroom_store::journal::Entry;
use cloakroom_store::{SealedRow, fault};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is under way is waited for in such steps, and no longer than this in all.
const STEP: Duration = Duration::from_millis(50);
const STEPS: u32 = 2400;

/// Whether a rewrap runs, and why the last one stopped.
#[derive(Debug, Default)]
pub struct Rewrap(Mutex<Run>);

#[derive(Clone, Debug, Default)]
struct Run {
    running: bool,
    trouble: Option<String>,
}

impl Rewrap {
    fn begin(&self) -> bool {
        let mut run = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !run.running;
        *run = Run { running: true, trouble: None };
        begins
    }

    fn end(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Run { running: false, trouble };
    }

    fn now(&self) -> Run {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Admin {
    /// Begins to bring everything under the current root key, where that does not run already. Comes back at once.
    ///
    /// # Errors
    /// When the broker is sealed, or it cannot be noted that it begins.
    pub(crate) async fn begin_rewrap(self: &Arc<Self>) -> Result<(), CustodyError> {
        self.custody.begin_rewrap().await?;
        self.go_on_with_rewrap();
        Ok(())
    }

    /// Goes on with a rewrap that a crash or a seal cut off. Nothing where there is none, or it had trouble: then an operator has to look.
    pub fn resume_rewrap(self: &Arc<Self>) {
        let is_due = !self.custody.is_sealed() && self.custody.standing().rewrapping;
        if is_due && self.rewrap.now().trouble.is_none() {
            self.go_on_with_rewrap();
        }
    }

    fn go_on_with_rewrap(self: &Arc<Self>) {
        if self.rewrap.begin() {
            let admin = Arc::clone(self);
            drop(tokio::spawn(async move {
                let ended = admin.rewrap_all().await;
                if let Err(trouble) = &ended {
                    tracing::error!(trouble, "not everything could be brought under the current root key");
                }
                // What a seal cut off goes on by itself once secrets open again.
                admin.rewrap.end(ended.err().filter(|_| !admin.custody.is_sealed()));
            }));
        }
    }

    /// INVARIANT: see `custody::rotation` for the order, which is what makes it safe to destroy the older root keys.
    async fn rewrap_all(&self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.rewrap_rows().await?;
            self.custody.rewrap_files_and_memory().map_err(|error| error.to_string())?;
            if self.custody.is_quiet() && self.destroyed_older().await? {
                return Ok(());
            }
            tokio::time::sleep(STEP).await;
        }
        Err("something sealed under an older root key stays under way; run it again".into())
    }

    /// Whether nothing needed an older root key any more, and they are destroyed.
    async fn destroyed_older(&self) -> Result<bool, String> {
        let mut turn = self.turn().await;
        let standing = self.custody.standing();
        let (current, _) = standing.versions.ok_or("the broker was sealed")?;
        let versions = self.versions_in_use().await.map_err(|problem| problem.to_string())?;
        if versions.keys().any(|version| *version != current) {
            return Ok(false);
        }
        fault::point("rewrap-clean");
        self.put_in_force(&mut turn).await.map_err(|problem| problem.to_string())?;
        self.custody.destroy_older().await.map_err(|error| error.to_string())?;
        self.note_destroyed(current);
        Ok(true)
    }

    fn note_destroyed(&self, current: u32) {
        let entry = Entry::Act {
            at: Timestamp::now(),
            act: "older root keys destroyed".into(),
            subject: format!("all before version {current}"),
            name: None,
            by: "the broker".into(),
        };
        if let Err(error) = self.journal.append(&entry) {
            tracing::error!(%error, "that the older root keys are destroyed is not on record");
        }
        tracing::info!(
            current,
            "everything is sealed under the current root key; the older ones are destroyed"
        );
    }

    async fn rewrap_rows(&self) -> Result<(), String> {
        let failed = |error: CustodyError| error.to_string();
        let of_store = |error: cloakroom_store::StoreError| error.to_string();
        let rows = self.store.load().await.map_err(of_store)?;
        for row in rows.credentials.iter().filter(|row| row.removed.is_none()) {
            let new = self.custody.rewrapped(row).map_err(failed)?;
            self.put(SealedRow::Credential(row.id), &row.sealed, new).await?;
        }
        for row in self.store.captured().await.map_err(of_store)? {
            let new = self.custody.rewrapped_captured(&row).map_err(failed)?;
            if let Some(sealed) = &row.sealed {
                self.put(SealedRow::Captured(row.core), sealed, new).await?;
            }
        }
        for row in self.store.leases().await.map_err(of_store)? {
            let new = self.custody.rewrapped_lease(&row).map_err(failed)?;
            self.put(SealedRow::Lease(row.id), &row.sealed, new).await?;
        }
        Ok(())
    }

    /// One that was changed meanwhile stays as it is: the next look sees to it.
    async fn put(&self, row: SealedRow, old: &SealedSecret, new: Option<SealedSecret>) -> Result<(), String> {
        if let Some(new) = new {
            fault::point("rewrap-row");
            self.store.rewrap(row, old.clone(), new).await.map_err(|error| error.to_string())?;
            fault::point("rewrapped");
        }
        Ok(())
    }

    /// Under which versions of the root key how much is sealed.
    pub(crate) async fn versions_in_use(&self) -> Result<BTreeMap<u32, u64>, Problem> {
        let rows = self.store.load().await?;
        let credentials = rows.credentials.iter().filter(|row| row.removed.is_none()).map(|row| &row.sealed);
        let (captured, leases) = (self.store.captured().await?, self.store.leases().await?);
        let captured = captured.iter().filter_map(|row| row.sealed.as_ref());
        let sealed = credentials.chain(captured).chain(leases.iter().map(|row| &row.sealed));
        let files = self.custody.roots_of_files().map_err(|error| crate::api::custody::fault(&error))?;
        let mut versions = BTreeMap::new();
        // What is no sealed secret at all opens under no version.
        for version in sealed.filter_map(|sealed| root_of(&sealed.0)).chain(files) {
            *versions.entry(version).or_default() += 1;
        }
        Ok(versions)
    }

    /// The versions as they are shown, and how far the rewrap has come.
    pub(crate) async fn root_versions(
        &self,
        standing: &Standing,
    ) -> Result<(Vec<RootVersion>, Option<RewrapView>), Problem> {
        let versions = self.versions_in_use().await?;
        let total = versions.values().sum();
        let done = standing.versions.and_then(|(current, _)| versions.get(&current).copied()).unwrap_or(0);
        let Run { running, trouble } = self.rewrap.now();
        let shown = running || trouble.is_some() || standing.rewrapping;
        let rewrap = shown.then_some(RewrapView { done, total, running, trouble });
        let mut all = versions;
        for version in &standing.held {
            all.entry(*version).or_default();
        }
        let held = |version: &u32| standing.held.contains(version);
        let versions = all.iter().map(|(version, sealed)| RootVersion {
            version: *version,
            sealed: *sealed,
            held: held(version),
        });
        Ok((versions.collect(), rewrap))
    }
}
