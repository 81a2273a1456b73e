//! Stage 1: who asks, and which placeholders the call carries, wherever they stand.

use crate::allow::{Allowed, Asker};
use crate::authorized::{Authorized, Use};
use crate::class::classify;
use crate::decide::body::BodyView;
use crate::decide::{self, Waits};
use crate::question::{Asked, Unasked};
use crate::search::{self, Finding};
use crate::{Capture, PolicySet, Spot, question};
use cloakroom_model::{Call, CallApproval, Code, Principal, Question, Refusal, Timestamp};
use std::fmt;

/// Stage 1: who asks, and which placeholders the call carries (found anywhere in it).
pub struct Identified {
    call: Call,
    principal: Principal,
    findings: Vec<Finding>,
}

impl Identified {
    /// Searches path, query, headers, the head of the body and the trailers for placeholders, plain or encoded.
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
    /// `placeholder-pending`, `approval-denied`, `placeholder-revoked`, `placeholder-expired`; then of the
    /// permit that came closest: `destination-not-permitted`, `call-not-permitted`, `place-not-permitted`,
    /// `body-not-permitted`, `approval-required`, `rate-limited`.
    pub fn authorize(self, policies: &PolicySet, now: Timestamp) -> Result<Authorized, Refusal> {
        self.authorize_with(policies, now, None)
    }

    /// As [`Identified::authorize`], with what was signed for this very call.
    ///
    /// # Errors
    /// The same; `approval-required` also where the signatures do not verify over this call's text as it is now.
    pub fn authorize_with(
        self,
        policies: &PolicySet,
        now: Timestamp,
        approval: Option<&CallApproval>,
    ) -> Result<Authorized, Refusal> {
        let asker = Asker { call: &self.call, principal: &self.principal, policies };
        let (allowed, waits) = self.settled(&asker, now)?;
        if waits == Waits::Yes {
            // SECURITY: the text is made anew from the call; what the approver saw is what goes out, or nothing does.
            let question = self.ask(&asker, &allowed)?;
            let signed = approval.is_some_and(|it| policies.is_signed(&question, it));
            if !signed {
                return Err(asker.unasked(&allowed));
            }
        }
        asker.take_rates(&allowed, now)?;
        let uses = allowed
            .iter()
            .map(|allowed| self.use_of(allowed))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(lost)?;
        require_one_capture(&uses).map_err(|refusal| asker.about(refusal))?;
        let known = policies.known_at(self.principal.workload(), &self.call.destination);
        Ok(Authorized::new(self.call, self.principal, uses, known, now))
    }

    /// What a human has to be asked about this call; `None`: nothing. The call is judged by everything but its rate.
    ///
    /// # Errors
    /// As [`Identified::authorize`]; `body-not-permitted` where the body is too large to be shown.
    pub fn question(&self, policies: &PolicySet, now: Timestamp) -> Result<Option<Question>, Refusal> {
        let asker = Asker { call: &self.call, principal: &self.principal, policies };
        if !asker.may_wait(&search::cores(&self.findings)) {
            return Ok(None);
        }
        let (allowed, waits) = self.settled(&asker, now)?;
        match waits {
            Waits::No => Ok(None),
            Waits::Yes => self.ask(&asker, &allowed).map(Some),
        }
    }

    fn ask(&self, asker: &Asker<'_>, allowed: &[Allowed]) -> Result<Question, Refusal> {
        let too_large = || {
            let reason = "a human is asked about each such call, and the body is too large to be shown";
            asker.about(Refusal::new(Code::BodyNotPermitted, reason))
        };
        let body = self.call.body.whole().ok_or_else(too_large)?;
        let used = |allowed: &Allowed| Some((self.use_of(allowed)?, allowed.held.credential_name.clone()));
        let uses = allowed.iter().map(used).collect::<Option<Vec<_>>>().ok_or_else(lost)?;
        let credentials = allowed.iter().filter_map(|allowed| allowed.held.stands_for());
        let needed = asker.policies.needed(&self.call.destination, credentials);
        let terms = allowed.first().map(|allowed| &allowed.chosen().permit.terms).ok_or_else(lost)?;
        let class = classify(&self.call, &BodyView::new(&self.call), terms);
        let asked = Asked { call: &self.call, body, principal: &self.principal, class };
        question::about(&asked, &uses, needed).map_err(|why| match why {
            Unasked::TooLong => too_large(),
            Unasked::Nothing => lost(),
        })
    }

    /// The permits that allow this call, with no placeholder beside their places, and whether a human has to be asked.
    fn settled(&self, asker: &Asker<'_>, now: Timestamp) -> Result<(Vec<Allowed>, Waits), Refusal> {
        let mut allowed =
            self.choose(asker, now).map_err(|refusal| asker.marked_if_misplaced(refusal, &self.findings))?;
        let spots: Vec<&Spot> = allowed.iter().map(|allowed| &allowed.spot).collect();
        if search::strays(&self.call, &self.findings, &spots, asker.policies).next().is_some() {
            return Err(asker.stray(allowed.first()));
        }
        let waiting = allowed.iter_mut().filter_map(|one| (one.settle() == Waits::Yes).then_some(())).count();
        Ok((allowed, if waiting == 0 { Waits::No } else { Waits::Yes }))
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
        Some(Use::new(&allowed.held, allowed.chosen(), text, allowed.spot.clone()))
    }
}

/// What a reply grants belongs to one placeholder, and where a permit leaves it to another one, that one is there.
fn require_one_capture(uses: &[Use]) -> Result<(), Refusal> {
    let count =
        |captures: fn(&Capture) -> bool| uses.iter().filter_map(Use::capture).filter(captures).count();
    let reason = match (count(|it| *it != Capture::Beside), count(|it| *it == Capture::Beside)) {
        (0, 0) | (1, _) => return Ok(()),
        (0, _) => {
            "the permit allows this call only beside a placeholder whose permit captures the tokens in the reply"
        }
        _ => {
            "the permits of two placeholders capture the tokens in the reply: one has to say capture = \"beside\""
        }
    };
    Err(Refusal::new(Code::CallNotPermitted, reason))
}

fn lost() -> Refusal {
    Refusal::new(Code::InternalFault, "a placeholder that was found is not where it was")
}

impl fmt::Debug for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identified")
            .field("call", &self.call)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}
