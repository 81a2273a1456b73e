//! A WebSocket whose handshake carries no placeholder: one of its first messages will.

use crate::allow::{Asker, Closest};
use crate::authorized::intent;
use crate::decide::body::BodyView;
use crate::{MessageJudge, PolicySet, decide, search};
use cloakroom_model::{Call, CredentialId, Intent, Place, Principal, Refusal, Timestamp};
use std::fmt;

/// A handshake without a placeholder that may go out: nothing is armed into it. Made only by [`PolicySet::open_channel`].
pub struct OpenChannel {
    call: Call,
    judge: MessageJudge,
    known: Vec<CredentialId>,
    intent: Intent,
}

impl OpenChannel {
    /// What the journal records before the handshake goes out: no placeholder is used yet.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Credentials that calls of this workload may have brought to the destination: what it sends may hold them.
    pub fn beside(&self) -> &[CredentialId] {
        &self.known
    }

    /// For `egress`: the handshake, and the judge of what the workload says on the channel.
    pub fn into_parts(self) -> (Call, MessageJudge) {
        (self.call, self.judge)
    }
}

impl fmt::Debug for OpenChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenChannel").field("call", &self.call).finish_non_exhaustive()
    }
}

impl PolicySet {
    /// Whether a placeholder stands anywhere in the call, plain or encoded. A handshake that carries one goes the way of
    /// every call; only one that carries none can open a channel by [`PolicySet::open_channel`].
    pub fn finds_placeholder(&self, call: &Call) -> bool {
        !search::call(call, self).is_empty()
    }

    /// Lets a handshake without a placeholder out, where an active permit of this workload wants one in a message.
    ///
    /// # Errors
    /// `unknown-placeholder` where no permit at the destination wants one in a message; then of the permit that came
    /// closest: `call-not-permitted`, `body-not-permitted`, `approval-required`, or why its placeholder does not count. For a
    /// handshake that carries a placeholder: `place-not-permitted`, `wrong-workload`, `unknown-placeholder`.
    pub fn open_channel(
        &self,
        call: Call,
        principal: Principal,
        now: Timestamp,
    ) -> Result<OpenChannel, Refusal> {
        let asker = Asker { call: &call, principal: &principal, policies: self };
        let findings = search::call(&call, self);
        for core in search::cores(&findings) {
            asker.own(core)?;
        }
        if !findings.is_empty() {
            return Err(asker.stray(None));
        }
        opens(&asker, now)?;
        let known = self.known_at(principal.workload(), &call.destination).to_vec();
        let intent = intent(&call, &principal, now, &[]);
        let judge = MessageJudge::of_handshake(&call, principal);
        Ok(OpenChannel { call, judge, known, intent })
    }
}

/// Whether some permit wants the placeholder in a message of this channel.
pub(crate) fn opens(asker: &Asker<'_>, now: Timestamp) -> Result<(), Refusal> {
    let Asker { call, principal, policies } = asker;
    let body = BodyView::new(call);
    let mut closest = Closest::default();
    let mut gone = None;
    let mut wanted = false;
    for (held, compiled) in policies.permits_at(principal.workload(), &call.destination) {
        if !matches!(compiled.permit.place, Place::WebSocket(_)) {
            continue;
        }
        wanted = true;
        match (decide::judge_opening(&compiled.permit, call, &body), held.permits_at(now)) {
            (Ok(()), Ok(_)) => return Ok(()),
            (Ok(()), Err(refusal)) => gone = Some(asker.about_held(refusal, held)),
            (Err(mismatch), _) => closest.see(mismatch, compiled),
        }
    }
    Err(match gone {
        Some(refusal) => refusal,
        None if wanted => asker.about(closest.into_refusal()),
        None => asker.carries_none(),
    })
}
