//! A placeholder as the data plane knows it.

use super::captured::CapturedPlaceholder;
use super::rate::Limit;
use crate::permit::Permit;
use crate::{Narrowing, Policy};
use cloakroom_model::{
    Code, CredentialId, CredentialKind, Destination, EventKind, Hours, KeyedHash, Name, OnMisuse,
    PlaceholderId, Principal, Proofs, Refusal, Timestamp, Token, WorkloadId,
};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long what was begun in its time may go on after it: an ordinary reply is not cut because its last byte comes late, and a
/// stream that never ends does not outlive its placeholder.
const TO_FINISH: Duration = Duration::from_secs(10);

/// A row of the snapshot; retired placeholders are here too, so that they are recognised.
pub(crate) struct Held {
    pub(crate) id: PlaceholderId,
    pub(crate) text: KeyedHash,
    pub(crate) credential: CredentialId,
    pub(crate) credential_name: Option<Name>,
    pub(crate) workload: WorkloadId,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) daily: Option<Hours>,
    pub(crate) holder: Proofs,
    pub(crate) frozen: bool,
    pub(crate) uses: Option<u32>,
    pub(crate) on_misuse: OnMisuse,
    pub(crate) standing: Standing,
    /// The token that it stands for, where a reply brought it.
    pub(crate) captured: Option<CapturedPlaceholder>,
}

/// Whether a placeholder counts.
pub(crate) enum Standing {
    /// Approved, and the approval verifies: these are its permits.
    Active(Arc<Approved>),
    Pending,
    Denied,
    Revoked,
}

/// What an approver signed, with what the judgement that it holds rests on.
pub(crate) struct Approved {
    /// SECURITY: a later snapshot takes the permits over without another look only where all of this is the same.
    pub(crate) grounds: Grounds,
    pub(crate) permits: Arc<[Compiled]>,
    /// Each destination once, with the permits that name it.
    pub(crate) by_destination: Arc<[(Destination, Vec<usize>)]>,
    /// When the approval that it rests on ends.
    pub(crate) ends: Option<Timestamp>,
    /// What the permits need of a GitHub App's installation, found out when somebody asks.
    narrowing: OnceLock<Option<Arc<Narrowing>>>,
}

impl Approved {
    /// What was found in the snapshot before, on the same grounds.
    pub(crate) fn known(
        grounds: Grounds,
        permits: Arc<[Compiled]>,
        by_destination: Arc<[(Destination, Vec<usize>)]>,
        ends: Option<Timestamp>,
    ) -> Self {
        Self { grounds, permits, by_destination, ends, narrowing: OnceLock::new() }
    }

    /// What the permits need of a GitHub App's installation.
    fn narrowing(&self) -> Option<Arc<Narrowing>> {
        let permits = || self.permits.iter().map(|compiled| compiled.permit.clone()).collect();
        let find = || Policy::new(permits()).narrowing().map(Arc::new);
        self.narrowing.get_or_init(find).clone()
    }

    pub(crate) fn new(grounds: Grounds, permits: Vec<Compiled>, ends: Option<Timestamp>) -> Self {
        let mut by_destination: Vec<(Destination, Vec<usize>)> = Vec::new();
        for (index, compiled) in permits.iter().enumerate() {
            let to = &compiled.permit.to;
            match by_destination.iter_mut().find(|(destination, _)| destination == to) {
                Some((_, indices)) => indices.push(index),
                None => by_destination.push((to.clone(), vec![index])),
            }
        }
        Self::known(grounds, permits.into(), by_destination.into(), ends)
    }
}

/// Everything that decides whether an active row holds, and what it permits: what is signed, by whom, and where the
/// credential may go.
#[derive(PartialEq, Eq)]
pub(crate) struct Grounds {
    pub(crate) text: KeyedHash,
    pub(crate) credential: CredentialId,
    pub(crate) credential_name: Name,
    pub(crate) kind: CredentialKind,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) workload: WorkloadId,
    pub(crate) workload_name: Name,
    pub(crate) workload_key: KeyedHash,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) uses: Option<u32>,
    /// SHA-256 of the policy, what the holder has to show, the signatures and the approvers' keys.
    pub(crate) hash: [u8; 32],
}

/// A permit in force, with the state of its rate limit.
pub(crate) struct Compiled {
    pub(crate) permit: Permit,
    pub(crate) limit: Option<Arc<Limit>>,
    /// What a session of a role may do that is used for this permit.
    pub(crate) session: Option<Arc<str>>,
}

impl Held {
    /// What its permits need of a GitHub App's installation, where that is what it stands for.
    pub(crate) fn narrowing(&self) -> Option<Arc<Narrowing>> {
        match &self.standing {
            Standing::Active(approved) if approved.grounds.kind == CredentialKind::Oauth => {
                approved.narrowing()
            }
            _ => None,
        }
    }

    /// The token that it stands for; `None`: the credential itself.
    pub(crate) fn token(&self) -> Option<Token> {
        self.captured.map(|captured| captured.token)
    }

    /// The permits; none where the placeholder does not count.
    pub(crate) fn permits(&self) -> &[Compiled] {
        match &self.standing {
            Standing::Active(approved) => &approved.permits,
            _ => &[],
        }
    }

    /// The permits at the destination of this index.
    pub(crate) fn at(&self, destination: usize) -> impl Iterator<Item = &Compiled> {
        let approved = match &self.standing {
            Standing::Active(approved) => Some(&**approved),
            _ => None,
        };
        approved.into_iter().flat_map(move |approved| {
            let named = approved.by_destination.get(destination).map(|(_, indices)| indices.as_slice());
            named.unwrap_or_default().iter().filter_map(|index| approved.permits.get(*index))
        })
    }

