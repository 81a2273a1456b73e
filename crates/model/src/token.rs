//! What a token endpoint grants, and what is kept of it.

use crate::{CoreId, KeyedHash, PlaceholderId, SealedSecret, Timestamp};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What a token endpoint grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// For calls (RFC 6749, section 1.4).
    AccessToken,
    /// For more access tokens (RFC 6749, section 1.5).
    RefreshToken,
    /// Who logged in (OpenID Connect Core, section 2).
    IdToken,
}

impl Token {
    /// Each kind.
    pub const ALL: [Self; 3] = [Self::AccessToken, Self::RefreshToken, Self::IdToken];

    /// Its name in policies and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access-token",
            Self::RefreshToken => "refresh-token",
            Self::IdToken => "id-token",
        }
    }
}

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|token| token.as_str() == text).ok_or("not a kind of token")
    }
}

/// The placeholder of a token that a reply brought, at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedRecord {
    /// The index of its core.
    pub core: CoreId,
    /// The keyed hash of its text.
    pub text: KeyedHash,
    /// The placeholder that was presented for it: it counts as that one does.
    pub placeholder: PlaceholderId,
    /// What it stands for.
    pub token: Token,
    /// The sealed token; `None` where it has ended, or its placeholder was revoked.
    pub sealed: Option<SealedSecret>,
    /// When it was granted.
    pub made: Timestamp,
    /// When the token ends, where that was said.
    pub ends: Option<Timestamp>,
}
