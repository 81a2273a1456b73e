//! Stage 1: who asks, and which placeholders the call carries, wherever they stand.

use crate::authorized::{Authorized, Use};
use crate::decide::body::BodyView;
use crate::decide::place::Wanted;
use crate::decide::{self, Mismatch, Stage};
use crate::search::{self, Finding};
use crate::set::{Compiled, Held};
use crate::{PolicySet, Spot};
use cloakroom_model::{Call, Code, CoreId, HeaderForm, Place, Principal, Refusal, Severity, Timestamp};
use http::header::AUTHORIZATION;
use std::fmt;
use std::sync::Arc;

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
        let about = |refusal: Refusal| about_call(refusal, &call, &principal);
        if findings.is_empty() {
            let challenge = wants_basic(&call, &principal, policies);
            let refusal = Refusal::new(Code::UnknownPlaceholder, "the call carries no placeholder");
            return Err(about(refusal).with(|facts| facts.challenge = challenge));
        }
        for core in search::cores(&findings) {
            match policies.held(core) {
                None => {
                    let reason = "the call carries a placeholder that is in no row of this broker";
                    return Err(about(
                        Refusal::new(Code::UnknownPlaceholder, reason).as_event(Severity::Notice),
                    ));
                }
                Some(held) if held.workload != principal.workload() => {
                    let reason = "the placeholder was issued to another workload";
                    let refusal = Refusal::new(Code::WrongWorkload, reason).as_event(Severity::Warning);
                    return Err(about(refusal).with(|facts| facts.placeholder = Some(held.id)));
                }
                Some(_) => {}
            }
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
        let allowed = self.choose(policies, now)?;
        let spots: Vec<&Spot> = allowed.iter().map(|allowed| &allowed.spot).collect();
        if search::strays(&self.call, &self.findings, &spots, policies) {
            let reason = "a placeholder stands outside the place that its permit names";
            let refusal = Refusal::new(Code::PlaceNotPermitted, reason).as_event(Severity::Warning);
            let place = allowed.first().map(|allowed| allowed.chosen().permit.place.to_string());
            let refusal = about_call(refusal, &self.call, &self.principal).with(|facts| {
                facts.rule = place;
                facts.placeholder = allowed.first().map(|allowed| allowed.held.id);
            });
            return Err(refusal);
        }
        self.take_rates(&allowed, now)?;
        let uses =
            allowed.iter().map(|allowed| self.use_of(allowed)).collect::<Option<Vec<_>>>().ok_or_else(
                || Refusal::new(Code::InternalFault, "a placeholder that was found is not where it was"),
            )?;
        let known = policies.known_at(self.principal.workload(), &self.call.destination);
        Ok(Authorized::new(self.call, self.principal, uses, known, now))
    }

    /// For each placeholder the permits that allow this call; every one may still lack rate.
    fn choose(&self, policies: &PolicySet, now: Timestamp) -> Result<Vec<Allowed>, Refusal> {
        let body = BodyView::new(&self.call);
        let cores = search::cores(&self.findings);
        cores.into_iter().map(|core| self.allow(core, policies, &body, now)).collect()
    }

    fn allow(
        &self,
        core: CoreId,
        policies: &PolicySet,
        body: &BodyView<'_>,
        now: Timestamp,
    ) -> Result<Allowed, Refusal> {
        let gone = || Refusal::new(Code::UnknownPlaceholder, "the placeholder is in no row any more");
        let held = policies.held(core).ok_or_else(gone)?;
        let about = |refusal| about_held(about_call(refusal, &self.call, &self.principal), held);
        if held.workload != self.principal.workload() {
            let refusal = Refusal::new(Code::WrongWorkload, "the placeholder was issued to another workload");
            return Err(about(refusal.as_event(Severity::Warning)));
        }
        let permits = held.permits_at(now).map_err(about)?;
        let wanted = Wanted { key: policies.lookup_key(), text: held.text };
        let mut closest: Option<(Mismatch, &Compiled)> = None;
        let mut options = Vec::new();
        for (index, compiled) in permits.iter().enumerate() {
            match decide::judge(&compiled.permit, &self.call, body, &wanted) {
                Ok(spot) => options.push((index, spot)),
                Err(mismatch) if closest.as_ref().is_none_or(|(other, _)| mismatch.stage > other.stage) => {
                    closest = Some((mismatch, compiled));
                }
                Err(_) => {}
            }
        }
        // Permits with the same place agree on the spot; the first option decides it for all.
        let Some(spot) = options.first().map(|(_, spot)| spot.clone()) else {
            return Err(about(refusal_of(closest)));
        };
        let options: Vec<usize> =
            options.into_iter().filter(|(_, s)| *s == spot).map(|(index, _)| index).collect();
        Ok(Allowed { held: Arc::clone(held), chosen: std::cell::Cell::new(options[0]), options, spot })
    }

    /// The last check: takes one call from a permit of each placeholder, or from none.
    fn take_rates(&self, allowed: &[Allowed], now: Timestamp) -> Result<(), Refusal> {
        let mut taken: Vec<&Compiled> = Vec::new();
        for allowed in allowed {
            match allowed.take(now) {
                Ok(compiled) => taken.push(compiled),
                Err(mismatch) => {
                    taken
                        .iter()
                        .filter_map(|compiled| compiled.limit.as_ref())
                        .for_each(|limit| limit.give_back());
                    let refusal = refusal_of(Some((mismatch, allowed.chosen())));
                    return Err(about_held(about_call(refusal, &self.call, &self.principal), &allowed.held));
                }
            }
        }
        Ok(())
    }

    fn use_of(&self, allowed: &Allowed) -> Option<Use> {
        let text = search::text_at(&self.call, &allowed.spot)?;
        Some(Use::new(&allowed.held, &allowed.chosen().permit, text, allowed.spot.clone()))
    }
}

