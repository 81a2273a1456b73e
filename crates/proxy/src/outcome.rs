//! `GET /.cloakroom/requests/ID`: a workload asks what became of what it asked for: a proposal, or a call that a human is asked about.

use crate::Proxy;
use crate::desk::Desk;
use crate::reply::{AnswerBody, own_document};
use crate::wire::malformed;
use cloakroom_model::{ApprovalId, Code, PlaceholderId, Principal, ProposalId, Refusal, Timestamp};
use cloakroom_store::{Ruling, Standing, Verdict};
use http::Response;
use serde_json::{Value, json};

/// What the answer is wanted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    Proposal(ProposalId),
    Call(ApprovalId),
}

impl Awaited {
    /// # Errors
    /// `malformed-call` where it is the id of neither.
    pub(crate) fn read(id: &str) -> Result<Self, Refusal> {
        let call = || id.parse().map(Self::Call);
        id.parse().map(Self::Proposal).or_else(|_| call()).map_err(|_| {
            malformed(
                "what became of a request is told by the id of a proposal (pr_) or of an approval (ap_)",
            )
        })
    }
}

/// What became of it, in one word and in a sentence that says what to do next.
struct Outcome {
    state: &'static str,
    next: &'static str,
    /// Where a human decides, while nobody has.
    decide: Option<String>,
}

impl Desk {
    /// What became of what this workload asked for. What is another's is unknown here.
    ///
    /// # Errors
    /// `rate-limited` where too many of its calls are under way.
    pub(crate) fn tell_outcome(
        &self,
        principal: &Principal,
        awaited: Awaited,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let _underway = self.shared.calls.begin(principal.workload())?;
        let proxy = &self.shared.proxy;
        let (id, outcome) = match awaited {
            Awaited::Proposal(id) => (id.to_string(), proxy.outcome_of_proposal(id, principal)),
            Awaited::Call(id) => (id.to_string(), proxy.outcome_of_call(id, principal)),
        };
        Ok(own_document(&outcome.document(&id)))
    }
}

impl Proxy {
    fn outcome_of_proposal(&self, id: ProposalId, principal: &Principal) -> Outcome {
        match self.proposals.standing(id, principal.workload()) {
            Some(Standing::Waiting) => Outcome {
                state: "waiting",
                next: "no operator has read it yet; ask again later",
                decide: Some(self.page_of_proposal(id)),
            },
            Some(Standing::Ruled(Ruling::Accepted(issued))) => self.outcome_of_issued(issued, principal),
            Some(Standing::Ruled(Ruling::Dropped)) => {
                Outcome::plain("dropped", "an operator said no; do not ask for the same again")
            }
            None => Outcome::unknown(),
        }
    }

    /// What became of the placeholder that was issued for what was asked, where it is known which one that is.
    fn outcome_of_issued(&self, issued: Option<PlaceholderId>, principal: &Principal) -> Outcome {
        let (policies, now) = (self.policies.load(), Timestamp::now());
        match issued.map(|id| (policies.is_live(id, now), policies.may_fetch(id, principal, now))) {
            Some((true, _)) => Outcome::plain(
                "granted",
                "an approver signed what was issued for it: GET /.cloakroom/ says what it permits",
            ),
            Some((_, Err(refusal))) if refusal.code() == Code::ApprovalDenied => {
                Outcome::plain("denied", "an approver said no; do not ask for the same again")
            }
            Some((_, Err(_))) => Outcome::plain(
                "withdrawn",
                "what was issued for it does not count any more: GET /.cloakroom/ says what does",
            ),
            None | Some((_, Ok(()))) => Outcome::plain(
                "accepted",
                "an operator took it up; what is issued for it stands in GET /.cloakroom/, and counts when it is approved",
            ),
        }
    }

    fn outcome_of_call(&self, id: ApprovalId, principal: &Principal) -> Outcome {
        // SECURITY: a workload of the same name that came later does not hold the placeholder.
        let is_own = |placeholder| self.policies.load().may_hold(placeholder, principal).is_ok();
        let own = self
            .parking
            .find(id)
            .filter(|parked| parked.question.placeholders.first().is_some_and(|one| is_own(*one)));
        match own.map(|parked| parked.verdict) {
            Some(Verdict::Waiting) => Outcome {
                state: "waiting",
                next: "no approver has decided yet; ask again later",
                decide: Some(self.page_of_approval(id)),
            },
            Some(Verdict::Granted) => {
                Outcome::plain("granted", "send exactly the same call again; it passes once")
            }
            Some(Verdict::Denied) => {
                Outcome::plain("denied", "an approver said no; do not send the call again")
            }
            None => Outcome::unknown(),
        }
    }

    /// The page of the console on which this is approved or denied.
    pub(crate) fn page_of_approval(&self, id: ApprovalId) -> String {
        format!("{}/approve/{id}", self.console)
    }

    /// The page of the console on which this is taken up or dropped.
    pub(crate) fn page_of_proposal(&self, id: ProposalId) -> String {
        format!("{}/inbox/{id}", self.console)
    }
}

impl Outcome {
    fn plain(state: &'static str, next: &'static str) -> Self {
        Self { state, next, decide: None }
    }

    fn unknown() -> Self {
        let next = "nothing of yours waits under this id: it was used up, its time is over, or the broker began anew; ask again if it is still wanted";
        Self::plain("unknown", next)
    }

    fn document(&self, id: &str) -> Value {
        let mut document = json!({ "request": id, "state": self.state, "next": self.next });
        if let Some(page) = &self.decide {
            document["decide"] = page.as_str().into();
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_proposals_and_approvals_are_asked_about() {
        let id = "01M8JHXRPR1G6PF3BQCZB35PWQ";
        assert!(matches!(Awaited::read(&format!("pr_{id}")), Ok(Awaited::Proposal(_))));
        assert!(matches!(Awaited::read(&format!("ap_{id}")), Ok(Awaited::Call(_))));
        for wrong in ["", "pr_", id, &format!("ph_{id}"), &format!("pr_{id}/"), &format!("pr_{id}%20")] {
            assert!(Awaited::read(wrong).is_err(), "{wrong}");
        }
    }
}
