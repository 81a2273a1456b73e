//! Judging what a workload says on a WebSocket, message by message.
//!
//! What the messages mean is not looked at; only placeholders in them are. Framing, compression and what becomes of a
//! refused channel are left to `egress`.

use crate::allow::Asker;
use crate::authorized::intent;
use crate::decide::message::Message;
use crate::decide::{Judged, Waits};
use crate::{Authorized, PolicySet, Spot, Use, channel, decide, search};
use cloakroom_model::{Call, Code, CoreId, Intent, Payload, PlaceholderId, Principal, Refusal, Timestamp};
use http::HeaderMap;
use std::fmt;
use std::ops::Range;

/// How much of a message is searched, as of a body that is not looked into.
const SEARCHED: usize = 64 << 10;

/// Which placeholders a channel takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// The handshake carried its placeholder: every further one is a stray.
    None,
    /// Permits want one in a message.
    InMessages,
}

/// Judges the messages of one WebSocket for as long as it is open. Made by [`Authorized::message_judge`] or
/// [`PolicySet::open_channel`].
pub struct MessageJudge {
    /// The handshake without its body: permits are judged anew for each message that carries a placeholder.
    handshake: Call,
    principal: Principal,
    takes: Takes,
    /// Text messages so far.
    messages: u32,
    used: Vec<PlaceholderId>,
}

impl MessageJudge {
    pub(crate) fn of_handshake(call: &Call, principal: Principal) -> Self {
        let handshake = shape_of(call, call.headers.clone());
        Self { handshake, principal, takes: Takes::InMessages, messages: 0, used: Vec::new() }
    }

    /// For a channel whose handshake carried its placeholders.
    pub(crate) fn of_authorized(call: &Call, principal: Principal, uses: &[Use]) -> Self {
        // No permit is judged again, so the fields need not be kept.
        let handshake = shape_of(call, HeaderMap::new());
        let used = uses.iter().map(Use::placeholder).collect();
        Self { handshake, principal, takes: Takes::None, messages: 0, used }
    }

    /// Judges the next text message, whole. `None`: it carries no placeholder and goes out as it is.
    ///
    /// # Errors
    /// For a placeholder that may not be exchanged here, as [`Identified::new`](crate::Identified::new) and
    /// [`Identified::authorize`](crate::Identified::authorize). The channel must not go on then.
    pub fn judge(
        &mut self,
        text: &[u8],
        policies: &PolicySet,
        now: Timestamp,
    ) -> Result<Option<MessageUse>, Refusal> {
        self.messages = self.messages.saturating_add(1);
        let Some(core) = self.only_placeholder(text, policies)? else { return Ok(None) };
        let used = self.authorize(core, text, policies, now)?;
        self.used.push(used.used.placeholder());
        Ok(Some(used))
    }

    /// Judges a binary message, whole: it carries no placeholder.
    ///
    /// # Errors
    /// `place-not-permitted`, `wrong-workload` or `unknown-placeholder` where it carries one.
    pub fn judge_binary(&self, bytes: &[u8], policies: &PolicySet) -> Result<(), Refusal> {
        match self.only_placeholder(bytes, policies)? {
            None => Ok(()),
            Some(core) => Err(self.stray(core, policies)),
        }
    }

    /// Whether the channel may stay open: what it used counts still; or, before it used anything, some permit would let
    /// it open now.
    pub fn may_stay(&self, policies: &PolicySet, now: Timestamp) -> bool {
        if self.used.is_empty() {
            return channel::opens(&self.asker(policies), now).is_ok();
        }
        self.used.iter().all(|placeholder| policies.is_live(*placeholder, now))
    }

    /// The placeholder in a message, where it carries one of this workload and no other.
    fn only_placeholder(&self, message: &[u8], policies: &PolicySet) -> Result<Option<CoreId>, Refusal> {
        let asker = self.asker(policies);
        let cores = search::in_text(&message[..message.len().min(SEARCHED)], policies);
        for core in &cores {
            asker.own(*core)?;
        }
        match (cores.as_slice(), self.takes) {
            ([], _) => Ok(None),
            ([core], Takes::InMessages) => Ok(Some(*core)),
            ([core, ..], _) => Err(self.stray(*core, policies)),
        }
    }

    fn stray(&self, core: CoreId, policies: &PolicySet) -> Refusal {
        let placeholder = policies.held(core).map(|held| held.id);
        self.asker(policies).stray(None).with(|facts| facts.placeholder = placeholder)
    }

    fn authorize(
        &self,
        core: CoreId,
        text: &[u8],
        policies: &PolicySet,
        now: Timestamp,
    ) -> Result<MessageUse, Refusal> {
        let asker = self.asker(policies);
        let message = Message::new(text, self.messages);
        let allowed = asker.allow(core, now, |permit, wanted| {
            let span = decide::judge_message(permit, &self.handshake, &message, wanted)?;
            Ok(Judged { spot: Spot::Json(span), waits: Waits::No })
        })?;
        let fault = || Refusal::new(Code::InternalFault, "a placeholder that was found is not where it was");
        let Spot::Json(span) = allowed.spot.clone() else { return Err(fault()) };
        let rest = without(text, &span);
        if !search::in_text(&rest[..rest.len().min(SEARCHED)], policies).is_empty() {
            return Err(asker.stray(Some(&allowed)));
        }
        let placeholder = message.inside(&span).ok_or_else(fault)?.to_owned();
        asker.take_rates(std::slice::from_ref(&allowed), now)?;
        let used = Use::new(&allowed.held, allowed.chosen(), placeholder, allowed.spot.clone());
        let intent = intent(&self.handshake, &self.principal, now, std::slice::from_ref(&used));
        Ok(MessageUse { used, span, intent })
    }

    fn asker<'a>(&'a self, policies: &'a PolicySet) -> Asker<'a> {
        Asker { call: &self.handshake, principal: &self.principal, policies }
    }
}

impl Authorized {
    /// Whether the call asks for a WebSocket.
    pub fn is_handshake(&self) -> bool {
        self.call().upgrade.is_some()
    }

    /// The judge of what the workload says on the channel, where this call is a handshake: its placeholders are in the
    /// handshake, so none may stand in a message.
    pub fn message_judge(&self) -> MessageJudge {
        MessageJudge::of_authorized(self.call(), self.principal().clone(), self.uses())
    }
}

/// One placeholder in a message that may be exchanged for its secret, and exactly where. Made only by
/// [`MessageJudge::judge`].
pub struct MessageUse {
    used: Use,
    span: Range<usize>,
    intent: Intent,
}

impl MessageUse {
    /// The placeholder, its credential and its permit.
    pub fn used(&self) -> &Use {
        &self.used
    }

    /// The byte range of the string literal in the message, quotes included.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What the journal records before the secret is opened.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }
}

fn shape_of(call: &Call, headers: HeaderMap) -> Call {
    Call {
        request: call.request,
        way: call.way,
        method: call.method.clone(),
        destination: call.destination.clone(),
        path: call.path.clone(),
        query: call.query.clone(),
        headers,
        upgrade: call.upgrade,
        body: Payload::empty(),
    }
}

fn without(text: &[u8], span: &Range<usize>) -> Vec<u8> {
    let mut rest = text.to_vec();
    if let Some(literal) = rest.get_mut(span.clone()) {
        literal.fill(b' ');
    }
    rest
}

impl fmt::Debug for MessageJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageJudge").field("handshake", &self.handshake).finish_non_exhaustive()
    }
}

impl fmt::Debug for MessageUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageUse").field("used", &self.used).finish_non_exhaustive()
    }
}
