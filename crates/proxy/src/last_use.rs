//! Who took the last use of a placeholder: told to its workload when it is refused as spent.
//!
//! Kept in memory, for as many placeholders as fit: after a restart it is not known. The journal has each use.

use cloakroom_model::{LastUse, PlaceholderId};
use moka::sync::Cache;

/// Placeholders whose last use is remembered.
const MOST: u64 = 10_000;

/// The last counted uses.
pub(crate) struct LastUses(Cache<PlaceholderId, LastUse>);

impl Default for LastUses {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl LastUses {
    pub(crate) fn note(&self, placeholder: PlaceholderId, used: LastUse) {
        self.0.insert(placeholder, used);
    }

    pub(crate) fn of(&self, placeholder: PlaceholderId) -> Option<LastUse> {
        self.0.get(&placeholder)
    }
}
