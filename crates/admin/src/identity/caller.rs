//! Whoever asks, once that is known.

use crate::peer::Peer;
use crate::places::Whose;
use crate::{Problem, ProblemCode};
use cloakroom_model::{ApiTokenRecord, KeyedHash, Role, Roles, SessionRecord};

/// Who asks, and what they may do. Made by the guards alone.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    by: Peer,
    roles: Roles,
    key: Option<String>,
    session: Option<SessionRecord>,
    /// The API token that it came with: how the store knows it, and who made it.
    token: Option<(KeyedHash, String)>,
}

impl Caller {
    /// Whoever may operate the broker from its own machine, or by an operator's certificate.
    pub(super) fn operating(peer: Peer) -> Self {
        Self { by: peer, roles: Roles::all(), key: None, session: None, token: None }
    }

    /// The holder of an API token that counts.
    pub(super) fn holding(row: ApiTokenRecord) -> Self {
        let (by, key, token) = (Peer::ApiToken(row.name), row.owner_key, Some((row.hash, row.owner)));
        Self { by, roles: row.roles, key, session: None, token }
    }

    /// The person of a session that goes on.
    pub(super) fn seated(row: SessionRecord, roles: Roles) -> Self {
        let (by, key) = (Peer::Person(row.name.as_str().into()), row.key.clone());
        Self { by, roles, key, session: Some(row), token: None }
    }

    /// As it stands in the record.
    pub(crate) fn by(&self) -> &Peer {
        &self.by
    }

    /// What the person behind the request is known by: who has logged in, or who made the API token.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Who answers for it: an API token counts as whoever made it, whatever it is called and however many there are.
    pub(crate) fn answerable(&self) -> String {
        self.token.as_ref().map_or_else(|| self.by.to_string(), |(_, maker)| maker.clone())
    }

    /// What the caller may do.
    pub(crate) fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Whether this role is among them.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.has(role)
    }

    /// Whether it is a program with an API token.
    pub(crate) fn is_api_token(&self) -> bool {
        matches!(self.by, Peer::ApiToken(_))
    }

    /// Whether it came by the admin socket or the operators' link.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.by, Peer::User { .. } | Peer::Operator(_))
    }

    /// Whose the connection is that it came on: all of a person's sessions and API tokens are that person's.
    pub(crate) fn whose(&self) -> Whose {
        if self.is_local() {
            return Whose::Operators;
        }
        Whose::Of(self.key.clone().unwrap_or_else(|| self.by.to_string()).into())
    }

    /// How the store knows the API token, where it came with one.
    pub(super) fn token(&self) -> Option<KeyedHash> {
        self.token.as_ref().map(|(hash, _)| *hash)
    }

    /// The session, where there is one.
    pub(crate) fn session(&self) -> Option<&SessionRecord> {
        self.session.as_ref()
    }

    /// Whether a provider's groups gave what the caller may do: for one session, and to nobody whom the table of members knows.
    pub(crate) fn is_by_groups(&self) -> bool {
        self.session().is_some_and(|row| row.key.is_some() && !row.roles.is_empty())
    }

    /// Whether this is the caller's own: made by the same peer. Operators may touch everybody's.
    ///
    /// # Errors
    /// [`ProblemCode::RoleMissing`]
    pub(crate) fn require_own(&self, owner: &str) -> Result<(), Problem> {
        if self.has(Role::Operator) || self.owns(owner) {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::RoleMissing, "this is another's; only operators may touch it"))
    }

    /// Whether it was made by the same peer.
    pub(crate) fn owns(&self, owner: &str) -> bool {
        self.by.to_string() == owner
    }
}
