//! Whether everything that one policy allows is allowed by another: proved, or not proved.
//!
//! Paths are decided exactly over the union of all templates that may answer for a call. Of everything else that a permit says, one permit of
//! the other policy has to be as wide; a call that only several together cover is "not proved". How to say it to a person is
//! left to `review`.

use crate::Policy;
use crate::class::Terms;
use crate::constraint::{Constraint, Given, Scalar, ValueType};
use crate::permit::{Approve, BodyRule, FieldRule, Permit, RangeRule, Rate};
use crate::template::{Shape, Template};
use cloakroom_model::Place;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a policy allows all that another one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// Proved: each call that the other policy allows is allowed here, at no smaller rate and with no more questions.
    Contained,
    /// Not proved. It may be contained all the same; who asks has to take it for wider.
    NotProved,
}

impl Policy {
    /// Whether all that `other` allows is allowed by this policy too.
    pub fn contains(&self, other: &Self) -> Containment {
        match outside(self, other).is_empty() {
            true => Containment::Contained,
            false => Containment::NotProved,
        }
    }
}

/// The calls of `inner` that `outer` is not proved to allow, each with its permit.
pub(crate) fn outside<'p>(outer: &Policy, inner: &'p Policy) -> Vec<(&'p Permit, &'p Template)> {
    // A permit has one bucket of rate. Were it to answer for two permits, they could spend it twice.
    let mut spoken_for = BTreeSet::new();
    let mut left = Vec::new();
    for permit in inner.permits() {
        let wide = outer.permits().iter().enumerate().filter(|(_, other)| rules_within(permit, other));
        let wide: Vec<(usize, &Permit)> = wide.filter(|(index, _)| !spoken_for.contains(index)).collect();
        let before = left.len();
        left.extend(
            permit.calls.iter().filter(|call| !covered(permit, call, &wide)).map(|call| (permit, call)),
        );
        if left.len() - before < permit.calls.len() {
            let rated = wide.iter().filter(|(_, other)| other.rate.is_some());
            spoken_for.extend(rated.map(|(index, _)| *index));
        }
    }
    left
}

/// Whether each path of the call is matched by a call of one of these permits.
fn covered(permit: &Permit, call: &Template, wide: &[(usize, &Permit)]) -> bool {
    let templates: Vec<&Template> = wide.iter().flat_map(|(_, other)| &other.calls).collect();
    // The place is a parameter by name, and the name belongs to the template: only the same template has the same place.
    if matches!(permit.place, Place::Path(_)) {
        return templates.contains(&call);
    }
    let longest = templates.iter().map(|template| template.length()).max().unwrap_or(0);
    let of_method: Vec<&Template> =
        templates.into_iter().filter(|template| template.method() == call.method()).collect();
    call.shapes(longest)
        .iter()
        .all(|shape: &Shape<'_>| of_method.iter().any(|other| other.matches_shape(shape)))
}

/// Whether all rules but the calls of `inner` are at least as narrow as those of `outer`. Both are taken apart by name, so that a
/// forgotten field does not compile.
fn rules_within(inner: &Permit, outer: &Permit) -> bool {
    let Permit {
        name: _,
        to,
        calls: _,
        place,
        query,
        headers,
        body,
        rate,
        approve,
        range,
        upgrade,
        messages,
        terms: _,
        repeats,
    } = inner;
    *to == outer.to
        && *place == outer.place
        && *upgrade == outer.upgrade
        && messages <= &outer.messages
        && fields_within(query, Listed::Only, &outer.query, Listed::Only)
        && named_within(headers, &outer.headers)
        && body_within(body, &outer.body)
        && rate_within(*rate, outer.rate)
        && asks_as_much(*approve, outer.approve)
        && classes_within(inner, outer)
        && repeats.within(outer.repeats)
        && (outer.range == RangeRule::Pass || *range == outer.range)
}

/// Whether each call that waits by `outer` waits by `inner` too, where both classify alike.
fn asks_as_much(inner: Approve, outer: Approve) -> bool {
    match (inner, outer) {
        (_, Approve::Once) | (Approve::EachCall, _) | (Approve::Writes, Approve::Writes) => true,
        (Approve::Once | Approve::Writes, _) => false,
    }
}

/// Whether each call that `outer` refuses for its class, or for signals that disagree, is refused by `inner` too. Lists that differ
/// make other calls disagree, so they have to be the same.
fn classes_within(inner: &Permit, outer: &Permit) -> bool {
    let Terms { speaks, reads, writes, refuse } = &outer.terms;
    let own = &inner.terms;
    let alike = own.speaks == *speaks && own.reads == *reads && own.writes == *writes;
    !outer.is_classified() || (inner.is_classified() && alike && (refuse.is_none() || own.refuse == *refuse))
}

/// Whether other names than the listed ones may occur.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Only,
    AndOthers,
}

fn listed(closed: bool) -> Listed {
    if closed { Listed::Only } else { Listed::AndOthers }
}

