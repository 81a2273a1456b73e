//! What a store keeps of those who use the console and the admin API over the network. No call of a workload depends on it.

use crate::{BoxFuture, StoreError};
use cloakroom_model::{
    ApiTokenId, ApiTokenRecord, KeyedHash, MemberId, MemberRecord, SessionId, SessionRecord, Timestamp,
};

/// Members, sessions and API tokens; with the guarantees of [`Store`](crate::Store).
pub trait People: Send + Sync + 'static {
    /// Every member, removed ones too, in id order.
    fn members(&self) -> BoxFuture<'_, Result<Vec<MemberRecord>, StoreError>>;

    /// Adds a member. Conflict where another one that was not removed has the name or the passkey.
    fn add_member(&self, row: MemberRecord) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Marks removed, forgets the sessions of its passkey and revokes the API tokens that were made with it: all of it or nothing.
    /// Missing where there is none, or no more.
    fn remove_member(&self, id: MemberId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The session with this hash of what its browser holds.
    fn session(&self, hash: KeyedHash) -> BoxFuture<'_, Result<Option<SessionRecord>, StoreError>>;

    /// Every session, in id order.
    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionRecord>, StoreError>>;

    /// Adds a session, and forgets those that have ended by then.
    fn add_session(&self, row: SessionRecord) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Notes a use. One that is not there any more is passed over.
    fn use_session(&self, id: SessionId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Forgets a session. Missing where there is none.
    fn end_session(&self, id: SessionId) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The API token with this hash of its text, whether or not it counts still.
    fn api_token(&self, hash: KeyedHash) -> BoxFuture<'_, Result<Option<ApiTokenRecord>, StoreError>>;

    /// Every API token, in id order.
    fn api_tokens(&self) -> BoxFuture<'_, Result<Vec<ApiTokenRecord>, StoreError>>;

    /// Adds an API token. Conflict where another one that was not revoked has the name.
    fn add_api_token(&self, row: ApiTokenRecord) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Marks revoked. Missing where there is none, or no more.
    fn revoke_api_token(&self, id: ApiTokenId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;
}
