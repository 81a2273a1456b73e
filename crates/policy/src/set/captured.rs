//! Placeholders of tokens that a token endpoint granted: further texts of the placeholder that was presented there.
//!
//! Such a placeholder has no row of its own to be approved. It counts as long as the one that it descends from counts, by what that
//! one's signed policy says of captured tokens, and takes its uses and its rates: revoking, freezing or removing that one reaches it
//! with the next snapshot, for it is made of the snapshot's row each time that it is looked up.

use super::held::{Held, Standing};
use cloakroom_model::{CoreId, IdMap, KeyedHash, LookupKey, PlaceholderId, Timestamp, Token};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What is known of a captured token's placeholder; neither its text nor the token.
#[derive(Clone, Copy, Debug)]
pub struct CapturedPlaceholder {
    /// The index of its core.
    pub core: CoreId,
    /// The keyed hash of its text.
    pub text: KeyedHash,
    /// The placeholder that was presented when the token was granted, or that one's own ancestor: one that has a row.
    pub parent: PlaceholderId,
    /// What it stands for.
    pub token: Token,
    /// When the token ends, where that was said.
    pub ends: Option<Timestamp>,
    /// Whether the token is still there.
    pub is_kept: bool,
}

/// The placeholders of captured tokens. One for all snapshots: a token is granted between two of them.
pub struct CapturedSet {
    key: Arc<LookupKey>,
    /// Nothing was captured yet: most brokers never look further.
    is_empty: AtomicBool,
    by_core: RwLock<IdMap<CoreId, CapturedPlaceholder>>,
}

impl CapturedSet {
    pub(super) fn new(key: Arc<LookupKey>) -> Self {
        Self { key, is_empty: AtomicBool::new(true), by_core: RwLock::default() }
    }

    /// The key that placeholders are made with.
    pub fn key(&self) -> &LookupKey {
        &self.key
    }

    /// From now on this placeholder is known.
    pub fn add(&self, placeholder: CapturedPlaceholder) {
        self.by_core.write().unwrap_or_else(PoisonError::into_inner).insert(placeholder.core, placeholder);
        self.is_empty.store(false, Ordering::Release);
    }

    /// From now on it is not.
    pub fn remove(&self, core: CoreId) {
        self.by_core.write().unwrap_or_else(PoisonError::into_inner).remove(&core);
    }

    /// Those of one placeholder.
    pub fn of(&self, parent: PlaceholderId) -> Vec<CapturedPlaceholder> {
        self.read().values().filter(|one| one.parent == parent).copied().collect()
    }

    pub(super) fn cores(&self, which: impl Fn(&CapturedPlaceholder) -> bool) -> Vec<CoreId> {
        self.read().values().filter(|one| which(one)).map(|one| one.core).collect()
    }

    pub(super) fn get(&self, core: CoreId) -> Option<CapturedPlaceholder> {
        if self.is_empty.load(Ordering::Acquire) {
            return None;
        }
        self.read().get(&core).copied()
    }

    fn read(&self) -> RwLockReadGuard<'_, IdMap<CoreId, CapturedPlaceholder>> {
        self.by_core.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CapturedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedSet").field("placeholders", &self.read().len()).finish_non_exhaustive()
    }
}

impl Held {
    /// The same placeholder under another text, which stands for a token.
    pub(super) fn standing_for(&self, captured: CapturedPlaceholder) -> Self {
        Self {
            id: self.id,
            text: captured.text,
            credential: self.credential,
            credential_name: self.credential_name.clone(),
            workload: self.workload,
            not_before: self.not_before,
            expires: self.expires,
            daily: self.daily,
            holder: self.holder,
            frozen: self.frozen,
            uses: self.uses,
            on_misuse: self.on_misuse,
            standing: match &self.standing {
                Standing::Active(approved) => Standing::Active(Arc::clone(approved)),
                Standing::Pending => Standing::Pending,
                Standing::Denied => Standing::Denied,
                Standing::Revoked => Standing::Revoked,
            },
            captured: Some(captured),
        }
    }
}
