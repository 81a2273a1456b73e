//! Stage 2: a call that is permitted, with the bounds of what may be done next.

use crate::permit::{Permit, RangeRule};
use crate::question;
use crate::repeats::{OF_THE_ATTEMPT, Repeatable, Repeats};
use crate::set::{Compiled, Held};
use crate::tokens::Capture;
use crate::{Narrowing, Spot};
use cloakroom_model::{
    Call, CoreId, CredentialId, Intent, IntentUse, Place, PlaceholderId, Principal, Timestamp,
};
use std::fmt;
use std::sync::Arc;

/// Stage 2: permitted. Made only by [`Identified::authorize`](crate::Identified::authorize).
pub struct Authorized {
    call: Call,
    principal: Principal,
    uses: Vec<Use>,
    beside: Vec<CredentialId>,
    at: Timestamp,
}

impl Authorized {
    pub(crate) fn new(
        call: Call,
        principal: Principal,
        uses: Vec<Use>,
        known: &[CredentialId],
        at: Timestamp,
    ) -> Self {
        let used = |id: &CredentialId| uses.iter().any(|used| used.credential == *id);
        let beside = known.iter().copied().filter(|id| !used(id)).collect();
        Self { call, principal, uses, beside, at }
    }

    /// Credentials that are not armed into this call and may have been brought to its destination by other calls of the
    /// same workload: the reply may hold them.
    pub fn beside(&self) -> &[CredentialId] {
        &self.beside
    }

    /// For `egress`: the call and what may be armed into it.
    pub fn into_parts(self) -> (Call, Principal, Vec<Use>, Timestamp) {
        (self.call, self.principal, self.uses, self.at)
    }

    /// The placeholders that may be exchanged, and where.
    pub fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// What the permits allow of repeats of this call; `None`: nothing, or its body was not read to its end.
    pub fn repeatable(&self) -> Option<Repeatable> {
        Repeatable::of(&self.call, &self.uses, || {
            let body = self.call.body.whole()?;
            Some(question::request_hash(&self.call, body, &self.principal, self.uses.iter(), &OF_THE_ATTEMPT))
        })
    }

    /// What the journal records before anything is opened.
    pub fn intent(&self) -> Intent {
        intent(&self.call, &self.principal, self.at, &self.uses)
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// Who calls.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// What is recorded of a call, or of a message on the channel that it opened.
pub(crate) fn intent(call: &Call, principal: &Principal, at: Timestamp, uses: &[Use]) -> Intent {
    let spotted = |index: usize| uses.iter().any(|used| used.spot == Spot::Path(index));
    Intent {
        request: call.request,
        at,
        workload: principal.workload(),
        peer: Some(principal.source()),
        way: call.way,
        destination: call.destination.clone(),
        method: call.method.to_string(),
        path: call.path.encoded_with(|index| spotted(index).then(|| "{…}".to_owned())),
        uses: uses.iter().map(Use::intent).collect(),
        repeats: None,
    }
}

impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("call", &self.call)
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

/// One placeholder that may be exchanged for its secret, and exactly where. Made only by
/// [`Identified::authorize`](crate::Identified::authorize) and [`MessageJudge::judge`](crate::MessageJudge::judge).
pub struct Use {
    placeholder: PlaceholderId,
    credential: CredentialId,
    permit: String,
    counted: bool,
    range_allowed: bool,
    repeats: Repeats,
    session: Option<Arc<str>>,
    text: String,
    spot: Spot,
    captured: Option<CoreId>,
    capture: Option<Capture>,
    is_refresh_token: bool,
    narrowing: Option<Arc<Narrowing>>,
}

impl Use {
    pub(crate) fn new(
        held: &Held,
        Compiled { permit, session, .. }: &Compiled,
        text: String,
        spot: Spot,
    ) -> Self {
        Self {
            placeholder: held.id,
            credential: held.credential,
            permit: permit.name.clone(),
            counted: held.uses.is_some(),
            range_allowed: permit.range == RangeRule::Pass,
            repeats: permit.repeats,
            session: session.clone(),
            text,
            spot,
            captured: held.captured.map(|captured| captured.core),
            capture: permit.tokens.capture,
            is_refresh_token: presents_refresh_token(permit),
            narrowing: held.narrowing(),
        }
    }

    /// The placeholder.
    pub fn placeholder(&self) -> PlaceholderId {
        self.placeholder
    }

    /// The credential it stands for.
    pub fn credential(&self) -> CredentialId {
        self.credential
    }

    /// The permit that allows this, by its name in the policy.
    pub fn permit(&self) -> &str {
        &self.permit
    }

    /// The session policy of an AWS role that is cut down to the permit; `None` where none follows from it.
    pub fn session_policy(&self) -> Option<&Arc<str>> {
        self.session.as_ref()
    }

    /// The text the workload sent; what a scrubbed secret is replaced by.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it stands.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// The captured token that it stands for, by its placeholder's core; `None`: the credential itself.
    pub fn captured(&self) -> Option<CoreId> {
        self.captured
    }

    /// What an access token for it is narrowed to, where it is one of a GitHub App's installation.
    pub fn narrowing(&self) -> Option<&Arc<Narrowing>> {
        self.narrowing.as_ref()
    }

    /// Whether it stands where a token endpoint takes a refresh token (RFC 6749, section 6).
    pub fn is_refresh_token(&self) -> bool {
        self.is_refresh_token
    }

    /// What becomes of tokens in the reply.
    pub fn capture(&self) -> Option<Capture> {
        self.capture
    }

    /// Whether it is exchanged for a signature.
    pub fn signs(&self) -> bool {
        matches!(self.spot, Spot::SigV4(_) | Spot::Signed(_))
    }

    /// Whether the permit lets Range requests through.
    pub fn range_allowed(&self) -> bool {
        self.range_allowed
    }

    /// Whether this use is counted.
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    pub(crate) fn repeats(&self) -> Repeats {
        self.repeats
    }

    fn intent(&self) -> IntentUse {
        IntentUse {
            placeholder: self.placeholder,
            credential: self.credential,
            permit: self.permit.clone(),
            counted: self.counted,
        }
    }
}

fn presents_refresh_token(permit: &Permit) -> bool {
    match &permit.place {
        Place::Form(field) => &**field == "refresh_token",
        Place::Json(pointer) => &**pointer == "/refresh_token",
        _ => false,
    }
}

impl fmt::Debug for Use {
    /// The text of a placeholder is not shown: logs are read by more people than may use it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Use")
            .field("placeholder", &self.placeholder)
            .field("permit", &self.permit)
            .finish_non_exhaustive()
    }
}
