//! Policies whose lengths can be built: what bounds a text far above what is ever listed only has to keep its order.

use crate::Policy;
use crate::constraint::{Constraint, Scalar};
use crate::permit::{BodyRule, Permit};
use std::collections::BTreeSet;

/// Texts up to this length are built as they are.
const BUILT: u64 = 1 << 16;

/// Both policies with lengths above [`BUILT`] replaced by smaller ones in the same order. An example that rests on such a
/// length does not show what it should, and is not shown.
pub(crate) fn short(one: &Policy, other: &Policy) -> Option<(Policy, Policy)> {
    let permits = || one.permits().iter().chain(other.permits());
    let listed = permits().flat_map(constraints).filter_map(longest_text).max().unwrap_or(0);
    let built = BUILT.max(listed);
    let long: BTreeSet<u64> =
        permits().flat_map(constraints).filter_map(|c| c.max_length).filter(|most| *most > built).collect();
    if long.is_empty() {
        return None;
    }
    let ranks: Vec<u64> = long.into_iter().collect();
    let shorten = |policy: &Policy| {
        let mut permits = policy.permits().to_vec();
        for constraint in permits.iter_mut().flat_map(constraints_mut) {
            let rank = constraint.max_length.and_then(|most| ranks.binary_search(&most).ok());
            if let Some(rank) = rank {
                constraint.max_length = Some(built + 2 * (rank as u64 + 1));
            }
        }
        Policy::new(permits)
    };
    Some((shorten(one), shorten(other)))
}

fn longest_text(constraint: &Constraint) -> Option<u64> {
    let length = |scalar: &Scalar| match scalar {
        Scalar::Text(text) => text.chars().count() as u64,
        _ => 0,
    };
    constraint.one_of.iter().flatten().map(length).max()
}

fn constraints(permit: &Permit) -> Vec<&Constraint> {
    let fields = permit.query.values().map(|rule| &rule.constraint);
    let mut all: Vec<&Constraint> = fields.chain(permit.headers.values()).collect();
    match &permit.body {
        BodyRule::Form { fields, .. } => all.extend(fields.values().map(|rule| &rule.constraint)),
        BodyRule::Json { fields, .. } => all.extend(fields.values()),
        BodyRule::Any { .. } | BodyRule::None => {}
    }
    all
}

fn constraints_mut(permit: &mut Permit) -> Vec<&mut Constraint> {
    let fields = permit.query.values_mut().map(|rule| &mut rule.constraint);
    let mut all: Vec<&mut Constraint> = fields.chain(permit.headers.values_mut()).collect();
    match &mut permit.body {
        BodyRule::Form { fields, .. } => all.extend(fields.values_mut().map(|rule| &mut rule.constraint)),
        BodyRule::Json { fields, .. } => all.extend(fields.values_mut()),
        BodyRule::Any { .. } | BodyRule::None => {}
    }
    all
}
