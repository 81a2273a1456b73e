//! One call through its stages.

use crate::Proxy;
use crate::interims::Interims;
use crate::ledger::CallLedger;
use cloakroom_egress::{Answer, Arm};
use cloakroom_model::{Call, Principal, Refusal, Timestamp};
use cloakroom_policy::Identified;
use cloakroom_store::fault;

impl Proxy {
    /// From a canonical call to a reply without secrets. What comes in between goes to `interims`.
    ///
    /// # Errors
    /// Whatever stage says no.
    pub(crate) async fn serve_call(
        &self,
        call: Call,
        principal: Principal,
        ledger: &CallLedger<'_>,
        interims: &Interims,
    ) -> Result<Answer, Refusal> {
        let policies = self.policies.load_full();
        if call.upgrade.is_some() && !policies.finds_placeholder(&call) {
            // Its placeholder comes in a message, where a permit says so.
            return policies
                .open_channel(call, principal, Timestamp::now())?
                .arm(&self.custody, ledger)
                .await?
                .send(&self.upstream, &mut |interim| interims.push(interim))
                .await?
                .scrub();
        }
        let identified = Identified::new(call, principal, &policies)?;
        let question = identified.question(&policies, Timestamp::now())?;
        let (policies, approval) = match question {
            None => (policies, None),
            Some(question) => {
                let approval = self.ask_a_human(question).await?;
                // What was revoked or changed meanwhile counts.
                (self.policies.load_full(), Some(approval))
            }
        };
        let authorized = identified.authorize_with(&policies, Timestamp::now(), approval.as_ref())?;
        let armed = authorized.arm(&self.custody, ledger).await?;
        fault::point("before-send");
        let returned = armed.send(&self.upstream, &mut |interim| interims.push(interim)).await?;
        fault::point("answered");
        returned.scrub()
    }
}
