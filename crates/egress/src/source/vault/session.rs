//! A login as it stands: had when it is needed, kept in memory only, renewed while it can be, had anew when it is refused.

use super::{Access, Asker, Reply};
use crate::mint::Failure;
use crate::secret::Secret;
use crate::source::Desk;
use cloakroom_model::CredentialId;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A login token that ends sooner is not used any more.
const MARGIN: Duration = Duration::from_secs(5);

/// A login token and what is known of it.
pub(crate) struct Session {
    pub(super) token: Secret,
    /// Names it without being it.
    pub(super) accessor: Option<String>,
    pub(super) renewable: bool,
    pub(super) had: Instant,
    /// `None`: it does not end by itself.
    pub(super) ends: Option<Instant>,
    /// The broker logged in for it; else it was given by the operator, who ends it.
    pub(super) own: bool,
}

/// The logins of each generation of each credential.
#[derive(Default)]
pub(in crate::source) struct Sessions(Mutex<BTreeMap<(CredentialId, u32), Slot>>);

/// One login at a time.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Arc<Session>>>>;

impl Sessions {
    pub(super) fn slot(&self, asker: &Asker<'_>) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (credential, generation) = (asker.credential, asker.generation);
        // Those of generations long gone end by their own time.
        slots.retain(|(of, at), _| *of != credential || at.saturating_add(1) >= generation);
        Arc::clone(slots.entry((credential, generation)).or_default())
    }

    /// Lets go of every login.
    pub(in crate::source) fn let_go(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Session {
    /// Asks the server, logged in. Where it says that this is not permitted, the broker logs in anew, once: the login may have ended.
    ///
    /// # Errors
    /// As [`Access::log_in`], and where no whole answer comes. An answer that says no is an answer.
    pub(crate) async fn ask(
        access: &Access,
        asker: &Asker<'_>,
        desk: &Desk,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Result<Reply, Failure> {
        let slot = desk.sessions.slot(asker);
        let session = Self::standing(access, asker, desk, &slot).await?;
        let reply = access.ask(asker, Some(&session.token), (method.clone(), path), body).await?;
        if reply.status != StatusCode::FORBIDDEN {
            return Ok(reply);
        }
        Self::drop_from(&slot, &session).await;
        let session = Self::standing(access, asker, desk, &slot).await?;
        access.ask(asker, Some(&session.token), (method, path), body).await
    }

    /// The login that stands, renewed where it is time, or a new one.
    pub(super) async fn standing(
        access: &Access,
        asker: &Asker<'_>,
        desk: &Desk,
        slot: &Slot,
    ) -> Result<Arc<Self>, Failure> {
        let mut kept = slot.lock().await;
        if let Some(session) = kept.take().filter(|session| session.is_good()) {
            let session = match session.is_late() {
                true => session.renewed(access, asker).await.map_or(session, Arc::new),
                false => session,
            };
            *kept = Some(Arc::clone(&session));
            return Ok(session);
        }
        let session = Arc::new(access.log_in(asker, desk).await?);
        tracing::info!(credential = %asker.credential, "logged in at a source");
        *kept = Some(Arc::clone(&session));
        Ok(session)
    }

    pub(super) async fn drop_from(slot: &Slot, session: &Arc<Self>) {
        let mut kept = slot.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, session)) {
            *kept = None;
        }
    }

    /// How much time it has left; `None`: it does not end by itself.
    pub(super) fn left(&self) -> Option<Duration> {
        self.ends.map(|ends| ends.saturating_duration_since(Instant::now()))
    }

    fn is_good(&self) -> bool {
        self.ends.is_none_or(|ends| Instant::now() + MARGIN < ends)
    }

    /// Two thirds of its time are over.
    fn is_late(&self) -> bool {
        let late = |ends: Instant| self.had.elapsed() > ends.saturating_duration_since(self.had) * 2 / 3;
        self.renewable && self.ends.is_some_and(late)
    }

    /// `None`: it goes on as it is, and when it ends the broker logs in anew.
    async fn renewed(&self, access: &Access, asker: &Asker<'_>) -> Option<Self> {
        let question = (Method::POST, "auth/token/renew-self");
        let reply = access.ask(asker, Some(&self.token), question, Some(&json!({}))).await.ok()?;
        let document = super::document(&reply).ok()?;
        let token = std::str::from_utf8(self.token.expose()).ok()?;
        Some(Self::new(token, &document["auth"], self.own))
    }
}
