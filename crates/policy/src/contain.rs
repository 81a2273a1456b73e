//! Whether everything that one policy allows is allowed by another, at no higher rate and with no fewer questions.
//!
//! Which calls are allowed is compared in `region`. A rate is no set of calls, it is a bucket: one limited permit answers for
//! one permit of the other policy, or two could spend it twice. How to say it to a person is left to `review`.

use crate::Policy;
use crate::permit::Rate;
use crate::region::{self, Outside, Part, Region};
use std::collections::BTreeSet;

/// Whether a policy allows all that another one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// Proved: each call that the other policy allows is allowed here, at no smaller rate and with no more questions.
    Contained,
    /// Not proved: some call is not allowed, or comes more often, or the policies are too interwoven to tell. Who asks has to
    /// take it for wider.
    NotProved,
}

impl Policy {
    /// Whether all that `other` allows is allowed by this policy too.
    pub fn contains(&self, other: &Self) -> Containment {
        let short = region::short(self, other);
        let (outer, inner) = short.as_ref().map_or((self, other), |(outer, inner)| (outer, inner));
        match uncovered(outer, inner).is_empty() {
            true => Containment::Contained,
            false => Containment::NotProved,
        }
    }
}

/// A call of a permit that another policy does not cover.
pub(crate) struct Uncovered<'p> {
    pub(crate) part: Part<'p>,
    /// At least one reason.
    pub(crate) why: Vec<Why>,
}

/// Why it is not covered.
pub(crate) enum Why {
    /// These calls are allowed by no permit of the other policy.
    Wider(Vec<Region>),
    /// The calls are allowed, and may come more often. One of the calls.
    MoreOften(Option<region::Example>),
    /// Too much is interwoven to tell.
    Unknown,
}

/// What of `inner` is not covered by `outer`. The reasons are left out where `uncovered` only asks whether.
pub(crate) fn uncovered<'p>(outer: &Policy, inner: &'p Policy) -> Vec<Part<'p>> {
    walk(outer, inner, |part, _, _| part)
}

/// The same, with the reasons.
pub(crate) fn reasons<'p>(outer: &Policy, inner: &'p Policy) -> Vec<Uncovered<'p>> {
    walk(outer, inner, |part, all, rated| {
        let mut why = Vec::new();
        let wider = match region::outside(part, all) {
            Outside::Regions(regions) => regions,
            Outside::Nothing => Vec::new(),
            Outside::TooMuch => {
                why.push(Why::Unknown);
                Vec::new()
            }
        };
        // What only permits with smaller rates allow is outside of the others, and not outside of all.
        let known = |region: &Region| wider.iter().any(|other| other.rules == region.rules);
        let slower = match region::outside(part, rated) {
            Outside::Regions(regions) if rated.len() < all.len() => {
                regions.into_iter().find(|one| !known(one))
            }
            _ => None,
        };
        let often = slower.map(|region| Why::MoreOften(region.example));
        if !wider.is_empty() {
            why.push(Why::Wider(wider));
        }
        why.extend(often);
        if why.is_empty() {
            why.push(Why::Unknown);
        }
        Uncovered { part, why }
    })
}

/// Looks at each call of each permit; what is not covered is told to `tell`, with all parts of `outer` and those whose rates
/// are enough.
fn walk<'p, T>(
    outer: &Policy,
    inner: &'p Policy,
    tell: impl Fn(Part<'p>, &[Part<'_>], &[Part<'_>]) -> T,
) -> Vec<T> {
    let all: Vec<Part<'_>> = Part::all(outer).collect();
    let unlimited: Vec<Part<'_>> = all.iter().copied().filter(|part| part.permit.rate.is_none()).collect();
    // Limited permits that answer for another one already.
    let mut spoken_for: BTreeSet<&str> = BTreeSet::new();
    let mut told = Vec::new();
    for permit in inner.permits() {
        let free = |part: &Part<'_>| {
            rate_within(permit.rate, part.permit.rate) && !spoken_for.contains(part.permit.name.as_str())
        };
        let rated: Vec<Part<'_>> = all.iter().copied().filter(free).collect();
        let mut used = BTreeSet::new();
        for call in &permit.calls {
            let part = Part { permit, call };
            if region::is_covered(part, &unlimited) {
                continue;
            }
            if rated.len() > unlimited.len() && region::is_covered(part, &rated) {
                let limited = rated.iter().filter(|other| other.permit.rate.is_some() && part.meets(other));
                used.extend(limited.map(|other| other.permit.name.as_str()));
            } else {
                told.push(tell(part, &all, &rated));
            }
        }
        spoken_for.extend(used);
    }
    told
}

/// At most as many at once, and none comes free sooner.
fn rate_within(inner: Option<Rate>, outer: Option<Rate>) -> bool {
    let Some(outer) = outer else { return true };
    inner.is_some_and(|inner| {
        let (own, most) = (u64::from(inner.count), u64::from(outer.count));
        own <= most && own * outer.per.seconds() <= most * inner.per.seconds()
    })
}