fn fields_within(
    inner: &BTreeMap<String, FieldRule>,
    inner_listed: Listed,
    outer: &BTreeMap<String, FieldRule>,
    outer_listed: Listed,
) -> bool {
    let known = inner.iter().all(|(key, rule)| match outer.get(key) {
        Some(wider) => {
            (wider.repeat || !rule.repeat) && constraint_within(&rule.constraint, &wider.constraint)
        }
        // A name that is not listed may occur once, with any value; `_method` never.
        None => outer_listed == Listed::AndOthers && !rule.repeat && !names_method(key),
    });
    let missing = outer.iter().all(|(key, wider)| {
        inner.contains_key(key)
            || (!wider.constraint.required && (inner_listed == Listed::Only || wider.constraint.is_free()))
    });
    known && missing && (outer_listed == Listed::AndOthers || inner_listed == Listed::Only)
}

/// What `outer` constrains, `inner` constrains as narrowly; more constraints only narrow.
fn named_within(inner: &BTreeMap<String, Constraint>, outer: &BTreeMap<String, Constraint>) -> bool {
    outer.iter().all(|(name, wider)| inner.get(name).is_some_and(|own| constraint_within(own, wider)))
}

fn body_within(inner: &BodyRule, outer: &BodyRule) -> bool {
    match (inner, outer) {
        (BodyRule::None, BodyRule::None | BodyRule::Any { .. }) => true,
        (BodyRule::Any { max_bytes: own }, BodyRule::Any { max_bytes: wider }) => at_most(*own, *wider),
        (BodyRule::Form { max_bytes, fields, .. }, BodyRule::Any { max_bytes: wider }) => {
            at_most(Some(*max_bytes), *wider) && !fields.keys().any(|key| names_method(key))
        }
        (
            BodyRule::Form { max_bytes, closed, fields },
            BodyRule::Form { max_bytes: most, closed: outer_closed, fields: wider },
        ) => max_bytes <= most && fields_within(fields, listed(*closed), wider, listed(*outer_closed)),
        (
            BodyRule::Json { max_bytes, only, fields },
            BodyRule::Json { max_bytes: most, only: outer_only, fields: wider },
        ) => {
            // A list of pointers closes a body member by member, down to each parent: only the same list closes the same.
            let same_names = fields.keys().eq(wider.keys());
            let names = if *outer_only || *only { *only && same_names } else { true };
            let no_method = fields.keys().all(|key| !names_method(key) || wider.contains_key(key));
            max_bytes <= most && names && no_method && named_within(fields, wider)
        }
        _ => false,
    }
}

/// Fields that some servers read as the method; where no rule lists one, the decision refuses it.
fn names_method(key: &str) -> bool {
    key.contains("_method")
}

fn at_most(own: Option<u64>, most: Option<u64>) -> bool {
    most.is_none_or(|most| own.is_some_and(|own| own <= most))
}

/// At most as many at once, and none comes free sooner.
fn rate_within(inner: Option<Rate>, outer: Option<Rate>) -> bool {
    let Some(outer) = outer else { return true };
    inner.is_some_and(|inner| {
        let (own, most) = (u64::from(inner.count), u64::from(outer.count));
        own <= most && own * outer.per.seconds() <= most * inner.per.seconds()
    })
}

/// Whether each value that keeps `inner` keeps `outer`. `false` is also the answer where that is not clear.
fn constraint_within(inner: &Constraint, outer: &Constraint) -> bool {
    let Constraint { one_of, value_type, min, max, max_length, required } = inner;
    if outer.required && !required {
        return false;
    }
    if let Some(list) = one_of {
        return list.iter().all(|scalar| scalar_within(scalar, outer));
    }
    let typed = match outer.value_type {
        None => true,
        Some(ValueType::Number) => value_type.is_some_and(ValueType::is_numeric),
        wanted => *value_type == wanted,
    };
    outer.one_of.is_none()
        && typed
        && outer.min.is_none_or(|bound| min.is_some_and(|own| own >= bound))
        && outer.max.is_none_or(|bound| max.is_some_and(|own| own <= bound))
        && at_most(*max_length, outer.max_length)
}

/// Whether everything that equals the scalar keeps the constraint, however it is spelled.
fn scalar_within(scalar: &Scalar, outer: &Constraint) -> bool {
    if let Some(list) = &outer.one_of {
        return list.contains(scalar);
    }
    let keeps = |given: Given<'_>| outer.broken_by(given).is_none();
    match scalar {
        Scalar::Text(text) => keeps(Given::Text(text)) && keeps(Given::Untyped(text)),
        Scalar::Boolean(value) => {
            keeps(Given::Boolean(*value)) && keeps(Given::Untyped(if *value { "true" } else { "false" }))
        }
        Scalar::Number(number) => {
            let bounds =
                outer.min.is_none_or(|min| *number >= min) && outer.max.is_none_or(|max| *number <= max);
            // `5` may be spelled `5.0`, which is no integer, and as long as nine zeros.
            let typed = matches!(outer.value_type, None | Some(ValueType::Number));
            bounds && typed && outer.max_length.is_none()
        }
    }
}
