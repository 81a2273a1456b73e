//! Custody of tokens that replies bring: what a placeholder in a call stands for, and what is to be done with the reply.

use super::captured::{Owner, digest_of};
use super::{Custody, Opened, require_use};
use crate::capture::{Order, RefreshToken, RefreshTokenIs};
use crate::scrub::{NeedleCache, Needles};
use cloakroom_model::{Call, CapturedRecord, Code, CredentialId, CredentialKind, Destination, Refusal};
use cloakroom_policy::{Capture, PolicySet, Spot, Use, is_refresh};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Custody {
    /// Lets tokens be captured from now on: their placeholders go into this set. What the store kept is taken up. Once.
    pub fn capture_into(&self, policies: &PolicySet, kept: Vec<CapturedRecord>) {
        self.captures.capture_into(Arc::clone(policies.captured()));
        for row in kept {
            match policies.credential_of(row.placeholder) {
                Some(credential) => self.captures.restore(row, credential),
                None => {
                    tracing::error!(placeholder = %row.placeholder, "a captured token is of no placeholder")
                }
            }
        }
    }

    /// Opens what a placeholder in a call stands for: its credential's secret, or a token that was captured with it.
    ///
    /// # Errors
    /// As [`Custody::open_for`]; `placeholder-expired` where a captured token is gone.
    pub(crate) fn open_use(&self, used: &Use, destination: &Destination) -> Result<Opened, Refusal> {
        let Some(core) = used.captured() else {
            return self.open_own(used, destination);
        };
        self.require_unsealed()?;
        let held = self.held.load();
        let gone = || Refusal::new(Code::BrokerSealed, "the credential is not held by this broker");
        let record = &held.get(&used.credential()).ok_or_else(gone)?.record;
        require_use(record, destination)?;
        if used.signs() || matches!(used.spot(), Spot::Mtls(_)) {
            return Err(Refusal::new(Code::PlaceNotPermitted, "a captured token is sent, and nothing else"));
        }
        let (secret, captured) = self.captures.open(core)?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Opened {
            secret,
            // Whatever kind the credential is of, a token is placed as it is.
            kind: CredentialKind::Bearer,
            generation: record.generation,
            derived: Arc::clone(&captured.derived),
            user: None,
            live: None,
            before: captured.before.clone(),
        })
    }

    /// Forgets tokens that nobody may use any more: captured ones whose placeholder does not count, and access tokens of credentials
    /// for which no placeholder does.
    pub fn end_tokens(&self, policies: &PolicySet) {
        self.captures.end(&policies.captured_in_vain());
        let held = self.held.load();
        self.captures.forget(|id| held.get(&id).is_none_or(|held| held.record.removed.is_some()));
        // What was read elsewhere is given back where it was read (`lending`).
        let granted = held.values().filter(|held| held.record.kind == CredentialKind::Oauth);
        let mut minted =
            granted.filter_map(|held| held.mint.as_ref().map(|mint| (held.record.id, mint))).peekable();
        if minted.peek().is_none() {
            return;
        }
        let used = policies.credentials_in_use();
        minted.filter(|(id, _)| !used.contains(id)).for_each(|(_, mint)| mint.let_go());
    }

    /// What to look for in replies on behalf of all other tokens of this credential, and of all that was read for it.
    pub(crate) fn captured_needles(&self, id: CredentialId) -> Vec<Arc<Needles>> {
        let mut needles = self.captures.needles(id);
        let held = self.held.load();
        let Some(held) = held.get(&id).filter(|held| held.record.removed.is_none()) else { return needles };
        // Of an installation there are as many access tokens as policies.
        let lives = held.mint.as_ref().map(|mint| mint.narrowed_lives());
        for live in lives.into_iter().flatten() {
            needles.extend(live.also.iter().cloned());
        }
        // Also what nobody may use any more: it is good until its end, or what was deposited before a rotation.
        needles.extend(held.remembered.needles());
        needles
    }

    /// What is to be done with the reply to a call, where the permit of this use says that it grants tokens.
    ///
    /// # Errors
    /// `internal-fault` where this process was not furnished for it.
    pub(crate) fn order(&self, used: &Use, opened: &Opened, call: &Call) -> Result<Option<Order>, Refusal> {
        let Some(capture) = used.capture().filter(|capture| *capture != Capture::Beside) else {
            return Ok(None);
        };
        let faulty = || Refusal::new(Code::InternalFault, "no tokens can be captured in this process");
        let means = self.means.get().cloned().ok_or_else(faulty)?;
        let owner = Owner { placeholder: used.placeholder(), credential: used.credential() };
        // SECURITY: by another grant the workload could put a token of its own account in place of one that others share.
        let refreshes = used.is_refresh_token() && is_refresh(call);
        let presented = if refreshes { self.presented(used, opened)? } else { None };
        Ok(Some(Order { captures: Arc::clone(&self.captures), means, owner, capture, presented }))
    }

    fn presented(&self, used: &Use, opened: &Opened) -> Result<Option<RefreshToken>, Refusal> {
        let (kept, envelope) = match used.captured() {
            Some(core) => match self.captures.envelope(core) {
                Some(envelope) => (RefreshTokenIs::Captured(core), envelope.map_err(|_| super::is_sealed())?),
                None => return Ok(None),
            },
            None => {
                let held = self.held.load();
                let Some(held) = held.get(&used.credential()).filter(|held| held.mint.is_none()) else {
                    return Ok(None);
                };
                let envelope = self.envelope(Arc::clone(&held.bound))?;
                (RefreshTokenIs::Credential(opened.generation), envelope)
            }
        };
        let secret = opened.secret.expose();
        let needles = opened.derived.get().and_then(|kept| kept.downcast_ref::<NeedleCache>()?.known());
        let (text, digest) = (used.text().into(), digest_of(secret));
        Ok(Some(RefreshToken { text, digest, needles, kept, envelope }))
    }
}
