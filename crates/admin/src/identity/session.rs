//! Sessions and API tokens: begun, found by what a request shows, ended.

use super::{Access, Caller, Jar};
use crate::admin::Admin;
use crate::{Problem, ProblemCode, secret_text};
use cloakroom_model::{
    ApiTokenRecord, KeyedHash, MemberRecord, Role, Roles, SessionId, SessionRecord, Timestamp,
};
use http::{HeaderMap, HeaderValue, header};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Uses are noted to the minute: a page view is no reason to wait for the disk.
const NOTED: Duration = Duration::from_secs(60);

/// Who has just logged in.
#[derive(Clone, Debug)]
pub(crate) struct Newcomer {
    /// As others are told.
    pub(crate) name: String,
    /// What they are known by: a passkey, or issuer and subject.
    pub(crate) key: Option<String>,
    /// What a provider's groups gave to somebody who is no member.
    pub(crate) roles: Roles,
}

/// A session that has just begun. Both halves are random, and neither follows from the other: a cookie goes to every port of its host.
pub(crate) struct Begun {
    /// What the browser keeps, and sends by itself.
    pub(crate) cookie: HeaderValue,
    /// What is handed to the page alone, which keeps it where no other origin reads it.
    pub(crate) half: String,
}

impl Admin {
    /// Begins a session with secrets of its own, and ends the one that the browser had (T82: nobody's old session becomes a new one's).
    pub(crate) async fn begin_session(&self, who: Newcomer, had: &HeaderMap) -> Result<Begun, Problem> {
        self.end_session_of(had).await?;
        let (secret, half, now) =
            (secret_text::fresh("cks_")?, secret_text::fresh("ckh_")?, Timestamp::now());
        let row = SessionRecord {
            id: SessionId::fresh()?,
            hash: self.session_hash(&secret),
            half: self.half_hash(half.as_bytes()),
            name: who.name,
            key: who.key,
            roles: who.roles,
            begun: now,
            used: now,
            ends: now.plus(self.identity.spans.whole),
        };
        self.store.add_session(row).await?;
        let cookie = Jar::of(&self.ballots.party).keep(&secret);
        let unwritten = || Problem::new(ProblemCode::InternalFault, "the session cannot be written");
        Ok(Begun { cookie: cookie.ok_or_else(unwritten)?, half })
    }

    /// Ends the session that a browser has, if it has one.
    pub(crate) async fn end_session_of(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match self.session_of(headers).await? {
            Some(id) => Ok(self.store.end_session(id).await?),
            None => Ok(()),
        }
    }

    /// The session that a browser has, if it has one; whether it counts is not asked.
    pub(crate) async fn session_of(&self, headers: &HeaderMap) -> Result<Option<SessionId>, Problem> {
        let Some(secret) = Jar::of(&self.ballots.party).read(headers) else { return Ok(None) };
        Ok(self.store.session(self.session_hash(secret)).await?.map(|row| row.id))
    }