    /// Whether it was issued to this workload, and the workload shows what its holder has to.
    ///
    /// # Errors
    /// `wrong-workload`; who the other workload is, or what the credential is called, is not told to it.
    pub(crate) fn require_holder(&self, principal: &Principal) -> Result<(), Refusal> {
        let wrong = |reason| {
            Refusal::new(Code::WrongWorkload, reason).with(|facts| facts.placeholder = Some(self.id))
        };
        if self.workload != principal.workload() {
            let refusal = wrong("the placeholder was issued to another workload");
            return Err(refusal.as_event(EventKind::OtherWorkload));
        }
        let lacking = self.holder.lacking(principal.shown());
        if !lacking.is_empty() {
            let refusal = wrong("the workload does not show all that the placeholder demands of its holder");
            return Err(refusal.as_event(EventKind::HolderUnproven).with(|facts| {
                facts.credential.clone_from(&self.credential_name);
                facts.rule = Some(format!("holder {lacking}"));
                facts.hint = Some("show what \"rule\" names beside the workload key");
            }));
        }
        Ok(())
    }

    /// Whether it may still be handed to its holder: it may wait for its approval and for its time, and has not ended.
    ///
    /// # Errors
    /// `placeholder-revoked`, `approval-denied`, `placeholder-frozen`, `placeholder-expired`.
    pub(crate) fn require_standing(&self, now: Timestamp) -> Result<(), Refusal> {
        let refusal = match &self.standing {
            Standing::Denied => Refusal::new(Code::ApprovalDenied, "the approver denied this placeholder"),
            Standing::Revoked => revoked(),
            _ if self.frozen => {
                Refusal::new(Code::PlaceholderFrozen, "the placeholder was frozen and not thawed yet")
            }
            _ if self.expires.is_some_and(|end| now >= end) => {
                Refusal::new(Code::PlaceholderExpired, "the placeholder is past its end")
            }
            Standing::Active(_) | Standing::Pending => return Ok(()),
        };
        Err(refusal.with(|facts| facts.placeholder = Some(self.id)))
    }

    /// Whether what was armed with it may go on: it was neither ended nor frozen, and its time is not over, or has been for
    /// less than the time that a reply has to be finished.
    pub(crate) fn may_go_on(&self, now: Timestamp) -> bool {
        !self.frozen
            && matches!(self.standing, Standing::Active(_))
            && self.expires.is_none_or(|end| now < end.plus(TO_FINISH))
            && self.approval_ends().is_none_or(|end| now < end.plus(TO_FINISH))
            && self.daily.is_none_or(|hours| hours.hold(now) || hours.hold(now.minus(TO_FINISH)))
    }

    /// The credential that it stands for, where it counts: its name and its kind.
    pub(crate) fn stands_for(&self) -> Option<(&Name, CredentialKind)> {
        match &self.standing {
            Standing::Active(approved) => Some((&approved.grounds.credential_name, approved.grounds.kind)),
            _ => None,
        }
    }

    fn approval_ends(&self) -> Option<Timestamp> {
        match &self.standing {
            Standing::Active(approved) => approved.ends,
            _ => None,
        }
    }

    /// The permits, or why there are none now.
    pub(crate) fn permits_at(&self, now: Timestamp) -> Result<&[Compiled], Refusal> {
        let permits = match &self.standing {
            Standing::Active(approved) => &*approved.permits,
            Standing::Pending => {
                return Err(Refusal::new(
                    Code::PlaceholderPending,
                    "the placeholder was issued and not approved yet",
                ));
            }
            Standing::Denied => {
                return Err(Refusal::new(Code::ApprovalDenied, "the approver denied this placeholder"));
            }
            Standing::Revoked => return Err(revoked()),
        };
        // Before the times: what is frozen says nothing about itself but that.
        if self.frozen {
            return Err(Refusal::new(
                Code::PlaceholderFrozen,
                "the placeholder was frozen and not thawed yet",
            ));
        }
        if let Some(begin) = self.not_before.filter(|begin| now < *begin) {
            let seconds = begin.millis().saturating_sub(now.millis()).div_ceil(1000);
            return Err(Refusal::new(Code::PlaceholderNotYet, "the placeholder's time has not begun")
                .with(|facts| facts.retry_after = u32::try_from(seconds).ok()));
        }
        if self.expires.is_some_and(|end| now >= end) {
            return Err(Refusal::new(Code::PlaceholderExpired, "the placeholder is past its end"));
        }
        if let Some(hours) = self.daily.filter(|hours| !hours.hold(now)) {
            let reason = "the placeholder counts only within certain hours of the day";
            return Err(Refusal::new(Code::PlaceholderNotYet, reason).with(|facts| {
                facts.rule = Some(format!("daily {hours}"));
                facts.retry_after = Some(hours.seconds_until(now));
            }));
        }
        if let Some(captured) = &self.captured {
            captured.require_kept(now)?;
        }
        if self.approval_ends().is_some_and(|end| now >= end) {
            return Err(Refusal::new(Code::PlaceholderExpired, "the placeholder's approval is past its end"));
        }
        Ok(permits)
    }
}

impl CapturedPlaceholder {
    fn require_kept(&self, now: Timestamp) -> Result<(), Refusal> {
        let ended = |reason| {
            Refusal::new(Code::PlaceholderExpired, reason)
                .with(|facts| facts.hint = Some("ask the token endpoint for another one, as before"))
        };
        if !self.is_kept {
            return Err(ended("the token behind this placeholder is not kept any more"));
        }
        if self.ends.is_some_and(|end| now >= end) {
            return Err(ended("the token behind this placeholder is past its end"));
        }
        Ok(())
    }
}

fn revoked() -> Refusal {
    Refusal::new(Code::PlaceholderRevoked, "the placeholder, its credential or its approval no longer counts")
}
