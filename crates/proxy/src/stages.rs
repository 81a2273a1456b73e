//! One call through its stages.

use crate::Proxy;
use crate::interims::Interims;
use crate::ledger::CallLedger;
use cloakroom_egress::{Answer, Arm};
use cloakroom_model::{Call, Principal, Refusal, Timestamp};
use cloakroom_policy::Identified;

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
        Identified::new(call, principal, &policies)?
            .authorize(&policies, Timestamp::now())?
            .arm(&self.custody, ledger)
            .await?
            .send(&self.upstream, &mut |interim| interims.push(interim))
            .await?
            .scrub()
    }
}
