//! What the broker was lent by a source and has to give back: a secret that was made for it alone.

use crate::{CredentialId, LeaseId, SealedSecret, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a lease stands.
///
/// ```text
///  asked ──► held ──► ending ──► (no row: the source says that it is gone)
///    └──────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseState {
    /// The source was asked for it, or is about to be; its name is not known yet.
    Asked,
    /// Its secret is placed into calls.
    Held,
    /// It is to be gone, and the source has not said so yet.
    Ending,
}

impl LeaseState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Asked, Self::Held, Self::Ending];

    /// The state's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Held => "held",
            Self::Ending => "ending",
        }
    }
}

impl fmt::Display for LeaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A lease as the store keeps it, until the source says that it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Ours, not the source's.
    pub id: LeaseId,
    /// For which credential; it may be removed meanwhile.
    pub credential: CredentialId,
    /// And which generation of it.
    pub generation: u32,
    /// Where it stands.
    pub state: LeaseState,
    /// How it is ended: the source, how the broker is let in there, and the source's name of the lease. Opens in `egress` only.
    pub sealed: SealedSecret,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When the source ends it by itself, as far as is known.
    pub expires: Option<Timestamp>,
    /// How often the source was asked to end it.
    pub attempts: u32,
    /// Why the last attempt did not end it.
    pub trouble: Option<String>,
}