/// A placeholder with the permits that allow the call, in canonical order.
struct Allowed {
    held: Arc<Held>,
    options: Vec<usize>,
    chosen: std::cell::Cell<usize>,
    spot: Spot,
}

impl Allowed {
    fn chosen(&self) -> &Compiled {
        &self.held.permits()[self.chosen.get()]
    }

    /// Takes one call from the first permit that has one left.
    fn take(&self, now: Timestamp) -> Result<&Compiled, Mismatch> {
        let mut shortest: Option<u32> = None;
        for index in &self.options {
            self.chosen.set(*index);
            match self.chosen().limit.as_ref().map_or(Ok(()), |limit| limit.take(now)) {
                Ok(()) => return Ok(self.chosen()),
                Err(seconds) => shortest = Some(shortest.map_or(seconds, |s| s.min(seconds))),
            }
        }
        let rule = self.chosen().permit.rate.map(|rate| format!("rate {rate}"));
        let spent = Mismatch::new(Stage::Rate, "the permit's rate is used up");
        Err(Mismatch { rule, retry_after: shortest, ..spent })
    }
}

/// Whether a permit for this call wants a Basic credential that the call does not carry: git and others send it only
/// after a 401 challenge.
fn wants_basic(call: &Call, principal: &Principal, policies: &PolicySet) -> bool {
    let basic = |place: &Place| matches!(place, Place::Header(name, HeaderForm::BasicUser | HeaderForm::BasicPassword) if name == AUTHORIZATION);
    !call.headers.contains_key(AUTHORIZATION)
        && policies.permits_at(principal.workload(), &call.destination).any(|compiled| {
            basic(&compiled.permit.place) && decide::shape::check(&compiled.permit, call).is_ok()
        })
}

fn refusal_of(closest: Option<(Mismatch, &Compiled)>) -> Refusal {
    let Some((mismatch, compiled)) = closest else {
        return Refusal::new(Code::DestinationNotPermitted, "the placeholder has no permit")
            .as_event(Severity::Warning);
    };
    let refusal = Refusal::new(mismatch.stage.code(), mismatch.reason).with(|facts| {
        facts.rule = mismatch.rule;
        facts.retry_after = mismatch.retry_after;
        // A permit for another destination explains nothing about this one.
        facts.permit = (mismatch.stage > Stage::Destination).then(|| compiled.permit.name.clone());
    });
    match mismatch.stage {
        Stage::Destination | Stage::Place => refusal.as_event(Severity::Warning),
        _ => refusal,
    }
}

fn about_call(refusal: Refusal, call: &Call, principal: &Principal) -> Refusal {
    refusal.with(|facts| {
        facts.destination = Some(call.destination.clone());
        facts.workload = Some(principal.name().clone());
    })
}

fn about_held(refusal: Refusal, held: &Held) -> Refusal {
    refusal.with(|facts| {
        facts.credential = held.credential_name.clone();
        facts.placeholder = Some(held.id);
    })
}

impl fmt::Debug for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identified")
            .field("call", &self.call)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}
