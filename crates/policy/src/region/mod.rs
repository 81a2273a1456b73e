//! What one policy allows and another does not, as regions of calls, each with a call that shows it.
//!
//! A permit is a product: a set of paths times a set of values for each query key, header and field. What a permit allows and
//! others together do not is found by taking one product after the other away (`subtract`), over finitely many values that
//! stand for all others (`values`). Bodies are told apart first: none, a form, JSON, anything else (`space`). An example is
//! built from what is left (`example`) and judged by the decision itself before anybody sees it. Rates are left to `contain`.

mod body;
mod class;
mod example;
mod fields;
mod lengths;
mod path;
mod space;
mod subtract;
#[cfg(test)]
mod tests;
mod tree;
mod values;
mod words;

pub use example::Example;
pub(crate) use lengths::short;

use crate::Policy;
use crate::permit::{Permit, RangeRule};
use crate::template::Template;
use cloakroom_model::Place;
use path::Length;
use space::{Content, Space};
use subtract::{Left, subtract};

/// A permit and one of its calls.
#[derive(Clone, Copy)]
pub(crate) struct Part<'p> {
    pub(crate) permit: &'p Permit,
    pub(crate) call: &'p Template,
}

impl<'p> Part<'p> {
    /// Every call of every permit.
    pub(crate) fn all(policy: &'p Policy) -> impl Iterator<Item = Self> {
        policy.permits().iter().flat_map(|permit| permit.calls.iter().map(move |call| Self { permit, call }))
    }

    /// Which path segment is the placeholder.
    fn spot(&self) -> Option<usize> {
        match &self.permit.place {
            Place::Path(name) => self.call.parameter(name),
            _ => None,
        }
    }

    /// Whether a call can be allowed by both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let same_place = match (&self.permit.place, &other.permit.place) {
            (Place::Path(_), Place::Path(_)) => self.spot() == other.spot(),
            (own, others) => own == others,
        };
        self.permit.to == other.permit.to
            && self.call.overlaps(other.call)
            && self.permit.upgrade == other.permit.upgrade
            // What is not captured alike, or stands for another token, is another call.
            && self.permit.tokens == other.permit.tokens
            && same_place
    }

    /// A header named `range` that is constrained: what becomes of it and what may stand in it hang together.
    fn constrains_range(&self) -> bool {
        self.permit.headers.contains_key("range") || self.permit.headers.contains_key("if-range")
    }
}

/// Calls that a part allows and others together do not.
pub(crate) struct Region {
    /// What tells them from the calls that are allowed: one rule in a line.
    pub(crate) rules: Vec<String>,
    /// One of them, as it was built. Nobody judged it yet.
    pub(crate) example: Option<Example>,
}

/// What is found by taking others away from a part.
pub(crate) enum Outside {
    Nothing,
    Regions(Vec<Region>),
    /// Too many rules are interwoven.
    TooMuch,
}

/// How many regions of one part are shown.
const MOST_REGIONS: usize = 12;

/// What `part` allows and `others` together do not.
pub(crate) fn outside(part: Part<'_>, others: &[Part<'_>]) -> Outside {
    let covers = met(&part, others);
    let mut regions: Vec<Region> = Vec::new();
    for space in spaces(part, &covers) {
        let Some(left) = subtract(&space, MOST_REGIONS) else { return Outside::TooMuch };
        for one in left {
            let rules = words::rules(&space, &one, &covers);
            if !regions.iter().any(|known| known.rules == rules) {
                regions.push(Region { rules, example: example::build(&space, &one) });
            }
        }
    }
    regions.truncate(MOST_REGIONS);
    if regions.is_empty() { Outside::Nothing } else { Outside::Regions(regions) }
}

/// Whether nothing is outside. Cheaper than all regions.
pub(crate) fn is_covered(part: Part<'_>, others: &[Part<'_>]) -> bool {
    let covers = met(&part, others);
    spaces(part, &covers).all(|space| subtract(&space, 1).is_some_and(|left: Vec<Left>| left.is_empty()))
}

/// The others that allow some of the part's calls, and whose treatment of `Range` can be compared.
fn met<'p>(part: &Part<'_>, others: &[Part<'p>]) -> Vec<Part<'p>> {
    let ranges = |other: &&Part<'p>| {
        part.permit.range == RangeRule::Drop
            || other.permit.range == RangeRule::Pass
            || !(part.constrains_range() || other.constrains_range())
    };
    let met = others.iter().filter(|other| part.meets(other) && !fields::is_dead(other));
    // What a repeat may do is no set of calls either.
    met.filter(ranges).filter(|other| part.permit.repeats.within(other.permit.repeats)).copied().collect()
}

/// All calls of the part, as products.
fn spaces<'s, 'p: 's>(part: Part<'p>, covers: &'s [Part<'p>]) -> impl Iterator<Item = Space<'p>> + 's {
    let contents = if fields::is_dead(&part) { Vec::new() } else { Content::of(&part, covers) };
    let lengths = Length::of(&part, covers);
    contents.into_iter().flat_map(move |content| {
        lengths.clone().into_iter().map(move |length| Space::new(part, covers, content, length))
    })
}
