//! Judging one call by one permit: the stages of the comparison, and how far a failed one came.

pub(crate) mod body;
mod class;
pub(crate) mod json_body;
pub(crate) mod message;
mod names;
pub(crate) mod place;
pub(crate) mod shape;
mod token_request;

pub(crate) use class::Waits;
pub use token_request::is_refresh;

use body::BodyView;
use cloakroom_model::{Call, Code, Place};
use message::Message;
use place::Wanted;
use std::ops::Range;

use crate::permit::Permit;
use crate::spot::Spot;

/// How far a comparison came before it failed. Later is closer: the closest permit explains a refusal best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Destination,
    Method,
    Path,
    Query,
    Upgrade,
    Headers,
    Place,
    Body,
    Class,
    Approval,
    Rate,
}

impl Stage {
    pub(crate) fn code(self) -> Code {
        match self {
            Self::Destination => Code::DestinationNotPermitted,
            Self::Method | Self::Path | Self::Query | Self::Upgrade | Self::Headers | Self::Class => {
                Code::CallNotPermitted
            }
            Self::Place => Code::PlaceNotPermitted,
            Self::Body => Code::BodyNotPermitted,
            Self::Approval => Code::ApprovalRequired,
            Self::Rate => Code::RateLimited,
        }
    }
}

/// The first rule of a permit that a call does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) stage: Stage,
    /// One fixed sentence.
    pub(crate) reason: &'static str,
    /// Words from the policy.
    pub(crate) rule: Option<String>,
    pub(crate) retry_after: Option<u32>,
}

impl Mismatch {
    pub(crate) fn new(stage: Stage, reason: &'static str) -> Self {
        Self { stage, reason, rule: None, retry_after: None }
    }

    pub(crate) fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }
}

/// Where the placeholder stands in a call that is allowed, and whether a human has to be asked about it first.
pub(crate) struct Judged {
    pub(crate) spot: Spot,
    pub(crate) waits: Waits,
}

/// Judges a call by everything in a permit but its rate.
///
/// Every comparison either holds or is a mismatch: there is no third outcome that could fall open (T79).
pub(crate) fn judge(
    permit: &Permit,
    call: &Call,
    body: &BodyView<'_>,
    wanted: &Wanted<'_>,
) -> Result<Judged, Mismatch> {
    shape::check(permit, call)?;
    let spot = place::find(permit, call, body, wanted)?;
    body::check(permit, call, body)?;
    token_request::check(permit, call)?;
    let waits = class::check(permit, call, body)?;
    Ok(Judged { spot, waits })
}

/// Judges a handshake that carries no placeholder: whether the permit wants one in a message of this channel.
pub(crate) fn judge_opening(permit: &Permit, call: &Call, body: &BodyView<'_>) -> Result<(), Mismatch> {
    shape::check(permit, call)?;
    if !matches!(permit.place, Place::WebSocket(_)) {
        return Err(Mismatch::new(Stage::Place, "the permit wants the placeholder in the handshake"));
    }
    body::check(permit, call, body)?;
    class::check(permit, call, body)?;
    approved(permit)
}

/// Judges a message on the channel that this handshake opened. The value is the placeholder's literal.
pub(crate) fn judge_message(
    permit: &Permit,
    handshake: &Call,
    message: &Message<'_>,
    wanted: &Wanted<'_>,
) -> Result<Range<usize>, Mismatch> {
    shape::check(permit, handshake)?;
    let span = message::find(permit, message, wanted)?;
    approved(permit)?;
    Ok(span)
}

fn approved(permit: &Permit) -> Result<(), Mismatch> {
    match permit.approve {
        crate::permit::Approve::Once => Ok(()),
        // A human is asked about a request, whole and once; messages of a channel are not asked about (T78).
        crate::permit::Approve::Writes | crate::permit::Approve::EachCall => {
            Err(Mismatch::new(Stage::Approval, "this permit needs a human's approval of each call"))
        }
    }
}