    /// Whoever a request of the console's listener comes from; none where nothing is shown that opens anything.
    pub(super) async fn caller_of(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Option<Caller>, Problem> {
        let now = Instant::now();
        let shown = headers.get(header::AUTHORIZATION);
        // SECURITY: whoever shows an API token is that and nobody else; a cookie beside it adds nothing.
        let Some(shown) = shown else { return self.seated(headers).await };
        let caller = match shown.to_str().ok().and_then(|field| field.strip_prefix("Bearer ")) {
            Some(text) => self.holding(self.api_token_hash(text)).await?,
            None => None,
        };
        // Only what opens nothing counts and waits: whoever shares an address with a guesser goes on working.
        if caller.is_none() && self.identity.attempts.must_wait(from, now) {
            return Err(Problem::new(
                ProblemCode::TooManyAttempts,
                "this address showed too many that open nothing",
            ));
        }
        if caller.is_none() {
            self.identity.attempts.failed(from, now);
        }
        Ok(caller)
    }

    /// Whether who asked some time ago may still: for answers that go on. To be told something is no use of a session, so that nobody's
    /// lives on by a page that they left open.
    pub(crate) async fn still_may(&self, caller: &Caller, access: Access) -> bool {
        let now = match (caller.token(), caller.session()) {
            (Some(hash), _) => self.holding(hash).await,
            (None, Some(session)) => self.in_session(session.hash).await,
            (None, None) => return access.require(caller).is_ok(),
        };
        // SECURITY: where it cannot be found out, nothing more is told.
        matches!(now, Ok(Some(caller)) if access.require(&caller).is_ok())
    }

    async fn holding(&self, hash: KeyedHash) -> Result<Option<Caller>, Problem> {
        let row = self.store.api_token(hash).await?;
        let counts = |row: &ApiTokenRecord| row.revoked.is_none() && row.expires > Timestamp::now();
        let Some(mut row) = row.filter(counts) else { return Ok(None) };
        if let Some(key) = &row.owner_key {
            // SECURITY: whatever its maker may do no more, the token may not either.
            row.roles = row.roles.within(&self.roles_of_key(key).await?);
        }
        Ok(Some(row).filter(|row| !row.roles.is_empty()).map(Caller::holding))
    }

    async fn seated(&self, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let Some(secret) = Jar::of(&self.ballots.party).read(headers) else { return Ok(None) };
        let caller = self.in_session(self.session_hash(secret)).await?;
        let now = Timestamp::now();
        if let Some(row) = caller.as_ref().and_then(Caller::session)
            && row.used.plus(NOTED) <= now
        {
            self.store.use_session(row.id, now).await?;
        }
        Ok(caller)
    }

    /// The person of a session, where it goes on.
    async fn in_session(&self, hash: KeyedHash) -> Result<Option<Caller>, Problem> {
        let Some(row) = self.store.session(hash).await? else { return Ok(None) };
        let now = Timestamp::now();
        if row.ends <= now || row.used.plus(self.identity.spans.idle) <= now {
            return Ok(None);
        }
        let roles = self.roles_of(&row).await?;
        if roles.is_empty() {
            return Ok(None);
        }
        Ok(Some(Caller::seated(row, roles)))
    }

    /// What the person of a session may do now: whoever is removed, or is an approver no more, loses it at once.
    async fn roles_of(&self, row: &SessionRecord) -> Result<Roles, Problem> {
        let Some(key) = &row.key else { return Ok(row.roles.clone()) };
        if row.roles.is_empty() {
            return self.roles_of_key(key).await;
        }
        // By groups. Whoever is, or was, a member has what the table of members says and nothing else.
        let members = self.store.members().await?;
        if members.iter().any(|member| member.key == *key) {
            return self.roles_of_key(key).await;
        }
        Ok(if self.vouched_for(key) { self.still_mapped(&row.roles) } else { Roles::default() })
    }

    async fn roles_of_key(&self, key: &str) -> Result<Roles, Problem> {
        if !self.vouched_for(key) {
            return Ok(Roles::default());
        }
        let members = self.store.members().await?;
        let own = members.into_iter().find(|member| member.removed.is_none() && member.key == key);
        Ok(self.with_approving(own.as_ref(), key))
    }

    /// A member's roles, and that of an approver where the approvers' changes say so.
    pub(crate) fn with_approving(&self, member: Option<&MemberRecord>, key: &str) -> Roles {
        // SECURITY: the rows of members can be edited by whoever can edit the database; the changes of the approvers cannot.
        let roles = member.map(|member| member.roles.clone()).unwrap_or_default().without(Role::Approver);
        let approves = self.approvers().members().iter().any(|approver| approver.key_text() == key);
        if approves { roles.and(Role::Approver) } else { roles }
    }

    /// How the store knows an API token.
    pub(crate) fn api_token_hash(&self, text: &str) -> KeyedHash {
        self.lookup_key.hash("API token", text.as_bytes())
    }

    /// How the store knows what the pages of a session hold.
    pub(super) fn half_hash(&self, half: &[u8]) -> KeyedHash {
        self.lookup_key.hash("console session's half", half)
    }

    fn session_hash(&self, secret: &str) -> KeyedHash {
        self.lookup_key.hash("console session", secret.as_bytes())
    }
}
