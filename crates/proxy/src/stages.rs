//! One call through its stages.

use crate::Proxy;
use crate::calls::Underway;
use crate::interims::Interims;
use crate::ledger::CallLedger;
use crate::repeats::{Kept, Met, Ticket};
use cloakroom_egress::{Answer, Arm};
use cloakroom_model::{Call, Principal, Refusal, Step, Timestamp};
use cloakroom_policy::{Authorized, Identified, PolicySet};
use cloakroom_store::fault;
use std::sync::Arc;

impl Proxy {
    /// From a canonical call to a reply without secrets. What comes in between goes to `interims`; `underway` is what counts it.
    ///
    /// # Errors
    /// Whatever stage says no.
    pub(crate) async fn serve_call(
        &self,
        call: Call,
        principal: Principal,
        ledger: &CallLedger<'_>,
        interims: &Interims,
        underway: Option<Arc<Underway>>,
    ) -> Result<Came, Refusal> {
        self.locks.hold(Timestamp::now())?;
        let policies = self.policies.load_full();
        if call.upgrade.is_some() && !policies.finds_placeholder(&call) {
            return Box::pin(self.open_channel(call, principal, &policies, ledger, interims)).await;
        }
        let authorized = self.authorize(call, principal, &policies, ledger).await;
        ledger.lap(Step::Authorize);
        let authorized = authorized?;
        let met = match authorized.repeatable() {
            Some(repeatable) => Box::pin(ledger.meet(repeatable, authorized.intent())).await?,
            None => Met::Fresh,
        };
        let ticket = match met {
            Met::Answered(kept) => return Ok(Came::Kept(kept)),
            Met::Fresh => None,
            Met::First(ticket) | Met::Again(ticket, _) => Some(ticket),
        };
        let armed = authorized.arm(&self.custody, ledger).await;
        ledger.lap(Step::Arm);
        let armed = armed?.holding(underway);
        ticket.iter().for_each(Ticket::is_spent);
        fault::point("before-send");
        let sent = armed.send(&self.upstream, &mut |interim| interims.push(interim)).await;
        ledger.lap(Step::Send);
        let returned = sent.inspect_err(|refusal| {
            // Its use is given back: none is left that a repeat could go out under.
            ticket.iter().filter(|_| refusal.is_unsent()).for_each(Ticket::is_returned);
        })?;
        fault::point("answered");
        Ok(Came::Answer(returned.scrub()?, ticket))
    }

    /// The permits that allow a call; where one wants it, a human is asked first.
    async fn authorize(
        &self,
        call: Call,
        principal: Principal,
        policies: &PolicySet,
        ledger: &CallLedger<'_>,
    ) -> Result<Authorized, Refusal> {
        let now = Timestamp::now();
        let identified = Identified::new(call, principal, policies)?;
        let Some(question) = identified.question(policies, now)? else {
            return identified.authorize(policies, now);
        };
        ledger.lap(Step::Authorize);
        let asked = Box::pin(self.ask_a_human(question)).await;
        ledger.lap(Step::Approve);
        let approval = asked?;
        // What was revoked or changed meanwhile counts.
        self.locks.hold(Timestamp::now())?;
        let policies = self.policies.load_full();
        identified.authorize_with(&policies, Timestamp::now(), Some(&approval))
    }

    /// A WebSocket whose placeholder comes in a message, where a permit says so.
    async fn open_channel(
        &self,
        call: Call,
        principal: Principal,
        policies: &PolicySet,
        ledger: &CallLedger<'_>,
        interims: &Interims,
    ) -> Result<Came, Refusal> {
        let authorized = policies.open_channel(call, principal, Timestamp::now());
        ledger.lap(Step::Authorize);
        let armed = authorized?.arm(&self.custody, ledger).await;
        ledger.lap(Step::Arm);
        let sent = armed?.send(&self.upstream, &mut |interim| interims.push(interim)).await;
        ledger.lap(Step::Send);
        sent?.scrub().map(|answer| Came::Answer(answer, None))
    }
}

/// What came of a call.
pub(crate) enum Came {
    /// The destination's reply; with it what is remembered of the request.
    Answer(Answer, Option<Ticket>),
    /// A reply that was kept.
    Kept(Arc<Kept>),
}
