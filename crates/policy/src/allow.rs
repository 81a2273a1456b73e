//! Which permits of a placeholder allow what is asked, and taking one call from the first that has one left.

use crate::PolicySet;
use crate::Spot;
use crate::decide::place::Wanted;
use crate::decide::{Judged, Mismatch, Stage, Waits, shape};
use crate::permit::{Approve, Permit};
use crate::search;
use crate::set::{Compiled, Held};
use cloakroom_model::{Call, Code, CoreId, EventKind, HeaderForm, Place, Principal, Refusal, Timestamp};
use http::header::AUTHORIZATION;
use std::sync::Arc;

/// Who asks, for which call, and what is in force.
pub(crate) struct Asker<'a> {
    pub(crate) call: &'a Call,
    pub(crate) principal: &'a Principal,
    pub(crate) policies: &'a PolicySet,
}

/// The permit allows the call for another token than the one that the placeholder stands for.
const ANOTHER_TOKEN: &str = "the permit is for another credential or token of this policy";

impl Asker<'_> {
    /// The placeholder of this core, where it was issued to this workload and the workload shows what its holder must.
    pub(crate) fn own(&self, core: CoreId) -> Result<Arc<Held>, Refusal> {
        let Some(held) = self.policies.held(core) else {
            let reason = "the call carries a placeholder that is in no row of this broker";
            return Err(
                self.about(Refusal::new(Code::UnknownPlaceholder, reason).as_event(EventKind::NotInRows))
            );
        };
        held.require_holder(self.principal).map_err(|refusal| self.about(refusal))?;
        Ok(held)
    }

    /// The permits of a placeholder that this judgement finds to allow the call; every one may still lack rate.
    pub(crate) fn allow(
        &self,
        core: CoreId,
        now: Timestamp,
        judge: impl Fn(&Permit, &Wanted<'_>) -> Result<Judged, Mismatch>,
    ) -> Result<Allowed, Refusal> {
        let held = self.own(core)?;
        let permits = held.permits_at(now).map_err(|refusal| self.about_held(as_seen(refusal), &held))?;
        let wanted = Wanted { key: self.policies.lookup_key(), text: held.text };
        let mut closest = Closest::default();
        let mut options: Vec<(usize, Judged)> = Vec::new();
        for (index, compiled) in permits.iter().enumerate() {
            match judge(&compiled.permit, &wanted) {
                // SECURITY: a credential does not go where a permit lets only a token made of it go, nor the other way round.
                Ok(_) if compiled.permit.tokens.presents != held.token() => {
                    closest.see(Mismatch::new(Stage::Place, ANOTHER_TOKEN), compiled);
                }
                Ok(judged) => options.push((index, judged)),
                Err(mismatch) => closest.see(mismatch, compiled),
            }
        }
        // Permits with the same place agree on the spot; the first option decides it for all.
        let Some(spot) = options.first().map(|(_, judged)| judged.spot.clone()) else {
            return Err(self.about_held(closest.into_refusal(), &held));
        };
        let options: Vec<(usize, Waits)> = options
            .into_iter()
            .filter(|(_, judged)| judged.spot == spot)
            .map(|(index, judged)| (index, judged.waits))
            .collect();
        drop(closest);
        Ok(Allowed { chosen: std::cell::Cell::new(options[0].0), options, spot, held })
    }

    /// The last check: takes one call from a permit of each placeholder, or from none.
    pub(crate) fn take_rates(&self, allowed: &[Allowed], now: Timestamp) -> Result<(), Refusal> {
        let mut taken: Vec<&Compiled> = Vec::new();
        for allowed in allowed {
            match allowed.take(now) {
                Ok(compiled) => taken.push(compiled),
                Err(mismatch) => {
                    let limits = taken.iter().filter_map(|compiled| compiled.limit.as_ref());
                    limits.for_each(|limit| limit.give_back());
                    let refusal = refusal_of(mismatch, allowed.chosen());
                    return Err(self.about_held(refusal, &allowed.held));
                }
            }
        }
        Ok(())
    }

    /// Whether any permit of these placeholders wants a human for calls. Most calls end the question here.
    pub(crate) fn may_wait(&self, cores: &[CoreId]) -> bool {
        let waits = |compiled: &Compiled| compiled.permit.approve != Approve::Once;
        cores
            .iter()
            .any(|core| self.policies.held(*core).is_some_and(|held| held.permits().iter().any(waits)))
    }

    /// A call that a human has to be asked about, and was not.
    pub(crate) fn unasked(&self, allowed: &[Allowed]) -> Refusal {
        let reason = "this permit needs a human's approval of each call";
        let refusal = Refusal::new(Code::ApprovalRequired, reason);
        let waiting = allowed.iter().find(|one| one.chosen().permit.approve != Approve::Once);
        match waiting {
            Some(one) => self.about_held(refusal, &one.held).with(|facts| {
                facts.permit = Some(one.chosen().permit.name.clone());
            }),
            None => self.about(refusal),
        }
    }

    /// A call or message that carries no placeholder, and has to.
    pub(crate) fn carries_none(&self) -> Refusal {
        if let Some(held) =
            search::altered(self.call, self.policies).and_then(|core| self.policies.held(core))
        {
            let reason = "the call carries the beginning of a placeholder with another end";
            let refusal = Refusal::new(Code::UnknownPlaceholder, reason).as_event(EventKind::Altered);
            return self.about(refusal).with(|facts| facts.placeholder = Some(held.id));
        }
        let refusal = Refusal::new(Code::UnknownPlaceholder, "the call carries no placeholder");
        self.about(refusal).with(|facts| facts.challenge = self.wants_basic())
    }

    /// A placeholder of this workload where no permit wants one. `allowed`: the one that stands where it should.
    pub(crate) fn stray(&self, allowed: Option<&Allowed>) -> Refusal {
        let reason = "a placeholder stands outside the place that its permit names";
        let refusal = Refusal::new(Code::PlaceNotPermitted, reason).as_event(EventKind::WrongPlace);
        self.about(refusal).with(|facts| {
            facts.rule = allowed.map(|allowed| allowed.chosen().permit.place.to_string());
            facts.placeholder = allowed.map(|allowed| allowed.held.id);
        })
    }

    /// Whether a permit for this call wants a Basic credential that the call does not carry: git and others send it only
    /// after a 401 challenge.
    fn wants_basic(&self) -> bool {
        let basic = |place: &Place| matches!(place, Place::Header(name, HeaderForm::BasicUser | HeaderForm::BasicPassword) if name == AUTHORIZATION);
        !self.call.headers.contains_key(AUTHORIZATION)
            && self.policies.permits_at(self.principal.workload(), &self.call.destination).any(
                |(_, compiled)| {
                    basic(&compiled.permit.place) && shape::check(&compiled.permit, self.call).is_ok()
                },
            )
    }

    pub(crate) fn about(&self, refusal: Refusal) -> Refusal {
        refusal.with(|facts| {
            facts.destination = Some(self.call.destination.clone());
            facts.workload = Some(self.principal.name().clone());
        })
    }

    pub(crate) fn about_held(&self, refusal: Refusal, held: &Held) -> Refusal {
        self.about(refusal).with(|facts| {
            facts.credential = held.credential_name.clone();
            facts.placeholder = Some(held.id);
        })
    }
}

