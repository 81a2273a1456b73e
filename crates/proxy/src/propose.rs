//! `POST /.cloakroom/requests`: a workload asks for what it was refused. An operator reads it; nothing is permitted by it.

use crate::canonical::read_for_policy;
use crate::desk::Desk;
use crate::reply::{AnswerBody, own_document};
use crate::wire::malformed;
use cloakroom_model::{Code, Payload, Principal, ProposalId, Refusal, Timestamp};
use cloakroom_policy::Policy;
use cloakroom_store::journal::Entry;
use cloakroom_store::{Proposal, TooOften};
use http::{Response, StatusCode};
use serde::Deserialize;
use std::time::Instant;

/// No proposal is larger, and no reason longer.
const LARGEST: usize = 16 << 10;
const LONGEST_REASON: usize = 500;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// A policy file (TOML).
    policy: String,
    reason: String,
}

impl Desk {
    /// Keeps what a workload asks for, for an operator to read.
    ///
    /// # Errors
    /// `malformed-call` where it is no proposal; `rate-limited` where too many wait, or the workload asks too often;
    /// `journal-unavailable`.
    pub(crate) async fn propose(
        &self,
        principal: &Principal,
        body: Payload,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let proxy = &self.shared.proxy;
        proxy.proposals.knock(principal.workload(), Instant::now()).map_err(|TooOften(seconds)| {
            let refusal =
                Refusal::new(Code::RateLimited, "the workload asks too often for what it was refused");
            refusal.with(|facts| facts.retry_after = Some(seconds))
        })?;
        let _underway = self.shared.calls.begin(principal.workload())?;
        let body = read_for_policy(body, LARGEST).await?;
        let body = body.whole().ok_or_else(|| malformed("a proposal has at most 16 KiB"))?;
        let asked: Asked = serde_json::from_slice(body).map_err(|_| {
            malformed("a proposal is a JSON object with the strings \"policy\" and \"reason\"")
        })?;
        if asked.reason.chars().count() > LONGEST_REASON {
            return Err(malformed("the reason of a proposal has at most 500 characters"));
        }
        let policy = Policy::parse("proposal", &asked.policy)
            .map_err(|_| malformed("the policy of a proposal does not parse as a policy file"))?;
        let id = ProposalId::fresh()
            .map_err(|_| Refusal::new(Code::InternalFault, "the operating system gives no random bytes"))?;
        let (by, workload, at) = (principal.workload(), principal.name().clone(), Timestamp::now());
        let proposal = Proposal { id, by, workload, at, policy: policy.to_stored(), reason: asked.reason };
        let kept = proxy.proposals.add(proposal).map_err(|_| {
            let refusal = Refusal::new(Code::RateLimited, "too many proposals wait for an operator");
            refusal.with(|facts| facts.retry_after = Some(60))
        })?;
        if kept == id {
            let by = format!("workload {}", principal.name());
            let entry =
                Entry::Act { at, act: "proposal made".into(), subject: id.to_string(), name: None, by };
            if let Err(error) = proxy.journal.append(&entry) {
                tracing::error!(%error, "a proposal could not be recorded");
                proxy.proposals.take(id);
                return Err(Refusal::new(Code::JournalUnavailable, "the proposal could not be recorded"));
            }
        }
        let document = serde_json::json!({
            "proposal": kept.to_string(),
            "state": "waiting",
            "outcome": format!("/.cloakroom/requests/{kept}"),
            "decide": proxy.page_of_proposal(kept),
        });
        let mut response = own_document(&document);
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }
}
