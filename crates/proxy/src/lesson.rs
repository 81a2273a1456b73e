//! A workload in a lesson: each of its calls is refused, and its shape kept for a proposal. Nothing is opened or sent.

use crate::desk::Desk;
use cloakroom_model::{Call, Code, Principal, Refusal, Timestamp, WorkloadId};
use cloakroom_policy::Identified;

/// How much of a body is read to learn from it.
pub(crate) const READ: u64 = 64 << 10;

impl Desk {
    /// Whether the workload is in a lesson.
    pub(crate) fn teaches(&self, workload: WorkloadId) -> bool {
        self.shared.proxy.lessons.is_open(workload, Timestamp::now())
    }

    /// Keeps the shape of a call. The value is its refusal.
    pub(crate) fn learn(&self, call: Call, principal: Principal) -> Refusal {
        let proxy = &self.shared.proxy;
        let policies = proxy.policies.load_full();
        proxy.lessons.observe(principal.workload(), &call, &policies);
        let refusal =
            Refusal::new(Code::CallNotPermitted, "the workload is in a lesson: every call of it is refused")
                .with(|facts| {
                    facts.destination = Some(call.destination.clone());
                    facts.workload = Some(principal.name().clone());
                });
        // SECURITY: a placeholder of somebody else's is told of in a lesson too (T14).
        let found = Identified::new(call, principal, &policies).err();
        found.filter(|found| found.event().is_some()).unwrap_or(refusal)
    }
}