/// A placeholder with the permits that allow the call, in canonical order.
pub(crate) struct Allowed {
    pub(crate) held: Arc<Held>,
    options: Vec<(usize, Waits)>,
    chosen: std::cell::Cell<usize>,
    pub(crate) spot: Spot,
}

impl Allowed {
    pub(crate) fn chosen(&self) -> &Compiled {
        &self.held.permits()[self.chosen.get()]
    }

    /// Whether every permit that allows the call wants a human for it. Where one does not, the others are left out: nobody
    /// is asked about what is allowed anyway.
    pub(crate) fn settle(&mut self) -> Waits {
        let free = |(_, waits): &(usize, Waits)| *waits == Waits::No;
        if !self.options.iter().any(free) {
            return Waits::Yes;
        }
        self.options.retain(free);
        self.chosen.set(self.options[0].0);
        Waits::No
    }

    /// Takes one call from the first permit that has one left.
    fn take(&self, now: Timestamp) -> Result<&Compiled, Mismatch> {
        let mut shortest: Option<u32> = None;
        for (index, _) in &self.options {
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

/// The permit that came closest to allowing the call: it explains the refusal best.
#[derive(Default)]
pub(crate) struct Closest<'a>(Option<(Mismatch, &'a Compiled)>);

impl<'a> Closest<'a> {
    pub(crate) fn see(&mut self, mismatch: Mismatch, compiled: &'a Compiled) {
        if self.0.as_ref().is_none_or(|(other, _)| mismatch.stage > other.stage) {
            self.0 = Some((mismatch, compiled));
        }
    }

    pub(crate) fn into_refusal(self) -> Refusal {
        match self.0 {
            Some((mismatch, compiled)) => refusal_of(mismatch, compiled),
            None => Refusal::new(Code::DestinationNotPermitted, "the placeholder has no permit")
                .as_event(EventKind::WrongDestination),
        }
    }
}

/// A placeholder was seen in the call: that it is revoked is then more than the state of a row.
fn as_seen(refusal: Refusal) -> Refusal {
    match refusal.code() {
        Code::PlaceholderRevoked => refusal.as_event(EventKind::RevokedUsed),
        _ => refusal,
    }
}

fn refusal_of(mismatch: Mismatch, compiled: &Compiled) -> Refusal {
    let refusal = Refusal::new(mismatch.stage.code(), mismatch.reason).with(|facts| {
        facts.rule = mismatch.rule;
        facts.retry_after = mismatch.retry_after;
        // A permit for another destination explains nothing about this one.
        facts.permit = (mismatch.stage > Stage::Destination).then(|| compiled.permit.name.clone());
    });
    match mismatch.stage {
        Stage::Destination => refusal.as_event(EventKind::WrongDestination),
        Stage::Place => refusal.as_event(EventKind::WrongPlace),
        _ => refusal,
    }
}
