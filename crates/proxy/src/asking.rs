//! A call that a human is asked about: parked, held for a while, let go once.

use crate::Proxy;
use crate::ledger::spent;
use cloakroom_model::{ApprovalId, CallApproval, Code, Question, Refusal, Timestamp};
use cloakroom_store::Told;
use cloakroom_store::journal::Entry;
use std::time::Instant;
use tokio::time::timeout_at;

/// After how many seconds a call that waits may be repeated.
const AGAIN: u32 = 5;

impl Proxy {
    /// What was signed for this call. Nothing is spent or opened before.
    ///
    /// # Errors
    /// `approval-required` where nobody decides while the call is held; `approval-denied`; `rate-limited` where too many
    /// calls wait; `journal-unavailable`.
    pub(crate) async fn ask_a_human(&self, question: Question) -> Result<CallApproval, Refusal> {
        self.require_uses(&question)?;
        let until = tokio::time::Instant::now() + self.hold;
        let mut decisions = self.parking.decisions();
        loop {
            // Before the look: a decision in between is seen by the wait.
            decisions.mark_unchanged();
            let id = match self.ask_once(&question)? {
                Told::Granted(approval) => return Ok(approval),
                Told::Denied(id) => {
                    return Err(about(Code::ApprovalDenied, "an approver denied this call", id));
                }
                Told::Parked(id) | Told::Waiting(id) => id,
            };
            if timeout_at(until, decisions.changed()).await.is_err() {
                let refusal = about(Code::ApprovalRequired, "this call waits for a human", id);
                return Err(refusal.with(|facts| {
                    facts.retry_after = Some(AGAIN);
                    facts.decide = Some(self.page_of_approval(id));
                }));
            }
        }
    }

    /// Nobody is asked about a call that could not be made.
    fn require_uses(&self, question: &Question) -> Result<(), Refusal> {
        let gone = question.placeholders.iter().find(|placeholder| !self.uses.has_left(**placeholder));
        gone.map_or(Ok(()), |placeholder| Err(spent(*placeholder)))
    }

    fn ask_once(&self, question: &Question) -> Result<Told, Refusal> {
        let fresh = ApprovalId::fresh()
            .map_err(|_| Refusal::new(Code::InternalFault, "the operating system gives no random bytes"))?;
        let told = self.parking.ask(question, fresh, Instant::now()).map_err(|_full| {
            let refusal = Refusal::new(Code::RateLimited, "too many calls wait for a human");
            refusal.with(|facts| facts.retry_after = Some(AGAIN))
        })?;
        if let Told::Parked(id) = &told {
            let entry = Entry::Act {
                at: Timestamp::now(),
                act: "call parked".into(),
                subject: id.to_string(),
                name: Some(question.credential.clone()),
                by: format!("workload {}", question.workload),
            };
            if let Err(error) = self.journal.append(&entry) {
                tracing::error!(%error, "a parked call could not be recorded");
                return Err(Refusal::new(Code::JournalUnavailable, "the parked call could not be recorded"));
            }
        }
        Ok(told)
    }
}

fn about(code: Code, reason: &'static str, id: ApprovalId) -> Refusal {
    Refusal::new(code, reason).with(|facts| facts.approval = Some(id))
}
