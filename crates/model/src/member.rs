//! Who uses the console and the admin API over the network, as the store keeps it: people, their sessions, and API tokens.

use crate::{ApiTokenId, KeyedHash, MemberId, Name, Roles, SessionId, Timestamp};

/// A person who logs in with a passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its id.
    pub id: MemberId,
    /// What others call that person.
    pub name: Name,
    /// What the person may do. To approve is in no row: that follows from the approvers' signed changes.
    pub roles: Roles,
    /// The passkey, in the words of `approver.pub`.
    pub key: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was taken away.
    pub removed: Option<Timestamp>,
}

/// A browser that somebody has logged in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id, which opens nothing.
    pub id: SessionId,
    /// Keyed hash of what the browser sends by itself.
    pub hash: KeyedHash,
    /// Keyed hash of what its pages hold, and add to what changes something.
    pub half: KeyedHash,
    /// Who logged in, as others are told.
    pub name: String,
    /// The passkey by which; absent after a single sign-on.
    pub key: Option<String>,
    /// The roles that a single sign-on gave. Those of a passkey are looked up at each request.
    pub roles: Roles,
    /// When it began.
    pub begun: Timestamp,
    /// When it was used last, to the minute.
    pub used: Timestamp,
    /// When it ends, however it is used.
    pub ends: Timestamp,
}

/// What a program shows instead of a person's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTokenRecord {
    /// Its id, which opens nothing.
    pub id: ApiTokenId,
    /// What it is for.
    pub name: Name,
    /// Keyed hash of its text.
    pub hash: KeyedHash,
    /// What it may do.
    pub roles: Roles,
    /// Who made it.
    pub owner: String,
    /// The passkey of the person who did; absent where it was made at the broker's own machine.
    pub owner_key: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}
