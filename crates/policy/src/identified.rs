//! Stage 1: who asks, and which placeholders the call carries, wherever they stand.

use crate::allow::{Allowed, Asker};
use crate::authorized::{Authorized, Use};
use crate::decide;
use crate::decide::body::BodyView;
use crate::search::{self, Finding};
use crate::{PolicySet, Spot};
use cloakroom_model::{Call, Code, Principal, Refusal, Timestamp};
use std::fmt;

/// Stage 1: who asks, and which placeholders the call carries (found anywhere in it).
pub struct Identified {
    call: Call,
    principal: Principal,
    findings: Vec<Finding>,
}

impl Identified {
    /// Searches path, query, headers and the head of the body for placeholders, plain or encoded.
    ///
    /// # Errors
    /// `unknown-placeholder` where there is none, or one that is in no row; `wrong-workload` where one belongs to another
    /// workload.
    pub fn new(call: Call, principal: Principal, policies: &PolicySet) -> Result<Self, Refusal> {
        let findings = search::call(&call, policies);
        let asker = Asker { call: &call, principal: &principal, policies };
        if findings.is_empty() {
            return Err(asker.carries_none());
        }
        for core in search::cores(&findings) {
            asker.own(core)?;
        }
        Ok(Self { call, principal, findings })
    }

    /// The call, as it came.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// One permit per placeholder, all or nothing.
    ///
    /// # Errors
    /// `placeholder-pending`, `approval-denied`, `placeholder-revoked`, `placeholder-expired`, `placeholder-spent`; then of the
    /// permit that came closest: `destination-not-permitted`, `call-not-permitted`, `place-not-permitted`,
    /// `body-not-permitted`, `approval-required`, `rate-limited`.
    pub fn authorize(self, policies: &PolicySet, now: Timestamp) -> Result<Authorized, Refusal> {
        let asker = Asker { call: &self.call, principal: &self.principal, policies };
        let allowed = self.choose(&asker, now)?;
        let spots: Vec<&Spot> = allowed.iter().map(|allowed| &allowed.spot).collect();
        if search::strays(&self.call, &self.findings, &spots, policies) {
            return Err(asker.stray(allowed.first()));
        }
        asker.take_rates(&allowed, now)?;
        let uses =
            allowed.iter().map(|allowed| self.use_of(allowed)).collect::<Option<Vec<_>>>().ok_or_else(
                || Refusal::new(Code::InternalFault, "a placeholder that was found is not where it was"),
            )?;
        let known = policies.known_at(self.principal.workload(), &self.call.destination);
        Ok(Authorized::new(self.call, self.principal, uses, known, now))
    }

    /// For each placeholder the permits that allow this call; every one may still lack rate.
    fn choose(&self, asker: &Asker<'_>, now: Timestamp) -> Result<Vec<Allowed>, Refusal> {
        let body = BodyView::new(&self.call);
        let cores = search::cores(&self.findings);
        let allow =
            |core| asker.allow(core, now, |permit, wanted| decide::judge(permit, &self.call, &body, wanted));
        cores.into_iter().map(allow).collect()
    }

    fn use_of(&self, allowed: &Allowed) -> Option<Use> {
        let text = search::text_at(&self.call, &allowed.spot)?;
        Some(Use::new(&allowed.held, &allowed.chosen().permit, text, allowed.spot.clone()))
    }
}

impl fmt::Debug for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identified")
            .field("call", &self.call)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}
